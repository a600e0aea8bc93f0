"""Shapes: what a type annotation is made of, whichever package its classes come from.

Names are resolved and type variables filled here, once, at registration; engines, checks, projections and schemas
walk the shape and never the annotation. A recursive class has one shape, which holds itself.
"""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import types
import typing
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from microasgi.exceptions import ConfigurationError
from microasgi.typed.fields import ModelKind, field_rows

__all__ = ["Field", "Shape", "model_kind", "pydantic_part", "shape_of", "unwrapped", "walk"]

_SCALARS: Final[frozenset[Any]] = frozenset(
    {str, int, float, bool, bytes, bytearray, types.NoneType, uuid.UUID, decimal.Decimal}
    | {datetime.datetime, datetime.date, datetime.time, datetime.timedelta}
)
_ITEMS: Final[frozenset[Any]] = frozenset(
    {list, set, frozenset, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection}
    | {collections.abc.Set, collections.abc.MutableSet, collections.abc.Iterable}
)
_MAPPINGS: Final[frozenset[Any]] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
# NotRequired, Required, ReadOnly, Final, ClassVar: what stands around a field's type and says nothing about its values.
_QUALIFIERS: Final = {"NotRequired", "Required", "ReadOnly", "Final", "ClassVar", "InitVar"}


@dataclass(slots=True, eq=False)
class Shape:
    """One node. `annotation` is without Annotated, whose extras are `metadata`.

    `kind`: "any", "scalar", "literal", "enum", "items" (parts: the element), "tuple" (parts: each), "mapping" (parts:
    key, value), "union" (parts: members), "model" (fields) or "other": a class that is none of these.
    """

    annotation: Any
    kind: str
    metadata: tuple[Any, ...] = ()
    parts: tuple[Shape, ...] = ()
    model: ModelKind | None = None
    fields: list[Field] = dataclasses.field(default_factory=lambda: list[Field]())  # shared, for it is filled late

    @property
    def type(self) -> Any:
        """The class without its type arguments."""
        return get_origin(self.annotation) or self.annotation


@dataclass(slots=True, eq=False)
class Field:
    """One field of a model: a row of it with the annotation, extras kept, and the shape."""

    name: str
    alias: str
    required: bool
    keyword: str | None
    default: Any
    annotation: Any
    shape: Shape


def unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return the type behind Annotated, NewType, type aliases and qualifiers, and the extras on the way to it."""
    metadata: tuple[Any, ...] = ()
    while True:
        if get_origin(annotation) is Annotated:
            metadata = (*annotation.__metadata__, *metadata)
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif _is_alias(annotation):
            annotation = annotation.__value__
        elif _is_alias(get_origin(annotation)):
            alias: Any = get_origin(annotation)
            annotation = alias.__value__[get_args(annotation)]
        elif getattr(get_origin(annotation), "_name", None) in _QUALIFIERS:
            annotation = get_args(annotation)[0]
        else:
            return annotation, metadata


def is_pydantic(thing: Any) -> bool:
    """Tell whether a class, or an extra of Annotated, means something to pydantic alone."""
    if hasattr(thing, "__get_pydantic_core_schema__") or hasattr(thing, "__pydantic_validator__"):
        return True
    kind = cast(Any, thing if isinstance(thing, type) else type(thing))
    return str(kind.__module__).partition(".")[0] == "pydantic"


def model_kind(annotation: Any) -> ModelKind | None:
    """Return which kind of model class this is, or None. Extras, aliases and type arguments are looked through."""
    annotation = unwrapped(annotation)[0]
    cls: Any = get_origin(annotation) or annotation
    if not _is_class(cls):
        return None
    if hasattr(cls, "__pydantic_fields__"):
        return "pydantic"
    if hasattr(cls, "__struct_fields__"):
        return "struct"
    if hasattr(cls, "__attrs_attrs__"):
        return "attrs"
    if dataclasses.is_dataclass(cls):
        return "dataclass"
    if type(cls).__name__ == "_TypedDictMeta":  # of typing or of typing_extensions
        return "typeddict"
    return "namedtuple" if hasattr(cls, "_fields") and issubclass(cls, tuple) else None


def _is_class(thing: Any) -> bool:
    return isinstance(thing, type)


def shape_of(annotation: Any, where: str) -> Shape:
    """Return the shape of an annotation; ConfigurationError where a name in it cannot be resolved."""
    try:
        shape = _shape(annotation, {})
    except (NameError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"{where}: the annotation {annotation!r} cannot be read: {error}. Define its classes at the top of a module"
        ) from error
    nodes = [*walk(shape)]
    endless = next((node for node in nodes if _is_alias(node.annotation)), None)
    if endless is not None and any(node.model or node.metadata for node in nodes):
        raise ConfigurationError(f"{where}: the alias {endless.annotation!r} holds itself and models: make it a class")
    return shape


def _is_alias(annotation: Any) -> bool:
    return type(annotation).__name__ == "TypeAliasType"


def _shape(annotation: Any, known: dict[Any, Shape]) -> Shape:
    if not _is_alias(annotation):
        return _node(annotation, known)
    if annotation in known:
        return known[annotation]
    known[annotation] = Shape(annotation, "any")  # where the alias holds itself, as that of any JSON does
    shape = _node(annotation, known)
    del known[annotation]
    return shape


def _node(annotation: Any, known: dict[Any, Shape]) -> Shape:
    inner, metadata = unwrapped(annotation)
    if isinstance(inner, TypeVar):
        inner = inner.__bound__ or Any
    if inner is None:
        inner = types.NoneType
    origin = get_origin(inner) or inner
    args = get_args(inner)
    if origin in (typing.Union, types.UnionType):
        return Shape(inner, "union", metadata, tuple(_shape(arg, known) for arg in args))
    if origin is tuple and args and args[-1] is not Ellipsis:
        return Shape(inner, "tuple", metadata, tuple(_shape(arg, known) for arg in args if arg != ()))
    if origin in _ITEMS or origin is tuple:
        return Shape(inner, "items", metadata, (_shape(args[0] if args else Any, known),))
    if origin in _MAPPINGS:
        return Shape(inner, "mapping", metadata, tuple(_shape(arg, known) for arg in args or (Any, Any)))
    kind = model_kind(inner)
    if kind is None:
        return Shape(inner, _leaf_kind(origin), metadata)
    if inner not in known:
        known[inner] = Shape(inner, "model", model=kind)
        known[inner].fields.extend(_fields(origin, args, kind, known))
    shape = known[inner]
    return dataclasses.replace(shape, metadata=metadata) if metadata else shape


def _leaf_kind(cls: Any) -> str:
    if cls is Any or cls is object:
        return "any"
    if cls is Literal:
        return "literal"
    if not isinstance(cls, type):
        return "other"
    if issubclass(cls, enum.Enum):
        return "enum"
    return "scalar" if cls in _SCALARS else "other"


def _fields(cls: Any, args: tuple[Any, ...], kind: ModelKind, known: dict[Any, Shape]) -> Iterator[Field]:
    hints = _hints(cls, args, kind)
    for row in field_rows(cls, kind):
        annotation = hints.get(row.name, Any)
        yield Field(*row, annotation, _shape(annotation, known))


def _hints(cls: Any, args: tuple[Any, ...], kind: ModelKind) -> dict[str, Any]:
    """Return the annotations of all fields, their names resolved and the type variables of each base filled."""
    if kind == "pydantic" and hasattr(cls, "model_fields"):
        fields = cls.model_fields
        return {name: _annotated(field.annotation, tuple(field.metadata)) for name, field in fields.items()}
    hints: dict[str, Any] = {}
    for base, filled in reversed(list(_lineage(cls, args))):
        own = get_type_hints(base, localns={cls.__name__: cls}, include_extras=True)
        names = own if kind == "typeddict" else inspect.get_annotations(base)
        hints.update({name: _filled(own[name], filled) for name in names if name in own})
    return hints


def _annotated(annotation: Any, metadata: tuple[Any, ...]) -> Any:
    return Annotated[annotation, *metadata] if metadata else annotation


def _lineage(cls: Any, args: tuple[Any, ...]) -> Iterator[tuple[Any, dict[Any, Any]]]:
    """Yield each class of the MRO with what stands for its type variables."""
    arguments: dict[Any, tuple[Any, ...]] = {cls: args}
    for base in cls.__mro__ if cls.__mro__[-2:] != (dict, object) else (cls,):
        if base in (object, typing.Generic):
            continue
        parameters = getattr(base, "__parameters__", ()) or getattr(base, "__type_params__", ())
        filled = dict(zip(parameters, arguments.get(base, ()), strict=False))
        for parent in base.__dict__.get("__orig_bases__", ()):
            arguments[get_origin(parent)] = tuple(_filled(arg, filled) for arg in get_args(parent))
        yield base, filled


def _filled(annotation: Any, filled: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return filled.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not filled or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(filled.get(parameter, parameter) for parameter in parameters)]


def pydantic_part(shape: Shape) -> Shape | None:
    """Return the first node that only pydantic reads, if there is one."""
    return next((node for node in walk(shape) if any(map(is_pydantic, (node.type, *node.metadata)))), None)


def walk(shape: Shape) -> Iterator[Shape]:
    """Yield every node once, the shape itself first."""
    seen: set[int] = set()
    waiting = [shape]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        waiting += [*node.parts, *(field.shape for field in node.fields)]
