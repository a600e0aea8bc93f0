"""Streaming: a response whose body is sent chunk by chunk, and that ends when the client leaves.

The law of this file: a broken stream is never marked complete, and its iterator is always closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from threading import Lock
from typing import Any, Final, TypeAlias, cast

import anyio

from microasgi.concurrency import Interruptible, on_asyncio, run_in_threadpool
from microasgi.draining import Round, round_of
from microasgi.exceptions import StreamCut
from microasgi.headers import find_header
from microasgi.responses import Response, forbids_body
from microasgi.types import Receive, Scope, Send

__all__ = ["Content", "StreamingResponse"]

Content: TypeAlias = Iterable[str | bytes | memoryview] | AsyncIterable[str | bytes | memoryview]

_END: Final = object()


class StreamingResponse(Response):
    """A body in chunks, from an iterable (in worker threads) or an async iterable, sent as they come.

    When the client leaves, the iteration is cancelled, its clean-up runs, and then `background`. An error while
    streaming ends the connection, so that a cut body is never taken for a whole one; so does a drain of the application
    (`app.draining`) that it outlasts. It can be sent once; the iterator is closed at the end, if it has `close` or
    `aclose`.
    """

    body_iterator: AsyncIterator[str | bytes | memoryview]
    _is_own = True  # it can be sent once

    def __init__(
        self,
        content: Content,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.background = background
        if media_type is not None:
            self.media_type = media_type
        self._body = b""
        self._sent = self._closed = False
        self._begin(status_code, headers, None)
        if isinstance(content, AsyncIterable):
            self.body_iterator = content.__aiter__()
        else:
            self.body_iterator = _Blocking(content)
        self._content = self.body_iterator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks until the iterator ends or the client leaves, then run `background`."""
        if self._sent:
            raise RuntimeError("this StreamingResponse was sent before, its iterator is used up: make one per request")
        self._sent = True
        try:
            if scope.get("method") == "HEAD" or forbids_body(self.status_code):
                await self._send_whole(scope, send, b"")
            elif scope["type"] == "websocket":  # some server takes no more than one message to deny a handshake
                chunks = [_as_bytes(chunk) async for chunk in self.body_iterator]
                await self._send_whole(scope, send, b"".join(chunks))
            elif self._content.__class__ is _Blocking or not on_asyncio():
                await self._send_in_group(receive, send, round_of(scope))
            else:
                async with _Watcher(receive, round_of(scope)):
                    await self._send_chunks(send)
        finally:
            await self._close()
        if self.background is not None:
            await self.background()

    @property
    def body(self) -> bytes:
        """Not there: a stream's body comes in chunks."""
        raise RuntimeError("a stream's body comes in chunks: read body_iterator, or return a new Response")

    @body.setter
    def body(self, body: bytes) -> None:
        raise RuntimeError("a stream sends what body_iterator gives: set that, or return a new Response")

    async def _send_chunks(self, send: Send) -> None:
        """Send everything, or stop where `send` says by an OSError that the client has left (ASGI HTTP 2.4)."""
        left = find_header(self.raw_headers, b"content-length")
        missing = None if left is None else int(left)
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": [*self.raw_headers]})
        except OSError:
            return
        async for chunk in self.body_iterator:
            body = chunk if chunk.__class__ is bytes else _as_bytes(chunk)
            if missing is not None:
                missing = _count_down(missing, len(body))
            try:
                await send({"type": "http.response.body", "body": body, "more_body": True})
            except OSError:
                return
        if missing:
            raise RuntimeError(f"the stream ended {missing} bytes before its content-length")
        try:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except OSError:
            return

    async def _send_in_group(self, receive: Receive, send: Send, drained: Round | None) -> None:
        """Watch for the disconnect in a task group: on trio, and where a worker thread has to be waited for."""
        failures: list[Exception] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope, failures)
            streamed = _Streamed(group.cancel_scope.cancel, failures)
            if drained is not None:
                drained.add(streamed)
            try:
                try:
                    await self._send_chunks(send)
                finally:
                    await self._close()  # here, for a scope that a generator has opened is to be left before this one
            except Exception as error:  # raised below, where no task group wraps it
                failures.insert(0, error)
            finally:
                if drained is not None:
                    drained.discard(streamed)
            group.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await _close_iterator(self.body_iterator)
        finally:
            if self._content is not self.body_iterator:  # something was put around it
                await _close_iterator(self._content)


class _Streamed:
    """A stream in a drain: it may go on for as long as the grace, and is cut after that."""

    def __init__(self, stop: Callable[[], object], failures: list[Exception]) -> None:
        self._stop, self._failures = stop, failures

    def tell(self) -> None:
        """Go on: who wants to end early looks at `app.draining`."""

    def cut(self) -> None:
        self._failures.append(StreamCut("the stream was cut: the application drains, and the grace is over"))
        self._stop()


class _Watcher:
    """On asyncio: ends the block, once, when the client leaves or a drain is over.

    The watching task is made only when the stream has to wait for something.
    """

    def __init__(self, receive: Receive, drained: Round | None) -> None:
        self._receive, self._drained = receive, drained
        self._watching: asyncio.Task[None] | None = None
        self._failures: list[Exception] = []
        self._block = Interruptible()

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._block.__enter__()
        self._starting = loop.call_soon(self._begin, loop)
        if self._drained is not None:
            self._member = _Streamed(self._block.interrupt, self._failures)
            self._drained.add(self._member)

    async def __aexit__(self, kind: type[BaseException] | None, *rest: object) -> bool:
        self._starting.cancel()
        if self._drained is not None:
            self._drained.discard(self._member)
        stopped = bool(self._block.__exit__(kind, *rest))
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._failures and (kind is None or stopped):
            raise self._failures[0] from None
        return stopped

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = loop.create_task(self._watch())

    async def _watch(self) -> None:
        try:
            await _disconnect(self._receive)
        except Exception as error:
            self._failures.append(error)
        self._block.interrupt()


class _Blocking:
    """A blocking iterator, stepped in worker threads. Closing it waits for the step that runs."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._iterator = iter(iterable)
        self._lock = Lock()
        self._closed = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = await run_in_threadpool(self._step)
        if item is _END:
            raise StopAsyncIteration
        return item

    async def aclose(self) -> None:
        if hasattr(self._iterator, "close"):
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._stop)

    def _step(self) -> Any:
        with self._lock:
            return _END if self._closed else next(self._iterator, _END)

    def _stop(self) -> None:
        with self._lock:
            self._closed = True
            self._iterator.close()  # type: ignore[attr-defined]


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope, failures: list[Exception]) -> None:
    try:
        await _disconnect(receive)
    except Exception as error:
        failures.append(error)
    scope.cancel()


async def _disconnect(receive: Receive) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except OSError:
        return  # which is what it says too


async def _close_iterator(iterator: Any) -> None:
    close = getattr(iterator, "aclose", None)
    if close is None:
        return
    try:
        await close()
    except BaseExceptionGroup as group:
        # A task group that a generator holds over its yields wraps what closes it.
        others = group.split(GeneratorExit)[1]
        if others is not None:
            raise others from None


def _count_down(missing: int, size: int) -> int:
    if size > missing:
        raise RuntimeError(f"the stream exceeds its content-length: {size} bytes came where {missing} were missing")
    return missing - size


def _as_bytes(chunk: object) -> bytes:
    if isinstance(chunk, str):
        return chunk.encode()
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(cast(bytes, chunk))
    raise TypeError(f"a stream sends text or bytes, not {type(chunk).__name__}: {chunk!r:.80}")
