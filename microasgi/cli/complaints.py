"""Complaints: what a command says in place of a traceback. The law: what is wrong, where, and what to write instead."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from traceback import FrameSummary, extract_tb

from microasgi.exceptions import ConfigurationError

__all__ = ["Complaint", "complain", "count", "explain", "is_users", "near", "show_path"]

_PACKAGE = str(Path(__file__).parents[1])
_STANDARD_LIBRARY = os.path.dirname(os.__file__)


class Complaint(Exception):
    """A mistake of the user's that a command can name; its text is all that is printed."""


def near(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" for the names like this one, or nothing."""
    found = get_close_matches(name, list(known), n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def show_path(path: str | Path) -> str:
    """Return a path as the user would write it: relative to the current folder, where it is below that."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def is_users(filename: str) -> bool:
    """Tell whether a file is the user's own: not of an installed package, of Python, or of this package."""
    if not filename.endswith(".py") or filename.startswith((_PACKAGE + os.sep, "<")):
        return False
    installed = f"{os.sep}site-packages{os.sep}" in filename or f"{os.sep}dist-packages{os.sep}" in filename
    return not installed and not filename.startswith(_STANDARD_LIBRARY + os.sep)


def explain(error: BaseException, place: tuple[str, int] | None = None) -> str:
    """Return an error of the user's code as: file:line, what it is, and the line of source that it came from.

    `place` is where it is looked for if the error itself does not tell.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return _place(error.filename, error.lineno or 0, f"{type(error).__name__}: {error.msg}", error.text)
    text = str(error)
    kind = type(error).__name__
    # Our own texts say it all; others' mean little without the name of their class.
    what = text if isinstance(error, ConfigurationError) else f"{kind}: {text}" if text else kind
    frame = _users_frame(error)
    if frame is not None:
        place = (frame.filename, frame.lineno or 0)
    if place is None:
        return what
    file, line = place
    what = what.replace(f"{file}:{line}: ", "", 1)  # with which its own text may begin
    return _place(file, line, what.replace(os.getcwd() + os.sep, ""), frame.line if frame else None)


def _users_frame(error: BaseException) -> FrameSummary | None:
    own = [frame for frame in extract_tb(error.__traceback__) if is_users(frame.filename)]
    return own[-1] if own else None


def _place(filename: str, line: int, what: str, source: str | None) -> str:
    code = (source or linecache.getline(filename, line)).strip()
    return f"{show_path(filename)}:{line}: {what}" + (f"\n    {code}" if code else "")


def count(number: int, noun: str) -> str:
    """Return a number of things, as in "1 route" or "2 routes"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def complain(text: str) -> None:
    """Print a complaint to where errors go."""
    print(f"microasgi: {text}", file=sys.stderr)
