"""Pointers: where in a JSON value something is (RFC 6901), and msgspec's words for it in plain English."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

__all__ = ["UNKNOWN_CHOICE", "locate", "pointer", "reason_of", "step"]

UNKNOWN_CHOICE: Final = "is not one of the values that it may have"
_PATH: Final = re.compile(r"(.*) - at (`key` in )?`\$([^`]*)`", re.DOTALL)
_STEP: Final = re.compile(r"\.([^.\[]*)|\[(\d+|\.\.\.)\]")
_MISSING: Final = "missing required"
_FIELD: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`", re.DOTALL)
# A name that is longer is the client's joke; the pointer ends before it.
_LONGEST_NAME: Final = 200
_LONGEST_MESSAGE: Final = 4_000

_NOUNS: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "an array",
    "bytes": "a base64 string",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time",
    "duration": "a duration",
    "uuid": "a UUID",
    "decimal": "a decimal number",
}
_GOT: Final = {**_NOUNS, "bool": "a boolean"}
_BOUNDS: Final = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_UNITS: Final = {"str": "character", "array": "item", "object": "member", "bytes": "byte"}

_EXACT: Final = {
    "Invalid RFC3339 encoded datetime": "has to be a date and time such as 2026-01-31T12:30:00Z",
    "Invalid RFC3339 encoded date": "has to be a date such as 2026-01-31",
    "Invalid RFC3339 encoded time": "has to be a time such as 12:30:00",
    "Invalid ISO8601 duration": "has to be a duration such as P1DT2H30M",
    "Duration is out of range": "is too long a duration",
    "Invalid UUID": "has to be a UUID",
    "Invalid decimal string": "has to be a decimal number",
    "Invalid base64 encoded string": "has to be base64",
    "Number out of range": "is too large a number",
    "Integer value out of range": "is too large a number",
    "Timestamp is out of range": "is out of range",
}


def step(name: object) -> str:
    """Return one reference token with its slash; "" for a name that is too long to repeat."""
    text = str(name)
    return "" if len(text) > _LONGEST_NAME else "/" + text.replace("~", "~0").replace("/", "~1")


def pointer(path: Iterable[object]) -> str:
    """Return the JSON pointer of names and indexes (RFC 6901 section 3)."""
    return "".join(map(step, path))


def locate(message: str, user_text: str | None) -> tuple[str, str]:
    """Return pointer and reason for a message of msgspec; `user_text` is what the model's own code has raised.

    msgspec does not say under which name of a dict the fault is: the pointer ends at the dict.
    """
    if len(message) > _LONGEST_MESSAGE:  # it repeats what the client has sent
        message = message[: _LONGEST_MESSAGE // 2] + message[-_LONGEST_MESSAGE // 2 :]
    found = _PATH.fullmatch(message)
    text, of_key, path = found.groups() if found else (message, None, "")
    steps = [name or index for name, index in _STEP.findall(path or "")]
    inside = "..." in steps
    place = pointer(steps[: steps.index("...")] if inside else steps)
    if user_text is not None:
        return place, user_text
    field = _FIELD.fullmatch(text)
    if field and not inside:
        return place + step(field[2]), "is missing" if field[1] == _MISSING else "is not a known field"
    if field:
        return place, f"one of its values has {'no' if field[1] == _MISSING else 'an unknown field'} {field[2]!r:.100}"
    reason = reason_of(text)
    if of_key:
        return place, f"one of its names {reason}"
    return place, f"one of its values {reason}" if inside else reason


def reason_of(text: str) -> str:
    """Return msgspec's message in plain English; what the client has sent is never repeated."""
    if text in _EXACT:
        return _EXACT[text]
    for pattern, words in _PATTERNS:
        found = pattern.fullmatch(text)
        if found:
            return words(found)
    return "does not fit"


def _nouns(kinds: str, nouns: dict[str, str]) -> str:
    *first, last = [nouns.get(kind, kind) for kind in kinds.split(" | ")]
    return f"{', '.join(first)} or {last}" if first else last


def _expected(found: re.Match[str]) -> str:
    reason = f"has to be {_nouns(found[1], _NOUNS)}"
    return f"{reason}, not {_nouns(found[2], _GOT)}" if found[2] else reason


def _length(found: re.Match[str]) -> str:
    how = {"at least ": "at least ", ">= ": "at least ", "at most ": "at most ", "<= ": "at most "}
    words = found[2] or found[3] or ""
    unit = _UNITS.get(found[1], "item") + ("" if found[4] == "1" else "s")
    return f"has to have {how.get(words, 'exactly ')}{found[4]} {unit}"


def _bound(found: re.Match[str]) -> str:
    return f"has to be {_BOUNDS[found[1]]} {found[2].removesuffix('.0')}"


_PATTERNS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`)?"), _expected),
    (re.compile(r"Expected `[^`]*` (>=|>|<=|<) (\S+)"), _bound),
    (re.compile(r"Expected `[^`]*` that's a multiple of (\S+)"), lambda m: f"has to be a multiple of {_number(m[1])}"),
    (re.compile(r"Expected `(\w+)` of (at least |at most )?length (>= |<= )?(\d+)(?:, got \d+)?"), _length),
    (re.compile(r"Expected `[^`]*` matching regex '(.*)'", re.DOTALL), lambda m: f"has to match the pattern {m[1]}"),
    (re.compile(r"Expected `(\w+)` with a timezone component"), lambda _: "has to have a time zone"),
    (re.compile(r"Expected `(\w+)` with no timezone component"), lambda _: "has to have no time zone"),
    (re.compile(r"Invalid (?:enum )?value .*", re.DOTALL), lambda _: UNKNOWN_CHOICE),
)


def _number(text: Any) -> str:
    return str(text).removesuffix(".0")
