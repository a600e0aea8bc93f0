"""Conditional requests (RFC 9110 section 13): whether a representation is sent, refused or known already.

Pure. The law of this file: the order of section 13.2.2, and a header that is malformed counts as not sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from microasgi.files.ranges import Span, parse_ranges

__all__ = ["Validators", "as_http_date", "conditions_of", "decide", "parse_http_date"]

_NAMES: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"}
)
_LONGEST_DATE: Final = 64
_LATEST: Final = 253402300799  # the last second of the year 9999
_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS: Final = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
# An opaque tag may hold a comma, so a list cannot be split at it. A scan from one quote ends at the next.
_tags = re.compile(rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"').findall


class Validators(NamedTuple):
    """What tells one state of a file from another: an entity tag, and the second it was changed in."""

    etag: bytes
    modified: int


def as_http_date(seconds: int) -> bytes:
    """Return a moment as an IMF-fixdate (RFC 9110 section 5.6.7), whatever the locale."""
    from time import gmtime

    moment = gmtime(min(max(seconds, 0), _LATEST))
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _DAYS[moment.tm_wday],
        moment.tm_mday,
        _MONTHS[moment.tm_mon - 1],
        moment.tm_year,
        moment.tm_hour,
        moment.tm_min,
        moment.tm_sec,
    )


def parse_http_date(value: bytes) -> int | None:
    """Return the seconds since 1970 of a date in any form that RFC 9110 section 5.6.7 lists; None if it is none."""
    from email.utils import mktime_tz, parsedate_tz

    if len(value) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_tz(value.decode("ascii"))
        return None if moment is None else int(mktime_tz(moment))
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def conditions_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers that make a request conditional or partial; lines of one name are joined."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _NAMES:
            found.setdefault(name, []).append(value)
    return {name: b", ".join(lines) for name, lines in found.items()}


def decide(
    method: str, conditions: dict[bytes, bytes], current: Validators, size: int
) -> tuple[int, list[Span] | None]:
    """Return the status for a representation that exists, and for 206 the spans of its body.

    200: all of it; 206; 304: the client has it; 412: a precondition fails; 416: no such range. It is 200 for all other
    methods than GET and HEAD: a precondition guards what they do, and by now they have done it.
    """
    if method not in {"GET", "HEAD"}:
        return 200, None
    status = _precondition(conditions, current)
    if status != 200 or method != "GET":  # RFC 9110 section 14.2: GET is the only method with ranges
        return status, None
    asked = conditions.get(b"range")
    if asked is None or not _range_applies(conditions.get(b"if-range"), current):
        return 200, None
    spans = parse_ranges(asked, size)
    if spans is None:
        return 200, None
    return (206, spans) if spans else (416, None)


def _precondition(conditions: dict[bytes, bytes], current: Validators) -> int:
    if b"if-match" in conditions:
        if not _holds(conditions[b"if-match"], current.etag, strong=True):
            return 412
    elif b"if-unmodified-since" in conditions:
        limit = parse_http_date(conditions[b"if-unmodified-since"])
        if limit is not None and current.modified > limit:
            return 412
    if b"if-none-match" in conditions:
        if _holds(conditions[b"if-none-match"], current.etag, strong=False):
            return 304
    elif b"if-modified-since" in conditions:
        known = parse_http_date(conditions[b"if-modified-since"])
        if known is not None and current.modified <= known:
            return 304
    return 200


def _holds(value: bytes, etag: bytes, *, strong: bool) -> bool:
    """Tell whether a list of tags names this one (RFC 9110 section 8.8.3.2); "*" names any."""
    if value.strip(b" \t") == b"*":
        return True
    tags: list[bytes] = _tags(value)
    if strong:
        return not etag.startswith(b"W/") and etag in tags
    return etag.removeprefix(b"W/") in {tag.removeprefix(b"W/") for tag in tags}


def _range_applies(value: bytes | None, current: Validators) -> bool:
    """Tell whether `If-Range` allows a part (RFC 9110 section 13.1.5): the same strong tag, or the very same date."""
    if value is None:
        return True
    value = value.strip(b" \t")
    if b'"' in value:
        return value == current.etag and not value.startswith(b"W/")
    return parse_http_date(value) == current.modified
