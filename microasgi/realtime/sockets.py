"""A websocket in groups: what is published goes out while the handler reads what comes in.

The law of this file: all its tasks live and die with one block. Whichever half ends, by whatever, the other ends too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, TypeVar, TypeVarTuple, Unpack

import anyio

from microasgi.draining import Round, round_of
from microasgi.exceptions import WebSocketDisconnect, WebSocketException
from microasgi.iteration import Iteration, until
from microasgi.realtime.companions import Companions
from microasgi.realtime.limits import ConnectOptions, Rate, check_options, check_user
from microasgi.realtime.messages import Gap
from microasgi.realtime.subscription import Item, Subscription
from microasgi.serialization import encode_json
from microasgi.socketconnection import RESTART
from microasgi.websockets import WebSocket, WebSocketState

__all__ = ["Kind", "SocketMember"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Kind: TypeAlias = Literal["text", "bytes", "json"]

_PING = '{"type":"ping"}'
_COURTESY: Final = 0.5  # seconds for what is queued to be sent, and for a handler that reads in its own way


class SocketMember:
    """A websocket as a member of groups, made by `hub.connect` and used as `async with`.

    Entering joins the groups and accepts the handshake. What is published is sent as JSON, bytes as they are. The
    block is cancelled, and the socket closed, when the peer has left, is too slow (1013), too fast (1008), silent for
    too long (1001) or no longer welcome (4401), and when the hub ends (1012). When the application drains, that is once
    the handler waits for a message of the peer; one that never reads them has half a second.
    """

    __slots__ = (
        *("_companions", "_drained", "_heard", "_listens", "_options", "_part", "_rate", "_send", "_sent"),
        *("subscription", "websocket"),
    )

    def __init__(self, websocket: WebSocket[Any], subscription: Subscription, options: ConnectOptions) -> None:
        check_options(options)
        self.websocket = websocket
        self.subscription = subscription
        self._options = options
        self._send = options.get("send") or self.send_item
        rate = options.get("rate")
        self._rate = None if rate is None else Rate(*rate)
        self._companions = Companions()
        self._sent = self._heard = anyio.current_time()
        self._listens = False
        self._drained: Round | None = None

    async def __aenter__(self) -> SocketMember:
        if not self.subscription.is_open:
            await self.subscription.__aenter__()
        try:
            if self.websocket.socket_state is WebSocketState.CONNECTING:
                await self.websocket.accept()
            await self._companions.__aenter__()
        except BaseException:
            self.subscription.close()
            raise
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._drained is not None:
            self._drained.discard(self._part)
        try:
            suppress = await self._companions.__aexit__(kind, error, traceback)
        finally:
            self.subscription.close()
        failure = self._companions.failure
        if failure is None or isinstance(error, Exception):
            return suppress
        if kind is None and isinstance(failure, WebSocketDisconnect):
            return False  # both halves have noticed
        raise failure

    def join(self, *groups: str) -> Coroutine[Any, Any, None]:
        """Join more groups."""
        return self.subscription.join(*groups)

    def leave(self, *groups: str) -> None:
        """Leave groups."""
        self.subscription.leave(*groups)

    def start_soon(self, func: Callable[[Unpack[Ts]], Awaitable[Any]], *args: *Ts) -> None:
        """Run beside the handler, for as long as the socket is open; what it raises ends the socket."""
        self._companions.start(partial(func, *args))

    def iter_text(self) -> AsyncIterator[str]:
        """Iterate over the peer's text messages until it leaves, within the limits."""
        return self._iterate(self.websocket.receive_text)

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Iterate over the peer's binary messages until it leaves, within the limits."""
        return self._iterate(self.websocket.receive_bytes)

    def iter_json(self) -> AsyncIterator[Any]:
        """Iterate over the peer's JSON messages until it leaves, within the limits."""
        return self._iterate(self.websocket.receive_json)

    async def serve(self, on_message: Callable[[Any], Awaitable[Any]] | None = None, kind: Kind = "text") -> None:
        """Call `on_message` with each message of the peer until it leaves. Without it, drop them: to send only."""
        if on_message is None:
            await self.wait_closed()
            return
        readers: dict[Kind, Callable[[], AsyncIterator[Any]]] = {
            "text": self.iter_text,
            "bytes": self.iter_bytes,
            "json": self.iter_json,
        }
        async for message in readers[kind]():
            await on_message(message)

    async def wait_closed(self) -> None:
        """Drop what the peer sends until it leaves: it is noticed on every server, though nothing is sent to it."""
        self._listens = True
        while (await self.websocket.receive())["type"] != "websocket.disconnect":
            self.note_message()

    def note_message(self) -> None:
        """Count a message of the peer that was received by the websocket's own methods."""
        self._listens = True
        self._heard = anyio.current_time()
        if self._rate is not None:
            self._rate.take()

    def _iterate(self, receive: Callable[[], Coroutine[Any, Any, T]]) -> AsyncIterator[T]:
        async def receive_one() -> T:
            data = await receive()
            self.note_message()
            return data

        self._listens = True
        return Iteration(until(WebSocketDisconnect, receive_one))

    def _begin(self) -> None:
        self._sent = self._heard = anyio.current_time()
        self._companions.start(self._write)
        options = self._options
        if "heartbeat" in options:
            self.start_soon(self._beat, options["heartbeat"])
        if "idle" in options:
            self.start_soon(self._watch, options["idle"])
        if "revalidate" in options:
            self.start_soon(self._revalidate, options["revalidate"], options.get("revalidate_every", 60.0))
        self._drained = round_of(self.websocket.scope)
        if self._drained is not None:
            self._part = _Part(self)
            self._drained.add(self._part)

    def leave_unheard(self) -> None:
        """End soon, for a drain, where the handler reads no messages of the peer: the socket itself ends the others."""
        if not self._listens and not self.websocket.is_heard:
            self.start_soon(self._retire)

    async def _retire(self) -> None:
        await anyio.sleep(_COURTESY)
        with anyio.move_on_after(_COURTESY):  # granian may take nothing any more, and never says so
            await self.websocket.close(*RESTART)
        raise WebSocketDisconnect(*RESTART)

    async def _write(self) -> None:
        subscription, send, beats = self.subscription, self._send, "heartbeat" in self._options
        try:
            while True:
                item = subscription.take()
                if item is None:
                    await subscription.wait()
                    continue
                await send(item)
                if beats:
                    self._sent = anyio.current_time()
        except StopAsyncIteration:
            raise WebSocketException(1012, "the server restarts") from None

    def send_item(self, item: Item) -> Coroutine[Any, Any, None]:
        """Send what came from a group, encoded once for all who do so."""
        payload = encode_json(item).decode() if isinstance(item, Gap) else item.payload
        return self.websocket.send_text(payload) if isinstance(payload, str) else self.websocket.send_bytes(payload)

    async def _beat(self, seconds: float) -> None:
        while True:
            silent = anyio.current_time() - self._sent
            if silent >= seconds:
                await self.websocket.send_text(_PING)
                self._sent = anyio.current_time()
                silent = 0.0
            await anyio.sleep(seconds - silent)

    async def _watch(self, seconds: float) -> None:
        while (silent := anyio.current_time() - self._heard) < seconds:  # noqa: ASYNC110 - no event for each message
            await anyio.sleep(seconds - silent)
        raise WebSocketException(1001, f"nothing was heard for {seconds:g} seconds")

    async def _revalidate(self, ask: Callable[[WebSocket[Any]], Awaitable[bool | int]], seconds: float) -> None:
        while True:
            await anyio.sleep(seconds)
            await check_user(ask, self.websocket)


class _Part:
    """A member's part in a drain."""

    __slots__ = ("_member",)

    def __init__(self, member: SocketMember) -> None:
        self._member = member

    def tell(self) -> None:
        self._member.leave_unheard()

    def cut(self) -> None:
        """Leave that to the socket."""
