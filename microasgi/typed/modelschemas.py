"""Schemas of models: each engine is asked for its own, and the components of both get names that do not clash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from microasgi.typed import pydanticmodels
from microasgi.typed.constraints import Constraints
from microasgi.typed.schemas import Schema, Writer, constrained, title
from microasgi.typed.shapes import Shape, pydantic_part, shape_of, walk

__all__ = ["json_schemas"]

# What the name of a component may be made of (OpenAPI 3.1 section 4.8.7.1).
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def json_schemas(
    annotations: Sequence[tuple[Any, Constraints]],
    *,
    serialization: bool,
    ref: str = "#/components/schemas/{name}",
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the JSON Schema (2020-12) of each annotation and the components by name.

    `serialization` asks for what is written instead of what is read. ConfigurationError for a type without a schema.
    """
    shapes = [shape_of(annotation, "the document") for annotation, _ in annotations]
    foreign = [pydantic_part(shape) is not None for shape in shapes]
    asked = [annotation for (annotation, _), is_foreign in zip(annotations, foreign, strict=True) if is_foreign]
    answers, components = pydanticmodels.json_schemas(asked, ref, serialization=serialization) if asked else ([], {})
    own = [shape for shape, is_foreign in zip(shapes, foreign, strict=True) if not is_foreign]
    classes = _classes(own)
    names = _names(classes, components, serialization=serialization)
    writer = Writer(names, ref, serialization=serialization)
    components.update({names[annotation]: writer.component(shape) for annotation, shape in classes.items()})
    waiting = iter(answers)
    schemas: list[Schema] = []
    for shape, is_foreign, (_, constraints) in zip(shapes, foreign, annotations, strict=True):
        schemas.append(constrained(next(waiting) if is_foreign else writer.schema(shape), constraints))
    return schemas, components


def _classes(shapes: list[Shape]) -> dict[Any, Shape]:
    """Return the models and enums, by annotation."""
    nodes = [node for shape in shapes for node in walk(shape)]
    return {node.annotation: node for node in nodes if node.kind in {"model", "enum"}}


def _names(classes: dict[Any, Shape], taken: dict[str, Schema], *, serialization: bool) -> dict[Any, str]:
    """Return a name for each class: its own, with its module where that is not clear, and a number if it must be."""
    short = {annotation: _NOT_IN_NAMES.sub("_", title(annotation)) for annotation in classes}
    bare = Writer({}, "", serialization=serialization)
    names: dict[Any, str] = {}
    given: set[str] = set()
    for annotation, name in short.items():
        shape = classes[annotation]
        # An enum is the same for every engine.
        shared = shape.kind == "enum" and taken.get(name) == bare.component(shape)
        if not shared and (name in taken or list(short.values()).count(name) > 1):
            name = _NOT_IN_NAMES.sub("_", f"{shape.type.__module__}.{name}")
        number = 2
        unique = name
        while unique in given or (unique in taken and not shared):
            unique, number = f"{name}{number}", number + 1
        given.add(unique)
        names[annotation] = unique
    return names
