"""The life of a socket around its handler: who may open it, and how it ends on every server.

A handler that returns closes with 1000, one that raises with 1011. A handshake from another origin is refused
before the handler runs: browsers send cookies along with it and ask nobody (RFC 6455 section 10.2).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

import anyio

from microasgi.concurrency import Interruptible, spawn
from microasgi.connection import is_own_host
from microasgi.draining import round_of
from microasgi.endpoints import as_response
from microasgi.errors import Errors, errors_inside, problem, problem_of, report, sole_error
from microasgi.exceptions import HTTPException, WebSocketDisconnect, WebSocketException
from microasgi.responses import Response
from microasgi.socketconnection import RESTART
from microasgi.types import ASGIApp, Receive, Scope, Send
from microasgi.websockets import WebSocket, WebSocketState

__all__ = ["deny", "socket_app"]

logger = logging.getLogger("microasgi")
_OPEN = (WebSocketState.CONNECTED, WebSocketState.CONNECTING)
_REASON_BYTES = 123  # RFC 6455 section 5.5
_CLOSING: Final = 2.0  # seconds that the server has to take a close, while there is a grace
_PATIENCE: Final = 0.5  # seconds for that after the grace, and for the handler to see it
_OTHER_ORIGIN = "a page of another origin may not open this websocket"


def socket_app(
    handler: Callable[[Any], Awaitable[Any]], errors: Errors, allowed_origins: Iterable[str] | None
) -> ASGIApp:
    """Return the ASGI application that runs a websocket handler; `None` leaves the origins to the application."""
    allowed = None if allowed_origins is None else frozenset(allowed_origins)

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        websocket: WebSocket[Any] = WebSocket(scope, receive, send)
        for name, value in scope["headers"]:
            if name == b"origin" and not _may_open(scope, value.decode("latin-1"), allowed):
                await deny(scope, receive, send, HTTPException(403, _OTHER_ORIGIN))
                return
        drained = round_of(scope)
        if drained is None:
            await live(websocket, scope)
            return
        if drained.has_begun:
            await deny(scope, receive, send, _stopping())
            return
        life = _Life(websocket)
        drained.members.add(life)
        try:
            with life:
                await live(websocket, scope)
        finally:
            drained.discard(life)
        await life.settle()

    async def live(websocket: WebSocket[Any], scope: Scope) -> None:
        try:
            try:
                await handler(websocket)
            except Exception as error:
                if not _peer_left(error):
                    await _end_by_error(websocket, sole_error(error), errors.of(scope))
            if websocket.socket_state in _OPEN:
                await websocket.close(1000)
        finally:
            await websocket.stop_listening()

    return run


class _Life(Interruptible):
    """A socket in a drain: closed at once if its handler waits for a message, or else when it does, or after the grace.

    A handler that goes on without its socket is interrupted.
    """

    __slots__ = ("_closed", "_ending", "_websocket")

    def __init__(self, websocket: WebSocket[Any]) -> None:
        self._websocket = websocket
        self._closed: anyio.Event | None = None

    async def settle(self) -> None:
        """Wait for what is being sent: nothing may be when the application has returned."""
        if self._closed is not None:
            await self._closed.wait()

    def tell(self) -> None:
        self._websocket.retire()
        if self._websocket.is_heard:
            self._ending = spawn(partial(self._close, _CLOSING))

    def cut(self) -> None:
        self._ending = spawn(self._end)

    async def _close(self, seconds: float) -> None:
        self._closed = closed = anyio.Event()
        try:
            with anyio.move_on_after(seconds) as patience:
                if self._websocket.socket_state is WebSocketState.CONNECTING:
                    await self._websocket.send_denial_response(problem_of(self._websocket, _stopping()))
                else:
                    await self._websocket.close(*RESTART)
            if patience.cancelled_caught:
                self.interrupt()  # the server has taken nothing, so it tells the handler nothing either
        except Exception:
            logger.exception("a websocket could not be closed when the application drained")
        finally:
            closed.set()

    async def _end(self) -> None:
        await self._close(_PATIENCE)
        await anyio.sleep(_PATIENCE)
        self.interrupt()


def _stopping() -> HTTPException:
    return HTTPException(503, "the server stops or restarts: try again")


async def deny(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
    """Refuse a handshake with an error's response, with 403 where the server can send none."""
    websocket: WebSocket[Any] = WebSocket(scope, receive, send)
    await websocket.send_denial_response(problem_of(websocket, error))


def _may_open(scope: Scope, origin: str, allowed: frozenset[str] | None) -> bool:
    if allowed is None:
        allowed = frozenset(getattr(scope.get("app"), "allowed_origins", ()))
    if origin in allowed or "*" in allowed:
        return True
    scheme, separator, authority = origin.lower().partition("://")
    # The scheme is the browser's; behind a proxy that ends TLS the server does not know it.
    if separator and is_own_host(scope, scheme, authority):
        return True
    return scope.get("microasgi.origin_allowed") is True  # a middleware answers for it


def _peer_left(error: Exception) -> bool:
    """Tell whether the handler, or every task of its group, has ended because the peer left."""
    inside = errors_inside(error)
    return all(map(_peer_left, inside)) if inside else isinstance(error, WebSocketDisconnect)


def _denial(websocket: WebSocket[Any], error: HTTPException) -> Response:
    try:
        return problem_of(websocket, error)
    except Exception as broken:  # a status or a header that no response can have
        report(websocket, broken)
        return problem(websocket, 500, "Internal Server Error")


async def _close_as_told(websocket: WebSocket[Any], error: WebSocketException) -> None:
    """Close with the exception's code and as much of its reason as a frame holds: it may quote what the peer sent."""
    reason = error.reason.encode(errors="replace")[:_REASON_BYTES].decode(errors="ignore")
    try:
        await websocket.close(error.code, reason)
    except ValueError as broken:
        report(websocket, broken)
        await websocket.close(1011)


async def _end_by_error(websocket: WebSocket[Any], error: Exception, errors: Errors) -> None:
    handler, expected = errors.find(error)
    if handler is not None:
        try:
            result = await handler(websocket, error)
            if websocket.socket_state is WebSocketState.CONNECTING and result is not None:
                await websocket.send_denial_response(as_response(result, handler))
            if expected and websocket.socket_state is not WebSocketState.CONNECTED:
                return
        except Exception as second:
            error = second
    if isinstance(error, WebSocketDisconnect):
        return
    if isinstance(error, WebSocketException):
        await _close_as_told(websocket, error)
    elif not isinstance(error, HTTPException):
        if not expected:
            report(websocket, error)
        await websocket.close(1011)
    elif websocket.socket_state is WebSocketState.CONNECTING:
        await websocket.send_denial_response(_denial(websocket, error))
    else:
        await websocket.close(1008 if error.status_code < 500 else 1011)
