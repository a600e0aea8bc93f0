"""Checks: constraints in an annotation that the engine does not know itself, applied to what it has made.

The law of this file: a constraint that another package or a marker of ours has written into a field is checked here,
in the same words as everywhere, or refused at registration. An annotation without any costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from microasgi.typed.constraints import Constraints, checker, constraints_from
from microasgi.typed.faults import Faulty
from microasgi.typed.pointers import step
from microasgi.typed.shapes import Shape, walk

__all__ = ["Engine", "foreign_check"]

Engine: TypeAlias = Literal["msgspec", "pydantic"]
Check: TypeAlias = Callable[[Any, str, list[tuple[str, str]]], None]

_NATIVE: Final = {"msgspec": {"msgspec"}, "pydantic": {"pydantic", "pydantic_core", "annotated_types"}}
_CONTAINERS: Final = {"items", "tuple", "mapping"}

_MOST: Final = 100  # faults that are told of one body


def foreign_check(shape: Shape, constraints: Constraints, engine: Engine, where: str) -> Callable[[Any], Any] | None:
    """Return the function that gives its value back or raises Faulty with every fault; None: nothing to check."""
    builder = _Builder(engine, where)
    if not constraints and not any(builder.constraints_of(node) for node in walk(shape)):
        return None
    check = builder.check(shape, constraints)
    if check is None:
        return None

    def checked(value: Any) -> Any:
        parts: list[tuple[str, str]] = []
        try:
            check(value, "", parts)
        except RecursionError:
            raise Faulty("is nested too deeply") from None
        if parts:
            raise Faulty(*parts[:_MOST])
        return value

    return checked


class _Builder:
    """Makes the check of each node once; a recursive model's check calls itself."""

    def __init__(self, engine: Engine, where: str) -> None:
        self._native = _NATIVE[engine]
        self._where = where
        self._models: dict[int, Check] = {}

    def constraints_of(self, shape: Shape) -> Constraints:
        """Return the constraints that the engine would pass over."""
        return constraints_from([extra for extra in shape.metadata if not self._is_native(extra)], self._where)

    def _is_native(self, extra: Any) -> bool:
        if "pydantic" in self._native and hasattr(extra, "__get_pydantic_core_schema__"):
            return True
        kind: Any = extra if isinstance(extra, type) else type(extra)
        return str(kind.__module__).partition(".")[0] in self._native

    def check(self, shape: Shape, more: Constraints) -> Check | None:
        """Return the check of a node and all below it, or None."""
        constraints = self.constraints_of(shape).merge(more, self._where)
        if shape.kind == "union":
            return self._union(shape, constraints)
        kind: Any = "length" if shape.kind in _CONTAINERS else shape.type
        own = checker(kind, constraints, self._where)
        below = self._below(shape)
        if own is None:
            return below

        def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
            try:
                own(value)
            except ValueError as error:
                parts.append((place, str(error)))
            if below is not None:
                below(value, place, parts)

        return check

    def _below(self, shape: Shape) -> Check | None:
        if shape.kind == "model":
            return self._model(shape)
        if shape.kind not in _CONTAINERS:
            return None
        checks = [self.check(part, Constraints()) for part in shape.parts]
        if not any(checks):
            return None
        if shape.kind == "items":
            return _each(checks[0])
        return _positions(checks) if shape.kind == "tuple" else _members(*checks)

    def _model(self, shape: Shape) -> Check:
        known = self._models.get(id(shape.fields))
        if known is not None:
            return known
        rows: list[tuple[str, str, Check]] = []
        is_dict = shape.model == "typeddict"

        def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
            for name, token, inner in rows:
                if not is_dict:
                    inner(getattr(value, name), place + token, parts)
                elif name in value:
                    inner(value[name], place + token, parts)

        self._models[id(shape.fields)] = check
        for field in shape.fields:
            inner = self.check(field.shape, Constraints())
            if inner is not None:
                rows.append((field.name, step(field.alias), inner))
        return check

    def _union(self, shape: Shape, constraints: Constraints) -> Check | None:
        members = [member for member in shape.parts if member.type is not type(None)]
        rows: list[tuple[Any, Check]] = []
        for member in members:
            inner = self.check(member, constraints)
            if inner is not None:
                rows.append((_class_of(member), inner))
        if not rows:
            return None

        def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
            for kind, inner in rows:
                if isinstance(value, kind):
                    return inner(value, place, parts)
            return None

        return check


def _class_of(shape: Shape) -> Any:
    if shape.model == "typeddict":
        return dict
    if shape.kind == "literal":
        return object
    return shape.type if isinstance(shape.type, type) else object


def _each(inner: Check | None) -> Check:
    def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
        for index, item in enumerate(value):
            if inner is not None:
                inner(item, f"{place}/{index}", parts)

    return check


def _positions(checks: list[Check | None]) -> Check:
    def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
        for index, (item, inner) in enumerate(zip(value, checks, strict=False)):
            if inner is not None:
                inner(item, f"{place}/{index}", parts)

    return check


def _members(of_key: Check | None, of_value: Check | None) -> Check:
    def check(value: Any, place: str, parts: list[tuple[str, str]]) -> None:
        for name, item in value.items():
            if of_key is not None:
                of_key(name, place + step(name), parts)
            if of_value is not None:
                of_value(item, place + step(name), parts)

    return check
