"""Schemas of models: each engine is asked for its own, and the components of both get names that do not clash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from microasgi.typed import pydanticmodels
from microasgi.typed.componentnames import component_names, free_name
from microasgi.typed.constraints import Constraints
from microasgi.typed.references import reachable, rename
from microasgi.typed.schemas import Schema, Writer, constrained
from microasgi.typed.shapes import Shape, pydantic_part, shape_of, walk

__all__ = ["json_schemas"]


def json_schemas(
    annotations: Sequence[tuple[Any, Constraints]],
    *,
    serialization: bool,
    ref: str = "#/components/schemas/{name}",
    among: Iterable[Any] = (),
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the JSON Schema (2020-12) of each annotation and the components by name.

    `serialization` asks for what is written instead of what is read. `among` has all annotations of the document: a
    model is named so that it is told from the models of these. ConfigurationError for a type without a schema.
    """
    shapes = [shape_of(annotation, "the document") for annotation, _ in annotations]
    names = component_names([*_classes([shape_of(one, "the document") for one in among]), *_classes(shapes)])
    is_foreign = [pydantic_part(shape) is not None for shape in shapes]
    foreign = _classes(shape for shape, yes in zip(shapes, is_foreign, strict=True) if yes)
    asked = [annotation for (annotation, _), yes in zip(annotations, is_foreign, strict=True) if yes]
    given = {one: names[one] for one in foreign}
    answers, components = _ask_pydantic(asked, given, ref, {*names.values()}, serialization=serialization)
    classes = _classes(shape for shape, yes in zip(shapes, is_foreign, strict=True) if not yes)
    writer, own = _written(classes, names, components, ref, serialization=serialization)
    waiting = iter(answers)
    schemas: list[Schema] = []
    for shape, yes, (_, constraints) in zip(shapes, is_foreign, annotations, strict=True):
        schemas.append(constrained(next(waiting) if yes else writer.schema(shape), constraints))
    return schemas, {**components, **own}


def _classes(shapes: Iterable[Shape]) -> dict[Any, Shape]:
    """Return the models and enums, by annotation."""
    nodes = [node for shape in shapes for node in walk(shape)]
    return {node.annotation: node for node in nodes if node.kind in {"model", "enum"}}


def _ask_pydantic(
    asked: Sequence[Any], names: dict[Any, str], ref: str, taken: set[str], *, serialization: bool
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return what pydantic says of the annotations, and its components: those of these classes by these names."""
    if not asked:
        return [], {}
    # The answer for a class alone is a reference, and so its name.
    answers, found = pydanticmodels.json_schemas([*asked, *names], ref, serialization=serialization)
    prefix = ref.partition("{")[0]
    given = {
        str(answer["$ref"]).removeprefix(prefix): name
        for name, answer in zip(names.values(), answers[len(asked) :], strict=True)
        if "$ref" in answer
    }
    for name in found:  # of a class that only pydantic knows of
        given.setdefault(name, free_name(name, taken))
    answers = answers[: len(asked)]
    rename([*answers, *found.values()], given, prefix)
    components = {given[name]: schema for name, schema in found.items()}
    return answers, reachable(answers, components, prefix)


def _written(
    classes: dict[Any, Shape], names: dict[Any, str], taken: dict[str, Schema], ref: str, *, serialization: bool
) -> tuple[Writer, dict[str, Schema]]:
    """Return the writer of what is not pydantic's, and its components.

    A class that pydantic describes as well, and otherwise than it is here, has two.
    """
    own: dict[Any, str] = {**names}
    while True:
        writer = Writer(own, ref, serialization=serialization)
        components = {annotation: writer.component(shape) for annotation, shape in classes.items()}
        clashing = [one for one, schema in components.items() if taken.get(own[one], schema) != schema]
        if not clashing:
            return writer, {own[annotation]: schema for annotation, schema in components.items()}
        for annotation in clashing:
            own[annotation] = free_name(own[annotation], {*taken, *own.values()})
