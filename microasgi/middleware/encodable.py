"""What may be encoded: the judgement on a response's start, and the start that goes out for it (RFC 9110 section 8).

Law: nothing here changes a message; what goes out is a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from microasgi.exceptions import ConfigurationError
from microasgi.headers import MutableHeaders
from microasgi.types import Message, RawHeaders

__all__ = ["DEFAULT_EXCLUDED_CONTENT_TYPES", "Encodable", "encoded_start", "varying_start"]

DEFAULT_EXCLUDED_CONTENT_TYPES: Final = (
    "application/epub+zip",
    "application/grpc",
    "application/gzip",
    "application/java-archive",
    "application/octet-stream",
    "application/pdf",
    "application/vnd.oasis.opendocument.*",
    "application/vnd.openxmlformats-officedocument.*",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-gzip",
    "application/x-rar-compressed",
    "application/x-xz",
    "application/zip",
    "application/zstd",
    "audio/*",
    "font/woff",
    "font/woff2",
    "image/avif",
    "image/gif",
    "image/heic",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/webp",
    "multipart/*",
    "text/event-stream",
    "video/*",
)
"""Types that are compressed already, may be anything, or stay open for long; a `*` at the end stands for any rest."""

# A response with one of these is encoded, a part of something, or says what its bytes are.
_UNTOUCHABLE: Final = frozenset(
    {b"content-encoding", b"content-range", b"content-digest", b"repr-digest", b"digest", b"content-md5"}
)
_JUDGED: Final = _UNTOUCHABLE | {b"content-type", b"content-length", b"cache-control", b"set-cookie"}
_REPLACED: Final = frozenset({b"content-length", b"accept-ranges", b"etag"})
_WITHOUT_WHOLE_BODY: Final = frozenset({*range(100, 200), 204, 205, 206})
_VARY: Final = (b"vary", b"accept-encoding")
_REMEMBERED: Final = 256


class Encodable:
    """The rules of one middleware: the smallest size, the types left alone, and whether cookies are in the way."""

    def __init__(self, minimum_size: int, excluded: Iterable[str], with_cookies: bool) -> None:
        if isinstance(excluded, str):
            raise ConfigurationError(f"exclude_content_types is a list, write exclude_content_types=[{excluded!r}]")
        patterns = [pattern.partition(";")[0].strip().lower() for pattern in excluded]
        self.minimum_size = minimum_size
        self._with_cookies = with_cookies
        self._exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
        self._beginnings = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))
        self._known: dict[bytes, bool] = {}

    def allows(self, start: Message, forced: bool) -> bool:
        """Tell whether the response may be encoded; `forced` lifts the rules on size and type, which a 304 has not."""
        if start["status"] in _WITHOUT_WHOLE_BODY:
            return False
        kind, size = b"", self.minimum_size
        for name, value in start.get("headers") or ():
            lowered = name.lower()
            if lowered not in _JUDGED:
                continue
            if lowered == b"content-type":
                kind = value
            elif lowered == b"content-length":
                size = int(value) if value.isdigit() else size
            elif lowered == b"cache-control":
                if b"no-transform" in value.lower():
                    return False
            elif lowered != b"set-cookie" or not self._with_cookies:
                return False
        return forced or start["status"] == 304 or (size >= self.minimum_size and self._is_fit(kind))

    def _is_fit(self, content_type: bytes) -> bool:
        known = self._known.get(content_type)
        if known is None:
            media_type = content_type.decode("latin-1").partition(";")[0].strip().lower()
            base = "application/grpc" if media_type.startswith("application/grpc+") else media_type
            known = bool(base) and base not in self._exact and not base.startswith(self._beginnings)
            if len(self._known) < _REMEMBERED:
                self._known[content_type] = known
        return known


def varying_start(start: Message, known: bytes = b"") -> Message:
    """Return the start with `Vary: Accept-Encoding`.

    `known` is the If-None-Match of the request: where the client holds the encoded body, by its weak tag, a 304 has
    that tag (RFC 9110 section 15.4.5).
    """
    headers = [*(start.get("headers") or ())]
    if known:
        headers = [_weak(pair) if b"W/" + pair[1] in known else pair for pair in headers]
    _vary(headers)
    return {**start, "headers": headers}


def encoded_start(start: Message, coding: str, size: int | None) -> Message:
    """Return the start for the encoded body: its size if known, no ranges, and an entity tag that is weak.

    The same tag for other bytes has to be (RFC 9110 section 8.8.3.3); ranges of it are not to be had.
    """
    headers: RawHeaders = []
    for pair in start.get("headers") or ():
        lowered = pair[0].lower()
        if lowered not in _REPLACED:
            headers.append(pair)
        elif lowered == b"etag":
            headers.append(_weak(pair))
    headers.append((b"content-encoding", coding.encode()))
    if size is not None:
        headers.append((b"content-length", str(size).encode()))
    _vary(headers)
    return {**start, "headers": headers}


def _weak(pair: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = pair
    return (name, b"W/" + value) if name.lower() == b"etag" and not value.startswith(b"W/") else pair


def _vary(headers: RawHeaders) -> None:
    if any(name.lower() == b"vary" for name, _ in headers):
        MutableHeaders(raw=headers).add_vary_header("accept-encoding")
    else:
        headers.append(_VARY)
