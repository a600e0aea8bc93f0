"""JSON Schema (2020-12) of what is no pydantic model, by the standard library alone.

The law of this file: a schema says what the reader of this package takes and its writer writes. Classes become
components; a class has one, whether it is read or written, unless the two differ.
"""

from __future__ import annotations

import datetime
import decimal
import inspect
import types
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, get_args

from microasgi.serialization import decode_json, encode_json
from microasgi.typed import msgspecmodels
from microasgi.typed.constraints import Constraints, constraints_from
from microasgi.typed.fields import NO_DEFAULT
from microasgi.typed.shapes import Field, Shape

__all__ = ["Schema", "Writer", "constrained", "title"]

Schema = dict[str, Any]

# How a Decimal is written in a string.
_DECIMAL: Final = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
_SCALARS: Final[dict[Any, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    bytearray: {"type": "string", "contentEncoding": "base64"},
    uuid.UUID: {"type": "string", "format": "uuid"},
    datetime.datetime: {"type": "string", "format": "date-time"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.time: {"type": "string", "format": "time"},
    datetime.timedelta: {"type": "string", "format": "duration"},
    decimal.Decimal: {"type": "string", "format": "decimal", "pattern": _DECIMAL},
}
# msgspec reads a Decimal from a number as well; it is always written as a string.
_READ_DECIMAL: Final[Schema] = {"anyOf": [{"type": "number"}, _SCALARS[decimal.Decimal]]}
_JSON_TYPES: Final[dict[Any, str]] = {str: "string", bool: "boolean", int: "integer", float: "number"}
_SETS: Final = frozenset({"set", "frozenset", "Set", "MutableSet"})
_COUNTED: Final = {"string": "Length", "array": "Items", "object": "Properties"}
_NAMES: Final = tuple(Constraints.__dataclass_fields__)


class Writer:
    """Writes schemas; `names` has the component's name of each model and enum, by its annotation."""

    def __init__(self, names: Mapping[Any, str], ref: str, *, serialization: bool) -> None:
        self._names = names
        self._ref = ref
        self._serialization = serialization

    def schema(self, shape: Shape) -> Schema:
        """Return the schema of a use of the shape: a reference where it has a component."""
        name = self._names.get(shape.annotation) if shape.kind in {"model", "enum"} else None
        bare = self._bare(shape) if name is None else {"$ref": self._ref.format(name=name)}
        return _described(bare, shape.metadata)

    def component(self, shape: Shape) -> Schema:
        """Return the schema of a model or an enum itself."""
        cls = shape.type
        schema: Schema = {"title": title(shape.annotation)}
        text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
        if text and not text.startswith(f"{cls.__name__}("):  # what dataclasses write by themselves
            schema["description"] = text
        if shape.kind == "enum":
            return {**schema, **_choice([member.value for member in cls])}
        tag, as_list = msgspecmodels.struct_layout(cls) if shape.model == "struct" else (None, False)
        if as_list or shape.model == "namedtuple":
            return {**schema, **self._as_array(shape, tag)}
        schema.update(self._as_object(shape, tag))
        return schema

    def _as_object(self, shape: Shape, tag: tuple[str, Any] | None) -> Schema:
        properties: Schema = {} if tag is None else {tag[0]: {"const": tag[1], **_type_of([tag[1]])}}
        required = [*properties]
        for field in shape.fields:
            properties[field.alias] = self._field(field)
            if field.required:
                required.append(field.alias)
        schema: Schema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if shape.model == "struct" and shape.type.__struct_config__.forbid_unknown_fields:
            schema["additionalProperties"] = False
        return schema

    def _as_array(self, shape: Shape, tag: tuple[str, Any] | None) -> Schema:
        items = [] if tag is None else [{"const": tag[1]}]
        items += [self._field(field) for field in shape.fields]
        least = len(items) - sum(not field.required for field in shape.fields)
        schema: Schema = {"type": "array", "prefixItems": items, "minItems": least}
        is_closed = shape.model == "namedtuple" or shape.type.__struct_config__.forbid_unknown_fields
        return {**schema, "maxItems": len(items), "items": False} if is_closed else schema

    def _field(self, field: Field) -> Schema:
        schema = self.schema(field.shape)
        if field.default is NO_DEFAULT:
            return schema
        try:
            return {**schema, "default": decode_json(encode_json(field.default))}
        except (TypeError, ValueError):  # no JSON, as msgspec.UNSET
            return schema

    def _bare(self, shape: Shape) -> Schema:
        if shape.kind == "scalar":
            reads_decimal = shape.type is decimal.Decimal and not self._serialization
            return dict(_READ_DECIMAL if reads_decimal else _SCALARS[shape.type])
        if shape.kind == "literal":
            return _choice(get_args(shape.annotation))
        if shape.kind == "union":
            return self._union(shape)
        if shape.kind == "items":
            schema = {"type": "array", "items": self.schema(shape.parts[0])}
            return {**schema, "uniqueItems": True} if shape.type.__name__ in _SETS else schema
        if shape.kind == "tuple":
            size = len(shape.parts)
            items = [self.schema(part) for part in shape.parts]
            return {"type": "array", "prefixItems": items, "items": False, "minItems": size, "maxItems": size}
        return self._mapping(shape) if shape.kind == "mapping" else {}

    def _mapping(self, shape: Shape) -> Schema:
        key, value = shape.parts
        schema: Schema = {"type": "object"}
        if value.kind != "any":
            schema["additionalProperties"] = self.schema(value)
        if key.type is int:
            schema["propertyNames"] = {"pattern": r"^-?\d+$"}
        elif key.kind != "any" and (key.type is not str or key.metadata):
            schema["propertyNames"] = self.schema(key)
        return schema

    def _union(self, shape: Shape) -> Schema:
        members = [part for part in shape.parts if getattr(part.type, "__name__", "") != "UnsetType"]
        schemas = [self.schema(member) for member in members]
        if len(schemas) == 1:
            return schemas[0]
        schema: Schema = {"anyOf": schemas}
        tags = [_tag_of(member) for member in members if member.type is not types.NoneType]
        if all(tags) and len(tags) > 1:
            mapping = {str(tag[1]): self.schema(m)["$ref"] for tag, m in zip(tags, members, strict=False) if tag}
            schema["discriminator"] = {"propertyName": tags[0][0] if tags[0] else "", "mapping": mapping}
        return schema


def _tag_of(shape: Shape) -> tuple[str, Any] | None:
    return msgspecmodels.struct_layout(shape.type)[0] if shape.model == "struct" else None


def title(annotation: Any) -> str:
    """Return the name of a class with its type arguments, as in Page[Item]."""
    args = get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return " | ".join(map(title, args))
    name = str(getattr(annotation, "__name__", None) or annotation)
    return f"{name}[{', '.join(map(title, args))}]" if args else name


def _choice(values: Iterable[Any]) -> Schema:
    plain = decode_json(encode_json(list(values)))
    return {"enum": plain, **_type_of(plain)}


def _type_of(values: Iterable[Any]) -> Schema:
    kinds = {_JSON_TYPES.get(type(value)) for value in values}
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    return {"type": kind} if kind else {}


def _described(schema: Schema, metadata: tuple[Any, ...]) -> Schema:
    """Return the schema with what the extras of its Annotated say."""
    extra: Schema = {}
    for item in metadata:
        for name in ("title", "description"):
            if isinstance(getattr(item, name, None), str):
                extra[name] = getattr(item, name)
        if isinstance(getattr(item, "documentation", None), str):  # typing_extensions.Doc
            extra["description"] = item.documentation
        examples = getattr(item, "examples", None)
        if examples:
            extra["examples"] = list(examples.values() if isinstance(examples, Mapping) else examples)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        extra.update(getattr(item, "extra_json_schema", None) or {})
        schema = constrained(schema, _constraints_of(item))
    return {**schema, **extra}


def _constraints_of(item: Any) -> Constraints:
    if type(item).__module__.partition(".")[0] == "msgspec":
        return Constraints(**{name: getattr(item, name) for name in _NAMES})
    return constraints_from([item], "")


def constrained(schema: Schema, constraints: Constraints) -> Schema:
    """Return the schema with the keywords of constraints, lengths as those of its own type."""
    if not constraints:
        return schema
    kinds = [schema.get("type"), *(member.get("type") for member in schema.get("anyOf", ()))]
    counted: Any = next((_COUNTED[kind] for kind in kinds if kind in _COUNTED), "Length")
    return {**schema, **constraints.as_schema(counted)}
