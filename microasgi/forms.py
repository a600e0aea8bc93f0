"""What a form posts: its fields and its files, all at once or part by part.
Law: nothing here waits for a disk on the event loop, and no temporary file outlives an error.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from io import BytesIO
from typing import Any, BinaryIO, Final, TypeVar

import anyio

from microasgi.concurrency import run_in_threadpool
from microasgi.exceptions import HTTPException
from microasgi.headers import Headers, parse_options
from microasgi.multidict import ImmutableMultiDict
from microasgi.multipart import Event, FormLimits, MultipartReader, PartHead, decode_text, pick_codec
from microasgi.spool import Spool, close_all, make_safe_filename
from microasgi.urls import parse_query

__all__ = ["FormData", "FormLimits", "Part", "UploadFile", "iter_parts", "parse_form"]

T = TypeVar("T")

# As much of one chunk is parsed at a time: other tasks get their turn, and what is made of it stays small.
_PIECE: Final = 256 * 1024
_URLENCODED: Final = "application/x-www-form-urlencoded"
_HIGH_BYTE: Final = re.compile(r"%([89A-Fa-f][0-9A-Fa-f])")


class UploadFile:
    """One uploaded file: `filename` and `headers` as they were sent, its bytes in `file`.

    The methods run in a worker thread unless the bytes are in memory (a `BytesIO`).
    """

    def __init__(
        self, file: BinaryIO, *, size: int | None = None, filename: str | None = None, headers: Headers | None = None
    ) -> None:
        self.file = file
        self.size = size
        self.filename = filename
        self.headers = Headers() if headers is None else headers

    @property
    def content_type(self) -> str | None:
        """Return the content-type that the client claims."""
        return self.headers.get("content-type")

    @property
    def safe_filename(self) -> str:
        """Return a name to store it under: no path, no device, no control character; "file" when nothing is left."""
        return make_safe_filename(self.filename or "")

    async def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes from where the file stands, all of them with -1."""
        return await self._run(self.file.read, size)

    async def write(self, data: bytes) -> None:
        """Write at where the file stands."""
        if self.size is not None:
            self.size += len(data)
        await self._run(self.file.write, data)

    async def seek(self, offset: int) -> None:
        """Go to an offset from the start."""
        await self._run(self.file.seek, offset)

    async def close(self) -> None:
        """Close the file, which deletes it if it is a temporary one."""
        await self._run(self.file.close)

    async def _run(self, function: Callable[..., T], *args: Any) -> T:
        if isinstance(self.file, BytesIO):
            return function(*args)
        return await run_in_threadpool(function, *args)

    def __repr__(self) -> str:
        return f"UploadFile(filename={self.filename!r}, size={self.size!r}, headers={self.headers!r})"


class FormData(ImmutableMultiDict[str, str | UploadFile]):
    """The fields and files of a form, in the order they were sent. `close` it when it has files."""

    __slots__ = ()
    place = "form"

    async def close(self) -> None:
        """Close every file; the temporary ones are deleted."""
        files = [value.file for _, value in self.multi_items() if isinstance(value, UploadFile)]
        if not all(isinstance(file, BytesIO) for file in files):
            return await run_in_threadpool(close_all, files)
        return close_all(files)


class Part:
    """One part of a multipart form, while it arrives. `async for` over it, or `stream()`, gives its bytes.

    What has not been read when the next part is asked for is skipped.
    """

    __slots__ = ("_codec", "_ended", "_limits", "_parts", "_raw", "_size", "filename", "name")

    def __init__(self, parts: _Parts, head: PartHead, limits: FormLimits, codec: str) -> None:
        self.name, self.filename, self._raw = head
        self._parts = parts
        self._limits = limits
        self._codec = codec
        self._size = 0
        self._ended = False

    @property
    def headers(self) -> Headers:
        """Return the headers of the part."""
        return Headers(raw=self._raw)

    @property
    def content_type(self) -> str | None:
        """Return the content-type that the client claims."""
        return self.headers.get("content-type")

    def stream(self) -> AsyncIterator[bytes]:
        """Return an iterator over the bytes that have not been read; a file above `max_file_size` raises 413."""
        return self

    async def read(self, limit: int | None = None) -> bytes:
        """Read the rest of the part; more than `limit` bytes (default: `max_field_size`) raise 413."""
        limit = self._limits.max_field_size if limit is None else limit
        body = bytearray()
        async for data in self:
            if len(body) + len(data) > limit:
                raise HTTPException(413, f"A part of the form is larger than {limit} bytes.")
            body += data
        return bytes(body)

    async def text(self, limit: int | None = None) -> str:
        """Read the rest of the part as text, by its charset: utf-8, us-ascii or iso-8859-1, anything else is 400."""
        codec = self._codec
        if len(self._raw) > 1 and (content_type := self.content_type):
            codec = pick_codec(parse_options(content_type)[1], codec, 400)
        return decode_text(await self.read(limit), codec)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._parts.current is not self:
            raise RuntimeError("A part of a form is read before the next part is asked for: its bytes are gone.")
        if not self._parts.events:
            await self._parts.fill()
        data = self._parts.events.popleft()
        if not data or not isinstance(data, bytes):
            self._ended = True
            raise StopAsyncIteration
        self._size += len(data)
        limit = self._limits.max_file_size
        if limit is not None and self._size > limit and self.filename is not None:
            raise HTTPException(413, f"A file of the form is larger than {limit} bytes.")
        return data


class _Parts:
    """The parts of one body, one after the other."""

    def __init__(self, params: dict[str, str], stream: AsyncIterator[bytes], limits: FormLimits) -> None:
        self._reader = MultipartReader(params.get("boundary", ""), limits)
        self._codec = pick_codec(params, "utf-8", 415)
        self._stream = stream
        self._limits = limits
        self._chunk = b""
        self._position = 0
        self.events: deque[Event] = deque()
        self.current: Part | None = None

    def __aiter__(self) -> AsyncIterator[Part]:
        return self

    async def __anext__(self) -> Part:
        self.current = None
        while self.events or await self.fill():
            event = self.events.popleft()
            if isinstance(event, PartHead):
                self.current = Part(self, event, self._limits, self._codec)
                return self.current
        raise StopAsyncIteration

    async def fill(self) -> bool:
        """Wait for the next events; False at the end of a complete body. All of the stream is read."""
        while not self.events:
            if self._position >= len(self._chunk):
                try:
                    self._chunk = await anext(self._stream)
                except StopAsyncIteration:
                    self._reader.finish()
                    return False
                self._position = 0
            else:
                await anyio.sleep(0)  # noqa: ASYNC115 - importing anyio.lowlevel takes milliseconds
            piece = self._chunk[self._position : self._position + _PIECE]
            self._position += _PIECE
            self.events.extend(self._reader.feed(piece))
        return True


def iter_parts(content_type: str, stream: AsyncIterator[bytes], limits: FormLimits) -> AsyncIterator[Part]:
    """Iterate over the parts of a multipart/form-data body while it arrives; each is read before the next.

    Raises HTTPException: 415 for another media type, 400 for a malformed or truncated body, 413 for too many parts.
    """
    media_type, params = parse_options(content_type)
    if media_type != "multipart/form-data":
        raise HTTPException(415, "This needs a form sent as multipart/form-data.")
    return _Parts(params, stream, limits)


async def parse_form(content_type: str, stream: AsyncIterator[bytes], limits: FormLimits) -> FormData:
    """Read a whole form, urlencoded or multipart (RFC 7578); empty, with nothing read, for any other media type.

    Raises HTTPException: 400 malformed or truncated, 413 above a limit, 415 for a charset other than UTF-8, US-ASCII
    and ISO-8859-1. The stream is closed then.
    """
    try:
        if content_type == _URLENCODED:
            return await _parse_urlencoded("utf-8", stream, limits)
        media_type, params = parse_options(content_type)
        if media_type == _URLENCODED:
            return await _parse_urlencoded(pick_codec(params, "utf-8", 415), stream, limits)
        if media_type == "multipart/form-data":
            return await _parse_multipart(_Parts(params, stream, limits), limits)
    except Exception:
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()
        raise
    return FormData()


async def _parse_urlencoded(codec: str, stream: AsyncIterator[bytes], limits: FormLimits) -> FormData:
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > limits.max_form_memory:
            raise HTTPException(413, f"The form is larger than {limits.max_form_memory} bytes.")
    text = decode_text(body, codec)
    if codec == "latin-1":
        text = _HIGH_BYTE.sub(lambda found: chr(int(found[1], 16)), text)
    if text and text.count("&") >= limits.max_fields:
        raise HTTPException(413, f"The form has more than {limits.max_fields} fields.")
    pairs = parse_query(text, limits.max_fields, len(text))
    longest = limits.max_field_size
    if len(body) > longest and any(len(value.encode()) > longest for _, value in pairs):
        raise HTTPException(413, f"A field of the form is larger than {longest} bytes.")
    return FormData(pairs)


async def _parse_multipart(parts: _Parts, limits: FormLimits) -> FormData:
    items: list[tuple[str, str | UploadFile]] = []
    spools: list[Spool] = []
    memory = 0
    try:
        async for part in parts:
            if part.filename is not None:
                spools.append(Spool(limits.spool_size))
                items.append((part.name, await _receive(part, spools[-1])))
                continue
            text = await part.text()
            memory += len(part.name.encode()) + len(text.encode())
            if memory > limits.max_form_memory:
                raise HTTPException(413, f"The fields of the form are larger than {limits.max_form_memory} bytes.")
            items.append((part.name, text))
    except GeneratorExit:  # the loop has gone, nothing can be awaited any more
        close_all(spools)
        raise
    except BaseException:
        await _discard(spools)
        raise
    return FormData(items)


async def _receive(part: Part, spool: Spool) -> UploadFile:
    """Write a part to its spool; only what goes to the disk leaves the loop."""
    async for data in part:
        if spool.add(data):
            await run_in_threadpool(spool.flush)
    file = spool.finish() if spool.file is None else await run_in_threadpool(spool.finish)
    return UploadFile(file, size=spool.size, filename=part.filename, headers=part.headers)


async def _discard(spools: list[Spool]) -> None:
    """Close and delete all files, also in a task that is being cancelled."""
    from anyio.to_thread import run_sync

    if any(spool.on_disk for spool in spools):
        with anyio.CancelScope(shield=True):  # a limiter of its own: other work in threads cannot hold this up
            await run_sync(close_all, spools, limiter=anyio.CapacityLimiter(1))
    else:
        close_all(spools)
