"""Constraints: what a value has to be besides its type.

The law of this file: a constraint means the same whichever engine reads the value, or it is refused at registration;
none is ever ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final, Literal

from microasgi.exceptions import ConfigurationError
from microasgi.typed.foreign import foreign_constraints
from microasgi.typed.rules import Kind, Rule, is_multiple, rule_of

__all__ = ["Constraints", "Kind", "checker", "constraints_from"]

_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_NUMBERS: Final = (int, float, Decimal)


@dataclass(frozen=True, slots=True)
class Constraints:
    """Bounds of a number, bounds of a length, a pattern; None where there is none."""

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    multiple_of: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None

    def __bool__(self) -> bool:
        return self != _NONE

    def given(self) -> Iterator[tuple[str, Any]]:
        """Yield the name and the value of each constraint there is."""
        for name in _NAMES:
            value = getattr(self, name)
            if value is not None:
                yield name, value

    def merge(self, other: Constraints, where: str = "") -> Constraints:
        """Return the constraints of both; of two bounds the stricter. ConfigurationError where they cannot be one."""
        merged = dict(self.given())
        for name, value in other.given():
            merged[name] = _stricter(name, merged[name], value, where) if name in merged else value
        return Constraints(**merged)

    def as_schema(self, counted: Literal["Length", "Items", "Properties"] = "Length") -> dict[str, Any]:
        """Return the keywords of JSON Schema (2020-12) for them; `counted` is what lengths are lengths of.

        Bounds of dates and times have no keyword and are left out.
        """
        schema: dict[str, Any] = {}
        for name, value in self.given():
            if name in _KEYWORDS or name == "multiple_of":
                if isinstance(value, _NUMBERS):
                    schema[_KEYWORDS.get(name, "multipleOf")] = _json_number(value)
            else:
                schema["pattern" if name == "pattern" else f"{name[:3]}{counted}"] = value
        return schema


_NONE: Final = Constraints()
_NAMES: Final = tuple(field.name for field in fields(Constraints))


def constraints_from(metadata: Iterable[object], where: str) -> Constraints:
    """Return the constraints in the metadata of an `Annotated`: of our markers, annotated_types, msgspec and pydantic.

    Other metadata is passed over. ConfigurationError for a constraint of those packages that has no meaning here.
    """
    merged = Constraints()
    for item in metadata:
        own = getattr(item, "constraints", None)
        if isinstance(own, Constraints):
            merged = merged.merge(own, where)
            continue
        for name, value in foreign_constraints(item, where):
            merged = merged.merge(Constraints(**{name: value}), where)
    return merged


def checker(kind: Kind, constraints: Constraints, where: str) -> Callable[[Any], None] | None:
    """Return a check that raises ValueError with the reason, or None where there is nothing to check.

    `kind` is the type of the values or, for containers of any type, "length". ConfigurationError where a constraint
    does not fit the type, or no value could ever pass.
    """
    if not constraints:
        return None
    rules = [rule_of(kind, name, value, where) for name, value in constraints.given()]
    _refuse_contradiction(constraints, where)
    return _check_one(*rules[0]) if len(rules) == 1 else _check_each(rules)


def _check_one(holds: Callable[[Any, Any], Any], bound: Any, reason: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not holds(value, bound):
            raise ValueError(reason)

    return check


def _check_each(rules: Iterable[Rule]) -> Callable[[Any], None]:
    # A NamedTuple is unpacked more slowly than a tuple.
    plain = tuple((rule.holds, rule.bound, rule.reason) for rule in rules)

    def check(value: Any) -> None:
        for holds, bound, reason in plain:
            if not holds(value, bound):
                raise ValueError(reason)

    return check


def _json_number(value: Any) -> int | float:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value  # type: ignore[no-any-return]


def _stricter(name: str, one: Any, other: Any, where: str) -> Any:
    if one == other:
        return one
    try:
        if name in ("ge", "gt", "min_length"):
            return max(one, other)
        if name in ("le", "lt", "max_length"):
            return min(one, other)
        if name == "multiple_of" and is_multiple(max(one, other), min(one, other)):
            return max(one, other)
    except (TypeError, ValueError, ArithmeticError):
        pass
    place = f"{where}: " if where else ""
    raise ConfigurationError(f"{place}{name} is given twice, as {one!r} and {other!r}: write one that says both")


def _refuse_contradiction(constraints: Constraints, where: str) -> None:
    for least, most in (("ge", "le"), ("ge", "lt"), ("gt", "le"), ("gt", "lt"), ("min_length", "max_length")):
        low, high = getattr(constraints, least), getattr(constraints, most)
        if low is None or high is None:
            continue
        try:
            contradict = low > high or (low == high and bool({"gt", "lt"} & {least, most}))
        except TypeError:  # a bound with a UTC offset and one without
            contradict = True
        if contradict:
            raise ConfigurationError(f"{where}: {least}={low!r} and {most}={high!r} leave no value")
