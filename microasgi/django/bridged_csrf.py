"""CSRF in front of a bridge: Django's own check, for unsafe requests that bring the session's cookie.

Law: it is Django's middleware that decides; the body can be read afterwards, and is not read if a header has the token.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Final, cast

from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from microasgi.django.bridged_body import make_rewindable
from microasgi.django.bridged_scope import is_wsgi

__all__ = ["refuse_forgery"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_OF_BROWSERS: Final = frozenset({"basic", "digest", "negotiate", "ntlm"})  # no page has to know them


async def refuse_forgery(request: HttpRequest) -> HttpResponseBase | None:
    """Return the answer of CSRF_FAILURE_VIEW if another site may have made this request, None if not.

    Requests without the session's cookie pass, nobody is logged in by them, unless a middleware has logged somebody in
    by what it found in the request, as RemoteUserMiddleware does: a browser may have sent that by itself. With other
    cookies, or a password that the browser knows, they may not come from a page of another site.
    """
    if request.method in _SAFE:
        return None
    if settings.SESSION_COOKIE_NAME not in request.COOKIES and not _is_logged_in_now(request):
        return _refusal(_without_form(request)) if _is_foreign(request) else None
    if settings.CSRF_HEADER_NAME in request.META and not settings.CSRF_USE_SESSIONS:
        return _refusal(_without_form(request))
    return await sync_to_async(_check_form)(request)


def _is_logged_in_now(request: HttpRequest) -> bool:
    from django.contrib.auth import SESSION_KEY

    session: Any = getattr(request, "session", None)
    return session is not None and session.modified and SESSION_KEY in session


def _is_foreign(request: HttpRequest) -> bool:
    kind = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[0].lower()
    if "HTTP_ORIGIN" not in request.META or not (request.COOKIES or kind in _OF_BROWSERS):
        return False
    return not cast(Any, CsrfViewMiddleware(_nothing))._origin_verified(request)


def _check_form(request: HttpRequest) -> HttpResponseBase | None:
    if settings.CSRF_HEADER_NAME in request.META:
        return _refusal(_without_form(request))
    if is_wsgi(request):
        make_rewindable(request)
    return _refusal(request)


def _without_form(request: HttpRequest) -> HttpRequest:
    """Return the request for somebody who is not to look for a token in the form, which would be read for that."""
    twin = copy(request)
    cast(Any, twin).POST = QueryDict()
    return twin


def _refusal(request: HttpRequest) -> HttpResponseBase | None:
    middleware: Any = CsrfViewMiddleware(_nothing)
    return cast("HttpResponseBase | None", middleware.process_view(request, _nothing, (), {}))


def _nothing(request: HttpRequest) -> HttpResponse:
    return HttpResponse()
