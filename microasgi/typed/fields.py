"""Fields: what a model class says of its own, whichever package has made it. Types are not looked at here."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args, get_origin, get_type_hints

from microasgi.typed import msgspecmodels

__all__ = ["NO_DEFAULT", "ModelKind", "Row", "field_rows"]

ModelKind: TypeAlias = Literal["dataclass", "typeddict", "namedtuple", "struct", "attrs", "pydantic"]

NO_DEFAULT: Final[Any] = object()


class Row(NamedTuple):
    """A field: its attribute, its name in JSON, whether it has to be given, and as what the class takes it.

    `keyword` is None for a field that the class does not take. `default` is NO_DEFAULT where there is none, or where
    it is made by a function that is not a plain container.
    """

    name: str
    alias: str
    required: bool
    keyword: str | None
    default: Any


def field_rows(cls: Any, kind: ModelKind) -> Iterator[Row]:
    """Yield the fields in their order."""
    return _READERS[kind](cls)


def _made(factory: Any) -> Any:
    made: Any = [] if factory in (list, set) else {} if factory is dict else NO_DEFAULT  # as JSON has it
    return made


def _dataclass_rows(cls: Any) -> Iterator[Row]:
    taken = _required(cls)
    for field in dataclasses.fields(cls):
        default = _made(field.default_factory) if field.default is dataclasses.MISSING else field.default
        keyword = field.name if field.init else None
        yield Row(field.name, field.name, taken.get(field.name, False), keyword, default)


def _required(cls: Any) -> dict[str, bool]:
    """Return the names that the class takes, and whether it needs them."""
    parameters = inspect.signature(cls).parameters.values()
    return {parameter.name: parameter.default is parameter.empty for parameter in parameters}


def _attrs_rows(cls: Any) -> Iterator[Row]:
    taken = _required(cls)
    for field in cls.__attrs_attrs__:
        required = taken.get(field.alias, False)
        factory = getattr(field.default, "factory", None)
        default = NO_DEFAULT if required else field.default if factory is None else _made(factory)
        yield Row(field.name, field.name, required, field.alias if field.init else None, default)


def _struct_rows(cls: Any) -> Iterator[Row]:
    for name, alias, required, default, factory in msgspecmodels.struct_fields(cls):
        is_given = not required and factory is None
        yield Row(name, alias, required, name, default if is_given else _made(factory))


def _typeddict_rows(cls: Any) -> Iterator[Row]:
    for name, annotation in get_type_hints(cls, include_extras=True).items():
        # __required_keys__ is blind to NotRequired where annotations are texts.
        said = {_qualifier(annotation), _qualifier(get_args(annotation)[0] if get_args(annotation) else None)}
        required = "Required" in said or (name in cls.__required_keys__ and "NotRequired" not in said)
        yield Row(name, name, required, name, NO_DEFAULT)


def _qualifier(annotation: Any) -> str | None:
    return getattr(get_origin(annotation), "_name", None)


def _namedtuple_rows(cls: Any) -> Iterator[Row]:
    defaults = cls._field_defaults
    for name in cls._fields:
        yield Row(name, name, name not in defaults, name, defaults.get(name, NO_DEFAULT))


def _pydantic_rows(cls: Any) -> Iterator[Row]:
    for name, field in cls.__pydantic_fields__.items():
        yield Row(name, _pydantic_alias(name, field), field.is_required(), name, _pydantic_default(field))


def _pydantic_default(field: Any) -> Any:
    is_given = not field.is_required() and field.default_factory is None
    return field.default if is_given else NO_DEFAULT


def _pydantic_alias(name: str, field: Any) -> str:
    """Return the name in JSON, of several the first; "" where it is a path into the value and no name."""
    alias = field.validation_alias or field.alias or name
    choices: Any = getattr(alias, "choices", (alias,))
    return next((choice for choice in choices if isinstance(choice, str)), "")


_READERS: Final[dict[str, Callable[[Any], Iterator[Row]]]] = {
    "dataclass": _dataclass_rows,
    "attrs": _attrs_rows,
    "struct": _struct_rows,
    "typeddict": _typeddict_rows,
    "namedtuple": _namedtuple_rows,
    "pydantic": _pydantic_rows,
}
