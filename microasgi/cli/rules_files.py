"""Rules about files: templates that are not there, and static files that should not be seen."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from microasgi.cli.complaints import near, show_path
from microasgi.cli.inspection import Finding, Function, Inspection, Place, Rule
from microasgi.cli.sources import find_definition
from microasgi.cli.tree import unwrap

__all__ = ["RULES"]

_PRIVATE = frozenset((".cfg", ".db", ".ini", ".key", ".pem", ".py", ".pyc", ".sqlite", ".sqlite3", ".toml"))
_HARMLESS = frozenset((".DS_Store", ".gitignore", ".gitkeep"))
_MOST = 5000  # files looked at


def _environment(value: Any) -> Any:
    """Return the Jinja environment of a `Jinja2Templates`, or None of anything else."""
    if "Jinja2Templates" not in {base.__name__ for base in type(value).__mro__}:
        return None
    return getattr(value, "env", None)


def missing_directories(inspection: Inspection) -> Iterator[Finding]:
    """Find template directories that are not there."""
    for name, value in vars(inspection.loaded.module).items():
        loader = getattr(_environment(value), "loader", None)
        for folder in getattr(loader, "searchpath", ()):
            if not os.path.isdir(folder):
                place = Place(inspection.file, find_definition(inspection.file, name))
                cure = f"make it, or write Path(__file__).with_name({Path(folder).name!r})"
                yield Finding(place, f"there is no template directory {show_path(folder)}", cure)


def missing_templates(inspection: Inspection) -> Iterator[Finding]:
    """Find templates that a handler names and nobody has written."""
    for function in inspection.functions:
        for call in function.calls:
            name, known = _template_name(call), _known_templates(function, call)
            if name is not None and known and name not in known:
                what = f"{function.name} renders {name!r}, and there is no such template{near(name, known)}"
                yield Finding(function.at(call), what, "write it, or correct the name")


def _template_name(call: ast.Call) -> str | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    for argument in (*named, *call.args[1:2]):
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            return argument.value
    return None


def _known_templates(function: Function, call: ast.Call) -> list[str]:
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "TemplateResponse":
        return []
    environment = _environment(function.resolve(call.func.value))
    try:
        return list(environment.loader.list_templates()) if environment is not None else []
    except TypeError:  # a loader that cannot list
        return []


def private_files(inspection: Inspection) -> Iterator[Finding]:
    """Find static directories that hold what visitors should not see."""
    for found in inspection.routes:
        app = unwrap(getattr(found.route, "app", None))
        if "StaticFiles" not in {base.__name__ for base in type(app).__mro__}:
            continue
        for folder in _folders(app):
            names = sorted(islice(_private_in(Path(folder), shows_hidden=not _is_own(app)), 100))
            if names:
                file, _, line = found.route.where.rpartition(":")
                shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
                what = f"the static directory {show_path(folder)} holds {shown}"
                yield Finding(Place(file, int(line)), what, "move them out: what is in there is for everybody")


def _folders(app: Any) -> list[str]:
    found: list[Any] = list(getattr(app, "all_directories", None) or ())
    return [str(folder) for folder in found if os.path.isdir(folder)]


def _is_own(app: Any) -> bool:
    """Tell whether these are our static files, which never send what begins with a dot."""
    return type(app).__module__.partition(".")[0] == __name__.partition(".")[0]


def _private_in(folder: Path, *, shows_hidden: bool) -> Iterator[str]:
    for path in islice(folder.rglob("*"), _MOST):
        own = path.relative_to(folder)
        hidden = own.name.startswith(".") and own.parts[0] != ".well-known" and own.name not in _HARMLESS
        if (hidden and shows_hidden) or (path.suffix in _PRIVATE and path.is_file()):
            yield str(own)


RULES = [
    Rule("MA401", "a template directory that is not there", missing_directories),
    Rule("MA402", "a template that is not there", missing_templates),
    Rule("MA403", "private files among the static ones", private_files),
]
