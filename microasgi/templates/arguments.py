"""What `Jinja2Templates` is given, checked when it is made: every mistake says what to write instead."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from microasgi.exceptions import ConfigurationError
from microasgi.requests import Request

__all__ = ["ContextProcessor", "directories_in", "packages_in", "patterns_in", "processors_in"]

ContextProcessor: TypeAlias = Callable[[Request[Any]], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


def directories_in(directory: object, where: str) -> list[str]:
    """Return the directories that were given, absolute; `where` is the user's file:line."""
    listed = cast("Sequence[object]", directory) if isinstance(directory, (list, tuple)) else [directory]
    if not listed:
        raise ConfigurationError("the list of template directories is empty")
    return [_directory(one, where.rpartition(":")[0]) for one in listed]


def _directory(directory: object, file: str) -> str:
    """Return the absolute path of a directory that is there."""
    if not isinstance(directory, (str, os.PathLike)) or not directory:
        raise ConfigurationError(f"a template directory is a path, as text or Path, not {directory!r}")
    given = os.fspath(cast("os.PathLike[str]", directory))
    path = os.path.abspath(given)
    if os.path.isdir(path):
        return path
    beside = os.path.join(os.path.dirname(os.path.abspath(file)), given)
    if os.path.isdir(beside):
        hint = f"there is {beside}: write directory=Path(__file__).parent / {given!r}"
    else:
        hint = "make it, or write the path it has, as in directory=Path(__file__).parent / 'templates'"
    what = "is no directory" if os.path.exists(path) else "does not exist"
    raise ConfigurationError(f"the template directory {path} {what} (given {given!r}); {hint}")


def packages_in(packages: object, has_directories: bool) -> list[tuple[str, str]]:
    """Return the packages that were given, each with its directory."""
    if not isinstance(packages, (list, tuple)):
        raise ConfigurationError(f"packages is a list, write packages=[{packages!r}]")
    if not packages and not has_directories:
        raise ConfigurationError("say where the templates are: Jinja2Templates(directory=...), packages= or env=")
    listed = cast("Sequence[str | tuple[str, str]]", packages)
    return [(one, "templates") if isinstance(one, str) else one for one in listed]


def patterns_in(unescaped: object) -> tuple[str, ...]:
    """Return the patterns of what is not escaped."""
    if isinstance(unescaped, (list, tuple)):
        return tuple(cast("Sequence[str]", unescaped))
    raise ConfigurationError(f"unescaped is a list, write unescaped=[{unescaped!r}]")


def processors_in(processors: object) -> list[ContextProcessor]:
    """Return the context processors."""
    if isinstance(processors, (list, tuple)):
        listed = cast("Sequence[ContextProcessor]", processors)
        wrong = [one for one in listed if not callable(one)]
        if not wrong:
            return [*listed]
        raise ConfigurationError(f"a context processor is a function of the request, not {wrong[0]!r}")
    raise ConfigurationError("context_processors is a list, write context_processors=[function]")
