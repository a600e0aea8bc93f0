"""Masks: which names look secret, and text without the values that stand after such names.

The law of this file: rather too much is masked than too little, in time that is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, cast
from urllib.parse import unquote_plus

__all__ = ["MASK", "looks_secret", "mask", "mask_url"]

_Match: TypeAlias = Callable[[str, int], "re.Match[str]"]

MASK: Final = "********"

_SECRET = (
    r"passw|passphrase|passcode|pwd|secret|token|credential|authorization|cookie|signature|private|csrf|session_?id"
    r"|jwt|bearer|keys?(?![a-z])|(?<![a-z])(?:pass|auth|otp|dsn|pw|sid|pin)(?![a-z])"
)
_secret_name = re.compile(_SECRET, re.IGNORECASE).search
# A name and what stands between it and its value: password=, 'token': , (b'cookie', , Authorization: .
_assignment = re.compile(
    rf"(?:{_SECRET})[\w-]{{0,40}}(\\{{0,9}}['\"])?\]?\s?(?:(=)|(:)|(?(1),|(?!)))\s?", re.IGNORECASE
).search
_opening = re.compile(r"[bBfFrRuU]{0,2}(\\{0,9})(['\"])").match
_closing = {quote: re.compile(rf"(?<!\\)(\\*+){quote}").finditer for quote in "'\""}
_mark = re.compile(r"['\"()\[\]{}\s]").search
_mark_in_angles = re.compile(r"['\"()\[\]{}<>\s]").search
_word = cast("_Match", re.compile(r"\S*").match)
_line = cast("_Match", re.compile(r"[^\r\n]*").match)
_line_in_repr = cast("_Match", re.compile(r"[^\r\n'\"]*").match)
_port = re.compile(r"\d{1,5}[/?#]").match


def looks_secret(name: object) -> bool:
    """Tell whether a variable, a key or a header of this name is to be masked."""
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and _secret_name(name) is not None


def mask(text: str, *, is_repr: bool = False) -> str:
    """Return a text, or the repr of something, without the values of names that look secret, and passwords in URLs."""
    parts: list[str] = []
    position = 0
    while match := _assignment(text, position):
        start = match.end()
        end = _end_of_value(text, start, is_repr=is_repr, is_line=bool(match[3]) and not match[1])
        parts += (text[position:start], MASK if end > start else "")
        position = end
    text = "".join([*parts, text[position:]])
    return re.sub(r"\S+", _without_password, text) if "://" in text else text


def mask_url(url: str) -> str:
    """Return a URL without the values in its query whose names look secret."""
    head, mark, query = url.partition("?")
    return head + mark + "&".join([_mask_pair(pair) for pair in query.split("&")])


def _mask_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals and looks_secret(unquote_plus(name)) else mask(pair)


def _end_of_value(text: str, start: int, *, is_repr: bool, is_line: bool) -> int:
    if _opening(text, start):
        return _end_of_quoted(text, start)
    if is_line:  # as headers are: `Cookie: a=b; c=d`
        return (_line_in_repr if is_repr else _line)(text, start).end()
    if is_repr or text[start : start + 1] in {"(", "[", "{", "<"}:
        return _end_of_expression(text, start)
    return _word(text, start).end()


def _end_of_quoted(text: str, start: int) -> int:
    opening = cast("re.Match[str]", _opening(text, start))
    depth = len(opening[1])  # how many backslashes are before the quotes of a text within texts
    for match in _closing[opening[2]](text, opening.end()):
        backslashes = len(match[1])
        if backslashes <= depth if depth else backslashes % 2 == 0:
            return match.end()
    return len(text)


def _end_of_expression(text: str, start: int) -> int:
    """Return where a value ends that is written as `5`, `Secret(v='x')`, `['a', 'b']` or `<Secret at 1>`."""
    search = _mark_in_angles if text.startswith("<", start) else _mark
    position, depth = start, 0
    while match := search(text, position):
        mark, position = match[0], match.end()
        if mark in "([{<":
            depth += 1
        elif depth == 0:
            position = match.start()
            return position - (text[start:position].endswith(","))
        elif mark in ")]}>":
            depth -= 1
        elif mark in "'\"":
            position = _end_of_quoted(text, match.start())
    return len(text)


def _without_password(match: re.Match[str]) -> str:
    first, *urls = match[0].split("://")
    return "://".join([first, *map(_mask_userinfo, urls)])


def _mask_userinfo(text: str) -> str:
    """Return what stands after a `://` without the password in it, which may have any character."""
    user, _, rest = text.partition(":")
    password, at, host = rest.rpartition("@")
    if not at or "/" in user or _port(password):
        return text
    return f"{user}:{MASK}@{host}"
