"""One side of a websocket: its state, what comes in, what goes out, and how it ends.

The law of this file: the state is the framework's own, since servers differ in what they let pass. Nothing is sent
after a close or a disconnect, and nothing received after a disconnect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from functools import partial
from time import monotonic
from typing import Any, Final, NoReturn, TypeVar, cast

import anyio

from microasgi.ahead import Ahead
from microasgi.connection import HTTPConnection, StateT
from microasgi.exceptions import WebSocketDisconnect
from microasgi.socketrules import WebSocketState, check_close, measure, payload_of, size_limit, speaks, state_after
from microasgi.types import Message, Receive, Scope, Send

__all__ = ["HEARING", "RESTART", "SocketConnection"]

T = TypeVar("T")

HEARING: Final = -(1 << 29)
"""So many messages are as good as sent before one is that nobody would hear an answer to."""
RESTART: Final = (1012, "the server stops or restarts")
"""The code (of IANA's registry) and the reason that a drain closes with."""
_NO_STATUS: Final = 1005
_ABNORMAL: Final = 1006
# A handler that only sends is told within so many seconds that the peer has left.
_INTERVAL: Final = 3.0
# To find that out, so many bytes of messages are put aside: some thousand short ones.
_MOST_HELD: Final = 1024 * 1024
_CONNECTING, _CONNECTED = WebSocketState.CONNECTING, WebSocketState.CONNECTED
_CLOSED, _DISCONNECTED = WebSocketState.CLOSED, WebSocketState.DISCONNECTED


class SocketConnection(HTTPConnection[StateT]):
    """A websocket's scope with the state of its conversation."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"a WebSocket needs a websocket scope, this one is {scope['type']!r}")
        self.scope = scope
        self._receive = receive
        self._send = send
        self._now = _CONNECTING
        self._connect_seen = False
        self._short = -1  # characters of a message that need no counting; -1 until the limit has been looked up
        self._unheard = 0  # messages sent since one was received, from HEARING on while one is waited for
        self._ahead: Ahead | None = None  # receives for a handler that only sends
        self._aside: deque[Message] | None = None  # what that has received, or a place for it while it runs
        self._held = 0  # bytes in there
        self._awaited: anyio.Event | None = None  # somebody wants the next message from there
        self._looked = 0.0
        self._pending: Any = None  # what the server's `receive` gave last, if that can be cancelled
        self._retires = self._is_interrupted = False
        self._code, self._reason = _NO_STATUS, ""

    @property
    def socket_state(self) -> WebSocketState:
        """Where the socket is in its life."""
        return self._now

    @property
    def client_state(self) -> WebSocketState:
        """What the peer has done: CONNECTING, CONNECTED or DISCONNECTED."""
        if self._now is _DISCONNECTED:
            return _DISCONNECTED
        return _CONNECTED if self._connect_seen else _CONNECTING

    @property
    def application_state(self) -> WebSocketState:
        """What this side has done or may do: CONNECTING, CONNECTED or DISCONNECTED."""
        return self._now if self._now is _CONNECTED or self._now is _CONNECTING else _DISCONNECTED

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close the socket (RFC 6455 section 7.4); before accept, refuse it with 403. Where it has ended, do nothing.

        ValueError for a code outside of 1000-1003, 1007-1014, 3000-4999 or a reason above 123 bytes.
        """
        reason = reason or ""
        check_close(code, reason)
        if self._now is not _CONNECTED and self._now is not _CONNECTING:
            return
        try:
            await self._change("close")
            self._code, self._reason = code, reason
            await self.stop_listening()  # granian closes nothing while somebody receives
            self._interrupt()
            said = reason if reason and speaks(self.scope, (2, 3)) else ""
            await self._send_close(int(code), said)
        except WebSocketDisconnect:
            pass  # the peer was faster

    @property
    def is_heard(self) -> bool:
        """Whether somebody waits for a message on the open socket."""
        return self._unheard < 0 and self._now is _CONNECTED

    def retire(self) -> None:
        """Let the next call for a message close the socket with 1012 instead, unless one is there already."""
        self._retires = True
        if self._aside is None:
            self._aside = deque()  # which takes every call through `_hear`

    def _interrupt(self) -> None:
        """Let who waits for a message leave the server's `receive`, where the server (granian) gives the means."""
        if self._pending is not None and self._unheard < 0:
            self._is_interrupted = True
            self._pending.cancel()

    def _remember(self, receive: Receive) -> Awaitable[Message]:
        self._pending = receive()
        return cast(Awaitable[Message], self._pending)

    def _after_break(self, error: BaseException) -> BaseException:
        """Return what to raise where `receive` raised this: the disconnect, if that was our own interruption."""
        if self._is_interrupted and isinstance(error, anyio.get_cancelled_exc_class()):
            self._is_interrupted = False
            return WebSocketDisconnect(self._code, self._reason)
        return error

    async def _send_close(self, code: int, reason: str) -> None:
        try:
            await self._deliver({"type": "websocket.close", "code": code, "reason": reason})
        except WebSocketDisconnect:
            raise
        except Exception:
            if code == 1000 or code >= 3000:
                raise
            # Daphne refuses every other code by an error and leaves the socket open: say it in the private range.
            await self._deliver({"type": "websocket.close", "code": code + 3000, "reason": reason})

    async def _change(self, call: str) -> None:
        """Go to the state that this call leads to, once the handshake has come."""
        if self._now is _CONNECTING and not self._connect_seen:
            await self._await_connect()
        self._now = self._check(call)

    def _check(self, call: str) -> WebSocketState:
        """Return the state after a call; raise where the call is not legal, or comes when the socket has ended."""
        if self._now is _DISCONNECTED or (self._now is _CLOSED and (call == "receive" or self._retires)):
            raise WebSocketDisconnect(self._code, self._reason)
        return state_after(call, self._now)

    async def _await_connect(self) -> None:
        pending = self._receive()
        if hasattr(pending, "cancel"):
            self._receive = partial(self._remember, self._receive)
        message = await pending
        kind = message.get("type")
        if kind == "websocket.disconnect":
            raise self._leave(message)
        if kind != "websocket.connect":
            raise RuntimeError(f"the server sent {kind!r} before the handshake (ASGI WebSocket, Connect)")
        self._connect_seen = True

    async def _deliver(self, message: Message) -> None:
        try:
            await self._send(message)
        except OSError:
            raise self._lose() from None

    def _leave(self, message: Message) -> WebSocketDisconnect:
        """Note that the peer has left, and return the exception that says so."""
        was_closed, self._now = self._now is _CLOSED, _DISCONNECTED
        if was_closed:  # while somebody waited for a message
            return WebSocketDisconnect(self._code, self._reason)
        code = message.get("code")
        self._code = _NO_STATUS if code is None else code
        self._reason = message.get("reason") or ""
        return WebSocketDisconnect(self._code, self._reason)

    def _lose(self) -> WebSocketDisconnect:
        """Note what the server has said by an OSError out of `send` (ASGI WebSocket 2.4)."""
        return self._leave({"code": _ABNORMAL})

    async def _hear(self) -> Message:
        """Receive a message: one that was put aside, or else the server's next."""
        self._unheard = HEARING
        try:
            while self._now is _CONNECTED and not self._aside and self._ahead is not None and self._ahead.runs:
                if self._retires:
                    break
                self._awaited = self._awaited or anyio.Event()
                await self._awaited.wait()
            if self._aside and self._now is not _CLOSED:
                return self._take_aside()
            if self._retires and self._now is _CONNECTED:
                await self._fail(*RESTART)
            return await self._receive_next()
        finally:
            self._unheard = 0

    def _take_aside(self) -> Message:
        aside = cast(deque[Message], self._aside)
        message = aside.popleft()
        self._held -= _weight(message)
        if not aside and not cast(Ahead, self._ahead).runs and not self._retires:
            self._aside = None
        return message

    async def _receive_next(self) -> Message:
        if self._ahead is not None:
            self._ahead.check()
        self._check("receive")
        try:
            return await self._receive()
        except BaseException as error:
            raise self._after_break(error) from None

    async def _sort_out(self, message: Message, wanted: type[T]) -> T:
        """Return what a message holds, after all checks; raise where it is an end, and end where it is no good."""
        if message.get("type") == "websocket.disconnect":
            raise self._leave(message)
        data = await self._check_payload(message)
        if not isinstance(data, wanted):
            await self._fail(1003, "text expected" if wanted is str else "bytes expected")
        return data

    async def _check_payload(self, message: Message) -> str | bytes:
        data = payload_of(message)
        limit = size_limit(self.scope)
        self._short = limit // 4
        if len(data) > self._short and measure(data) > limit:
            await self._fail(1009, f"messages have at most {limit} bytes")
        return data

    async def _fail(self, code: int, reason: str) -> NoReturn:
        """End the socket because of what the peer sent, and leave the handler as if the peer had left."""
        await self.close(code, reason)
        raise WebSocketDisconnect(code, reason)

    async def stop_listening(self) -> None:
        """End what still receives for the handler: nobody wants a message any more."""
        if self._ahead is not None:
            await self._ahead.stop()

    async def _look_out(self) -> None:
        """Raise if the peer has left: most servers take in silence what is sent to nobody, and tell who receives."""
        ahead = self._ahead
        if ahead is not None and (ahead.runs or ahead.error is not None):
            return ahead.check()
        now = monotonic()
        if now - self._looked < _INTERVAL:
            return None
        first, self._looked = not self._looked, now
        if first or self._held > _MOST_HELD:
            return None
        ahead = self._ahead = ahead or Ahead()
        self._aside = self._aside or deque()
        ahead.start(self._listen)
        await ahead.settle(lambda: self._now is not _CONNECTED)
        self._check("send")
        return None

    async def _listen(self) -> None:
        """Put messages aside until the peer leaves, there are too many, or somebody takes over."""
        aside = cast(deque[Message], self._aside)
        try:
            while self._now is _CONNECTED and self._held <= _MOST_HELD and self._awaited is None:
                message = await self._receive()
                if message.get("type") == "websocket.disconnect":
                    self._leave(message)
                else:
                    aside.append(message)
                    self._held += _weight(message)
        finally:
            awaited, self._awaited = self._awaited, None
            if awaited is not None:
                awaited.set()


def _weight(message: Message) -> int:
    """Return about as many bytes as a message takes."""
    return 500 + len(message.get("text") or message.get("bytes") or "")
