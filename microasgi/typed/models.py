"""Models: which engine reads a type from JSON, and parameter models.

The law of this file: pydantic anywhere inside an annotation makes pydantic read all of it; else msgspec does. JSON is
strict, `"1"` is no integer; texts of parameters are lenient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from microasgi.exceptions import ConfigurationError
from microasgi.typed import msgspecmodels, pydanticmodels
from microasgi.typed.checks import Engine, foreign_check
from microasgi.typed.constraints import Constraints
from microasgi.typed.faults import Faulty
from microasgi.typed.modelschemas import json_schemas
from microasgi.typed.places import choices_at
from microasgi.typed.shapes import Shape, model_kind, pydantic_part, shape_of, unwrapped, walk
from microasgi.typed.strictjson import decode_strictly
from microasgi.typed.textmodels import ModelField, TextModel, text_model

__all__ = [
    "ModelField",
    "TextModel",
    "engine_of",
    "is_model",
    "json_converter",
    "json_decoder",
    "json_schemas",
    "text_model",
]

# What json itself makes, with the words for it.
_PLAIN: Final[dict[Any, str]] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


def is_model(annotation: Any) -> bool:
    """Tell whether it is a dataclass, TypedDict, NamedTuple, Struct, attrs or pydantic class, or a union of these.

    Generic ones with their arguments, aliases and `Model | None` count.
    """
    inner = unwrapped(annotation)[0]
    if model_kind(inner) is not None:
        return True
    shape = _shape_or_none(inner)
    if shape is None or shape.kind != "union":
        return False
    members = [member for member in shape.parts if member.type is not type(None)]
    return bool(members) and all(member.kind == "model" for member in members)


def _shape_or_none(annotation: Any) -> Shape | None:
    try:
        return shape_of(annotation, "")
    except ConfigurationError:
        return None


def engine_of(shape: Shape, where: str) -> Engine:
    """Return which engine reads the shape; ConfigurationError for a class that neither does."""
    nodes = list(walk(shape))
    foreign = pydantic_part(shape)
    if foreign is None:
        for node in nodes:
            if node.kind == "other" and not _is_msgspecs(node.type):
                raise ConfigurationError(_unreadable(node, where))
        return "msgspec"
    for node in nodes:
        if node.model in {"struct", "attrs"}:
            raise ConfigurationError(
                f"{where}: {shape.annotation!r} has {node.annotation!r} beside pydantic's {foreign.annotation!r}, and "
                "pydantic does not read it: use a dataclass or a pydantic model in its place"
            )
    return "pydantic"


def _is_msgspecs(cls: Any) -> bool:
    return str(getattr(cls, "__module__", "")).partition(".")[0] == "msgspec"


def _unreadable(shape: Shape, where: str) -> str:
    name = getattr(shape.type, "__qualname__", None) or repr(shape.annotation)
    return (
        f"{where}: {name} cannot be made of JSON. What can: dataclass, TypedDict, NamedTuple, msgspec.Struct, attrs "
        "and pydantic models, list, dict, set, tuple, str, int, float, bool, bytes, Decimal, UUID, dates and times, "
        "enums, Literal. A value that the client does not send comes from Depends()"
    )


def json_decoder(annotation: Any, constraints: Constraints, where: str) -> Callable[[bytes], Any]:
    """Return the function from the bytes of a body to the value.

    It raises InvalidJSON (400) for what is no JSON and Faulty with JSON pointers for what does not fit: every fault
    with pydantic, the first with msgspec. ConfigurationError for types that no engine reads.
    """
    shape = shape_of(annotation, where)
    plain = _plain_reader(shape)
    if plain is None:
        engine = engine_of(shape, where)
        check = foreign_check(shape, constraints, engine, where)
        if engine == "msgspec":
            return _after(msgspecmodels.json_decoder(annotation, partial(choices_at, shape), where), check)
        return _after(pydanticmodels.json_decoder(annotation, where, numbers=_takes_any_number(shape)), check)
    check = foreign_check(shape, constraints, "msgspec", where)
    if shape.kind == "any" and check is None:
        return decode_strictly
    return _after(lambda data: plain(decode_strictly(data)), check)


def json_converter(annotation: Any, constraints: Constraints, where: str) -> Callable[[Any], Any]:
    """Return the same function for a value that `decode_json` has decoded; it raises Faulty."""
    shape = shape_of(annotation, where)
    plain = _plain_reader(shape)
    engine: Engine = "msgspec"
    if plain is None:
        engine = engine_of(shape, where)
        if engine == "pydantic":
            plain = pydanticmodels.json_converter(annotation, where)
        else:
            plain = msgspecmodels.json_converter(annotation, partial(choices_at, shape), where)
    return _after(plain, foreign_check(shape, constraints, engine, where))


def _takes_any_number(shape: Shape) -> bool:
    return any(node.type is float or node.kind in {"any", "other"} for node in walk(shape))


def _after(read: Callable[[Any], Any], check: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    return read if check is None else lambda value: check(read(value))


def _plain_reader(shape: Shape) -> Callable[[Any], Any] | None:
    """Return the reader of what needs no engine: Any, dict, list, str, int, float, bool and unions of them."""
    if shape.kind == "any":
        return lambda value: value
    members = shape.parts if shape.kind == "union" else (shape,)
    kinds = {member.type for member in members}
    if not kinds <= _PLAIN.keys() or not all(_is_bare(member) for member in members):
        return None
    *first, last = [words for kind, words in _PLAIN.items() if kind in kinds]
    reason = f"has to be {', '.join(first)} or {last}" if first else f"has to be {last}"
    is_float = float in kinds and int not in kinds

    def read(value: Any) -> Any:
        kind: Any = value.__class__
        if kind in kinds:
            return value
        if is_float and kind is int:
            return _float(value)
        raise Faulty(reason)

    return read


def _is_bare(shape: Shape) -> bool:
    if shape.metadata or any(part.metadata for part in shape.parts):
        return False
    if shape.kind == "mapping":
        return shape.parts[0].type in {str, Any} and shape.parts[1].kind == "any"
    return shape.kind == "scalar" or shape.parts[0].kind == "any"


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise Faulty("is too large a number") from None
