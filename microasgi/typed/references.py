"""References: where schemas refer to their components, to follow them or to give components other names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

__all__ = ["names_in", "reachable", "rename"]

# Keywords that hold schemas by names that are the user's, and keywords that hold values.
_BY_NAME: Final = frozenset({"$defs", "dependentSchemas", "patternProperties", "properties"})
_VALUES: Final = frozenset({"const", "default", "enum", "example", "examples"})


def names_in(schema: object, prefix: str) -> set[str]:
    """Return the components that a schema refers to; a reference is the prefix and a name."""
    return {name for _, _, name in _references(schema, prefix)}


def rename(schemas: Iterable[Any], names: Mapping[str, str], prefix: str) -> None:
    """Let schemas refer to components by other names."""
    for schema in schemas:
        for holder, key, name in _references(schema, prefix):
            if name in names:
                holder[key] = prefix + names[name]


def reachable(schemas: Iterable[object], components: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the components that the schemas refer to, and those that these refer to."""
    found: dict[str, Any] = {}
    waiting = [*schemas]
    while waiting:
        new = [name for name in names_in(waiting.pop(), prefix) if name in components and name not in found]
        found.update({name: components[name] for name in new})
        waiting += [components[name] for name in new]
    return {name: schema for name, schema in components.items() if name in found}


def _references(value: object, prefix: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield where a component is referred to: the dict, its key, and the component's name."""
    if isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _references(item, prefix)
    if not isinstance(value, dict):
        return
    holder = cast(dict[str, Any], value)
    for key, item in [*holder.items()]:
        if key in _BY_NAME and isinstance(item, dict):
            yield from _references([*cast(dict[str, Any], item).values()], prefix)
        elif key == "discriminator" and isinstance(item, dict):
            yield from _mapped(cast(dict[str, Any], item).get("mapping"), prefix)
        elif key == "$ref" and isinstance(item, str) and item.startswith(prefix):
            yield holder, key, item.removeprefix(prefix)
        elif key not in _VALUES:
            yield from _references(item, prefix)


def _mapped(mapping: object, prefix: str) -> Iterator[tuple[dict[str, Any], str, str]]:
    """Yield the references of a discriminator (OpenAPI 3.1 section 4.8.25)."""
    if isinstance(mapping, dict):
        holder = cast(dict[str, Any], mapping)
        for key, item in [*holder.items()]:
            if isinstance(item, str) and item.startswith(prefix):
                yield holder, key, item.removeprefix(prefix)
