"""Byte ranges (RFC 9110 section 14): which parts of a body a `Range` header asks for, and how several are framed.

Pure. The law of this file: linear time, and never more bytes than the body has, whatever the header says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["MOST_RANGES", "Part", "Span", "content_range", "frame", "parse_ranges"]

MOST_RANGES: Final = 16
"""More in one request are answered with the whole file."""
_DIGITS: Final = 18  # of a position; no file is longer than that


class Span(NamedTuple):
    """The bytes from `start` up to, not with, `stop`."""

    start: int
    stop: int


class Part(NamedTuple):
    """A piece of a multipart body: what goes before the span's bytes."""

    head: bytes
    span: Span


def parse_ranges(value: bytes, size: int) -> list[Span] | None:
    """Return the spans that the header asks of a body of this size: none of them overlap or touch.

    None where the header is to be ignored: not in bytes, malformed, more than 16 ranges. An empty list where it is
    well-formed and asks for nothing that is there: 416.
    """
    unit, equals, listed = value.partition(b"=")
    if not equals or unit.strip(b" \t").lower() != b"bytes":
        return None
    texts = [text for text in (piece.strip(b" \t") for piece in listed.split(b",")) if text]
    if not texts or len(texts) > MOST_RANGES:
        return None
    spans: list[Span] = []
    for text in texts:
        span = _span(text, size)
        if span is None:
            return None
        if span.start < span.stop:
            spans.append(span)
    return _merge(spans)


def _span(text: bytes, size: int) -> Span | None:
    """Return the span of one range, cut to the size; None if it is malformed, an empty one if nothing is there."""
    first, dash, last = text.partition(b"-")
    if not dash or not (first or last):
        return None
    if (first and not first.isdigit()) or (last and not last.isdigit()):
        return None
    if not first:
        return Span(max(0, size - _number(last)), size)
    start = _number(first)
    if not last:
        return Span(start, max(start, size))
    end = _number(last)
    if end < start:
        return None
    return Span(start, max(start, min(end + 1, size)))


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    # int() refuses thousands of digits; here they only mean "behind every end".
    return int(digits or b"0") if len(digits) <= _DIGITS else 10**_DIGITS


def _merge(spans: list[Span]) -> list[Span]:
    """Join spans that overlap or touch; the others stay in the order of the request (RFC 9110 section 15.3.7.2)."""
    merged: list[tuple[int, Span]] = []  # with the place in the request of the first that went into it
    for place, span in sorted(enumerate(spans), key=lambda pair: pair[1]):
        if merged and span.start <= merged[-1][1].stop:
            earlier, last = merged[-1]
            merged[-1] = (min(earlier, place), Span(last.start, max(last.stop, span.stop)))
        else:
            merged.append((place, span))
    return [span for _, span in sorted(merged)]


def content_range(span: Span | None, size: int) -> bytes:
    """Return the `Content-Range` of a span, or of none that could be satisfied."""
    return b"bytes */%d" % size if span is None else b"bytes %d-%d/%d" % (span.start, span.stop - 1, size)


def frame(spans: Iterable[Span], size: int, content_type: bytes, boundary: bytes) -> tuple[list[Part], bytes, int]:
    """Frame spans as multipart/byteranges (RFC 9110 section 14.6): the parts, the end, the length of everything."""
    parts: list[Part] = []
    length = 0
    for span in spans:
        opening = b"--%b\r\n" if not parts else b"\r\n--%b\r\n"
        head = (opening + b"content-type: %b\r\ncontent-range: %b\r\n\r\n") % (
            boundary,
            content_type,
            content_range(span, size),
        )
        parts.append(Part(head, span))
        length += len(head) + span.stop - span.start
    end = b"\r\n--%b--\r\n" % boundary
    return parts, end, length + len(end)
