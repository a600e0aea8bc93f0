"""Driving an ASGI application without a server: one scope at a time, or as a client would.

`Exchange` and `request` speak ASGI, `lint` checks what is spoken, the clients add httpx on top.
Law: nothing here knows which framework answers; httpx is imported only when a client is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from microasgi.testing.calls import Faults, RawResponse, request
from microasgi.testing.exchange import Exchange
from microasgi.testing.lifespan import LifespanFailed
from microasgi.testing.lint import ASGILint, lint
from microasgi.testing.rules import ASGIViolation
from microasgi.testing.scopes import http_scope, lifespan_scope, websocket_scope

if TYPE_CHECKING:
    from microasgi.testing.client import AsyncTestClient, TestClient
    from microasgi.testing.websockets import AsyncWebSocketTestSession, WebSocketDenialResponse, WebSocketTestSession

__all__ = [
    "ASGILint",
    "ASGIViolation",
    "AsyncTestClient",
    "AsyncWebSocketTestSession",
    "Exchange",
    "Faults",
    "LifespanFailed",
    "RawResponse",
    "TestClient",
    "WebSocketDenialResponse",
    "WebSocketTestSession",
    "http_scope",
    "lifespan_scope",
    "lint",
    "request",
    "websocket_scope",
]

_NEED_HTTPX = {
    "AsyncTestClient": "client",
    "AsyncWebSocketTestSession": "websockets",
    "TestClient": "client",
    "WebSocketDenialResponse": "websockets",
    "WebSocketTestSession": "websockets",
}


def __getattr__(name: str) -> Any:
    if name not in _NEED_HTTPX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_NEED_HTTPX[name]}"), name)
    globals()[name] = value
    return value
