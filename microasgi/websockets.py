"""The websocket: messages both ways, and what is legal when, as a table.

The law of this file: the state is the framework's own, since servers differ in what they let pass. Nothing is sent
after a close or a disconnect, nothing received after a disconnect, and what a server would choke on is refused here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from enum import Enum
from typing import Any, Final, Literal

import anyio

from microasgi.connection import HTTPConnection, StateT
from microasgi.exceptions import HTTPException, WebSocketDisconnect, WebSocketStateError
from microasgi.headers import encode_header
from microasgi.serialization import decode_json, encode_json
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["WebSocket", "WebSocketState"]

_DEFAULT_MESSAGE_SIZE: Final = 1024 * 1024
_NO_STATUS: Final = 1005
_LEGAL_CODES: Final = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})
_REASON_BYTES: Final = 123


class WebSocketState(Enum):
    """Where a socket is in its life (ASGI WebSocket specification)."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DENIED = "denied"
    CLOSED = "closed"
    DISCONNECTED = "disconnected"


_CONNECTING, _CONNECTED = WebSocketState.CONNECTING, WebSocketState.CONNECTED
_DENIED, _CLOSED, _DISCONNECTED = WebSocketState.DENIED, WebSocketState.CLOSED, WebSocketState.DISCONNECTED

# call -> state it is legal in -> state after it. A call that is missing in a state is an error that names both.
_TRANSITIONS: Final[dict[str, dict[WebSocketState, WebSocketState]]] = {
    "accept": {_CONNECTING: _CONNECTED},
    "deny": {_CONNECTING: _DENIED},
    "close": {
        _CONNECTING: _DENIED,
        _CONNECTED: _CLOSED,
        _CLOSED: _CLOSED,
        _DENIED: _DENIED,
        _DISCONNECTED: _DISCONNECTED,
    },
    "send": {_CONNECTED: _CONNECTED},
    "receive": {_CONNECTED: _CONNECTED},
}
_ADVICE: Final = {
    _CONNECTING: "call `await websocket.accept()` first",
    _CONNECTED: "it has been accepted already",
    _DENIED: "the handshake has been refused",
    _CLOSED: "this side has closed it",
    _DISCONNECTED: "the peer has left; catch WebSocketDisconnect, or iterate with iter_text() and the like",
}


class WebSocket(HTTPConnection[StateT]):
    """One websocket (RFC 6455); `WebSocket[MyState]` types `websocket.state`.

    Leaving the handler closes it with 1000, an exception with 1011. A message above the route's or application's
    `max_message_size` bytes closes it with 1009.
    """

    max_message_size: int | None = None
    _connect_seen = False
    _code = _NO_STATUS
    _reason = ""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"a WebSocket needs a websocket scope, this one is {scope['type']!r}")
        self.scope = scope
        self._receive = receive
        self._send = send
        self._state_now = _CONNECTING

    @property
    def socket_state(self) -> WebSocketState:
        """Where the socket is in its life."""
        return self._state_now

    @property
    def subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, in its order of preference."""
        return list(self.scope.get("subprotocols") or ())

    async def accept(
        self, subprotocol: str | None = None, headers: Iterable[tuple[bytes, bytes]] | Mapping[str, str] | None = None
    ) -> None:
        """Accept the handshake, with one of the offered subprotocols and extra response headers.

        ValueError for a subprotocol that was not offered. Some servers drop the headers: do not rely on cookies.
        """
        if subprotocol is not None and subprotocol not in self.subprotocols:
            raise ValueError(f"subprotocol {subprotocol!r} was not offered; the client offers {self.subprotocols}")
        await self._await_connect()
        self._move("accept")
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": _raw(headers)})

    async def receive_text(self) -> str:
        """Return the next message, which has to be text; a binary one closes the socket with 1003."""
        return await self._receive_payload("text", "bytes")  # type: ignore[no-any-return]

    async def receive_bytes(self) -> bytes:
        """Return the next message, which has to be binary; a text one closes the socket with 1003."""
        return await self._receive_payload("bytes", "text")  # type: ignore[no-any-return]

    async def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the next message's JSON value; text that is no JSON closes the socket with 1007."""
        data = await (self.receive_bytes() if mode == "binary" else self.receive_text())
        try:
            return decode_json(data.encode() if isinstance(data, str) else data)
        except (HTTPException, UnicodeEncodeError):
            await self._fail(1007, "not JSON")

    async def receive(self) -> Message:
        """Return the next ASGI message; from `websocket.disconnect` on, raise."""
        if self._state_now is _CONNECTING and not self._connect_seen:
            await self._await_connect()
            return {"type": "websocket.connect"}
        self._check("receive")
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._leave(message)
        elif message["type"] != "websocket.receive":
            raise RuntimeError(f"the server sent {message['type']!r} in an open websocket")
        return message

    def send_text(self, data: str) -> Awaitable[None]:
        """Send a text message. WebSocketDisconnect if the peer has left, WebSocketStateError before accept."""
        if self._state_now is not _CONNECTED:
            self._check("send")
        if not data.isascii():
            data.encode()  # a lone surrogate is refused here: servers fail on it in ways of their own
        return self._send({"type": "websocket.send", "text": data})

    def send_bytes(self, data: bytes) -> Awaitable[None]:
        """Send a binary message. WebSocketDisconnect if the peer has left, WebSocketStateError before accept."""
        if self._state_now is not _CONNECTED:
            self._check("send")
        return self._send({"type": "websocket.send", "bytes": data if data.__class__ is bytes else bytes(data)})

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> Awaitable[None]:
        """Send a value as JSON, in a text or binary message."""
        encoded = encode_json(data)
        return self.send_bytes(encoded) if mode == "binary" else self.send_text(encoded.decode())

    def send_message(self, message: Message) -> Awaitable[None]:
        """Send an ASGI message; the same as `send`."""
        return self.send(message)

    async def send(self, message: Message) -> None:
        """Send an ASGI message, through the same checks as the methods of its name."""
        kind = message["type"]
        if kind == "websocket.accept":
            await self.accept(message.get("subprotocol"), message.get("headers"))
        elif kind == "websocket.close":
            await self.close(message.get("code", 1000), message.get("reason"))
        elif kind == "websocket.send":
            self._check("send")
            await self._send(message)
        elif kind in {"websocket.http.response.start", "websocket.http.response.body"}:
            if kind.endswith("start"):
                self._move("deny")
            await self._send(message)
        else:
            raise ValueError(f"a websocket cannot send {kind!r}")

    async def iter_text(self) -> AsyncIterator[str]:
        """Iterate over text messages until the peer leaves."""
        try:
            while True:
                yield await self.receive_text()
        except WebSocketDisconnect:
            return

    async def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over binary messages until the peer leaves."""
        try:
            while True:
                yield await self.receive_bytes()
        except WebSocketDisconnect:
            return

    async def iter_json(self, mode: Literal["text", "binary"] = "text") -> AsyncIterator[Any]:
        """Iterate over JSON messages until the peer leaves."""
        try:
            while True:
                yield await self.receive_json(mode)
        except WebSocketDisconnect:
            return

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the socket (RFC 6455 section 7.4); before accept, refuse it with 403. Again, it does nothing.

        ValueError for a code outside of 1000-1003, 1007-1014, 3000-4999 or a reason above 123 bytes.
        """
        if code not in _LEGAL_CODES and not 3000 <= code <= 4999:
            raise ValueError(f"close code {code} may not be sent: use 1000-1003, 1007-1014 or 3000-4999")
        if reason and len(reason.encode()) > _REASON_BYTES:
            raise ValueError(f"a close reason has at most {_REASON_BYTES} bytes, this one has {len(reason.encode())}")
        if self._state_now not in {_CONNECTING, _CONNECTED}:
            return
        await self._await_connect()
        self._move("close")
        self._code, self._reason = code, reason or ""
        await self._send({"type": "websocket.close", "code": code, "reason": reason or ""})

    async def send_denial_response(self, response: ASGIApp) -> None:
        """Refuse the handshake with an HTTP response; where the server cannot send one, with 403."""
        if "websocket.http.response" not in (self.scope.get("extensions") or {}):
            await self.close()
            return
        await self._await_connect()
        self._move("deny")
        await response(self.scope, self._receive, self._send)

    async def peer_has_left(self) -> bool:
        """Tell whether the disconnect has come, without waiting; a message that came instead is lost."""
        if self._state_now is _CONNECTED:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await self.receive()
        return self._state_now is _DISCONNECTED

    async def _await_connect(self) -> None:
        if self._connect_seen:
            return
        self._connect_seen = True
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._leave(message)
            raise WebSocketDisconnect(self._code, self._reason)
        if message["type"] != "websocket.connect":
            raise RuntimeError(f"the server sent {message['type']!r} before the handshake")

    async def _receive_payload(self, wanted: str, other: str) -> Any:
        if self._state_now is not _CONNECTED:
            self._check("receive")
        message = await self._receive()
        payload = message.get(wanted)
        if payload is not None:
            limit = self.max_message_size
            if limit is None:
                limit = self._read_limit()
            if len(payload) * 4 <= limit or _size(payload) <= limit:
                return payload
            await self._fail(1009, f"messages have at most {limit} bytes")
        if message["type"] == "websocket.disconnect":
            self._leave(message)
            raise WebSocketDisconnect(self._code, self._reason)
        if message.get(other) is None:
            raise RuntimeError(f"the server sent a {message['type']!r} message with neither text nor bytes")
        await self._fail(1003, f"{wanted} expected")

    def _read_limit(self) -> int:
        for holder in (self.scope.get("route"), self.scope.get("app")):
            limit = getattr(holder, "max_message_size", None)
            if limit is not None:
                self.max_message_size = limit
                return int(limit)
        self.max_message_size = _DEFAULT_MESSAGE_SIZE
        return _DEFAULT_MESSAGE_SIZE

    async def _fail(self, code: int, reason: str) -> None:
        """End the socket because of what the peer sent, and leave the handler as if the peer had left."""
        await self.close(code, reason)
        raise WebSocketDisconnect(code, reason)

    def _leave(self, message: Message) -> None:
        code = message.get("code")
        self._state_now = _DISCONNECTED
        self._code = _NO_STATUS if code is None else code
        self._reason = message.get("reason") or ""

    def _move(self, call: str) -> None:
        self._check(call)
        self._state_now = _TRANSITIONS[call][self._state_now]

    def _check(self, call: str) -> None:
        state = self._state_now
        if state in _TRANSITIONS[call]:
            return
        if state is _DISCONNECTED or (state is _CLOSED and call == "receive"):
            raise WebSocketDisconnect(self._code, self._reason)
        raise WebSocketStateError(f"cannot {call} on a websocket that is {state.value}: {_ADVICE[state]}")


def _size(payload: str | bytes) -> int:
    return len(payload.encode(errors="surrogatepass")) if isinstance(payload, str) else len(payload)


def _raw(headers: Iterable[tuple[bytes, bytes]] | Mapping[str, str] | None) -> list[tuple[bytes, bytes]]:
    if headers is None:
        return []
    pairs: Iterable[tuple[str | bytes, str | bytes]]
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    raw = [encode_header(_text(name), _text(value)) for name, value in pairs]
    if any(name == b"sec-websocket-protocol" for name, _ in raw):
        raise ValueError("sec-websocket-protocol is set by accept(subprotocol=...), not as a header")
    return raw


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
