"""Convertors: what a parameter of a path means, as text in the path and as a value in the handler.

The law of this file: the built-in ones read in linear time, without a regex, and ASCII only; what they write they
read again.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

from microasgi.exceptions import ConfigurationError

__all__ = ["CONVERTOR_TYPES", "NO_MATCH", "BuiltIn", "Convertor", "NoMatch", "Reader", "register_url_convertor"]

T = TypeVar("T")


class NoMatch(Enum):
    """The type of NO_MATCH, the answer of a reader whose text does not fit (None may be a value)."""

    NO_MATCH = "no match"


NO_MATCH: Final = NoMatch.NO_MATCH
Reader: TypeAlias = Callable[[str], Any]
"""A text in, the parameter's value out, or NO_MATCH."""

_HEX: Final = "0123456789abcdefABCDEF"
_INT_DIGITS: Final = 20
_FLOAT_LENGTH: Final = 40


class Convertor(Generic[T]):
    """Read a parameter's text into a value and write it back.

    Subclass it with `regex` (anchored at both ends by the framework), `convert` and `to_string`, and hand an instance
    to `register_url_convertor`. A ValueError from `convert` means that the path does not match.
    """

    regex: str = "[^/]+"
    is_plain: bool = False
    """True for the built-in ones that take any text: these give way to all others."""

    def convert(self, value: str) -> T:
        """Return the value that stands in the path as this text."""
        raise NotImplementedError

    def to_string(self, value: T) -> str:
        """Return the text (not percent-encoded) that stands for this value in a path; ValueError if it has none."""
        raise NotImplementedError

    def may_hold(self, text: str) -> bool:
        """Tell whether a value may have this text in it.

        What may hold a slash spans segments: that is guessed from the regex, so override this where the guess is
        wrong. For other texts the answer is yes: override it to allow templates such as `{name:mine}-{number:int}`.
        """
        return "/" not in text or self._seems_to_span()

    def _seems_to_span(self) -> bool:
        # A slash is no operator: outside of a negated class it stands for itself.
        if "/" in re.sub(r"\[\^[^]]*\]", "", self.regex):
            return True
        return any(re.fullmatch(self.regex, sample) for sample in ("/", "a/a", "1/1"))

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


class BuiltIn(Convertor[Any]):
    """A convertor of the framework: plain functions for both ways, and the characters that a value is made of."""

    def __init__(self, regex: str, read: Reader, write: Callable[[Any], str], alphabet: str | None = None) -> None:
        self.regex = regex
        self._read, self._write, self._alphabet = read, write, alphabet
        self.is_plain = alphabet is None

    def convert(self, value: str) -> Any:
        """Return the value that stands in the path as this text."""
        result = self._read(value)
        if result is NO_MATCH:
            raise ValueError(f"{value!r} does not fit")
        return result

    def to_string(self, value: Any) -> str:
        """Return the text that stands for this value in a path; ValueError if it has none."""
        return self._write(value)

    def may_hold(self, text: str) -> bool:
        """Tell whether a value may have this text in it."""
        if self._alphabet is None:
            return self._read is _read_path or "/" not in text
        return all(character in self._alphabet for character in text)

    def reader(self) -> Reader:
        """Return the function that the routing table calls: text in, value or NO_MATCH out."""
        return self._read


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
    if whole.isdigit() and text.isascii() and len(text) <= _FLOAT_LENGTH and (fraction.isdigit() or not point):
        return float(text)
    return NO_MATCH


def _read_uuid(text: str) -> Any:
    if len(text) not in {32, 36} or not text.isascii():
        return NO_MATCH
    if len(text) == 36 and not text[8] == text[13] == text[18] == text[23] == "-":
        return NO_MATCH
    digits = text.replace("-", "")
    if len(digits) != 32 or digits.strip(_HEX):
        return NO_MATCH
    return uuid.UUID(hex=digits)


def _write_text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)  # of an enum's member: the text itself
    kind = cast(Any, type(value))
    has_text = isinstance(value, int | float) or kind.__str__ is not object.__str__
    if not has_text or isinstance(value, bool | bytes):
        raise ValueError(f"{value!r} has no text of its own: give a str")
    return str(value)


def _write_int(value: Any) -> str:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not an int")
    return int.__repr__(value)


def _write_float(value: Any) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{value!r} is not a float")
    if isinstance(value, int):
        return int.__repr__(value)
    text = float.__repr__(value)
    mantissa, _, exponent = text.partition("e")
    digits, power = mantissa.replace(".", ""), int(exponent or 0)
    if power < 0:
        text = f"0.{'0' * (-power - 1)}{digits}"
    elif power > 0:
        text = digits.ljust(power + 1, "0")
    return text.removesuffix(".0")


def _write_uuid(value: Any) -> str:
    if not isinstance(value, uuid.UUID | str):
        raise ValueError(f"{value!r} is not a UUID")
    return str(value)


CONVERTOR_TYPES: dict[str, Convertor[Any]] = {
    "str": BuiltIn("[^/]+", _read_str, _write_text),
    "path": BuiltIn(".*", _read_path, _write_text),
    "uuid": BuiltIn("[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", _read_uuid, _write_uuid, f"{_HEX}-"),
    "int": BuiltIn("[0-9]{1,20}", _read_int, _write_int, "0123456789"),
    "float": BuiltIn(r"[0-9]+(\.[0-9]+)?", _read_float, _write_float, "0123456789."),
}


def register_url_convertor(key: str, convertor: Convertor[Any]) -> None:
    """Make `{name:key}` usable in templates that are registered from now on; ConfigurationError if it cannot work."""
    if not key or "{" in key or "}" in key:
        raise ConfigurationError(f"{key!r} cannot name a convertor: templates write it as {{name:convertor}}")
    if not isinstance(convertor, Convertor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(f"the convertor {key!r} has to be an instance of a Convertor class, not {convertor!r}")
    try:
        re.compile(convertor.regex)
    except re.error as error:
        raise ConfigurationError(f"the regex {convertor.regex!r} of the convertor {key!r} is none: {error}") from None
    CONVERTOR_TYPES[key] = convertor
