"""Tracebacks: an exception as data to be shown, with source lines, and with values that are safe to show.

The law of this file: whatever an exception or a value does when it is looked at, no error comes out of here; what looks
secret is masked, and everything has a limit.
"""

from __future__ import annotations

import linecache
import os
import re
import reprlib
from itertools import islice
from traceback import format_exception
from types import TracebackType
from typing import Any, Final, NamedTuple, cast

from microasgi.masks import MASK, looks_secret, mask

__all__ = ["Frame", "Line", "Problem", "as_text", "explain", "message_of", "short_path", "show_value"]

_LONGEST_VALUE: Final = 1_000
_LONGEST_MASKED: Final = 10_000
_LONGEST_LINE: Final = 400
_LONGEST_MESSAGE: Final = 10_000
_LONGEST_TEXT: Final = 200_000
_MOST_VARIABLES: Final = 50
_MOST_PROBLEMS: Final = 20
_MOST_NOTES: Final = 20
_FIRST_FRAMES, _LAST_FRAMES = 20, 40
_AROUND: Final = 5  # lines before the failing one, and after it

_PACKAGE: Final = os.path.dirname(__file__)
_STDLIB: Final = os.path.dirname(os.__file__)
_INSTALLED: Final = re.compile(r".*[\\/](?:site|dist)-packages[\\/]", re.DOTALL)


class Line(NamedTuple):
    """A line of source; `mark` is the part that failed, from column to column, on the failing line alone."""

    number: int
    text: str
    is_failing: bool = False
    mark: tuple[int, int] | None = None


class Frame(NamedTuple):
    """One call: where it stood, the source around it and, in the user's own code, the variables with their values."""

    filename: str
    lineno: int
    function: str
    package: str
    is_own: bool
    lines: list[Line]
    variables: list[tuple[str, str]]


class Problem(NamedTuple):
    """One exception of a chain or a group; `relation` says what it has to do with the one before, '' for the first."""

    relation: str
    depth: int
    kind: str
    message: str
    notes: list[str]
    frames: list[Frame]
    left_out: int


class _Values(reprlib.Repr):
    """Writes values with limits, and masks what stands under a secret name, at any depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 5
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 20
        self.maxstring = self.maxother = self.maxlong = 300

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0:
            return "{...}" if x else "{}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {MASK if looks_secret(key) else self.repr1(value, level - 1)}"
            for key, value in islice(x.items(), self.maxdict)
        ]
        return "{" + ", ".join([*pairs, *["..."] * (len(x) > self.maxdict)]) + "}"

    def repr_tuple(self, x: tuple[Any, ...], level: int) -> str:
        if len(x) == 2 and looks_secret(x[0]):
            return f"({x[0]!r:.100}, {MASK})"
        return super().repr_tuple(x, level)

    def repr_list(self, x: list[Any], level: int) -> str:
        if len(x) == 2 and looks_secret(x[0]):
            return f"[{x[0]!r:.100}, {MASK}]"
        return super().repr_list(x, level)

    # What is cut loses its end, never its middle, so that a value is not shown without its name.
    def repr_str(self, x: str, level: int) -> str:
        return _cut(repr(mask(x[:_LONGEST_MASKED])), self.maxstring)

    def repr_bytes(self, x: bytes | bytearray, level: int) -> str:
        text = mask(bytes(x[:_LONGEST_MASKED]).decode("latin-1"))
        shown = repr(type(x)(text.encode("latin-1")[:100]))
        return shown if len(x) <= 100 else f"{shown}... ({len(x)} bytes)"

    repr_bytearray = repr_bytes

    def repr_instance(self, x: object, level: int) -> str:
        return _cut(mask(repr(x)[:_LONGEST_MASKED], is_repr=True), self.maxother)

    def repr__Environ(self, x: object, level: int) -> str:
        return "<the environment, which is not shown>"


_values = _Values()


def show_value(value: object, name: object = "") -> str:
    """Return a value as its repr, cut, masked where the name or something in it looks secret; it never raises."""
    if looks_secret(name):
        return MASK
    try:
        text = _values.repr(value)
    except BaseException as error:  # whatever a __repr__ raises, SystemExit too
        return f"<{type(value).__name__}, whose repr raised {type(error).__name__}>"
    return _cut(text, _LONGEST_VALUE)


def message_of(error: BaseException) -> str:
    """Return what an exception says, cut; it never raises."""
    try:
        return _cut(str(error), _LONGEST_MESSAGE)
    except BaseException as second:
        return f"<its str raised {type(second).__name__}>"


def as_text(error: BaseException) -> str:
    """Return the traceback as Python prints it, cut in the middle; it never raises."""
    try:
        text = "".join(format_exception(error))
    except Exception:  # a SyntaxError with odd values in it, say
        text = f"{type(error).__name__}: {message_of(error)}\n"
    if len(text) <= _LONGEST_TEXT:
        return text
    half = _LONGEST_TEXT // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def short_path(filename: str) -> str:
    """Return a path below the working directory, or of something installed, without what is before it."""
    text = _INSTALLED.sub("", filename)
    for directory in (os.getcwd(), os.path.dirname(_PACKAGE), _STDLIB):
        text = text.removeprefix(directory + os.sep)
    return text


def explain(error: BaseException) -> list[Problem]:
    """Return the exception, the members of its groups, and what it was raised from or while handling, in this order."""
    found: list[Problem] = []
    _collect(error, "", 0, found, set())
    return found


def _collect(first: BaseException, relation: str, depth: int, found: list[Problem], seen: set[int]) -> None:
    error: BaseException | None = first
    while error is not None and id(error) not in seen and len(found) < _MOST_PROBLEMS:
        seen.add(id(error))
        found.append(_problem(error, relation, depth))
        members = _members(error)
        for number, inner in enumerate(members, start=1):
            _collect(inner, f"Number {number} of {len(members)} in the group", depth + 1, found, seen)
        if error.__cause__ is not None:
            relation, error = "Raised directly from", error.__cause__
        else:
            relation, error = "Raised while handling", None if error.__suppress_context__ else error.__context__


def _members(error: BaseException) -> tuple[BaseException, ...]:
    return cast("BaseExceptionGroup[BaseException]", error).exceptions if isinstance(error, BaseExceptionGroup) else ()


def _problem(error: BaseException, relation: str, depth: int) -> Problem:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    steps = _steps(error.__traceback__)
    left_out = max(len(steps) - _FIRST_FRAMES - _LAST_FRAMES, 0)
    if left_out:
        del steps[_FIRST_FRAMES : _FIRST_FRAMES + left_out]
    frames = [_frame(step) for step in steps]
    if isinstance(error, SyntaxError):
        frames += _place_of(error)
    return Problem(relation, depth, name, message_of(error), _notes_of(error), frames, left_out)


def _notes_of(error: BaseException) -> list[str]:
    notes: object = vars(error).get("__notes__")
    found = cast("list[object]", notes) if isinstance(notes, list) else []
    return [_cut(note, _LONGEST_MESSAGE) for note in found[:_MOST_NOTES] if isinstance(note, str)]


def _steps(traceback: TracebackType | None) -> list[TracebackType]:
    steps: list[TracebackType] = []
    while traceback is not None:
        steps.append(traceback)
        traceback = traceback.tb_next
    return steps


def _frame(step: TracebackType) -> Frame:
    frame, code = step.tb_frame, step.tb_frame.f_code
    filename, lineno = code.co_filename, step.tb_lineno or 0
    is_own = _is_own(filename)
    module = frame.f_globals.get("__name__")
    package = module.partition(".")[0] if isinstance(module, str) else ""
    lines = _lines(filename, lineno, frame.f_globals, _columns(step))
    variables = frame.f_locals.items() if is_own else ()
    shown = [(name, show_value(value, name)) for name, value in islice(variables, _MOST_VARIABLES)]
    return Frame(filename, lineno, code.co_qualname, package, is_own, lines, shown)


def _columns(step: TracebackType) -> tuple[int, int] | None:
    """Return the bytes of the line that the failing instruction stands for, if it stands on one line (PEP 657)."""
    positions = step.tb_frame.f_code.co_positions()
    line, end_line, start, end = next(islice(positions, step.tb_lasti // 2, None), (None, None, None, None))
    if line is None or line != end_line or start is None or end is None or line != step.tb_lineno:
        return None
    return start, end


def _place_of(error: SyntaxError) -> list[Frame]:
    """Return where the code stands that could not be compiled."""
    filename, lineno = error.filename, error.lineno
    if not isinstance(filename, str) or not isinstance(lineno, int):
        return []
    lines = _lines(filename, lineno, {}, None)
    if not lines and isinstance(error.text, str):
        lines = [Line(lineno, _cut(error.text.rstrip(), _LONGEST_LINE), True)]
    return [Frame(filename, lineno, "not compiled", "", True, lines, [])]


def _is_own(filename: str) -> bool:
    if filename.startswith((_PACKAGE + os.sep, _STDLIB + os.sep, "<frozen ")):
        return False
    return _INSTALLED.match(filename) is None


def _lines(filename: str, lineno: int, module: dict[str, Any], columns: tuple[int, int] | None) -> list[Line]:
    try:
        linecache.checkcache(filename)
        source = linecache.getlines(filename, module)
    except Exception:  # a loader of the user's, or a name that is no path
        return []
    first = max(lineno - _AROUND, 1)
    return [
        _line(number, text.rstrip("\r\n"), columns if number == lineno else None, number == lineno)
        for number, text in enumerate(source[first - 1 : lineno + _AROUND], start=first)
    ]


def _line(number: int, text: str, columns: tuple[int, int] | None, is_failing: bool) -> Line:
    mark = None
    if columns is not None:
        data = text.encode("utf-8", "surrogatepass")
        start, end = [len(data[:column].decode("utf-8", "replace")) for column in columns]
        # Not where all of the line is meant, or nothing of what is shown.
        if text[:start].strip() or text[end:].strip():
            mark = (start, end) if start < end <= _LONGEST_LINE else None
    return Line(number, _cut(text, _LONGEST_LINE), is_failing, mark)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"
