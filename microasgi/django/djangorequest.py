"""A Django request for a connection that Django does not answer: what receivers, backends and templates ask for.

Law: one for a connection, made when the first one asks. It has headers, cookies, session and user; no body.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from microasgi.connection import query_text
from microasgi.types import Scope

__all__ = ["HELD", "Held", "ScopeRequest", "django_request"]

HELD: Final = "microasgi.django"
_OF_SOCKETS: Final = {"ws": "http", "wss": "https"}


class Held:
    """Where the request of a connection is kept: copies of the scope share it."""

    __slots__ = ("request",)

    def __init__(self) -> None:
        self.request: HttpRequest | None = None


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
