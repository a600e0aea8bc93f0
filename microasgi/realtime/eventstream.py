"""Server-sent events (WHATWG HTML, section 9.2): a response that goes on, from any iterator or from a hub's groups.

The law of this file: no text can break out of its field. A stream that ends well is taken up again by the browser.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, cast

import anyio

from microasgi.concurrency import Interruptible
from microasgi.draining import Round, round_of
from microasgi.exceptions import ConfigurationError
from microasgi.iteration import Iteration
from microasgi.realtime.limits import answer_of
from microasgi.realtime.messages import Delivery, Gap, SlowReader
from microasgi.realtime.subscription import Subscription
from microasgi.serialization import encode_json
from microasgi.streaming import StreamingResponse
from microasgi.types import Receive, Scope, Send

__all__ = ["EventStream", "ServerSentEvent"]

_LINES: Final = re.compile(r"\r\n|\n|\r")
_BREAKS: Final = re.compile(r"[\r\n\0]")
_COMMENT: Final = b":\n\n"


@dataclass(frozen=True)
class ServerSentEvent:
    """One event. `data` is sent as text if it is text, otherwise as JSON; `retry` is in milliseconds.

    `id` is what the browser sends as `Last-Event-ID` when it comes back. ValueError for a line end in `event` or `id`.
    """

    data: Any = ""
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for name in ("event", "id"):
            value = getattr(self, name)
            if value is not None and _BREAKS.search(value):
                raise ValueError(f"{name} of a server-sent event is one line without NUL, not {value!r:.80}")

    def encode(self) -> bytes:
        """Return the event as it is sent."""
        lines = [f": {line}" for line in _LINES.split(self.comment)] if self.comment is not None else []
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {int(self.retry)}")
        text = self.data if isinstance(self.data, str) else encode_json(self.data).decode()
        if text or (self.comment is None and self.retry is None):
            lines += [f"data: {line}" for line in _LINES.split(text)]
        return ("\n".join(lines) + "\n\n").encode(errors="replace")


class EventStream(StreamingResponse):
    """Send events from an iterable, async or not, or from a subscription, until it ends or the client leaves.

    An item is a ServerSentEvent, text, or anything that becomes JSON; a subscription's messages are JSON with their
    ids, a `Gap` is an event of that name. After `ping` seconds of silence a comment is sent, so that a lost client is
    noticed and proxies keep the connection; `retry` milliseconds is what the browser waits before it comes back. A
    subscription with `overflow="close"` that is too slow ends the stream: the browser comes back. When the application
    drains, the stream ends at once and well, after what waits in a subscription; what another source awaits is
    cancelled, once. `revalidate` is asked every `revalidate_every` seconds: when it says anything but True, the same
    happens.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterable[Any] | Iterable[Any],
        *,
        ping: float = 15.0,
        retry: int | None = None,
        headers: Mapping[str, str] | None = None,
        background: Callable[[], Awaitable[None]] | None = None,
        revalidate: Callable[[], Awaitable[bool | int]] | None = None,
        revalidate_every: float = 60.0,
    ) -> None:
        if ping <= 0 or revalidate_every <= 0:
            raise ConfigurationError(f"ping={ping!r}, revalidate_every={revalidate_every!r}: seconds, above 0")
        own = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(cast(Any, events), headers={**own, **(headers or {})}, background=background)
        self._ping_after = ping
        self._revalidate, self._revalidate_every = revalidate, revalidate_every
        self._first = _COMMENT if retry is None else ServerSentEvent(retry=retry).encode()
        self._can_interrupt = isinstance(events, AsyncIterable)  # a worker thread's step has to be waited for
        self._drained: Round | None = None
        self._busy = False
        self._pinging: anyio.Event | None = None
        self._last_sent = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end, the client leaves or the application drains, then run `background`."""
        self._drained = round_of(scope)
        await super().__call__(scope, receive, send)

    async def _send_chunks(self, send: Send) -> None:
        """Send everything, with pings in between, or stop where `send` says by an OSError that the client has left."""
        failures: list[Exception] = []
        source = self.body_iterator
        async with AsyncExitStack() as stack:
            part: _Part | _Membership = _Part(source, self._drained, self._can_interrupt)
            if isinstance(source, Subscription):
                part = _Membership(await stack.enter_async_context(source), self._drained)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            tasks.start_soon(self._guard, failures, tasks.cancel_scope, self._ping, send)
            if self._revalidate is not None:
                ask = partial(self._ask_again, self._revalidate, part)
                tasks.start_soon(self._guard, failures, tasks.cancel_scope, ask, send)
            try:
                await self._send_and_close(send, part)
            except Exception as error:  # raised below, where no task group wraps it
                failures.append(error)
            tasks.cancel_scope.cancel()
        if failures and not isinstance(failures[0], _ClientLeft):
            raise failures[0]

    async def _send_and_close(self, send: Send, part: _Part | _Membership) -> None:
        try:
            await self._send_events(send, part)
        finally:
            await self._close()  # here, for a scope that a generator has opened is to be left first

    async def _send_events(self, send: Send, part: _Part | _Membership) -> None:
        await _deliver(
            send, {"type": "http.response.start", "status": self.status_code, "headers": [*self.raw_headers]}
        )
        await self._send_frame(send, self._first)
        with part:
            try:
                async for item in part.events:
                    await self._send_frame(send, _encode(item))
            except SlowReader:
                pass
            finally:
                await self._close()
        await self._send_frame(send, b"", more=False)

    async def _send_frame(self, send: Send, frame: bytes, *, more: bool = True) -> None:
        while self._pinging is not None:
            await self._pinging.wait()
        self._busy = True
        await _deliver(send, {"type": "http.response.body", "body": frame, "more_body": more})
        self._busy, self._last_sent = False, anyio.current_time()

    async def _ping(self, send: Send) -> None:
        self._last_sent = anyio.current_time()
        while True:
            silent = anyio.current_time() - self._last_sent
            await anyio.sleep(self._ping_after - silent if silent < self._ping_after else self._ping_after)
            if self._busy or anyio.current_time() - self._last_sent < self._ping_after:
                continue
            self._pinging = done = anyio.Event()
            try:
                await _deliver(send, {"type": "http.response.body", "body": _COMMENT, "more_body": True})
            finally:
                self._pinging = None
                done.set()
            self._last_sent = anyio.current_time()

    async def _ask_again(self, ask: Callable[[], Awaitable[bool | int]], part: _Part | _Membership, send: Send) -> None:
        while True:
            await anyio.sleep(self._revalidate_every)
            if await answer_of(ask()) is not True:
                part.tell()
                return

    async def _guard(
        self, failures: list[Exception], scope: anyio.CancelScope, work: Callable[[Send], Awaitable[None]], send: Send
    ) -> None:
        try:
            await work(send)
        except Exception as error:
            failures.append(error)
            scope.cancel()


class _Membership:
    """A subscription as a stream's source: when a drain begins it ends, after what waits in its queue."""

    def __init__(self, subscription: Subscription, drained: Round | None) -> None:
        self.events = subscription.deliveries()
        self._subscription, self._drained = subscription, drained

    def __enter__(self) -> Self:
        if self._drained is not None:
            self._drained.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        if self._drained is not None:
            self._drained.discard(self)

    def tell(self) -> None:
        self._subscription.end(StopAsyncIteration())

    def cut(self) -> None:
        """Leave that to the response."""


class _Part:
    """Another source: when a drain begins, what it awaits is cancelled, and nothing more is asked of it."""

    def __init__(self, source: AsyncIterator[Any], drained: Round | None, can_interrupt: bool) -> None:
        self.events = Iteration(self._next)
        self._source, self._drained, self._can_interrupt = source, drained, can_interrupt
        self._block = Interruptible()
        self._waits = self._ends = False

    def __enter__(self) -> Self:
        self._block.__enter__()
        if self._drained is not None:
            self._drained.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> bool | None:
        if self._drained is not None:
            self._drained.discard(self)
        return self._block.__exit__(kind, *rest)

    def tell(self) -> None:
        self._ends = True
        if self._waits and self._can_interrupt:
            self._block.interrupt()

    def cut(self) -> None:
        """Leave that to the response."""

    async def _next(self) -> Any:
        if self._ends:
            raise StopAsyncIteration
        self._waits = True
        try:
            return await anext(self._source)
        finally:
            self._waits = False


class _ClientLeft(OSError):
    """`send` has said so."""


async def _deliver(send: Send, message: dict[str, Any]) -> None:
    try:
        await send(message)
    except OSError as error:
        raise _ClientLeft from error


def _encode(item: Any) -> bytes:
    """Return an item as an event; a message of a hub is encoded once for all who get it."""
    if isinstance(item, Delivery):
        if item.frame is None:
            is_binary = isinstance(item.payload, bytes)  # which no event can carry
            text = b64encode(item.data).decode() if is_binary else item.text
            item.frame = ServerSentEvent(text, "bytes" if is_binary else None, item.id).encode()
        return item.frame
    if isinstance(item, ServerSentEvent):
        return item.encode()
    return ServerSentEvent(item, event="gap" if isinstance(item, Gap) else None).encode()
