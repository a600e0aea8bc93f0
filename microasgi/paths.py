"""Path templates: text with `{name}` or `{name:convertor}` in it, read from a path and written into one.

The law of this file: reading is linear in the length of the text. A template that could only be read by trying
several splits (two parameters side by side) is refused when it is made, and built-in convertors use no regex.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Generic, TypeAlias, TypeVar
from urllib.parse import quote

from microasgi.exceptions import ConfigurationError, NoMatchFound

__all__ = [
    "CONVERTOR_TYPES",
    "NO_MATCH",
    "Convertor",
    "Parameter",
    "Pattern",
    "Reader",
    "Template",
    "clean_path",
    "register_url_convertor",
]

T = TypeVar("T")


class _NoMatch:
    """The answer of a reader whose text does not fit (None may be a value)."""


NO_MATCH: Final = _NoMatch()
Reader: TypeAlias = Callable[[str], Any]
"""A text in, the parameter's value out, or NO_MATCH."""

_INT_DIGITS: Final = 20


class Convertor(Generic[T]):
    """Read a parameter's text into a value and write it back.

    Subclass it with `regex` (anchored at both ends by the framework), `convert` and `to_string`, and hand an instance
    to `register_url_convertor`. A ValueError from `convert` means that the path does not match. A regex that accepts
    a slash makes a parameter that spans segments.
    """

    regex: ClassVar[str] = "[^/]+"

    def convert(self, value: str) -> T:
        """Return the value that stands in the path as this text."""
        raise NotImplementedError

    def to_string(self, value: T) -> str:
        """Return the text (not percent-encoded) that stands for this value in a path."""
        raise NotImplementedError

    def reader(self) -> Reader:
        """Return the function that the routing table calls: text in, value or NO_MATCH out."""
        matches = re.compile(self.regex).fullmatch
        convert = self.convert

        def read(text: str) -> Any:
            if matches(text) is None:
                return NO_MATCH
            try:
                return convert(text)
            except ValueError:
                return NO_MATCH

        return read

    def spans_segments(self) -> bool:
        """Tell whether a value may hold a slash."""
        return re.fullmatch(self.regex, "a/b") is not None


def _read_str(text: str) -> Any:
    return text or NO_MATCH


def _read_path(text: str) -> Any:
    return text


def _read_int(text: str) -> Any:
    if text.isdigit() and text.isascii() and len(text) <= _INT_DIGITS:
        return int(text)
    return NO_MATCH


def _read_float(text: str) -> Any:
    whole, point, fraction = text.partition(".")
    if whole.isdigit() and text.isascii() and (fraction.isdigit() or not point):
        return float(text)
    return NO_MATCH


def _read_uuid(text: str) -> Any:
    if len(text) not in {32, 36} or not text.isascii():
        return NO_MATCH
    if len(text) == 36 and not text[8] == text[13] == text[18] == text[23] == "-":
        return NO_MATCH
    digits = text.replace("-", "")
    if len(digits) != 32 or not digits.isalnum():
        return NO_MATCH
    try:
        return uuid.UUID(hex=digits)
    except ValueError:
        return NO_MATCH


class _BuiltIn(Convertor[Any]):
    def __init__(self, read: Reader, accepts: tuple[type, ...], regex: str) -> None:
        self._read, self._accepts = read, accepts
        self.regex = regex  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

    def convert(self, value: str) -> Any:
        result = self._read(value)
        if result is NO_MATCH:
            raise ValueError(f"{value!r} does not fit")
        return result

    def to_string(self, value: Any) -> str:
        if not isinstance(value, self._accepts) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in self._accepts)
            raise ValueError(f"{value!r} is not {wanted}")
        text = format(value, ".20f").rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        if self._read(text) is NO_MATCH:
            raise ValueError(f"{value!r} could not be read back")
        return text

    def reader(self) -> Reader:
        return self._read


CONVERTOR_TYPES: dict[str, Convertor[Any]] = {
    "str": _BuiltIn(_read_str, (str, int, float, uuid.UUID), "[^/]+"),
    "path": _BuiltIn(_read_path, (str,), ".*"),
    "int": _BuiltIn(_read_int, (int,), "[0-9]{1,20}"),
    "float": _BuiltIn(_read_float, (float, int), r"[0-9]+(\.[0-9]+)?"),
    "uuid": _BuiltIn(_read_uuid, (uuid.UUID, str), "[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"),
}


def register_url_convertor(key: str, convertor: Convertor[Any]) -> None:
    """Make `{name:key}` usable in templates that are registered from now on."""
    CONVERTOR_TYPES[key] = convertor


class Parameter:
    """A name and the convertor that reads and writes its value."""

    __slots__ = ("convertor", "kind", "name", "read", "spans")

    def __init__(self, name: str, kind: str, template: str) -> None:
        convertor = CONVERTOR_TYPES.get(kind)
        if convertor is None:
            known = ", ".join(sorted(CONVERTOR_TYPES))
            raise ConfigurationError(
                f"unknown convertor {kind!r} in {template!r}. Known: {known}. "
                f"Add your own with register_url_convertor({kind!r}, ...) before the route."
            )
        self.name, self.kind, self.convertor = name, kind, convertor
        self.read = convertor.reader()
        self.spans = convertor.spans_segments()

    def write(self, value: Any) -> str:
        """Return the percent-encoded text of a value (RFC 3986 section 3.3)."""
        text = self.convertor.to_string(value)
        if not self.spans and (not text or "/" in text):
            raise ValueError(f"{text!r} is not one path segment")
        return quote(text, safe="/~!$&'()*+,;=:@" if self.spans else "~!$&'()*+,;=:@")


Pieces: TypeAlias = list[str | Parameter]


class Pattern:
    """Literals and parameters in turn, read from one text from right to left, each parameter as long as it can be."""

    __slots__ = ("_ends", "_first", "_starts")

    def __init__(self, pieces: Pieces) -> None:
        first = pieces[0]
        self._starts = first if isinstance(first, str) else ""
        rest = pieces[1:] if isinstance(first, str) else pieces
        pairs: list[tuple[Parameter, str]] = []
        for index, piece in enumerate(rest):
            if isinstance(piece, Parameter):
                following = rest[index + 1] if index + 1 < len(rest) else ""
                pairs.append((piece, following if isinstance(following, str) else ""))
        self._first = pairs[0][0]
        # (parameter, the literal that stands before it, the literal after it), from right to left
        self._ends = [
            (parameter, pairs[index - 1][1] if index else "", after) for index, (parameter, after) in enumerate(pairs)
        ][::-1]

    def read(self, text: str) -> dict[str, Any] | _NoMatch:
        """Return the values by name, or NO_MATCH."""
        start, end = len(self._starts), len(text)
        closing = self._ends[0][2]
        if not text.startswith(self._starts) or not text.endswith(closing):
            return NO_MATCH
        end -= len(closing)
        values: dict[str, Any] = {}
        for parameter, before, _ in self._ends:
            begin = start
            if before:
                found = text.rfind(before, start, end if parameter.spans else end - 1)
                if found < 0:
                    return NO_MATCH
                begin = found + len(before)
            value_text = text[begin:end] if begin <= end else ""
            value = NO_MATCH if "/" in value_text and not parameter.spans else parameter.read(value_text)
            if value is NO_MATCH or begin > end:
                return NO_MATCH
            values[parameter.name] = value
            end = begin - len(before)
        return values


class Template:
    """A path template, parsed: its segments, and from the first spanning parameter on one tail."""

    __slots__ = ("key", "parameters", "pieces", "rank", "segments", "tail", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces = _parse(text)
        self.parameters = {piece.name: piece for piece in self.pieces if isinstance(piece, Parameter)}
        self.segments, self.tail = _split(self.pieces)
        self.rank = tuple(_rank(segment) for segment in self.segments)
        # Equal keys answer the same paths: names of parameters do not count.
        self.key = tuple(piece if isinstance(piece, str) else (piece.kind,) for piece in self.pieces)

    def write(self, values: Mapping[str, Any]) -> str:
        """Return the path with every parameter's value in it, percent-encoded; NoMatchFound if one does not fit."""
        out: list[str] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                out.append(quote(piece, safe="/~!$&'()*+,;=:@"))
                continue
            try:
                out.append(piece.write(values[piece.name]))
            except ValueError as error:
                raise NoMatchFound(f"{self.text!r}: the value of {piece.name!r} does not fit: {error}") from error
        return "".join(out)


_PARAMETER = re.compile(r"\{([^{}]*)\}")


def _parse(text: str) -> Pieces:
    pieces: Pieces = []
    names: set[str] = set()
    for index, part in enumerate(_PARAMETER.split(text)):
        if index % 2 == 0:
            if "{" in part or "}" in part:
                raise ConfigurationError(f"unbalanced braces in {text!r}: write parameters as {{name}} or {{name:int}}")
            if part:
                pieces.append(part)
            continue
        name, _, kind = part.partition(":")
        if not name.isidentifier():
            raise ConfigurationError(f"{{{part}}} in {text!r}: {name!r} is not a Python name")
        if name in names:
            raise ConfigurationError(f"{text!r} has the parameter {name!r} twice: give each its own name")
        if pieces and isinstance(pieces[-1], Parameter):
            raise ConfigurationError(
                f"{text!r}: nothing separates {{{pieces[-1].name}}} from {{{part}}}, so no one could say where "
                f"the first ends. Put a literal between them, as in {{a}}-{{b}}."
            )
        names.add(name)
        pieces.append(Parameter(name, kind or "str", text))
    return pieces


def _split(pieces: Pieces) -> tuple[list[Pieces], Pieces | None]:
    """Cut at slashes; what begins in the segment of the first spanning parameter stays whole, as the tail."""
    segments: list[Pieces] = [[]]
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            first, *others = piece.split("/")
            segments[-1] += [first] if first else []
            segments += [[other] if other else [] for other in others]
        elif piece.spans:
            return segments[:-1], [*segments[-1], *pieces[index:]]
        else:
            segments[-1].append(piece)
    return segments, None


def _rank(segment: Pieces) -> int:
    """Order segments: fixed 0, fixed and parameters mixed 1, converted 2, plain 3."""
    if not any(isinstance(piece, Parameter) for piece in segment):
        return 0
    if len(segment) > 1:
        return 1
    only = segment[0]
    return 3 if isinstance(only, Parameter) and only.kind == "str" else 2


_UNCLEAN = re.compile(r"[\x00-\x1f\x7f\\]|/\.{1,2}(?:/|\Z)")


def clean_path(path: str) -> bool:
    """Tell whether a decoded path has no control character, backslash or dot segment: others are answered with 404."""
    if "/." not in path and "\\" not in path and path.isprintable():
        return True
    return _UNCLEAN.search(path) is None
