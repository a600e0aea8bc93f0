"""What a multipart body (RFC 7578) consists of: heads, data and ends, cut out of chunks, under limits.

Law: nothing is lost. A body that stops before its closing boundary is an error, however it was cut into chunks.
The one place that imports python-multipart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from microasgi.exceptions import HTTPException, MissingPackage
from microasgi.types import RawHeaders

if TYPE_CHECKING:
    from logging import Logger

__all__ = [
    "Event",
    "FormLimits",
    "MultipartReader",
    "PartHead",
    "decode_text",
    "parse_disposition",
    "pick_codec",
    "require_parser",
]

_MIB: Final = 1024 * 1024

# RFC 2046 section 5.1.1. Characters that its grammar leaves out do no harm and some clients send them.
_LONGEST_BOUNDARY = 70

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# Possessive throughout: no input makes them go back. What is rarely needed is compiled when it is.
_PARAMETER = r';[ \t]*+([^\s;="]++)[ \t]*+=[ \t]*+(?:"(%s)"|([^\s;"]*+))[ \t]*+'
_ESCAPED = _PARAMETER % r'[^"\\]*+(?:\\.[^"\\]*+)*+'
_LITERAL = _PARAMETER % r'[^"]*+'
_ESCAPE = r'\\(["\\])'
_COMMON = re.compile(rb'form-data; name="([^"\\%]*+)"(?:; filename="([^"\\%]*+)")?+')

# The only names of charsets that are understood, and the codecs they stand for.
_CODECS: Final = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
}


@dataclass(frozen=True, slots=True)
class FormLimits:
    """How much of a form is read; sizes are bytes. Above the limits of a part's headers: 400, above the others: 413.

    `max_form_memory` counts the names and values of all fields together (of an urlencoded form, its body).
    `max_file_size` None leaves it to the limit of the whole body. `max_part_header_bytes` counts the names and values
    of one part's headers and 4 bytes for each. A file larger than `spool_size` goes to a temporary file.
    """

    max_fields: int = 1000
    max_files: int = 100
    max_field_size: int = _MIB
    max_form_memory: int = 2 * _MIB
    max_file_size: int | None = None
    max_part_headers: int = 16
    max_part_header_bytes: int = 8 * 1024
    spool_size: int = _MIB


class PartHead(NamedTuple):
    """What begins a part; one with a file name is a file, another one a field."""

    name: str
    filename: str | None
    headers: RawHeaders


Event: TypeAlias = PartHead | bytes
"""The head of a part, then its data, then `b""` for its end."""


def require_parser() -> tuple[Any, type[Exception]]:
    """Return the parser's class and its error; MissingPackage where it is not installed."""
    try:
        from python_multipart import MultipartParser
        from python_multipart.exceptions import FormParserError
    except ImportError:
        raise MissingPackage("python-multipart", "forms", "to parse multipart forms") from None
    return MultipartParser, FormParserError


class MultipartReader:
    """Turn the chunks of a multipart body into events."""

    def __init__(self, boundary: str, limits: FormLimits) -> None:
        _check_boundary(boundary)
        make_parser, self._error = require_parser()
        self._limits = limits
        self._fields = 0
        self._files = 0
        self._header_bytes = 0
        self._headers: RawHeaders = []
        self._name = b""
        self._value = b""
        self._disposition: bytes | None = None
        self._events: list[Event] = []
        self._started = False
        self._complete = False
        self._parser = make_parser(
            boundary.encode("ascii"),
            {
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=limits.max_part_headers,
            max_header_size=limits.max_part_header_bytes,
        )
        self._parser.logger = _silent_logger()

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next chunk of the body and return what it held."""
        self._events = []
        if not self._started:
            # The parser itself would take a leading line end for the start of a preamble, in some chunkings.
            chunk = chunk.lstrip(b"\r\n")
            self._started = bool(chunk)
        try:
            self._parser.write(chunk)
        except self._error as error:
            raise HTTPException(400, f"Malformed multipart body: {error}.") from None
        return self._events

    def finish(self) -> None:
        """Check that the body has ended where it says that it ends."""
        if not self._complete:
            raise HTTPException(400, "Malformed multipart body: it ends before its closing boundary.")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name, value = self._name.lower(), self._value.strip(b" \t")
        self._name = self._value = b""
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._limits.max_part_header_bytes:
            limit = self._limits.max_part_header_bytes
            raise HTTPException(400, f"The headers of a part of the form are larger than {limit} bytes.")
        if _CONTROL.search(value):
            raise HTTPException(400, "Malformed multipart body: a control character in a part's header.")
        if name == b"content-disposition":
            if self._disposition is not None:
                raise HTTPException(400, "Malformed multipart body: a part with two content-dispositions.")
            self._disposition = value
        self._headers.append((name, value))

    def _on_headers_finished(self) -> None:
        if self._disposition is None:
            raise HTTPException(400, "Malformed multipart body: every part needs a content-disposition.")
        name, filename = parse_disposition(self._disposition)
        self._events.append(PartHead(name, filename, self._headers))
        self._headers = []
        self._header_bytes = 0
        self._disposition = None
        if filename is None:
            self._fields += 1
            if self._fields > self._limits.max_fields:
                raise HTTPException(413, f"The form has more than {self._limits.max_fields} fields.")
        else:
            self._files += 1
            if self._files > self._limits.max_files:
                raise HTTPException(413, f"The form has more than {self._limits.max_files} files.")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data if end - start == len(data) else data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(b"")

    def _on_end(self) -> None:
        self._complete = True


def parse_disposition(value: bytes) -> tuple[str, str | None]:
    r"""Return name and filename of a part's content-disposition, or raise HTTPException(400).

    Values are UTF-8. `\"` and `\\` are undone, other backslashes stay; where that leaves an open quote (a name that
    ends in a backslash), every backslash stays. `%22`, `%0D` and `%0A`, which is how browsers send a quote and the
    line ends, are undone too. `filename*` (RFC 5987, UTF-8 only) counts where there is no `filename`.
    """
    try:
        if common := _COMMON.fullmatch(value):
            name, filename = common.groups()
            return name.decode(), None if filename is None else filename.decode()
        kind, semicolon, rest = value.decode().partition(";")
    except UnicodeDecodeError:
        raise HTTPException(400, "Malformed multipart body: a content-disposition that is not UTF-8.") from None
    if kind.strip().lower() != "form-data":
        raise HTTPException(400, "Malformed multipart body: every part needs `Content-Disposition: form-data`.")
    pairs = _scan(_ESCAPED, semicolon + rest) or _scan(_LITERAL, semicolon + rest)
    if not pairs or len(dict(pairs)) != len(pairs) or not any(name == "name" for name, _ in pairs):
        raise HTTPException(400, 'Malformed multipart body: a content-disposition needs one name="...".')
    params = dict(pairs)
    extended = params.get("filename*")
    if extended is not None and "filename" not in params:
        return params["name"], _decode_extended(extended)
    return params["name"], params.get("filename")


def _scan(grammar: str, text: str) -> list[tuple[str, str]]:
    """Return the parameters that the whole text consists of, none if it does not."""
    pairs: list[tuple[str, str]] = []
    pattern = re.compile(grammar)
    position = 0
    while match := pattern.match(text, position):
        name, quoted, token = match.groups()
        value = token if quoted is None else quoted
        if grammar is _ESCAPED:
            value = re.sub(_ESCAPE, r"\1", value)
        pairs.append((name.lower(), _undo_percent(value)))
        position = match.end()
    return [] if text[position:].strip(" \t;") else pairs


def _undo_percent(value: str) -> str:
    if "%" not in value:
        return value
    return value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")


def _decode_extended(value: str) -> str:
    """Decode `utf-8'language'percent-encoded` of RFC 5987 section 3.2."""
    from urllib.parse import unquote_to_bytes

    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    try:
        if quote and charset.lower() == "utf-8":
            return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        pass
    raise HTTPException(400, "Malformed multipart body: filename* must be UTF-8'' and percent-encoded UTF-8.")


def pick_codec(params: dict[str, str], default: str, status: int) -> str:
    """Return the codec for the charset among a content-type's parameters; HTTPException(status) for an unknown one.

    Only utf-8, us-ascii and iso-8859-1 are known: no name that a client sends reaches the codec registry.
    """
    if "charset" not in params:
        return default
    codec = _CODECS.get(params["charset"].lower())
    if codec is None:
        raise HTTPException(status, "The charset of a form is utf-8, us-ascii or iso-8859-1.")
    return codec


def decode_text(body: bytes | bytearray, codec: str) -> str:
    """Decode strictly; HTTPException(400) for bytes that are not of that codec."""
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"The form is not {codec}: byte {error.start} cannot be read.") from None


def _check_boundary(boundary: str) -> None:
    if not 1 <= len(boundary) <= _LONGEST_BOUNDARY:
        raise HTTPException(400, f"A multipart content-type needs a boundary of 1 to {_LONGEST_BOUNDARY} characters.")
    if not (boundary.isascii() and boundary.isprintable()):
        raise HTTPException(400, "A multipart boundary is made of printable ASCII characters.")


@cache
def _silent_logger() -> Logger:
    """Return a logger that says nothing: what is wrong with a body is the client's to know, not the log's."""
    from logging import CRITICAL, Logger

    return Logger("microasgi.multipart", CRITICAL)
