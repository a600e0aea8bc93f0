"""Refusing: one answer for requests and for handshakes that a middleware does not let through.

Law: it is a response, not an exception, so that every middleware around sees it. The application's exception handlers
make it, so that a site has its own page for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from microasgi.errors import answer_error
from microasgi.exceptions import HTTPException
from microasgi.sockets import deny
from microasgi.types import Receive, Scope, Send

__all__ = ["refuse"]


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> None:
    """Answer a request, or a handshake, with this status: as problem details where the client prefers JSON."""
    answer = deny if scope["type"] == "websocket" else answer_error
    await answer(scope, receive, send, HTTPException(status, detail, headers))
