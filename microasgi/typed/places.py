"""Places: the nodes of a shape that a JSON pointer leads to, to say what would have been right there."""

from __future__ import annotations

from typing import Any, Final, get_args

from microasgi.typed import msgspecmodels
from microasgi.typed.shapes import Shape

__all__ = ["choices_at"]

_MOST: Final = 20


def choices_at(shape: Shape, pointer: str) -> str:
    """Return "has to be one of ..." for the enums and literals at the pointer; "" where there is none."""
    nodes = _members([shape])
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    for step in steps[:-1]:
        nodes = _members(_below(nodes, step))
    tags = _tags(nodes, steps[-1]) if steps else []
    found = tags or [
        value for node in (_members(_below(nodes, steps[-1])) if steps else nodes) for value in _values(node)
    ]
    if len(found) < 2:
        return f"has to be {found[0]!r}" if found else ""
    rest = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
    return f"has to be one of {', '.join(map(repr, found[:_MOST]))}{rest}"


def _members(nodes: list[Shape]) -> list[Shape]:
    """Return the nodes with the members of unions in their place."""
    flat: list[Shape] = []
    for node in nodes:
        flat += _members([*node.parts]) if node.kind == "union" else [node]
    return flat


def _below(nodes: list[Shape], step: str) -> list[Shape]:
    found: list[Shape] = []
    for node in nodes:
        if node.kind == "items":
            found += node.parts
        elif node.kind == "tuple":
            found += node.parts[int(step) : int(step) + 1] if step.isdecimal() else ()
        found += [field.shape for field in node.fields if field.alias == step]
    return found


def _tags(nodes: list[Shape], step: str) -> list[Any]:
    layouts = [msgspecmodels.struct_layout(node.type)[0] for node in nodes if node.model == "struct"]
    return [tag[1] for tag in layouts if tag is not None and tag[0] == step]


def _values(node: Shape) -> list[Any]:
    if node.kind == "literal":
        return list(get_args(node.annotation))
    return [member.value for member in node.type] if node.kind == "enum" else []
