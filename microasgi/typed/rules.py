"""Rules: what one constraint checks of values of one type.

The law of this file: bounds are for numbers, dates, times and timedeltas, multiples for numbers, lengths for texts,
bytes and containers, patterns for texts; anything else is a ConfigurationError. Numbers are compared as they are
written: 0.3 is a multiple of 0.1.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from microasgi.exceptions import ConfigurationError

__all__ = ["Kind", "Rule", "is_multiple", "rule_of"]

Kind: TypeAlias = type | Literal["length"]

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


class Rule(NamedTuple):
    """`holds(value, bound)` is true of what passes; `reason` is told of what does not."""

    holds: Callable[[Any, Any], Any]
    bound: Any
    reason: str


def rule_of(kind: Kind, name: str, value: Any, where: str) -> Rule:
    """Return what the constraint `name=value` checks; ConfigurationError where it does not fit the type."""
    if name in _BOUNDS:
        return _bound_rule(kind, name, value, where)
    if name == "multiple_of":
        return _multiple_rule(kind, value, where)
    if name == "pattern":
        return _pattern_rule(kind, value, where)
    return _length_rule(kind, name, value, where)


def _bound_rule(kind: Any, name: str, value: Any, where: str) -> Rule:
    holds, words = _BOUNDS[name]
    if kind in _NUMBERS:
        bound = _number(kind, name, value, where)
        return Rule(holds if kind is not Decimal else _finite(holds), bound, f"has to be {words} {value}")
    if kind not in _MOMENTS:
        raise _unfit(kind, name, value, where, "bounds are for numbers, dates, times and timedeltas")
    if not isinstance(value, kind) or (kind is date and isinstance(value, datetime)):
        raise ConfigurationError(f"{where}: {name}={value!r} is no bound of {_named(kind)}: write {_named(kind)}")
    text = str(value) if isinstance(value, timedelta) else value.isoformat()
    if kind in (datetime, time):
        return Rule(_zoned(holds, value), value, f"has to be {words} {text}")
    return Rule(holds, value, f"has to be {words} {text}")


def _multiple_rule(kind: Any, value: Any, where: str) -> Rule:
    if kind not in _NUMBERS:
        raise _unfit(kind, "multiple_of", value, where, "it is for numbers")
    number = _number(kind, "multiple_of", value, where)
    if number <= 0:
        raise ConfigurationError(f"{where}: multiple_of={value!r}: write a number above 0")
    reason = f"has to be a multiple of {value}"
    if kind is int and isinstance(number, int):
        return Rule(_is_whole_multiple, number, reason)
    return Rule(is_multiple, _decimal(number), reason)


def _pattern_rule(kind: Any, value: Any, where: str) -> Rule:
    if kind is not str:
        raise _unfit(kind, "pattern", value, where, "it is for texts")
    if not isinstance(value, str):
        raise ConfigurationError(f"{where}: pattern={value!r}: write the regular expression as a str")
    try:
        search = re.compile(value).search
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigurationError(f"{where}: pattern={value!r} is no regular expression: {error}") from error
    return Rule(_is_found, search, f"has to match the pattern {value}")


def _length_rule(kind: Any, name: str, value: Any, where: str) -> Rule:
    if kind not in (str, bytes) and not _is_container(kind):
        raise _unfit(kind, name, value, where, "lengths are for texts, bytes and containers")
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigurationError(f"{where}: {name}={value!r}: write a whole number, 0 or more")
    unit = _UNITS.get(kind, "item") + ("" if value == 1 else "s")
    if name == "min_length":
        return Rule(_is_as_long, value, f"has to have at least {value} {unit}")
    return Rule(_is_as_short, value, f"has to have at most {value} {unit}")


def _is_as_long(value: Any, bound: int) -> bool:
    return len(value) >= bound


def _is_as_short(value: Any, bound: int) -> bool:
    return len(value) <= bound


def _is_found(value: str, search: Callable[[str], Any]) -> bool:
    return search(value) is not None


def _is_whole_multiple(value: int, bound: int) -> bool:
    return value % bound == 0


def is_multiple(value: Any, step: Any) -> bool:
    """Tell whether a number is a multiple of a step, both taken as they are written in decimal digits."""
    try:
        return _EXACT.remainder(_decimal(value), _decimal(step)) == 0
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


def _unfit(kind: Any, name: str, value: Any, where: str, rule: str) -> ConfigurationError:
    text = f"{where}: {name}={value!r} does not fit {_named(kind)}: {rule}"
    if _is_container(kind):
        text += f"; for the items write it inside, as in list[Annotated[int, Query({name}={value!r})]]"
    return ConfigurationError(text)


def _is_container(kind: Any) -> bool:
    return kind == "length" or (isinstance(kind, type) and issubclass(kind, _CONTAINERS))


def _named(kind: Kind) -> str:
    name = getattr(kind, "__name__", "container")
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
