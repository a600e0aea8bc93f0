"""Streaming: a response whose body is sent chunk by chunk, and that ends when the client leaves.

The law of this file: a broken stream is never marked complete, and its iterator is always closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

import anyio

from microasgi.concurrency import iterate_in_threadpool, on_asyncio
from microasgi.responses import Response, forbids_body, message_prefix
from microasgi.types import Receive, Scope, Send

__all__ = ["Content", "StreamingResponse"]

Content: TypeAlias = Iterable[str | bytes | memoryview] | AsyncIterable[str | bytes | memoryview]


class StreamingResponse(Response):
    """A body in chunks, from an iterable (in worker threads) or an async iterable, sent as they come.

    When the client leaves, the iteration is cancelled and its clean-up runs. An error while streaming ends the
    connection, so that a cut body is never taken for a whole one.
    """

    body_iterator: AsyncIterator[str | bytes | memoryview]

    def __init__(
        self,
        content: Content,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status_code = status_code
        self.background = background
        if media_type is not None:
            self.media_type = media_type
        self._body = b""
        self.raw_headers = self._start_headers(headers, None)
        if isinstance(content, AsyncIterable):
            self.body_iterator = content.__aiter__()
        else:
            self.body_iterator = iterate_in_threadpool(content)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the chunks until the iterator ends or the client leaves, then run `background`."""
        try:
            if scope.get("method") == "HEAD" or forbids_body(self.status_code):
                await Response.__call__(_bare(self), scope, receive, send)
            elif not on_asyncio():
                await self._send_with_group(scope, receive, send)
            else:
                await self._send_with_watcher(scope, receive, send)
        finally:
            close = getattr(self.body_iterator, "aclose", None)
            if close is not None:
                await close()
        if self.background is not None:
            await self.background()

    async def _send_all(self, scope: Scope, send: Send) -> None:
        prefix = message_prefix(scope)
        await send({"type": f"{prefix}.start", "status": self.status_code, "headers": list(self.raw_headers)})
        kind, charset = f"{prefix}.body", self.charset
        async for chunk in self.body_iterator:
            body = chunk if chunk.__class__ is bytes else _as_bytes(chunk, charset)
            await send({"type": kind, "body": body, "more_body": True})
        await send({"type": kind, "body": b"", "more_body": False})

    async def _send_with_watcher(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch for the disconnect in a task that only comes to life when the stream has to wait."""
        loop = asyncio.get_running_loop()
        watcher = _Watcher(receive, loop.create_task, asyncio.current_task())
        starting = loop.call_soon(watcher.start)
        try:
            await self._send_all(scope, send)
        except asyncio.CancelledError:
            if not watcher.take_back():
                raise
        finally:
            starting.cancel()
            watcher.stop()

    async def _send_with_group(self, scope: Scope, receive: Receive, send: Send) -> None:
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_on_disconnect, receive, group.cancel_scope)
            try:
                await self._send_all(scope, send)
            except Exception as error:  # raised below, where no task group wraps it
                failure = error
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure


class _Watcher:
    """Cancels the streaming task when the client leaves."""

    def __init__(self, receive: Receive, create_task: Callable[..., Any], streaming: asyncio.Task[Any] | None) -> None:
        self._receive, self._create_task, self._streaming = receive, create_task, streaming
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    def start(self) -> None:
        self._task = self._create_task(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def take_back(self) -> bool:
        """Tell whether the cancellation was the watcher's and only its, and make it undone."""
        return self._cancelled and self._streaming is not None and self._streaming.uncancel() == 0

    async def _watch(self) -> None:
        await _disconnect(self._receive)
        if self._streaming is not None:
            self._cancelled = True
            self._streaming.cancel()


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    await _disconnect(receive)
    scope.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass


def _bare(response: Response) -> Response:
    """Return the response without its content and without its background, which its sender runs itself."""
    bare = Response(status_code=response.status_code)
    bare.raw_headers = response.raw_headers
    return bare


def _as_bytes(chunk: object, charset: str) -> bytes:
    if isinstance(chunk, str):
        return chunk.encode(charset)
    if isinstance(chunk, (bytes, bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"a stream sends text or bytes, not {type(chunk).__name__}: {chunk!r:.80}")
