"""CSRF: what is sent with the session's cookie needs Django's token, and handshakes with cookies an origin of ours.

Law: Django's own middleware judges. The body is read for a form alone, and whoever is inside can read it again.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any, Final, NoReturn, cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, QueryDict
from django.middleware.csrf import REASON_BAD_ORIGIN, CsrfViewMiddleware, get_token
from django.urls import get_callable
from django.utils.log import log_response

from microasgi.connection import HTTPConnection, is_own_host
from microasgi.cookies import cookie_text
from microasgi.django.djangorequest import HELD, Held, django_request, send_whole, set_cookies
from microasgi.django.threads import in_django_thread
from microasgi.errors import answer_error
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.headers import MutableHeaders, find_header
from microasgi.requests import Request
from microasgi.socketrules import speaks
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CSRFLayer", "csrf_token", "refuse_foreign_login"]

logger = logging.getLogger("django.security.csrf")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_FORMS: Final = (b"application/x-www-form-urlencoded", b"multipart/form-data")
_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_FIELD: Final = "csrfmiddlewaretoken"
_UNCHECKED: Final = "microasgi.django_unchecked"
_FOREIGN: Final = "a page of another site may not do this with the user's cookies or password"
_OF_BROWSERS: Final = frozenset({b"basic", b"digest", b"negotiate", b"ntlm"})  # no page has to know them


def csrf_token(connection: HTTPConnection[Any]) -> str:
    """Return a token for a form's field `csrfmiddlewaretoken` or the header X-CSRFToken; the response sets its cookie.

    With CSRF_USE_SESSIONS it is in the session: asynchronous code reads from that first.
    """
    return get_token(django_request(connection.scope))


class CSRFLayer:
    """Refuse with 403 what changes something, comes with the session's cookie and brings no token of Django's.

    The token is in the header (X-CSRFToken) or in the field `csrfmiddlewaretoken` of a form; Origin, Referer and
    CSRF_TRUSTED_ORIGINS count as for Django's views. A form is read under the limits of the application: an upload
    that is larger, or streamed, sends the header. Requests without the session's cookie, and handshakes, need none:
    with other cookies, or a password that the browser knows (Basic, Digest, Negotiate), they have to come from a page
    of this host or of CSRF_TRUSTED_ORIGINS, or from no page; without they pass. `login` wants that of all of them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind not in ("http", "websocket") or "django.request" in scope:
            await self.app(scope, receive, send)
            return
        held: Held = scope.setdefault(HELD, Held())

        async def finishing(message: Message) -> None:
            if held.request is not None and message["type"] in _STARTS:
                message = await _with_cookie(held.request, scope, message)
            await send(message)

        is_safe = kind == "http" and scope["method"] in _SAFE
        if kind == "http" and not is_safe and _has_session(scope):
            await self._check(scope, receive, send, finishing)
            return
        if not is_safe and _is_foreign(scope):
            reason = REASON_BAD_ORIGIN % (find_header(scope["headers"], b"origin") or b"").decode("latin-1")
            logger.warning("Forbidden (%s): %r", reason, scope["path"])
            refuse = deny if kind == "websocket" else answer_error
            await refuse(scope, receive, send, HTTPException(403, _FOREIGN))
            return
        scope[_UNCHECKED] = not is_safe
        await self.app(scope, receive, finishing)

    async def _check(self, scope: Scope, receive: Receive, send: Send, finishing: Send) -> None:
        """Run the application if the request brings a token."""
        request: Request[Any] = Request(scope, receive, send)
        given = django_request(scope)
        reads = given.method == "POST" and settings.CSRF_HEADER_NAME not in given.META and _is_form(scope)
        try:
            try:
                given.POST = cast(Any, await _field(request) if reads else QueryDict())
            except ClientDisconnect:
                return
            except HTTPException as error:
                await answer_error(scope, request.receive, send, error)
                return
            reason = await _reason_against(given)
            if reason is not None:
                await _refuse(reason, given, request, send)
                return
            await self.app(scope, request.receive if reads else receive, finishing)
        finally:
            await request.close()


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Judge(CsrfViewMiddleware):
    """Django's middleware, telling the reason."""

    def _reject(self, request: HttpRequest, reason: str) -> NoReturn:
        raise _Refused(reason)

    def is_verified(self, request: HttpRequest) -> bool:
        """Tell whether the request's Origin is this host or one of CSRF_TRUSTED_ORIGINS."""
        return bool(cast(Any, self)._origin_verified(request))


def _judge() -> _Judge:
    return _Judge(_view)  # a new one each time: it keeps what it reads of the settings


def _view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


async def _reason_against(request: HttpRequest) -> str | None:
    """Return why Django would refuse this request, or None."""
    judge = partial(_judge().process_view, request, _view, (), {})
    try:
        if settings.CSRF_USE_SESSIONS:
            await in_django_thread(judge)
        else:
            judge()
    except _Refused as refused:
        return refused.reason
    return None


async def _field(request: Request[Any]) -> QueryDict:
    """Read the form; return its token alone, as Django's middleware looks for it."""
    await request.body()  # so that whoever is inside can read it as well, not the form alone
    token = (await request.form()).get(_FIELD)
    found = QueryDict(mutable=True)
    if isinstance(token, str):
        found[_FIELD] = token
    return found


def _is_form(scope: Scope) -> bool:
    kind = find_header(scope["headers"], b"content-type") or b""
    return kind.partition(b";")[0].strip().lower() in _FORMS


def _has_session(scope: Scope) -> bool:
    name: str = settings.SESSION_COOKIE_NAME
    return name in cookie_text(scope["headers"]) and name in django_request(scope).COOKIES


async def _refuse(reason: str, given: HttpRequest, request: Request[Any], send: Send) -> None:
    forbidden = HttpResponseForbidden()
    log_response("Forbidden (%s): %s", reason, given.path, response=forbidden, request=given, logger=logger)
    if b"text/html" not in (find_header(request.scope["headers"], b"accept") or b""):
        error = HTTPException(403, f"CSRF verification failed: {reason}")
        await answer_error(request.scope, request.receive, send, error)
        return
    view: Any = get_callable(settings.CSRF_FAILURE_VIEW)
    page: HttpResponse = await in_django_thread(partial(view, given, reason=reason))
    await send_whole(page, send)


async def _with_cookie(request: HttpRequest, scope: Scope, message: Message) -> Message:
    """Return the start of the response with the cookie of a token that was asked for."""
    if not request.META.get("CSRF_COOKIE_NEEDS_UPDATE"):
        return message
    response = HttpResponse()
    finish = partial(_judge().process_response, request, response)
    if settings.CSRF_USE_SESSIONS:
        await in_django_thread(finish)
        return message
    finish()
    if message["type"] == "websocket.accept" and not speaks(scope, (2, 1)):
        return message
    headers = MutableHeaders(raw=[*message.get("headers", ()), *set_cookies(response)])
    headers.add_vary_header("Cookie")
    return {**message, "headers": headers.raw}


def _is_foreign(scope: Scope) -> bool:
    """Tell whether it has the user's credentials, and comes from a page of an origin that is neither ours nor trusted.

    A websocket of an origin that the site trusts needs no leave of the application's `allowed_origins`.
    """
    origin = find_header(scope["headers"], b"origin")
    if origin is None:
        return False
    is_users = _has_credentials(scope)
    if not is_users and scope["type"] == "http":
        return False
    if _judge().is_verified(django_request(scope)):
        scope["microasgi.origin_allowed"] = True
        return False
    # A page that came by https is always one of this host: where a proxy ends TLS, the server sees http.
    scheme, _, authority = origin.decode("latin-1").lower().partition("://")
    return is_users and (scheme != "https" or not is_own_host(scope, scheme, authority))


def _has_credentials(scope: Scope) -> bool:
    """Tell whether it brings what browsers send by themselves, whatever page has asked them to."""
    headers = scope["headers"]
    kind = (find_header(headers, b"authorization") or b"").partition(b" ")[0]
    return find_header(headers, b"cookie") is not None or kind.lower() in _OF_BROWSERS


def refuse_foreign_login(scope: Scope, request: HttpRequest) -> None:
    """Raise HTTPException 403 where a page of another site logs somebody in: a visitor without session has no token."""
    if scope["type"] == "http" and not scope.get(_UNCHECKED):
        return
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        foreign = request.META.get("HTTP_SEC_FETCH_SITE") == "cross-site"
    else:
        foreign = not _judge().is_verified(request)
    if foreign:
        raise HTTPException(403, "a page of another site may not log in here")
