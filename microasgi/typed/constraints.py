"""Constraints: what a value has to be besides its type.

The law of this file: a constraint means the same whichever engine reads the value, or it is refused at registration;
none is ever ignored. Bounds are for numbers and points in time, multiples for numbers, lengths for texts, bytes and
containers, patterns for texts.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from microasgi.exceptions import ConfigurationError
from microasgi.typed.foreign import foreign_constraints

__all__ = ["Constraints", "Kind", "checker", "constraints_from"]

Kind: TypeAlias = type | Literal["length"]

_KEYWORDS: Final = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
_BOUNDS: Final[Mapping[str, tuple[Callable[[Any, Any], Any], str]]] = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "more than"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "less than"),
}
_NUMBERS: Final = (int, float, Decimal)
_MOMENTS: Final = (date, datetime, time, timedelta)
_CONTAINERS: Final = (list, tuple, set, frozenset, dict)
_UNITS: Final[Mapping[Any, str]] = {str: "character", bytes: "byte"}
# Room for the quotient of two numbers of 4,300 digits each before and after the point.
_EXACT: Final = Context(prec=20_000, traps=[InvalidOperation])


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


class _Rule(NamedTuple):
    holds: Callable[[Any, Any], Any]
    bound: Any
    reason: str


def checker(kind: Kind, constraints: Constraints, where: str) -> Callable[[Any], None] | None:
    """Return a check that raises ValueError with the reason, or None where there is nothing to check.

    `kind` is the type of the values or, for containers of any type, "length". ConfigurationError where a constraint
    does not fit the type, or no value could ever pass.
    """
    if not constraints:
        return None
    rules = tuple(_rule(kind, name, value, where) for name, value in constraints.given())
    _refuse_contradiction(constraints, where)

    def check(value: Any) -> None:
        for holds, bound, reason in rules:
            if not holds(value, bound):
                raise ValueError(reason)

    return check


def _rule(kind: Any, name: str, value: Any, where: str) -> _Rule:
    if name in _BOUNDS:
        return _bound_rule(kind, name, value, where)
    if name == "multiple_of":
        return _multiple_rule(kind, value, where)
    if name == "pattern":
        return _pattern_rule(kind, value, where)
    return _length_rule(kind, name, value, where)


def _bound_rule(kind: Any, name: str, value: Any, where: str) -> _Rule:
    holds, words = _BOUNDS[name]
    if kind in _NUMBERS:
        bound = _number(kind, name, value, where)
        return _Rule(holds if kind is not Decimal else _finite(holds), bound, f"has to be {words} {value}")
    if kind not in _MOMENTS:
        raise _unfit(kind, name, value, where, "bounds are for numbers, dates, times and timedeltas")
    if not isinstance(value, kind) or (kind is date and isinstance(value, datetime)):
        raise ConfigurationError(f"{where}: {name}={value!r} is no bound of a {_named(kind)}: write a {_named(kind)}")
    text = str(value) if isinstance(value, timedelta) else value.isoformat()
    if kind in (datetime, time):
        return _Rule(_zoned(holds, value), value, f"has to be {words} {text}")
    return _Rule(holds, value, f"has to be {words} {text}")


def _multiple_rule(kind: Any, value: Any, where: str) -> _Rule:
    if kind not in _NUMBERS:
        raise _unfit(kind, "multiple_of", value, where, "it is for numbers")
    number = _number(kind, "multiple_of", value, where)
    if number <= 0:
        raise ConfigurationError(f"{where}: multiple_of={value!r}: write a number above 0")
    reason = f"has to be a multiple of {value}"
    if kind is int and isinstance(number, int):
        return _Rule(_is_multiple, number, reason)
    return _Rule(_is_exact_multiple, _decimal(number), reason)


def _pattern_rule(kind: Any, value: Any, where: str) -> _Rule:
    if kind is not str:
        raise _unfit(kind, "pattern", value, where, "it is for texts")
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: pattern={value!r}: write the regular expression as a str")
    try:
        search = re.compile(value).search
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"{where}: pattern={value!r} is no regular expression: {error}") from error
    return _Rule(_is_found, search, f"has to match the pattern {value}")


def _length_rule(kind: Any, name: str, value: Any, where: str) -> _Rule:
    if kind not in (str, bytes) and not _is_container(kind):
        raise _unfit(kind, name, value, where, "lengths are for texts, bytes and containers")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{where}: {name}={value!r}: write a whole number, 0 or more")
    unit = _UNITS.get(kind, "item") + ("" if value == 1 else "s")
    if name == "min_length":
        return _Rule(_is_as_long, value, f"has to have at least {value} {unit}")
    return _Rule(_is_as_short, value, f"has to have at most {value} {unit}")


def _is_as_long(value: Any, bound: int) -> bool:
    return len(value) >= bound


def _is_as_short(value: Any, bound: int) -> bool:
    return len(value) <= bound


def _is_found(value: str, search: Callable[[str], Any]) -> bool:
    return search(value) is not None


def _is_multiple(value: int, bound: int) -> bool:
    return value % bound == 0


def _is_exact_multiple(value: Any, bound: Decimal) -> bool:
    try:
        return _EXACT.remainder(_decimal(value), bound) == 0
    except InvalidOperation:  # infinity, not a number, or far beyond the digits that are read
        return False


def _finite(holds: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    # Comparing a Decimal that is not a number raises ArithmeticError.
    return lambda value, bound: value.is_finite() and holds(value, bound)


def _zoned(holds: Callable[[Any, Any], Any], bound: Any) -> Callable[[Any, Any], Any]:
    reason = "has to be without a UTC offset" if bound.utcoffset() is None else "has to have a UTC offset"

    def compare(value: Any, bound: Any) -> Any:
        try:
            return holds(value, bound)
        except TypeError:  # one of the two has an offset
            raise ValueError(reason) from None

    return compare


def _decimal(value: Any) -> Decimal:
    # As it is written: 0.3 is a multiple of 0.1, though neither is exact as a float.
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _number(kind: Any, name: str, value: Any, where: str) -> Any:
    """Return a bound as a number that compares with the kind as both are written."""
    if not isinstance(value, _NUMBERS) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigurationError(f"{where}: {name}={value!r}: write a finite number")
    if kind is Decimal and isinstance(value, float):
        return _decimal(value)
    return float(value) if kind is float and isinstance(value, Decimal) and name != "multiple_of" else value


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
        if name == "multiple_of" and _is_exact_multiple(max(one, other), _decimal(min(one, other))):
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


def _unfit(kind: Any, name: str, value: Any, where: str, rule: str) -> ConfigurationError:
    text = f"{where}: {name}={value!r} does not fit a {_named(kind)}: {rule}"
    if _is_container(kind):
        text += f"; for the items write it inside, as in list[Annotated[int, Query({name}={value!r})]]"
    return ConfigurationError(text)


def _is_container(kind: Any) -> bool:
    return kind == "length" or (isinstance(kind, type) and issubclass(kind, _CONTAINERS))


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", "container")
