"""The `websocket` scope as a state machine: connecting, handshake, open or denied, closed."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import cast

from microasgi.testing.lint_http import ResponseRules
from microasgi.testing.rules import Checker, Report, header_faults
from microasgi.types import Message, Scope

__all__ = ["WebSocketChecker"]

_CONNECT = "ASGI WebSocket, Connect"
_ACCEPT = "ASGI WebSocket, Accept"
_SEND = "ASGI WebSocket, Send"
_RECEIVE = "ASGI WebSocket, Receive"
_CLOSE = "ASGI WebSocket, Close"
_DISCONNECT = "ASGI WebSocket, Disconnect"
_DENIAL = "ASGI, Extensions: Websocket Denial Response"

_REASON_BYTES = 123


class _State(Enum):
    CONNECTING = "before 'websocket.connect' was received"
    HANDSHAKE = "before 'websocket.accept'"
    OPEN = "after 'websocket.accept'"
    DENYING = "after the denial response has started"
    CLOSED = "after the socket was closed"
    LEFT = "after 'websocket.disconnect' was received"


class WebSocketChecker(Checker):
    """One socket, from its handshake to its close."""

    def __init__(self, scope: Scope, report: Report, strict: bool) -> None:
        super().__init__(scope, report, strict)
        self._state = _State.CONNECTING
        self._connected = False
        # A refusal needs no 'websocket.connect' first; Starlette does not wait for it.
        self._refusable = (_State.HANDSHAKE,) if strict else (_State.CONNECTING, _State.HANDSHAKE)
        self._denial = ResponseRules(self, "websocket.http.response", "GET")
        self._peer_gone = False
        self._kinds: dict[str, Callable[[Message], None]] = {
            "websocket.accept": self._accept,
            "websocket.send": self._send,
            "websocket.close": self._close,
            "websocket.http.response.start": self._denial_start,
            "websocket.http.response.body": self._denial_body,
        }

    def receiving(self) -> None:
        self.require(
            self._state is not _State.LEFT, "receive() was called again after 'websocket.disconnect'", _DISCONNECT
        )

    def received(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "websocket.connect":
            self.require(not self._connected, "the server sent 'websocket.connect' twice", _CONNECT)
            self._connected = True
            if self._state is _State.CONNECTING:
                self._state = _State.HANDSHAKE
        elif kind == "websocket.receive":
            self._check_frame(message)
        elif kind == "websocket.disconnect":
            self._check_disconnect(message)
            self._state = _State.LEFT
        else:
            self.fail(f"the server sent {kind!r} in a websocket scope", _RECEIVE)

    def sending(self, message: Message) -> None:
        kind = message.get("type")
        rule = self._kinds.get(kind) if isinstance(kind, str) else None
        if rule is None:
            self.fail(f"{kind!r} is not a message a websocket application may send", "ASGI WebSocket, events")
            return
        rule(message)

    def send_failed(self) -> None:
        self._peer_gone = True

    def returned(self) -> None:
        if self._peer_gone or self._state in (_State.LEFT, _State.CLOSED):
            return
        if self._state is _State.DENYING:
            self._denial.check_finished()
        elif self._state is not _State.OPEN:
            self.fail(
                "the application returned without an answer: send 'websocket.accept' or 'websocket.close'", _CONNECT
            )
        elif self.strict:
            self.fail("the application returned with the socket open: send 'websocket.close'", _CLOSE)

    def _check_frame(self, message: Message) -> None:
        early = self._state in (_State.CONNECTING, _State.HANDSHAKE)
        self.require(not early, f"the server sent 'websocket.receive' {self._state.value}", _RECEIVE)
        self._check_payload(message, "the server's 'websocket.receive'", _RECEIVE)

    def _check_disconnect(self, message: Message) -> None:
        code, reason = message.get("code"), message.get("reason")
        legal = code is None or (isinstance(code, int) and not isinstance(code, bool))
        self.require(legal, f"the server sent a disconnect with the code {code!r}, not an int", _DISCONNECT)
        self.require(
            reason is None or isinstance(reason, str), f"the server sent the reason {reason!r}, not a str", _DISCONNECT
        )

    def _check_payload(self, message: Message, what: str, section: str) -> None:
        text, data = message.get("text"), message.get("bytes")
        self.require((text is None) != (data is None), f"{what} needs exactly one of text and bytes", section)
        self.require(text is None or isinstance(text, str), f"{what} has text {text!r}, not a str", section)
        self.require(
            data is None or type(data) is bytes, f"{what} has bytes of {type(data).__name__}: write bytes(...)", section
        )

    def _accept(self, message: Message) -> None:
        self._require_state("websocket.accept", _State.HANDSHAKE, section=_ACCEPT)
        self._state = _State.OPEN
        subprotocol = message.get("subprotocol")
        offers = cast("list[object]", self.scope.get("subprotocols") or [])
        self.require(
            subprotocol is None or subprotocol in offers,
            f"the subprotocol {subprotocol!r} is not one the client offered: {offers!r}",
            _ACCEPT,
        )
        headers = message.get("headers")
        if not headers:
            return
        self.require(self.spec_version() >= (2, 1), "accept headers need spec_version 2.1 or later", _ACCEPT)
        for fault in header_faults(headers, forbidden=(b"sec-websocket-protocol", b"transfer-encoding")):
            self.fail(fault, _ACCEPT)

    def _send(self, message: Message) -> None:
        self._require_state("websocket.send", _State.OPEN, section=_SEND)
        self._check_payload(message, "'websocket.send'", _SEND)

    def _close(self, message: Message) -> None:
        self._require_state("websocket.close", *self._refusable, _State.OPEN, section=_CLOSE)
        self._state = _State.CLOSED
        code, reason = message.get("code", 1000), message.get("reason")
        self.require(
            _is_close_code(code), f"the close code {code!r} is not one of 1000-1003, 1007-1014, 3000-4999", _CLOSE
        )
        if reason is None or reason == "":
            return
        if not isinstance(reason, str):
            self.fail(f"the close reason must be a str, not {type(reason).__name__}", _CLOSE)
            return
        size = len(reason.encode("utf-8", "surrogatepass"))
        self.require(
            size <= _REASON_BYTES, f"the close reason has {size} bytes, {_REASON_BYTES} is the limit", "RFC 6455, 5.5"
        )
        self.require(self.spec_version() >= (2, 3), "a close reason needs spec_version 2.3 or later", _CLOSE)

    def _denial_start(self, message: Message) -> None:
        self.require_extension("websocket.http.response.start", "websocket.http.response")
        self._require_state("websocket.http.response.start", *self._refusable, section=_DENIAL)
        self._state = _State.DENYING
        self._denial.start(message)

    def _denial_body(self, message: Message) -> None:
        self.require_extension("websocket.http.response.body", "websocket.http.response")
        self._require_state("websocket.http.response.body", _State.DENYING, section=_DENIAL)
        if self.strict:
            self.require(
                not message.get("more_body", False), "granian takes one body message for a denial, send one", _DENIAL
            )
        self._denial.body(message)
        if self._denial.complete:
            self._state = _State.CLOSED

    def _require_state(self, kind: str, *states: _State, section: str) -> None:
        self.require(self._state in states, f"{kind!r} was sent {self._state.value}", section)


def _is_close_code(code: object) -> bool:
    if not isinstance(code, int) or isinstance(code, bool):
        return False
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
