"""Parameters: what a handler reads besides the body, as Parameter Objects (OpenAPI 3.1 section 4.8.12).

The law of this file: a parameter is described as it is read. An absent one is absent; there is no null on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, cast, get_args, get_origin

from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.serialization import decode_json, encode_json

if TYPE_CHECKING:
    from microasgi.typed.operation import Parameter

__all__ = ["as_json", "bare", "describe_parameters", "examples_of", "is_shown", "members", "schema_for", "without_none"]


def describe_parameters(subject: Subject, schemas: Schemas) -> list[dict[str, Any]]:
    """Return the parameters of an operation: those of its path in their order, then the others."""
    inside: dict[str, dict[str, Any]] = {}
    others: list[dict[str, Any]] = []
    for parameter in subject.binding.parameters if subject.binding else ():
        if parameter.place != "path":
            if is_shown(parameter):
                others.append(_describe(parameter, parameter.alias, subject, schemas))
            continue
        name = subject.location.name_of(parameter.alias)
        if name is not None:
            inside[name] = _describe(parameter, name, subject, schemas)
    path = [
        inside.get(name) or {"name": name, "in": "path", "required": True, "schema": schema}
        for name, schema in subject.location.parameters.items()
    ]
    return path + others


def is_shown(parameter: Parameter) -> bool:
    """Tell whether a parameter is to be in the document."""
    return parameter.marker.include_in_schema


def _describe(parameter: Parameter, name: str, subject: Subject, schemas: Schemas) -> dict[str, Any]:
    place = parameter.place
    described: dict[str, Any] = {"name": name, "in": place}
    marker = parameter.marker
    if marker.description:
        described["description"] = marker.description
    if place == "path" or parameter.required:
        described["required"] = True
    if marker.deprecated:
        described["deprecated"] = True
    if parameter.text is not None and parameter.text.container is not None and place == "query":
        described |= {"style": "form", "explode": True}
    described["schema"] = schema_for(parameter, subject, schemas)
    return described | examples_of(parameter)


def schema_for(parameter: Parameter, subject: Subject, schemas: Schemas) -> JSONSchema:
    """Return the schema of a parameter, with its title, examples and default."""
    # Only JSON has a null.
    annotation = parameter.annotation if parameter.place == "body" else without_none(parameter.annotation)
    below = subject.location.parameters.get(subject.location.name_of(parameter.alias) or "")
    return schemas.of(
        annotation,
        subject.where,
        parameter.constraints,
        below=below if parameter.place == "path" else None,
        above=_keywords(parameter),
    )


def _keywords(parameter: Parameter) -> dict[str, Any]:
    marker = parameter.marker
    keywords: dict[str, Any] = {}
    if marker.title:
        keywords["title"] = marker.title
    if marker.examples and not isinstance(marker.examples, Mapping):
        keywords["examples"] = [as_json(example) for example in marker.examples]
    default = None if parameter.required else as_json(parameter.default)
    if default is not None:
        keywords["default"] = default
    return keywords


def examples_of(parameter: Parameter) -> dict[str, Any]:
    """Return the named examples of a parameter, as an object with `examples` (OpenAPI 3.1 section 4.8.19)."""
    examples = parameter.marker.examples
    if not isinstance(examples, Mapping) or not examples:
        return {}
    return {"examples": {name: _example(value) for name, value in examples.items()}}


def _example(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping) and {"value", "externalValue"} & cast(Mapping[str, Any], value).keys():
        return cast(dict[str, Any], as_json(value))
    return {"value": as_json(value)}


def as_json(value: Any) -> Any:
    """Return a value as it is in JSON; None where it has no form there."""
    try:
        return decode_json(encode_json(value))
    except (TypeError, ValueError):
        return None


def bare(annotation: Any) -> Any:
    """Return a type without metadata, and what the name of an alias stands for."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):  # a NewType
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # type X = ...
            annotation = annotation.__value__
        else:
            return annotation


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the annotation alone."""
    union = bare(annotation)
    if get_origin(union) in {Union, UnionType}:
        return get_args(union)
    return (NoneType,) if annotation is None else (annotation,)


def without_none(annotation: Any) -> Any:
    """Return an annotation without its None."""
    kinds = members(annotation)
    left = [kind for kind in kinds if kind is not NoneType]
    if len(left) == len(kinds) or not left:
        return annotation
    return Union[tuple(left)]  # noqa: UP007
