"""Parameters: what a handler reads besides the body, as Parameter Objects (OpenAPI 3.1 section 4.8.12).

The law of this file: a parameter is described as it is read. An absent one is absent; there is no null on the wire.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin

from microasgi.exceptions import ConfigurationError
from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.openapi.optins import opted_keywords, opted_parameters
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.constraints import checker
from microasgi.typed.parameters import Parameter
from microasgi.typed.signature import EMPTY

__all__ = [
    "as_json",
    "as_text",
    "bare",
    "describe_parameters",
    "examples_of",
    "is_repeated",
    "is_shown",
    "members",
    "schema_for",
    "union_of",
    "without_none",
]

# In JSON a Decimal is a text, for numbers lose digits there; a timedelta is read from seconds too.
_TEXTS: Final[dict[Any, Any]] = {Decimal: float, timedelta: timedelta | float}
_CONTAINERS: Final = frozenset({list, set, frozenset, tuple, Sequence, Collection, Iterable})


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
    given = {(one["in"], one["name"].lower()) for one in others}
    opted = [one for one in opted_parameters(subject) if (one["in"], one["name"]) not in given]
    return path + others + opted


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
    if place == "query" and is_repeated(parameter.annotation):
        described |= {"style": "form", "explode": True}
    described["schema"] = schema_for(parameter, subject, schemas)
    return described | examples_of(parameter)


def schema_for(parameter: Parameter, subject: Subject, schemas: Schemas) -> JSONSchema:
    """Return the schema of a parameter, with its title, examples and default."""
    annotation, below = parameter.annotation, None
    if parameter.place != "body":
        annotation = as_text(annotation)
    if parameter.place == "path":
        below = subject.location.parameters.get(subject.location.name_of(parameter.alias) or "")
    elif parameter.required and parameter.place != "body" and is_repeated(annotation):
        below = {"type": "array", "minItems": 1}  # an empty list is not there at all
    return schemas.of(annotation, subject.where, parameter.constraints, below=below, above=_keywords(parameter))


def _keywords(parameter: Parameter) -> dict[str, Any]:
    marker = parameter.marker
    keywords = opted_keywords(parameter)
    if marker.title:
        keywords["title"] = marker.title
    if marker.examples and not isinstance(marker.examples, Mapping):
        keywords["examples"] = [*marker.examples]
    default = as_json(_as_number(parameter.default, parameter.place)) if _is_shown_default(parameter) else None
    if default is not None:
        keywords["default"] = default
    return keywords


def _as_number(value: Any, place: str) -> Any:
    """Return Decimals as the numbers that `as_text` makes of them."""
    if place == "body":
        return value
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == int(value) else float(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_as_number(item, place) for item in cast("Iterable[Any]", value)]
    return value


def _is_shown_default(parameter: Parameter) -> bool:
    """Tell whether a default is one that a client could send: it may be outside of the constraints, as nothing is."""
    default: Any = parameter.default
    if parameter.required or default is EMPTY:  # of a field of a model, a function may make it
        return False
    kind = cast(Any, type(default))
    if isinstance(default, Collection) and not isinstance(default, str):
        kind = "length"
    try:
        check = checker(kind, parameter.constraints, "")
        return check is None or check(default) is None
    except (ConfigurationError, TypeError, ValueError):
        return False


def examples_of(parameter: Parameter) -> dict[str, Any]:
    """Return the named examples of a parameter, as an object with `examples` (OpenAPI 3.1 section 4.8.19)."""
    examples = parameter.marker.examples
    if not isinstance(examples, Mapping) or not examples:
        return {}
    return {"examples": {name: _example(value) for name, value in examples.items()}}


def _example(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping) and {"value", "externalValue"} & cast(Mapping[str, Any], value).keys():
        return {**cast(Mapping[str, Any], value)}
    return {"value": value}


def is_repeated(annotation: Any) -> bool:
    """Tell whether this takes several texts, or files: a list or the like, or an optional one."""
    return any(get_origin(bare(kind)) in _CONTAINERS or bare(kind) in _CONTAINERS for kind in members(annotation))


def as_json(value: Any) -> Any:
    """Return a value as it is in JSON; None where it has no form there, or is None."""
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


def as_text(annotation: Any) -> Any:
    """Return what describes an annotation that is read from text: no null, numbers as they look, sets as lists."""
    return _as_text(without_none(annotation))


def _as_text(annotation: Any) -> Any:
    if isinstance(annotation, type) and annotation in _TEXTS:
        return _TEXTS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return Annotated[(_as_text(arguments[0]), *arguments[1:])]
    if origin in {Union, UnionType}:
        return union_of([_as_text(argument) for argument in arguments])
    if origin in _CONTAINERS:
        # A text may come twice, though it is in a set once.
        kind: Any = list if origin in {set, frozenset} else origin
        return kind[tuple(map(_as_text, arguments))]
    return annotation


def without_none(annotation: Any) -> Any:
    """Return an annotation without its None."""
    kinds = members(annotation)
    left = [kind for kind in kinds if kind is not NoneType] or [NoneType]
    return annotation if len(left) == len(kinds) else union_of(left)


def union_of(kinds: Sequence[Any]) -> Any:
    """Return the union of types; of one, the type itself."""
    return kinds[0] if len(kinds) == 1 else Union[tuple(kinds)]  # noqa: UP007  (made of a list)
