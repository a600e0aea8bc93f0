"""The life of a socket around its handler: who may open it, and how it ends on every server.

A handler that returns closes with 1000, one that raises with 1011. A handshake from another origin is refused
before the handler runs: browsers send cookies along with it and ask nobody (RFC 6455 section 10.2).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from microasgi.connection import is_own_host
from microasgi.endpoints import as_response
from microasgi.errors import Errors, errors_inside, problem, problem_of, report, sole_error
from microasgi.exceptions import HTTPException, WebSocketDisconnect, WebSocketException
from microasgi.responses import Response
from microasgi.types import ASGIApp, Receive, Scope, Send
from microasgi.websockets import WebSocket, WebSocketState

__all__ = ["deny", "socket_app"]

_OPEN = (WebSocketState.CONNECTED, WebSocketState.CONNECTING)
_REASON_BYTES = 123  # RFC 6455 section 5.5
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


async def deny(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
    """Refuse a handshake with an error's response, with 403 where the server can send none."""
    websocket: WebSocket[Any] = WebSocket(scope, receive, send)
    await websocket.send_denial_response(
        problem(websocket, error.status_code, error.detail, error.headers, error.members)
    )


def _may_open(scope: Scope, origin: str, allowed: frozenset[str] | None) -> bool:
    if allowed is None:
        allowed = frozenset(getattr(scope.get("app"), "allowed_origins", ()))
    if origin in allowed or "*" in allowed:
        return True
    scheme, separator, authority = origin.lower().partition("://")
    # The scheme is the browser's; behind a proxy that ends TLS the server does not know it.
    return bool(separator) and is_own_host(scope, scheme, authority)


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
