"""The answer on its way out: the messages of one response, encoded where that is to be.

Law: what a chunk holds has left before the next one is asked for, and no step keeps the loop for long.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO, Final, NamedTuple, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.headers import find_header
from microasgi.middleware.coders import Coder, Stream
from microasgi.middleware.encodable import Encodable, encoded_start, varying_start
from microasgi.types import Message, Scope, Send

__all__ = ["Coding", "EncodedAnswer"]

_FILE_CHUNK: Final = 256 * 1024


class Coding(NamedTuple):
    """What to encode with, whether a client insists on it, and from how many bytes on in a worker thread."""

    coder: Coder | None
    forced: bool
    thread_minimum_size: int

    async def run(self, data: bytes, encode: Callable[..., bytes], *args: Any) -> bytes:
        """Encode, large data in a worker thread."""
        if len(data) >= self.thread_minimum_size:
            return await run_in_threadpool(encode, data, *args)
        return encode(data, *args)


class EncodedAnswer:
    """Passes the messages of one response on to `send`, as they are or as they shall be."""

    __slots__ = ("_coding", "_encodable", "_held", "_scope", "_send", "_write")

    def __init__(self, encodable: Encodable, coding: Coding, scope: Scope, send: Send) -> None:
        self._encodable, self._coding, self._scope, self._send = encodable, coding, scope, send
        self._held: Message | None = None  # the start, until the first piece of the body says how to go on
        self._write: Stream | None = None

    def pass_on(self, message: Message) -> Awaitable[None]:
        """Send a message on."""
        if message["type"] == "http.response.start":
            return self._begin(message)
        if self._held is None and self._write is None:
            return self._send(message)
        if message["type"] == "http.response.body":
            return self._go_on(message)
        return self._send_file(message) if message["type"] == "http.response.pathsend" else self._send(message)

    def _begin(self, message: Message) -> Awaitable[None]:
        coder = self._coding.coder
        if not self._encodable.allows(message, self._coding.forced):
            return self._send(message)
        if coder is None:
            return self._send(varying_start(message))
        if message["status"] == 304:
            known = find_header(self._scope["headers"], b"if-none-match") or b""
            return self._send(varying_start(message, known))
        if self._scope["method"] == "HEAD":  # what GET would send, but for the size, which is not known
            return self._send(encoded_start(message, coder.name, None))
        return self._hold(message)

    async def _hold(self, message: Message) -> None:
        self._held = message

    async def _go_on(self, message: Message) -> None:
        data, more = message.get("body", b""), message.get("more_body", False)
        start, self._held = self._held, None
        coder = cast(Coder, self._coding.coder)
        if start is not None and not more:
            return await self._send_whole(coder, start, message, data)
        if start is not None:
            self._write = coder.stream()
            await self._send(encoded_start(start, coder.name, None))
        body = await self._coding.run(data, cast(Stream, self._write), not more)
        return await self._send({**message, "body": body})

    async def _send_whole(self, coder: Coder, start: Message, message: Message, data: bytes) -> None:
        forced = self._coding.forced
        if len(data) < self._encodable.minimum_size and not forced:  # it came without a content-length
            await self._send(start)
            return await self._send(message)
        body = await self._coding.run(data, coder.whole)
        if len(body) >= len(data) and not forced:
            await self._send(varying_start(start))
            return await self._send(message)
        await self._send(encoded_start(start, coder.name, None if start.get("trailers") else len(body)))
        return await self._send({**message, "body": body})

    async def _send_file(self, message: Message) -> None:
        """Compress what the server was told to send by itself: it would send it as it is."""
        coder, start = self._coding.coder, self._held
        if start is None or coder is None:
            raise RuntimeError("http.response.pathsend came after http.response.body: a response uses one of the two")
        file = await run_in_threadpool(_open, message["path"])
        try:
            write, last = coder.stream(), False
            await self._send(encoded_start(start, coder.name, None))
            while not last:
                body, last = await run_in_threadpool(_encode_next, file, write)
                await self._send({"type": "http.response.body", "body": body, "more_body": not last})
        finally:
            file.close()


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _encode_next(file: BinaryIO, write: Stream) -> tuple[bytes, bool]:
    data = file.read(_FILE_CHUNK)
    return write(data, not data), not data
