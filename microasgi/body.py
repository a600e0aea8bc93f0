"""The body of one request: read once from the server, and as often as wanted from here.

The law of this file: nobody gets a body with a part missing. One that cannot be had from its start is an error.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from copy import copy
from typing import Final

import anyio

from microasgi.concurrency import await_within, run_in_threadpool
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.intake import PATIENCE, Intake
from microasgi.spool import Spool
from microasgi.types import Message, Receive, Scope

__all__ = ["BODIES", "Body", "Chunks", "Replay", "shared_body"]

BODIES: Final = "microasgi.body"
"""Where a scope keeps its bodies."""
_IN_MEMORY: Final = 1024 * 1024


def shared_body(scope: Scope, receive: Receive) -> Body:
    """Return the body that this `receive` gives: one for all who read it, a middleware and the handler say."""
    known: tuple[Body, ...] = scope.get(BODIES, ())
    for body in known:
        if body.source() == receive:
            return body
    body = Body(receive)
    scope[BODIES] = (*known, body)
    return body


class Body(Intake):
    """A body that is read whole, or in chunks, or by an application behind the one that asks here."""

    __slots__ = ("_failure", "_kept", "_lost", "_reading", "_received", "complete", "content")

    def __init__(self, receive: Receive) -> None:
        super().__init__(receive)
        self.content: bytes | None = None  # the whole body, once it is known
        self.complete = False  # the last part has been taken
        self._received = 0
        self._reading = False
        self._failure: Exception | None = None  # how reading it ended
        self._lost = ""  # who has taken parts of it away
        self._kept: list[bytes] | None = None  # what an application behind has received

    async def read(self, max_size: int, timeout: float) -> bytes:
        """Return the whole body; it is read from the server by the first call, and others wait for that one.

        HTTPException 413 above `max_size` bytes, 408 when nothing comes for `timeout` seconds; ClientDisconnect.
        """
        while self._reading:
            await self.change()
        body = self.content
        if body is None:
            if self._lost or self.given_up or self._failure is not None:
                self.check_unread()
            self._reading = True
            try:
                body = await self.next_chunk(max_size, timeout)
                if not self.complete:
                    body = await self._collect(body, max_size, timeout)
                self.content = body
            except BaseException as error:
                cancelled = RuntimeError("reading the body was cancelled: what had come of it is gone")
                self._failure = copy(error) if isinstance(error, Exception) else cancelled
                raise
            finally:
                self._reading = False
                if self._changed is not None:
                    self.notify()
        return body if len(body) <= max_size else check_size(body, max_size)

    def start_stream(self) -> bytes | None:
        """Begin to hand the body out in chunks; return it if it is known. RuntimeError if its start is gone."""
        if self.content is None:
            self.check_unread()
            self._lost = "it was consumed by stream()"
        return self.content

    def check_unread(self) -> None:
        """Raise if the body cannot be had from its start: again what ended its reading, or RuntimeError."""
        if self._failure is not None:
            raise copy(self._failure)  # the one that is kept gets no traceback, which would keep what it was read by
        lost = f"nobody began to read it for {PATIENCE:g} seconds" if self.given_up else self._lost
        if lost:
            raise RuntimeError(f"the body cannot be read any more: {lost}. Call body() or form() before that")

    async def next_chunk(self, max_size: int, timeout: float) -> bytes:
        """Take the next part, which may be empty; see `read` for what is raised."""
        try:
            message = await await_within(timeout, self.take())
        except TimeoutError:
            text = f"no part of the body came for {timeout:g} seconds"
            raise HTTPException(408, text, {"connection": "close"}) from None
        if self.disconnected and message["type"] == "http.disconnect":
            raise ClientDisconnect("the client left before its request's body was complete")
        chunk = self._account(message)
        if self._received > max_size:
            raise _too_large(max_size)
        return chunk

    async def pass_on(self) -> Message:
        """Take the next message for an application behind this one. A short body is kept, to be read here too."""
        if not self._lost:
            self._lost, self._kept = "an application behind this one receives it", []
        torn = self._torn
        try:
            message = await self.take()
        except BaseException:
            # Whether that has cost it a part is between it and the server, as if it stood there alone.
            self._torn, self._kept = torn, None
            raise
        if message["type"] == "http.request":
            chunk = self._account(message)
            if self._kept is not None:
                self._keep(self._kept, chunk)
        return message

    def _keep(self, kept: list[bytes], chunk: bytes) -> None:
        kept.append(chunk)
        if self._received > _IN_MEMORY:
            self._kept = None
        elif self.complete:
            self.content = b"".join(kept)

    def _account(self, message: Message) -> bytes:
        """Return the message's part of the body and count it."""
        chunk: bytes = message.get("body", b"")
        self.complete = not message.get("more_body", False)
        self._received += len(chunk)
        if self.complete and not self._received:
            self.content = b""  # of which nothing can be missing
        return chunk

    async def _collect(self, first: bytes, max_size: int, timeout: float) -> bytes:
        chunks = [first]
        size = len(first)
        while not self.complete:
            if size > _IN_MEMORY:
                return await self._collect_on_disk(b"".join(chunks), max_size, timeout)
            chunks.append(await self.next_chunk(max_size, timeout))
            size += len(chunks[-1])
        return b"".join(chunks)

    async def _collect_on_disk(self, first: bytes, max_size: int, timeout: float) -> bytes:
        """Let a large upload wait on disk, not in memory, until it is complete."""
        spool = Spool(0)
        try:
            spool.add(first)
            await run_in_threadpool(spool.flush)
            while not self.complete:
                if spool.add(await self.next_chunk(max_size, timeout)):
                    await run_in_threadpool(spool.flush)
            return await run_in_threadpool(_read_back, spool)
        except GeneratorExit:  # the loop has gone, nothing can be awaited any more
            spool.close()
            raise
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(spool.close)
            raise


class Chunks:
    """An iterator over a body. Not a generator: one that is left early would be closed later, by the event loop."""

    __slots__ = ("_body", "_max_size", "_started", "_timeout")

    def __init__(self, body: Body, max_size: int, timeout: float) -> None:
        self._body, self._max_size, self._timeout = body, max_size, timeout
        self._started = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        body = self._body
        if not self._started:
            self._started = True
            whole = body.start_stream()
            if whole:
                return check_size(whole, self._max_size)
        while not body.complete:
            chunk = await body.next_chunk(self._max_size, self._timeout)
            if chunk:
                return chunk
        raise StopAsyncIteration


class Replay:
    """What an application behind a request receives: the body from its start, though it may have been read before."""

    __slots__ = ("__weakref__", "_body", "_started")

    def __init__(self, body: Body) -> None:
        self._body = body
        self._started = False

    async def __call__(self) -> Message:
        """Receive (ASGI HTTP). RuntimeError if the body has been consumed, so that it would be waited for in vain."""
        body = self._body
        if not self._started:
            self._started = True
            if body.content is not None:
                return {"type": "http.request", "body": body.content, "more_body": False}
            body.check_unread()
        return await body.pass_on()


def check_size(body: bytes, max_size: int) -> bytes:
    """Return the body; HTTPException 413 if it is larger than that."""
    if len(body) > max_size:
        raise _too_large(max_size)
    return body


def _too_large(max_size: int) -> HTTPException:
    return HTTPException(413, f"the body is larger than {max_size} bytes", {"connection": "close"})


def _read_back(spool: Spool) -> bytes:
    with spool.finish() as file:
        return file.read()
