"""Path templates: text with `{name}` or `{name:convertor}` in it, read from a path and written into one.

The law of this file: reading is linear in the length of the text, so a template that could only be read by trying
several splits is refused when it is made; and nothing is written that would not be read again as the same values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from microasgi.convertors import CONVERTOR_TYPES, NO_MATCH, BuiltIn, Reader
from microasgi.exceptions import ConfigurationError, NoMatchFound
from microasgi.urls import quote_path

__all__ = ["Parameter", "Part", "Pattern", "Template", "is_clean"]

# What comes first where several templates match one path, segment by segment.
_FIXED, _MIXED, _CONVERTED, _PLAIN, _SPANNING = range(5)
_KINDS: Final = {"uuid": "1", "int": "2", "float": "3", "str": "4", "path": "5"}


def _guess(kind: str) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(kind, CONVERTOR_TYPES, 1)
    return f"; did you mean {near[0]!r}?" if near else "."


class Parameter:
    """A name and the convertor that reads and writes its value."""

    __slots__ = ("convertor", "is_plain", "kind", "name", "order", "read", "spans")

    def __init__(self, name: str, kind: str, template: str) -> None:
        convertor = CONVERTOR_TYPES.get(kind)
        if convertor is None:
            known = ", ".join(sorted(CONVERTOR_TYPES))
            raise ConfigurationError(
                f"unknown convertor {kind!r} in {template!r}{_guess(kind)} Known: {known}. "
                f"Add your own with register_url_convertor({kind!r}, ...) before the route."
            )
        built_in = isinstance(convertor, BuiltIn)
        self.name, self.kind, self.convertor = name, kind, convertor
        self.read = convertor.reader()
        self.spans = convertor.may_hold("/")
        self.is_plain = convertor.is_plain
        # Own convertors come first: they are narrower, as a rule. Alone in a tail: after those with a literal.
        order = _KINDS.get(kind) if built_in else None
        self.order = ("~" if self.spans else "") + (order or f"0{kind}")

    def __str__(self) -> str:
        return f"{{{self.name}:{self.kind}}}"

    def write(self, values: Mapping[str, Any]) -> str:
        """Return the text of this parameter's value among these; ValueError if it would not be read again."""
        text = self.convertor.to_string(values[self.name])
        if not self.spans and "/" in text:
            raise ValueError(f"the value of {self.name!r} is {text!r}, which is not one segment of a path")
        if self.read(text) is NO_MATCH:
            raise ValueError(f"the value of {self.name!r} is {text!r}, which {self} does not match")
        return text


Pieces: TypeAlias = list[str | Parameter]


class Pattern:
    """Literals and parameters in turn: a text is cut at each literal, and each parameter reads what is between.

    A parameter that cannot hold the literal after it ends where that first stands. All others are cut off from the
    right, each as short as it can be.
    """

    __slots__ = ("_closing", "_from_left", "_from_right", "_opening", "order", "parameters")
    name = None

    def __init__(self, pieces: Pieces) -> None:
        self._opening = pieces[0] if isinstance(pieces[0], str) else ""
        self._closing = pieces[-1] if isinstance(pieces[-1], str) else ""
        self.parameters = [piece for piece in pieces if isinstance(piece, Parameter)]
        separators = [piece for piece in pieces[1:-1] if isinstance(piece, str)]
        known = _count_from_left(self.parameters, separators)
        # Each with the least length of the parameter that it ends (on the left) or begins (on the right).
        lengths = [int(parameter.is_plain and not parameter.spans) for parameter in self.parameters]
        self._from_left = list(zip(separators[:known], lengths, strict=False))
        self._from_right = list(zip(separators[known:], lengths[known + 1 :], strict=True))[::-1]
        for index in range(known, len(separators)):
            _check_cut(self.parameters[index], separators[index], self.parameters[index + 1])
        fixed = sum(len(piece) for piece in pieces if isinstance(piece, str))
        shape = "".join(piece if isinstance(piece, str) else piece.order for piece in pieces)
        self.order = f"{10**6 - fixed:06}{shape}"

    def split(self, text: str) -> list[str] | None:
        """Return the texts of the parameters, or None."""
        opening, closing = self._opening, self._closing
        if len(text) < len(opening) + len(closing) or not (text.startswith(opening) and text.endswith(closing)):
            return None
        start, end = len(opening), len(text) - len(closing)
        texts: list[str] = []
        for separator, least in self._from_left:
            found = text.find(separator, start + least, end)
            if found < 0:
                return None
            texts.append(text[start:found])
            start = found + len(separator)
        place = len(texts)
        for separator, least in self._from_right:
            found = text.rfind(separator, start, max(end - least, 0))
            if found < 0:
                return None
            texts.insert(place, text[found + len(separator) : end])
            end = found
        texts.insert(place, text[start:end])
        return texts

    def read(self, text: str) -> Any:
        """Return the values by name, or NO_MATCH."""
        texts = self.split(text)
        if texts is None:
            return NO_MATCH
        values: dict[str, Any] = {}
        for parameter, one in zip(self.parameters, texts, strict=True):
            value = parameter.read(one) if parameter.spans or "/" not in one else NO_MATCH
            if value is NO_MATCH:
                return NO_MATCH
            values[parameter.name] = value
        return values

    def write(self, values: Mapping[str, Any]) -> str:
        """Return the text with these values in it; ValueError if they would not be read again."""
        texts = [parameter.write(values) for parameter in self.parameters]
        separators = [*(one for one, _ in self._from_left), *(one for one, _ in self._from_right[::-1]), self._closing]
        text = self._opening + "".join(map(str.__add__, texts, separators))
        if self.split(text) != texts:
            raise ValueError(f"{text!r} would be read as other values than {texts}")
        return text


def _count_from_left(parameters: list[Parameter], separators: list[str]) -> int:
    """Return how many parameters end at the first place where their separator stands."""
    for index, separator in enumerate(separators):
        ended = not parameters[index].convertor.may_hold(separator)
        if not ended and not _leaves_rest(parameters[index:]):
            return index
    return len(separators)


def _leaves_rest(parameters: list[Parameter]) -> bool:
    """Tell whether the first one may be as short as it can, because one for any path takes what is left."""
    for parameter in parameters:
        if parameter.spans or not parameter.is_plain:
            return parameter.spans and parameter.is_plain and parameter is not parameters[0]
    return False


def _check_cut(left: Parameter, separator: str, right: Parameter) -> None:
    """Refuse a separator of which nobody could say where it stands without trying."""
    plain = left.is_plain and right.is_plain and (left.spans or not right.spans)
    if not plain and right.convertor.may_hold(separator):
        raise ConfigurationError(
            f"{left}{separator}{right}: {separator!r} may be part of the values too, so nobody could say where one "
            "ends and the next begins. Put another text between them, or a slash."
        )


Part: TypeAlias = str | Parameter | Pattern
"""One segment of a template, or its tail."""


class Template:
    """A path template, parsed: its segments, and from the first spanning parameter on one tail.

    `rank` says for each segment, and for the tail, what it is: the smaller one of two templates' ranks comes first,
    then the smaller `order`. Equal keys answer the same paths: names of parameters do not count in them. `readers`
    has the index of each part that is not fixed, its reader, and the name of its value (None: it gives all by name).
    """

    __slots__ = ("key", "order", "parameters", "pieces", "rank", "readers", "segments", "tail", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.pieces = _parse(text)
        self.parameters = {piece.name: piece for piece in self.pieces if isinstance(piece, Parameter)}
        self.segments, self.tail = _split(self.pieces)
        parts = self._parts()
        self.readers: list[tuple[int, Reader, str | None]] = [
            (index, part.read, part.name) for index, part in enumerate(parts) if not isinstance(part, str)
        ]
        self.rank = tuple([_rank(part) for part in parts])
        self.order = tuple(["" if isinstance(part, str) else part.order for part in parts])
        self.key = tuple([piece if isinstance(piece, str) else (piece.kind,) for piece in self.pieces])

    def _parts(self) -> list[Part]:
        return self.segments if self.tail is None else [*self.segments, self.tail]

    def write(self, values: Mapping[str, Any]) -> str:
        """Return the path with every parameter's value in it, percent-encoded (RFC 3986 section 3.3).

        NoMatchFound if a value does not fit, or if the path could not reach the route: clients remove dot segments.
        """
        try:
            path = "/".join([part if isinstance(part, str) else part.write(values) for part in self._parts()])
        except ValueError as error:
            raise NoMatchFound(f"{self.text!r}: {error}") from error
        if not is_clean(path):
            raise NoMatchFound(f"{self.text!r}: no request has a dot segment, backslash or control character: {path!r}")
        # Two slashes at the beginning would name a host (RFC 3986 section 4.2).
        return f"/%2F{quote_path(path[2:])}" if path.startswith("//") else quote_path(path)


def _rank(part: Part) -> int:
    if isinstance(part, str):
        return _FIXED
    if isinstance(part, Pattern):
        return _SPANNING if any(parameter.spans for parameter in part.parameters) else _MIXED
    if part.spans:
        return _SPANNING
    return _PLAIN if part.is_plain else _CONVERTED


_PARAMETER = re.compile(r"\{([^{}]*)\}")


def _parse(text: str) -> Pieces:
    if not is_clean(text):
        raise ConfigurationError(f"{text!r}: no request has a dot segment, backslash or control character in its path")
    pieces: Pieces = []
    names: set[str] = set()
    for index, part in enumerate(_PARAMETER.split(text)):
        if index % 2 == 0:
            _check_literal(part, text)
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


def _check_literal(literal: str, text: str) -> None:
    if "{" in literal or "}" in literal:
        raise ConfigurationError(f"unbalanced braces in {text!r}: write parameters as {{name}} or {{name:int}}")
    if "?" in literal:
        raise ConfigurationError(f"{text!r}: the query is no part of a path, read it from request.query_params")


def _split(pieces: Pieces) -> tuple[list[Part], Part | None]:
    """Cut at slashes; what begins in the segment of the first spanning parameter stays whole, as the tail."""
    segments: list[Pieces] = [[]]
    for index, piece in enumerate(pieces):
        if isinstance(piece, Parameter) and piece.spans:
            return [_part(segment) for segment in segments[:-1]], _part([*segments[-1], *pieces[index:]])
        first, *others = piece.split("/") if isinstance(piece, str) else (piece,)
        if first:
            segments[-1].append(first)
        for other in others:
            segments.append([other] if other else [])
    return [_part(segment) for segment in segments], None


def _part(segment: Pieces) -> Part:
    if len(segment) == 1:
        return segment[0]
    return Pattern(segment) if segment else ""


_UNCLEAN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\\]|/\.{1,2}(?:/|\Z)")


def is_clean(path: str) -> bool:
    """Tell whether a decoded path has no control character, backslash or dot segment: others are answered with 404."""
    if "/." not in path and "\\" not in path and path.isprintable():
        return True
    return _UNCLEAN.search(path) is None
