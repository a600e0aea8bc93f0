"""Foreign constraints: what annotated_types, msgspec and pydantic write into `Annotated`.

The law of this file: none of these packages is imported; their objects are known by module and attributes. What of
theirs checks or changes a value, and has no name here, is a ConfigurationError. So is what FastAPI writes there: passed
over, it would let the client send what a dependency should have made.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Final

from microasgi.exceptions import ConfigurationError

__all__ = ["foreign_constraints"]

_PACKAGES: Final = {"annotated_types", "msgspec", "pydantic", "pydantic_core"}
_KNOWN: Final = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
_GROUP: Final = "__is_annotated_types_grouped_metadata__"
# What only describes.
_DESCRIBING_MODULES: Final = {"pydantic.json_schema"}
_DESCRIBING_NAMES: Final = {"DocInfo", "Unit"}


def foreign_constraints(item: object, where: str) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each constraint in one piece of metadata; nothing for what is of other origin.

    ConfigurationError for a constraint that is not known here.
    """
    if isinstance(item, type):
        item = _made(item, where)
    modules = {kind.__module__ for kind in type(item).__mro__}
    packages = {module.partition(".")[0] for module in modules}
    if "fastapi" in packages:
        name = type(item).__name__
        raise ConfigurationError(f"{where}: {name} of fastapi says nothing here: from microasgi.typed import {name}")
    is_foreign = bool(packages & _PACKAGES)
    if is_foreign and (type(item).__name__ in _DESCRIBING_NAMES or modules & _DESCRIBING_MODULES):
        return
    parts: Any = getattr(item, "metadata", ()) if "pydantic.fields" in modules else ()
    if hasattr(item, _GROUP):
        parts = item
    for part in parts:
        yield from foreign_constraints(part, where)
    if is_foreign and not hasattr(item, _GROUP) and "pydantic.fields" not in modules:
        yield from _own_constraints(item, where)


def _made(kind: type, where: str) -> object:
    """Refuse a class of theirs that stands for its instance, as pydantic's `Strict`; pass over any other class."""
    if kind.__module__.partition(".")[0] in _PACKAGES:
        raise _unknown(kind.__module__, kind.__name__, where)
    return None


def _own_constraints(item: object, where: str) -> Iterator[tuple[str, Any]]:
    settings = _settings(item)
    said = {name: value for name, value in settings.items() if value is not None and value is not False}
    # The objects of annotated_types say one thing each, and say it with None too.
    named = settings if type(item).__module__ == "annotated_types" else said
    unknown = sorted(named.keys() - set(_KNOWN))
    if unknown or not settings:
        kind = type(item)
        name = ", ".join(unknown) if kind.__name__.startswith("_") else kind.__name__
        raise _unknown(kind.__module__, name, where)
    for name, value in said.items():
        yield name, _pattern(value, where) if name == "pattern" else value


def _settings(item: object) -> dict[str, Any]:
    if type(item).__module__.partition(".")[0] == "msgspec":
        return {name: getattr(item, name, None) for name in (*_KNOWN, "tz")}
    if dataclasses.is_dataclass(item):
        return {field.name: getattr(item, field.name, None) for field in dataclasses.fields(item)}
    return dict(getattr(item, "__dict__", {}))


def _pattern(value: Any, where: str) -> str:
    """Return a pattern as text; pydantic takes compiled ones as well."""
    text: Any = getattr(value, "pattern", value)
    if not isinstance(text, str) or getattr(value, "flags", re.UNICODE) != re.UNICODE:
        raise ConfigurationError(f"{where}: {value!r}: write the pattern as a str, with its flags inside as in '(?i)'")
    return text


def _unknown(module: str, name: str, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where}: {name} of {module.partition('.')[0]} is no constraint that is known here; known are "
        f"{', '.join(_KNOWN)}: check anything else in the handler, in a dependency or in a pydantic model"
    )
