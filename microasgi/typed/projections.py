"""Projections: what an answer shows, which is what its annotation says and nothing else.

The law of this file: a value of exactly the annotated class is left as it is, at the price of one comparison; of
anything else, such as an instance of a subclass, the annotated fields are taken. Nothing is validated or converted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any, Final, TypeAlias

from microasgi.typed import msgspecmodels
from microasgi.typed.shapes import Shape, walk

__all__ = ["Cut", "is_leaf_model", "projection"]

Cut: TypeAlias = Callable[[Any], Any]
Row: TypeAlias = tuple[str, str, Cut | None]

_SEQUENCES: Final = (list, tuple, set, frozenset, Set)
_MISSING: Final[Any] = object()


def projection(shape: Shape, where: str) -> Cut | None:
    """Return the function that gives a value, or what of it is annotated; None: the annotation names no model."""
    return _Builder(where).cut(shape)


def is_leaf_model(shape: Shape) -> bool:
    """Tell whether it is a model of which an instance of exactly that class needs no further look."""
    return (
        shape.kind == "model"
        and shape.model != "typeddict"
        and not any(node.kind == "model" for field in shape.fields for node in walk(field.shape))
    )


class _Builder:
    """Makes the cut of each node once; a recursive model's cut calls itself."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._models: dict[int, Cut] = {}

    def cut(self, shape: Shape) -> Cut | None:
        if shape.kind == "model":
            return self._model_once(shape)
        if shape.kind == "union":
            return self._union(shape)
        cuts = [self.cut(part) for part in shape.parts]
        if not any(cuts):
            return None
        if shape.kind == "items":
            leaf = shape.parts[0].type if is_leaf_model(shape.parts[0]) else None
            return _each(cuts[0], leaf, self._where)
        if shape.kind == "tuple":
            return _positions(cuts, self._where)
        return _members(cuts[-1], self._where)

    def _model_once(self, shape: Shape) -> Cut:
        return self._models.get(id(shape.fields)) or self._model(shape)

    def _model(self, shape: Shape) -> Cut:
        rows: list[Row] = []  # filled below, when the model's own cut can be found
        nested: list[tuple[str, Cut]] = []
        fields = _picker(shape, rows, self._where)
        cls = None if shape.model == "typeddict" else shape.type
        keys = frozenset(field.name for field in shape.fields)

        def cut(value: Any) -> Any:
            if value.__class__ is cls:
                for name, inner in nested:
                    held = getattr(value, name, None)
                    if inner(held) is not held:
                        return fields(value)
                return value
            if value is None:
                return None
            if cls is None and value.__class__ is dict and not nested and value.keys() <= keys:
                return value
            return fields(value)

        self._models[id(shape.fields)] = cut
        for field in shape.fields:
            inner = self.cut(field.shape)
            if inner is not None:
                nested.append((field.name, inner))
            rows.append((field.name, field.alias, inner))
        return cut

    def _union(self, shape: Shape) -> Cut | None:
        models = [member for member in shape.parts if member.kind == "model"]
        by_class: dict[Any, Cut] = {}
        for member in shape.parts:
            inner = self.cut(member)
            if inner is not None:
                by_class.update(dict.fromkeys(_classes(member), inner))
        if not by_class:
            return None
        typed_dicts = [(_required(member), self._model_once(member)) for member in models if _is_dict(member)]
        if typed_dicts:
            by_class[dict] = _first_that_fits(typed_dicts)
        other = self.cut(models[0]) if len(models) == 1 else None
        return _by_class(by_class, other, shape)


def _is_dict(shape: Shape) -> bool:
    return shape.model == "typeddict"


def _required(shape: Shape) -> frozenset[str]:
    return frozenset(field.name for field in shape.fields if field.required)


def _classes(shape: Shape) -> Iterable[Any]:
    if shape.kind in {"items", "tuple"}:
        return _SEQUENCES
    return (dict,) if shape.kind == "mapping" or _is_dict(shape) else (shape.type,)


def _by_class(by_class: Mapping[Any, Cut], other: Cut | None, shape: Shape) -> Cut:
    # Classes of the union that need no look, and what a wrong value of a plain type is.
    whole = {str, int, float, bool, bytes, type(None)} | {member.type for member in shape.parts} - set(by_class)

    def cut(value: Any) -> Any:
        kind: Any = value.__class__
        inner = by_class.get(kind)
        if inner is not None:
            return inner(value)
        if kind in whole:
            return value
        for base in kind.__mro__:
            if base in by_class:
                return by_class[base](value)
            if base in whole:
                return value
        return value if other is None else other(value)

    return cut


def _first_that_fits(models: list[tuple[frozenset[str], Cut]]) -> Cut:
    def cut(value: Any) -> Any:
        fitting = (inner for required, inner in models if required <= value.keys())
        return next(fitting, models[0][1])(value)

    return cut


def _scalar(value: Any, wanted: str, where: str) -> Any:
    """Return what cannot be cut if it holds nothing; sent whole, it could have more than the annotation names."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"{where}: the answer is to be {wanted}, and it is {_named(value)}")


def _each(inner: Cut | None, leaf: Any, where: str) -> Cut:
    leaves = {leaf}

    def cut(value: Any) -> Any:
        if inner is None:
            return value
        if value.__class__ is not list and not _is_sequence(value):
            return _scalar(value, "a list", where)
        if leaf is not None and {*map(type, value)} == leaves:
            return value
        items = [inner(item) for item in value]
        return value if all(map(_is, items, value)) else items

    return cut


def _positions(cuts: list[Cut | None], where: str) -> Cut:
    def cut(value: Any) -> Any:
        if not _is_sequence(value):
            return _scalar(value, "a tuple", where)
        items = [item if inner is None else inner(item) for item, inner in zip(value, cuts, strict=False)]
        return value if all(map(_is, items, value)) else items

    return cut


def _members(inner: Cut | None, where: str) -> Cut:
    def cut(value: Any) -> Any:
        if inner is None:
            return value
        if not _is_mapping(value):
            return _scalar(value, "a dict", where)
        members = {name: inner(item) for name, item in value.items()}
        return value if all(map(_is, members.values(), value.values())) else members

    return cut


def _is_sequence(value: Any) -> bool:
    return isinstance(value, _SEQUENCES)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is(one: Any, other: Any) -> bool:
    return one is other


def _picker(shape: Shape, rows: list[Row], where: str) -> Cut:
    """Return what makes a dict of the annotated fields, by their names in JSON."""
    cls: Any = shape.type
    tag, as_list = msgspecmodels.struct_layout(cls) if shape.model == "struct" else (None, False)
    as_list = as_list or shape.model == "namedtuple"
    private = shape.model in {"dataclass", "attrs"}  # msgspec leaves out what begins with an underscore

    def pick(value: Any) -> Any:
        picked: dict[str, Any] = dict([tag]) if tag else {}
        by_key = _is_mapping(value)
        for name, alias, inner in rows:
            if private and name[0] == "_":
                continue
            held = value.get(name, _MISSING) if by_key else getattr(value, name, _MISSING)
            if held is not _MISSING and not msgspecmodels.is_unset(held):
                picked[alias] = held if inner is None else inner(held)
            elif not by_key and held is _MISSING:
                raise TypeError(f"{where}: the answer is to be {cls.__qualname__}, and {_named(value)} has no {name!r}")
        return list(picked.values()) if as_list else picked

    return pick


def _named(value: Any) -> str:
    return f"a {type(value).__qualname__}"
