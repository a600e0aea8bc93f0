"""Driving an ASGI application without a server: one scope at a time, or as a client would.

`Exchange` and `request` speak ASGI, `lint` checks what is spoken. Law: nothing here knows what framework answers.
"""

from __future__ import annotations

from microasgi.testing.calls import Faults, RawResponse, request
from microasgi.testing.exchange import Exchange
from microasgi.testing.lint import ASGILint, lint
from microasgi.testing.rules import ASGIViolation
from microasgi.testing.scopes import http_scope, lifespan_scope, websocket_scope

__all__ = [
    "ASGILint",
    "ASGIViolation",
    "Exchange",
    "Faults",
    "RawResponse",
    "http_scope",
    "lifespan_scope",
    "lint",
    "request",
    "websocket_scope",
]
