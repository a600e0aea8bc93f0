"""Sending: a file that was opened, as the request's method, conditions and ranges ask for it.

The law of this file: never more bytes than content-length says, and a body that stays short ends the connection.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

from microasgi.files.conditions import as_http_date, conditions_of, decide
from microasgi.files.ranges import Part, Span, content_range, frame
from microasgi.files.reading import Loaded, chunks
from microasgi.responses import Response, content_length, forbids_body
from microasgi.streaming import StreamingResponse
from microasgi.types import RawHeaders, Receive, Scope, Send

__all__ = ["can_send_path", "send_file", "validator_headers"]

ACCEPTS_RANGES: Final = (b"accept-ranges", b"bytes")
# What describes a body, and is left out where there is none of the file's.
_OF_THE_BODY: Final = frozenset(
    {
        *(b"accept-ranges", b"content-disposition", b"content-encoding", b"content-language"),
        *(b"content-length", b"content-range", b"content-type"),
    }
)


def validator_headers(loaded: Loaded) -> RawHeaders:
    """Return the headers that tell the file's state."""
    return [
        (b"etag", loaded.validators.etag),
        (b"last-modified", as_http_date(loaded.validators.modified)),
        ACCEPTS_RANGES,
    ]


def can_send_path(scope: Scope) -> bool:
    """Tell whether the server offers to send a file by its path (ASGI, path send extension)."""
    return "http.response.pathsend" in (scope.get("extensions") or ())


async def send_file(
    scope: Scope, receive: Receive, send: Send, loaded: Loaded, status: int, headers: RawHeaders
) -> None:
    """Send the file, a part of it, or that the client has it; `headers` are those of the whole, without its length.

    A status other than 200 is sent with the whole file, whatever the request's conditions are. The file is closed.
    """
    try:
        spans: list[Span] | None = None
        conditions = conditions_of(scope["headers"]) if status == 200 else None
        if conditions:
            status, spans = decide(scope.get("method", ""), conditions, loaded.validators, loaded.size)
        if status in {304, 412, 416} or forbids_body(status):
            answer = _without_body(status, loaded.size, headers)
        elif spans is None:
            if loaded.file is not None and can_send_path(scope) and scope["type"] == "http":
                return await _send_path(send, loaded, status, headers)
            answer = _answer(loaded, status, headers, Span(0, loaded.size))
        elif len(spans) == 1:
            of_span = (b"content-range", content_range(spans[0], loaded.size))
            answer = _answer(loaded, status, [*headers, of_span], spans[0])
        else:
            answer = _multipart(loaded, headers, spans)
        await answer(scope, receive, send)
    finally:
        loaded.close()


async def _send_path(send: Send, loaded: Loaded, status: int, headers: RawHeaders) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [*headers, content_length(loaded.size)]})
    await send({"type": "http.response.pathsend", "path": loaded.path})


def _without_body(status: int, size: int, headers: RawHeaders) -> Response:
    answer = Response(b"", status)
    kept = [pair for pair in headers if pair[0] not in _OF_THE_BODY]
    if status == 416:
        kept.append((b"content-range", content_range(None, size)))
    answer.raw_headers = kept if forbids_body(status) else [*kept, content_length(0)]
    return answer


def _answer(loaded: Loaded, status: int, headers: RawHeaders, span: Span) -> Response:
    """Return the response with one span of the file; of one that is not open, and was not read, the headers."""
    length = content_length(span.stop - span.start)
    if loaded.file is None:
        body = (loaded.body or b"")[span.start : span.stop]
        answer = Response(body, status)
    else:
        answer = StreamingResponse(chunks(loaded.file, span), status)
    answer.raw_headers = [*headers, length]
    return answer


def _multipart(loaded: Loaded, headers: RawHeaders, spans: list[Span]) -> Response:
    boundary = os.urandom(16).hex().encode()  # so that no file can hold it
    content_type = dict(headers).get(b"content-type", b"application/octet-stream")
    parts, end, length = frame(spans, loaded.size, content_type, boundary)
    answer = StreamingResponse(_parts(loaded, parts, end), 206)
    kept = [pair for pair in headers if pair[0] != b"content-type"]
    of_parts = (b"content-type", b"multipart/byteranges; boundary=" + boundary)
    answer.raw_headers = [*kept, of_parts, content_length(length)]
    return answer


async def _parts(loaded: Loaded, parts: list[Part], end: bytes) -> AsyncIterator[bytes]:
    for head, span in parts:
        yield head
        if loaded.file is None:
            yield (loaded.body or b"")[span.start : span.stop]
            continue
        async with aclosing(chunks(loaded.file, span)) as pieces:
            async for data in pieces:
                yield data
                span = Span(span.start + len(data), span.stop)
        if span.start < span.stop:
            raise RuntimeError(f"{loaded.path} became shorter while it was sent")
    yield end
