"""Names of components: of each model its own, with as much of where it stands as tells it from others of that name.

The law of this file: models of one name are qualified alike, and the names are keys of components (OpenAPI 3.1 section
4.8.7.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

__all__ = ["component_names", "free_name"]

_odd: Final = re.compile(r"[^A-Za-z0-9._-]+")


def component_names(annotations: Iterable[Any]) -> dict[Any, str]:
    """Return a name for each class, with its type arguments: the same for the same classes in the same order."""
    groups: dict[str, list[Any]] = {}
    for annotation in dict.fromkeys(annotations):
        groups.setdefault(_name(annotation, 1), []).append(annotation)
    names: dict[Any, str] = {}
    taken: set[str] = set()
    for group in groups.values():
        for annotation, name in _told_apart(group).items():
            names[annotation] = free_name(name, taken)
            taken.add(names[annotation])
    return names


def free_name(name: str, taken: Iterable[str]) -> str:
    """Return the name, with a number if it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}{number}", number + 1
    return free


def _told_apart(group: list[Any]) -> dict[Any, str]:
    """Return the shortest names that tell as many of the group apart as any do."""
    best: dict[Any, str] = {}
    for depth in range(1, 2 + max(len(_path(annotation)) for annotation in group)):
        names = {annotation: _name(annotation, depth) for annotation in group}
        if len({*names.values()}) > len({*best.values()}):
            best = names
        if len({*best.values()}) == len(group):
            break
    return best


def _name(annotation: Any, depth: int) -> str:
    return _odd.sub("_", _written(annotation, depth))


def _written(annotation: Any, depth: int) -> str:
    """Return the last parts of the path, and so of the type arguments, without an end: shop.Page[shop.Item."""
    generic: Any = getattr(annotation, "__pydantic_generic_metadata__", None) or {}
    origin: Any = generic.get("origin") or get_origin(annotation) or annotation
    arguments: tuple[Any, ...] = generic.get("args") or get_args(annotation)
    if origin in {Union, UnionType}:
        return "_or_".join(_written(argument, depth) for argument in arguments)
    written = ".".join(_path(origin)[-depth:])
    return f"{written}[{','.join(_written(argument, depth) for argument in arguments)}" if arguments else written


def _path(annotation: Any) -> list[str]:
    if annotation is NoneType:
        return ["None"]
    name = getattr(annotation, "__qualname__", None) or getattr(annotation, "__name__", None)
    if name is None:
        return [str(annotation)]
    module = str(getattr(annotation, "__module__", ""))
    parts = [] if module in {"builtins", "typing", "types"} else module.split(".")
    return [*parts, *(part for part in str(name).split(".") if part != "<locals>")]
