"""AuthenticationMiddleware: who asks, and with which rights, found once for each request and socket.

Law: a backend says who it is, `requires` says who may; without an answer of the backend nobody is anybody.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from microasgi.connection import HTTPConnection
from microasgi.endpoints import as_response
from microasgi.exceptions import ConfigurationError
from microasgi.middleware.refusal import refuse
from microasgi.middleware.requires import requires
from microasgi.middleware.users import AnyUser, AuthCredentials, BaseUser, SimpleUser, UnauthenticatedUser
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = [
    "AuthCredentials",
    "AuthenticationBackend",
    "AuthenticationError",
    "AuthenticationMiddleware",
    "BaseUser",
    "SimpleUser",
    "UnauthenticatedUser",
    "requires",
]


class AuthenticationError(Exception):
    """What the client sent is no proof of anybody: a 400 with this text."""


class AuthenticationBackend:
    """Finds out who asks. Subclasses have `authenticate`."""

    async def authenticate(self, conn: HTTPConnection[Any]) -> tuple[AuthCredentials, AnyUser] | None:
        """Return rights and user, or None for nobody in particular; AuthenticationError refuses the request."""
        raise NotImplementedError(f"{type(self).__name__} has to define `async def authenticate(self, conn)`")


OnError: TypeAlias = Callable[[HTTPConnection[Any], AuthenticationError], Any]


class AuthenticationMiddleware:
    """Set `request.user` and `request.auth` to what `backend` says.

    `on_error(connection, error)`, sync or async, returns what a handler may return: the answer to what is refused;
    by default a 400 with the error's text. A handshake that is refused gets it where the server can send it, else 403.
    """

    def __init__(self, app: ASGIApp, backend: AuthenticationBackend, on_error: OnError | None = None) -> None:
        authenticate = getattr(backend, "authenticate", None)
        if isinstance(backend, type) or not inspect.iscoroutinefunction(authenticate):
            raise ConfigurationError(
                "AuthenticationMiddleware: backend is an object with `async def authenticate(self, conn)`, "
                f"not {backend!r}"
            )
        self.app = app
        self.backend = backend
        self.on_error = on_error
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who asks, and go on."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        conn: HTTPConnection[Any] = HTTPConnection(scope)
        try:
            found = await self._authenticate(conn)
        except AuthenticationError as error:
            return await self._refuse(conn, error, receive, send)
        scope["auth"], scope["user"] = found or (AuthCredentials(), UnauthenticatedUser())
        return await self.app(scope, receive, send)

    async def _refuse(
        self, conn: HTTPConnection[Any], error: AuthenticationError, receive: Receive, send: Send
    ) -> None:
        if self.on_error is None:
            return await refuse(conn.scope, receive, send, 400, str(error))
        result = self.on_error(conn, error)
        if inspect.isawaitable(result):
            result = await result
        return await as_response(result, self.on_error)(conn.scope, receive, send)
