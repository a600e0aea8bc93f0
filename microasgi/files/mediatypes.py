"""Media types by file name, and the name under which a file is to be saved.

The law of this file: the same name gives the same type on every machine. The web's types stand in a table; the rest
comes from Python's own, without the system's files.
"""

from __future__ import annotations

import re
from functools import cache
from os.path import splitext
from typing import Final
from urllib.parse import quote

__all__ = ["content_disposition", "guess_media_type"]

_OTHER: Final = "application/octet-stream"
_TYPES: Final = {
    ".7z": "application/x-7z-compressed",
    ".avif": "image/avif",
    ".bin": _OTHER,
    ".bmp": "image/bmp",
    ".br": _OTHER,
    ".bz2": "application/x-bzip2",
    ".css": "text/css",
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eot": "application/vnd.ms-fontobject",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rss": "application/rss+xml",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "text/xml",
    ".xz": "application/x-xz",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}
_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_not_plain = re.compile(r"[^\x20-\x7e]|[\"\\%]")


@cache
def _python_types() -> dict[str, str]:
    from mimetypes import MimeTypes

    return MimeTypes().types_map[True]


def guess_media_type(name: str) -> str:
    """Return the media type for a file name, by its last suffix: a packed archive is what it is packed with."""
    suffix = splitext(name)[1].lower()
    return _TYPES.get(suffix) or _python_types().get(suffix, _OTHER)


def content_disposition(kind: str, filename: str) -> str:
    """Return the `Content-Disposition` for a file name of any characters (RFC 6266, RFC 8187).

    ValueError for a `kind` that is no token: it is "attachment" or "inline".
    """
    if not _token(kind):
        raise ValueError(f'content_disposition_type is "attachment" or "inline", not {kind!r}')
    plain = _not_plain.sub("_", filename)
    if plain == filename:
        return f'{kind}; filename="{plain}"'
    encoded = quote(filename, safe="!#$&+^`|", errors="replace")
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
