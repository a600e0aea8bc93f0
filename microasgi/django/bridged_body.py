"""The body of a Django request, for the application behind the bridge: from its start, whoever has read it before.

Law: it is not held in memory twice, and it is complete or an error.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from io import SEEK_SET, BytesIO
from typing import Any, Final

from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.http.request import RawPostDataException, UnreadablePostError

from microasgi.django.bridged_scope import is_wsgi
from microasgi.types import Message

__all__ = ["RequestBody", "make_rewindable"]

_CHUNK: Final = 256 * 1024


def make_rewindable(request: HttpRequest) -> None:
    """Let a body that comes over WSGI be read again, by keeping it in a file beyond FILE_UPLOAD_MAX_MEMORY_SIZE."""
    from django.conf import settings

    own: Any = request
    if own._read_started or hasattr(own, "_body") or own._stream.seekable():
        return
    spool = tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE)  # noqa: SIM115
    shutil.copyfileobj(own._stream, spool, _CHUNK)
    spool.seek(0)
    own._stream, close = spool, own.close

    def close_both() -> None:
        close()
        spool.close()

    own.close = close_both  # Django calls it when the response has been sent


class RequestBody:
    """What an application receives of a request: `read` gives its parts one after the other.

    `executor` is for what blocks. RawPostDataException if the body is gone: over WSGI, when a middleware has read it
    as a stream.
    """

    def __init__(self, request: HttpRequest, executor: Executor | None = None) -> None:
        self._request: Any = request
        self._executor = executor
        self._pending: asyncio.Future[bytes] | None = None
        self._read, self._blocks, is_rebuilt = self._source()
        self._received = 0
        self._length = None if is_rebuilt else self._content_length()
        # By ASGI it is whole, or there was no request; and a middleware may have put another one in its place.
        self._may_be_short = is_wsgi(request)

    def _source(self) -> tuple[Callable[[], bytes], bool, bool]:
        """Return what reads the next part, whether it blocks, and whether the body is made anew."""
        request = self._request
        stream = request._stream
        if hasattr(request, "_body"):
            return partial(_read_whole, BytesIO(request._body)), False, False
        if stream.seekable():
            stream.seek(0, SEEK_SET)
            in_memory = isinstance(stream, BytesIO) or not getattr(stream, "_rolled", True)
            return partial(stream.read, _CHUNK), not in_memory, False
        if not request._read_started:
            return partial(request.read, _CHUNK), True, False
        if hasattr(request, "_files") and not getattr(request, "_post_parse_error", False):
            return partial(next, _multipart(request), b""), True, True
        raise RawPostDataException(
            "the body of this request is gone: a middleware has read it from the request as a stream. Let it read "
            "request.body, or serve the site by ASGI, where the body can be read again"
        )

    async def receive(self) -> Message:
        """Return the next part (ASGI HTTP, `http.request`), or `http.disconnect` if the rest does not come."""
        try:
            chunk = await self._next()
        except (UnreadablePostError, ConnectionError):
            return {"type": "http.disconnect"}
        self._received += len(chunk)
        if chunk:
            return {"type": "http.request", "body": chunk, "more_body": self._received != self._length}
        if self._may_be_short and self._length is not None and self._received < self._length:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _next(self) -> bytes:
        if not self._blocks:
            return self._read()
        if self._pending is None:  # a reader that is cancelled leaves the part to the next one
            self._pending = asyncio.get_running_loop().run_in_executor(self._executor, self._read)
        chunk = await asyncio.shield(self._pending)
        self._pending = None
        return chunk

    def _content_length(self) -> int | None:
        try:
            return int(self._request.META.get("CONTENT_LENGTH") or "")
        except ValueError:
            return None

    def close(self) -> None:
        """Let Django go on with the request: its body can be read from the start again, where it could be."""
        stream = self._request._stream
        if not getattr(stream, "closed", False) and stream.seekable():
            stream.seek(0, SEEK_SET)


def _read_whole(stream: BytesIO) -> bytes:
    return stream.read()


def _multipart(request: HttpRequest) -> Iterator[bytes]:
    """Write a form again that Django has parsed (RFC 7578); its parts are in the order of their names."""
    boundary = (request.content_params or {})["boundary"].encode("latin-1")
    encoding = request.encoding or "utf-8"
    for name, values in request.POST.lists():
        for value in values:
            yield _part_head(boundary, encoding, name) + str(value).encode(encoding) + b"\r\n"
    for name, files in request.FILES.lists():
        for file in files:
            yield from _file_part(_part_head(boundary, encoding, name, file), file)
    yield b"--%b--\r\n" % boundary


def _file_part(head: bytes, file: UploadedFile[Any]) -> Iterator[bytes]:
    yield head
    file.seek(0)
    yield from file.chunks(_CHUNK)
    file.seek(0)
    yield b"\r\n"


def _part_head(boundary: bytes, encoding: str, name: Any, file: UploadedFile[Any] | None = None) -> bytes:
    head = f'content-disposition: form-data; name="{_quoted(str(name))}"'
    if file is not None:
        head += f'; filename="{_quoted(file.name or "")}"\r\ncontent-type: {file.content_type}'
        head += "".join(f"; {key}={_text(value)}" for key, value in (file.content_type_extra or {}).items())
    return b"--%b\r\n%b\r\n\r\n" % (boundary, head.encode(encoding))


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
