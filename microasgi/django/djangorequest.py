"""A Django request for a connection that Django does not answer: what receivers, backends and templates ask for.

Law: one for a connection, made when the first one asks. It has headers, cookies, session and user; no body.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, cast

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from microasgi.connection import query_text
from microasgi.types import RawHeaders, Scope, Send

__all__ = ["HELD", "Held", "ScopeRequest", "django_request", "raw_headers", "send_whole", "set_cookies"]

HELD: Final = "microasgi.django"
_OF_SOCKETS: Final = {"ws": "http", "wss": "https"}


class Held:
    """Where the request of a connection is kept: copies of the scope share it."""

    __slots__ = ("request",)

    def __init__(self) -> None:
        self.request: HttpRequest | None = None


class _Meta(dict[str, Any]):
    """META that finds the CSRF secret when it is looked for: with CSRF_USE_SESSIONS that is a query."""

    def __init__(self, given: Mapping[str, Any], request: HttpRequest) -> None:
        super().__init__(given)
        self._request: HttpRequest | None = request

    def __contains__(self, name: object) -> bool:
        if name == "CSRF_COOKIE" and self._request is not None and not super().__contains__(name):
            CsrfViewMiddleware(_view).process_request(self._request)
            self._request = None
        return super().__contains__(name)


def _view(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


class ScopeRequest(ASGIRequest):
    """A Django request made of an http scope, or of a handshake: then it is a GET."""

    def __init__(self, scope: Scope) -> None:
        scheme = scope.get("scheme", "http")
        changes: dict[str, Any] = {
            "method": scope.get("method", "GET"),
            "scheme": _OF_SOCKETS.get(scheme, scheme),
            "query_string": query_text(scope).encode(),
            "root_path": scope.get("microasgi.django_root", scope.get("root_path", "")),  # the site's, if it is known
        }
        given: Any = {**scope, **changes}
        super().__init__(given, BytesIO())
        self.META = _Meta(self.META, self)
        if "session" in scope:
            self.session = scope["session"]
        if "user" in scope:
            self.user = self.auser = scope["user"]


def django_request(scope: Scope) -> HttpRequest:
    """Return the Django request of this connection: the one that a bridge has come through, or one made of the scope.

    Its `session` and `user` are the connection's. It has no body: `request.POST` is empty.
    """
    given = scope.get("django.request")
    if given is not None:
        return given  # type: ignore[no-any-return]
    held: Held = scope.setdefault(HELD, Held())
    if held.request is None:
        held.request = ScopeRequest(scope)
    return held.request


def set_cookies(response: HttpResponseBase) -> RawHeaders:
    """Return the cookies of a Django response as headers."""
    cookies: list[Any] = list(response.cookies.values())
    return [(b"set-cookie", cast(str, cookie.output(header="")).strip().encode("ascii")) for cookie in cookies]


def raw_headers(response: HttpResponseBase) -> RawHeaders:
    """Return the headers of a Django response, its cookies among them."""
    pairs = response.headers.items()
    own = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in pairs]
    return [*own, *set_cookies(response)]


async def send_whole(response: HttpResponse, send: Send) -> None:
    """Send a Django response that is not streamed."""
    start = {"type": "http.response.start", "status": response.status_code, "headers": raw_headers(response)}
    await send(start)
    await send({"type": "http.response.body", "body": response.content})
