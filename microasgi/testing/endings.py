"""How a conversation ends: which message is an application's last, what `receive` gives then, what an exception says.

Law: pure functions of a scope, a message or an exception.
"""

from __future__ import annotations

from typing import cast

from microasgi.types import Message, Scope

__all__ = ["disconnect_message", "is_disconnect", "is_last", "send_raises"]

_DISCONNECT_NAMES = frozenset({"ClientDisconnect", "WebSocketDisconnect"})


def disconnect_message(scope: Scope, code: int, reason: str) -> Message:
    """Return what `receive` gives once the peer has left or the answer is complete."""
    if scope["type"] == "websocket":
        return {"type": "websocket.disconnect", "code": code, "reason": reason}
    return {"type": "http.disconnect"}


def is_last(message: Message, *, trailers: bool) -> bool:
    """Return whether the message completes its response or closes its socket."""
    kind, more = message.get("type"), message.get("more_body", False)
    if kind in ("http.response.body", "http.response.zerocopysend"):
        return not more and not trailers
    if kind == "http.response.trailers":
        return not message.get("more_trailers", False)
    if kind == "websocket.http.response.body":
        return not more
    return kind in ("http.response.pathsend", "websocket.close")


def is_disconnect(error: BaseException) -> bool:
    """Return whether an exception only says that the peer has left; a group, when all of its parts do."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_disconnect(part) for part in group.exceptions)
    # By name: every framework has a class of its own for this.
    return isinstance(error, OSError) or type(error).__name__ in _DISCONNECT_NAMES


def send_raises(scope: Scope) -> bool:
    """Return whether `send` raises after a disconnect: from spec_version 2.4 (ASGI HTTP, Disconnected Client)."""
    asgi = cast("dict[str, object]", scope.get("asgi") or {})
    version = str(asgi.get("spec_version", "2.0")).split(".")
    return tuple(int(part) for part in version) >= (2, 4)
