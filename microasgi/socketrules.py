"""What may be said on a websocket, and when: its states as a table, and the rules for what each message holds.

Law: pure functions. They refuse what servers choke on, each in its own way (ASGI WebSocket, RFC 6455).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, Final, cast

from microasgi.exceptions import WebSocketStateError
from microasgi.headers import encode_header
from microasgi.types import Message, RawHeaders, Scope

__all__ = [
    "WebSocketState",
    "can_deny",
    "check_close",
    "encode_headers",
    "measure",
    "payload_of",
    "size_limit",
    "speaks",
    "state_after",
]

_DEFAULT_MESSAGE_SIZE: Final = 1024 * 1024
_LEGAL_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_REASON_BYTES: Final = 123


class WebSocketState(Enum):
    """Where a socket is in its life (ASGI WebSocket specification)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DENYING = "being denied"
    DENIED = "denied"
    CLOSED = "closed"
    DISCONNECTED = "disconnected"

    __hash__ = object.__hash__  # as a key it costs a tenth of Enum's own


_CONNECTING, _CONNECTED = WebSocketState.CONNECTING, WebSocketState.CONNECTED
_DENYING, _DENIED = WebSocketState.DENYING, WebSocketState.DENIED
_CLOSED, _DISCONNECTED = WebSocketState.CLOSED, WebSocketState.DISCONNECTED

# call -> state it is legal in -> state after it. A call that is missing in a state is an error that names both.
_TABLE: Final[dict[str, dict[WebSocketState, WebSocketState]]] = {
    "accept": {_CONNECTING: _CONNECTED},
    "begin to deny": {_CONNECTING: _DENYING},
    "go on to deny": {_DENYING: _DENYING},
    "end to deny": {_DENYING: _DENIED},
    "close": {_CONNECTING: _CLOSED, _CONNECTED: _CLOSED},
    "send": {_CONNECTED: _CONNECTED},
    "receive": {_CONNECTED: _CONNECTED},
}
_ADVICE: Final = {
    _CONNECTING: "call `await websocket.accept()` first",
    _CONNECTED: "it has been accepted already",
    _DENYING: "a response to its handshake has begun",
    _DENIED: "its handshake has been answered by a response",
    _CLOSED: "this side has closed it",
    _DISCONNECTED: "the peer has left",
}


def state_after(call: str, state: WebSocketState) -> WebSocketState:
    """Return the state after a call; WebSocketStateError, which names both, where the call is not legal."""
    following = _TABLE[call].get(state)
    if following is None:
        raise WebSocketStateError(f"cannot {call} on a websocket that is {state.value}: {_ADVICE[state]}")
    return following


def check_close(code: object, reason: str) -> None:
    """Raise ValueError for a code that may not be sent (RFC 6455 section 7.4), or a reason above 123 bytes."""
    if not isinstance(code, int) or (code not in _LEGAL_CODES and not 3000 <= code <= 4999):
        raise ValueError(f"close code {code!r} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
    size = len(reason.encode())
    if size > _REASON_BYTES:
        raise ValueError(f"a close reason has at most {_REASON_BYTES} bytes, this one has {size}: {reason!r}")


def encode_headers(headers: Iterable[tuple[bytes | str, bytes | str]] | Mapping[str, str]) -> RawHeaders:
    """Return the headers of an accepted handshake as pairs of bytes; ValueError for what may not be among them."""
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    raw = [encode_header(_text(name), _text(value)) for name, value in pairs]
    if any(name == b"sec-websocket-protocol" for name, _ in raw):
        raise ValueError("sec-websocket-protocol is set by accept(subprotocol=...), not as a header")
    return raw


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def payload_of(message: Message) -> str | bytes:
    """Return the text or the bytes of a received message; RuntimeError where the server sent what is none."""
    text, data = message.get("text"), message.get("bytes")
    if message.get("type") == "websocket.receive":
        if isinstance(text, str):
            return text
        if isinstance(data, bytes) and text is None:
            return data
    raise RuntimeError(f"the server sent what is no message of an open websocket (ASGI WebSocket): {message!r:.200}")


def measure(data: str | bytes) -> int:
    """Return the size in bytes, of text in UTF-8."""
    return len(data) if isinstance(data, bytes) else len(data.encode(errors="surrogatepass"))


def speaks(scope: Scope, version: tuple[int, int]) -> bool:
    """Tell whether the server follows that version of the specification or a later one; 2.0 if it says nothing."""
    asgi: dict[str, Any] = scope.get("asgi") or {}
    major, _, minor = str(asgi.get("spec_version", "2.0")).partition(".")
    return major.isdecimal() and minor.isdecimal() and (int(major), int(minor)) >= version


def can_deny(scope: Scope) -> bool:
    """Tell whether the server takes an HTTP response as the answer to a handshake (ASGI, Denial Response)."""
    return "websocket.http.response" in (scope.get("extensions") or ())


def size_limit(scope: Scope) -> int:
    """Return how many bytes a message may have: as the route says, else the application, else 1 MiB."""
    limit = getattr(scope.get("route"), "max_message_size", None)
    if limit is None:
        limit = getattr(scope.get("app"), "max_message_size", None)
    return _DEFAULT_MESSAGE_SIZE if limit is None else int(limit)
