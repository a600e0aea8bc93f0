"""Parameter models: a class whose fields are query parameters, headers, cookies or fields of a form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from microasgi.exceptions import ConfigurationError
from microasgi.typed import pydanticmodels
from microasgi.typed.faults import Faulty
from microasgi.typed.pointers import step
from microasgi.typed.shapes import Shape, shape_of

__all__ = ["ModelField", "TextModel", "text_model"]


@dataclass(frozen=True, slots=True)
class ModelField:
    """One field: its attribute, its name on the wire, its annotation with all extras, whether it has to be given.

    `default` is NO_DEFAULT too where a function makes it, which only the model calls.
    """

    name: str
    alias: str
    annotation: Any
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class TextModel:
    """A model made of parameters. `build` takes values by field name and raises Faulty with pointers "/name".

    `raw`: values are the texts (or lists of texts, or files) as they came and the model converts them; else they are
    converted already. Absent ones are left out, so that the model's own defaults apply.
    """

    fields: tuple[ModelField, ...]
    raw: bool
    build: Callable[[dict[str, Any]], Any]
    closed: bool = False
    """Whether the model allows no names but those of its fields."""


def text_model(annotation: Any, where: str) -> TextModel:
    """Return how to make a model of parameters; ConfigurationError for what is no single model class."""
    shape = shape_of(annotation, where)
    if shape.kind != "model":
        raise ConfigurationError(
            f"{where}: {annotation!r} is no model of parameters: write a dataclass, TypedDict, msgspec.Struct, attrs "
            "or pydantic class, one, with scalars and lists of scalars as its fields"
        )
    taken = [field for field in shape.fields if field.keyword is not None]
    nameless = next((field.name for field in taken if not field.alias), None)
    if nameless is not None:
        raise ConfigurationError(f"{where}: {shape.annotation!r}.{nameless} has an AliasPath: a parameter has one name")
    fields = tuple(ModelField(one.name, one.alias, one.annotation, one.required, one.default) for one in taken)
    if shape.model == "pydantic":
        return TextModel(fields, raw=True, build=_pydantic_builder(shape, fields, where), closed=_is_closed(shape.type))
    if shape.model == "typeddict":
        return TextModel(fields, raw=False, build=dict)
    return TextModel(fields, raw=False, build=_builder(shape), closed=_is_closed(shape.type))


def _is_closed(cls: Any) -> bool:
    config: Any = getattr(cls, "model_config", {})  # pydantic's
    own: Any = getattr(cls, "__struct_config__", None)  # msgspec's
    return config.get("extra") == "forbid" or bool(getattr(own, "forbid_unknown_fields", False))


def _builder(shape: Shape) -> Callable[[dict[str, Any]], Any]:
    cls = shape.type
    keywords = {field.name: field.keyword or field.name for field in shape.fields}
    renamed = {name: keyword for name, keyword in keywords.items() if name != keyword}

    def build(values: dict[str, Any]) -> Any:
        try:
            if renamed:
                return cls(**{keywords[name]: value for name, value in values.items()})
            return cls(**values)
        except ValueError as error:  # of its __post_init__ or its validators
            raise Faulty(str(error)) from None

    return build


def _pydantic_builder(shape: Shape, fields: tuple[ModelField, ...], where: str) -> Callable[[dict[str, Any]], Any]:
    convert = pydanticmodels.text_converter(shape.annotation, where)
    aliases = {field.name: field.alias for field in fields}
    names = {step(field.alias): step(field.name) for field in fields}

    def build(values: dict[str, Any]) -> Any:
        try:
            return convert({aliases[name]: value for name, value in values.items()})
        except Faulty as error:
            raise Faulty(*((_renamed(pointer, names), reason) for pointer, reason in error.parts)) from None

    return build


def _renamed(pointer: str, names: dict[str, str]) -> str:
    _, _, rest = pointer.partition("/")
    alias, slash, inner = rest.partition("/")
    return names.get(f"/{alias}", f"/{alias}" if alias else "") + slash + inner
