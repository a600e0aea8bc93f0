"""Constraints: one meaning for every engine, or a mistake at registration."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, get_args

import annotated_types as at
import fastapi
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.exceptions import ConfigurationError
from microasgi.typed.constraints import Constraints, Kind, checker, constraints_from
from microasgi.typed.markers import Query

WHERE = "shop.py:7"


def passes(kind: Kind, constraints: Constraints, value: Any) -> bool:
    return reason(kind, constraints, value) is None


def reason(kind: Kind, constraints: Constraints, value: Any) -> str | None:
    check = checker(kind, constraints, WHERE)
    assert check is not None
    try:
        check(value)
    except ValueError as error:
        return str(error)
    return None


def test_no_constraint_needs_no_check() -> None:
    assert checker(int, Constraints(), WHERE) is None
    assert not Constraints()
    assert Constraints(ge=0)


@pytest.mark.parametrize(
    "kind, constraints, good, bad, text",
    [
        (int, Constraints(ge=1), 1, 0, "has to be at least 1"),
        (int, Constraints(gt=1), 2, 1, "has to be more than 1"),
        (float, Constraints(le=1.5), 1.5, 1.6, "has to be at most 1.5"),
        (float, Constraints(lt=1), 0.9, 1.0, "has to be less than 1"),
        (float, Constraints(le=Decimal("0.1")), 0.1, 0.2, "has to be at most 0.1"),
        (Decimal, Constraints(le=0.1), Decimal("0.1"), Decimal("0.11"), "has to be at most 0.1"),
        (int, Constraints(multiple_of=5), 10, 11, "has to be a multiple of 5"),
        (int, Constraints(multiple_of=2.5), 10, 11, "has to be a multiple of 2.5"),
        (float, Constraints(multiple_of=0.1), 0.3, 0.35, "has to be a multiple of 0.1"),
        (
            Decimal,
            Constraints(multiple_of=Decimal("0.01")),
            Decimal("19.99"),
            Decimal("19.999"),
            "has to be a multiple of 0.01",
        ),
        (date, Constraints(ge=date(2026, 1, 1)), date(2026, 1, 1), date(2025, 12, 31), "has to be at least 2026-01-01"),
        (time, Constraints(lt=time(12)), time(11), time(12), "has to be less than 12:00:00"),
        (timedelta, Constraints(gt=timedelta(0)), timedelta(1), timedelta(0), "has to be more than 0:00:00"),
        (str, Constraints(min_length=1), "a", "", "has to have at least 1 character"),
        (str, Constraints(max_length=2), "äö", "abc", "has to have at most 2 characters"),
        (bytes, Constraints(max_length=2), b"ab", "äö".encode(), "has to have at most 2 bytes"),
        ("length", Constraints(min_length=2), [1, 2], [1], "has to have at least 2 items"),
        (list, Constraints(max_length=1), [1], [1, 2], "has to have at most 1 item"),
        (str, Constraints(pattern="b+"), "abc", "ac", "has to match the pattern b+"),
        (str, Constraints(pattern="^b+$"), "bb", "abb", "has to match the pattern ^b+$"),
    ],
)
def test_a_value_passes_or_is_told_what_it_has_to_be(
    kind: Kind, constraints: Constraints, good: Any, bad: Any, text: str
) -> None:
    assert passes(kind, constraints, good)
    assert reason(kind, constraints, bad) == text


def test_all_constraints_have_to_hold() -> None:
    constraints = Constraints(ge=1, le=9, multiple_of=3)
    assert [number for number in range(12) if passes(int, constraints, number)] == [3, 6, 9]


def test_a_time_is_compared_with_a_bound_that_has_an_offset_only_if_it_has_one_too() -> None:
    aware, naive = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1)
    assert reason(datetime, Constraints(ge=aware), naive) == "has to have a UTC offset"
    assert reason(datetime, Constraints(ge=naive), aware) == "has to be without a UTC offset"


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "1E+999999999999999999"])
@pytest.mark.parametrize("constraints", [Constraints(le=5), Constraints(multiple_of=3)])
def test_a_decimal_that_is_no_finite_number_of_sensible_size_is_refused(value: str, constraints: Constraints) -> None:
    assert not passes(Decimal, constraints, Decimal(value))


@given(st.integers(-(10**30), 10**30), st.integers(0, 40), st.integers(1, 10**6))
def test_multiples_of_decimals_are_exact(factor: int, places: int, step: int) -> None:
    unit = Decimal(step).scaleb(-places)
    value = Decimal(f"{factor * step}e-{places}")
    constraints = Constraints(multiple_of=unit)
    assert passes(Decimal, constraints, value)
    assert not passes(Decimal, constraints, Decimal(f"{factor * step * 10 + 1}e-{places + 1}"))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(1e-300, 1e300))
def test_multiples_of_floats_never_raise_anything_else(value: float, step: float) -> None:
    passes(float, Constraints(multiple_of=step), value)


@pytest.mark.parametrize(
    "kind, constraints, told",
    [
        (str, Constraints(ge=1), "ge=1 does not fit a str"),
        (bool, Constraints(ge=0), "ge=0 does not fit a bool"),
        (str, Constraints(multiple_of=2), "multiple_of=2 does not fit a str"),
        (int, Constraints(min_length=1), "min_length=1 does not fit an int"),
        (int, Constraints(pattern="a"), "pattern='a' does not fit an int"),
        (bytes, Constraints(pattern="a"), "pattern='a' does not fit a bytes"),
        ("length", Constraints(ge=1), "list[Annotated[int, Query(ge=1)]]"),
        (list, Constraints(pattern="a"), "list[Annotated[int, Query(pattern='a')]]"),
        (int, Constraints(ge="1"), "ge='1': write a finite number"),
        (int, Constraints(ge=True), "ge=True: write a finite number"),
        (float, Constraints(lt=float("inf")), "lt=inf: write a finite number"),
        (date, Constraints(ge=datetime(2026, 1, 1)), "is no bound of a date"),
        (datetime, Constraints(ge=date(2026, 1, 1)), "is no bound of a datetime"),
        (timedelta, Constraints(ge=5), "is no bound of a timedelta"),
        (int, Constraints(multiple_of=0), "write a number above 0"),
        (str, Constraints(pattern="("), "is no regular expression: missing )"),
        (str, Constraints(pattern=re.compile("a")), "write the regular expression as a str"),  # type: ignore[arg-type]
        (str, Constraints(min_length=-1), "write a whole number, 0 or more"),
        (str, Constraints(max_length=1.5), "write a whole number, 0 or more"),  # type: ignore[arg-type]
        (int, Constraints(ge=5, le=4), "ge=5 and le=4 leave no value"),
        (int, Constraints(gt=5, le=5), "gt=5 and le=5 leave no value"),
        (str, Constraints(min_length=3, max_length=2), "leave no value"),
        (datetime, Constraints(ge=datetime(2026, 1, 1), le=datetime(2027, 1, 1, tzinfo=UTC)), "leave no value"),
    ],
)
def test_a_constraint_that_makes_no_sense_is_a_mistake_at_registration(
    kind: Kind, constraints: Constraints, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        checker(kind, constraints, WHERE)
    assert str(caught.value).startswith("shop.py:7: ")
    assert told in str(caught.value)


def metadata(annotated: Any) -> tuple[Any, ...]:
    return get_args(annotated)[1:]


@pytest.mark.parametrize(
    "items, expected",
    [
        ([at.Ge(1), at.Lt(9)], Constraints(ge=1, lt=9)),
        ([at.Gt(1), at.Le(9), at.MultipleOf(2)], Constraints(gt=1, le=9, multiple_of=2)),
        ([at.Interval(ge=1, lt=3)], Constraints(ge=1, lt=3)),
        ([at.MinLen(1), at.MaxLen(3)], Constraints(min_length=1, max_length=3)),
        ([at.Len(1, 3)], Constraints(min_length=1, max_length=3)),
        ([msgspec.Meta(ge=1, description="x", extra={"a": 1})], Constraints(ge=1)),
        ([msgspec.Meta(pattern="a", max_length=3)], Constraints(pattern="a", max_length=3)),
        ([msgspec.Meta(title="x")], Constraints()),
        ([pydantic.Field(ge=1, multiple_of=2, description="x")], Constraints(ge=1, multiple_of=2)),
        ([pydantic.Field(pattern="^a", max_length=3)], Constraints(pattern="^a", max_length=3)),
        ([pydantic.Field(pattern=re.compile("^a"))], Constraints(pattern="^a")),
        ([pydantic.StringConstraints(min_length=1, pattern="a")], Constraints(min_length=1, pattern="a")),
        (metadata(pydantic.PositiveInt), Constraints(gt=0)),
        (metadata(pydantic.FiniteFloat), Constraints()),
        (metadata(pydantic.conint(ge=1)), Constraints(ge=1)),
        (metadata(pydantic.constr(max_length=3)), Constraints(max_length=3)),
        (metadata(pydantic.conlist(int, min_length=1)), Constraints(min_length=1)),
        ([Query(ge=1), at.Ge(3), Query(ge=2)], Constraints(ge=3)),
        (["text", 5, None, int, re.compile("a"), at.doc("x"), at.Unit("m")], Constraints()),
        ([pydantic.WithJsonSchema({"type": "string"})], Constraints()),
    ],
)
def test_constraints_of_other_packages_are_read(items: list[object], expected: Constraints) -> None:
    assert constraints_from(items, WHERE) == expected


@pytest.mark.parametrize(
    "item, name",
    [
        (at.Predicate(str.islower), "Predicate of annotated_types"),
        (at.Timezone(None), "Timezone of annotated_types"),
        (msgspec.Meta(tz=True), "Meta of msgspec"),
        (pydantic.AfterValidator(abs), "AfterValidator of pydantic"),
        (pydantic.BeforeValidator(abs), "BeforeValidator of pydantic"),
        (pydantic.Strict(), "Strict of pydantic"),
        (pydantic.Strict, "Strict of pydantic"),
        (pydantic.AllowInfNan(True), "AllowInfNan of pydantic"),
        (pydantic.Field(strict=True), "Strict of pydantic"),
        (pydantic.Field(max_digits=5), "max_digits of pydantic"),
        (pydantic.StringConstraints(strip_whitespace=True), "strip_whitespace of pydantic"),
        (pydantic.StringConstraints(to_lower=True), "to_lower of pydantic"),
    ],
)
def test_a_foreign_constraint_that_is_not_known_is_refused_by_name(item: object, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        constraints_from([item], WHERE)
    assert f"shop.py:7: {name} is no constraint that is known here" in str(caught.value)
    assert "multiple_of" in str(caught.value)


@pytest.mark.parametrize(
    "marker", [fastapi.Depends(abs), fastapi.Security(abs), fastapi.Header(), fastapi.Query(ge=1), fastapi.Body()]
)
def test_a_marker_of_fastapi_is_refused_for_it_would_be_passed_over(marker: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        constraints_from([marker], WHERE)
    name = type(marker).__name__
    assert str(caught.value).startswith(f"shop.py:7: {name} of fastapi says nothing here")
    assert f"from microasgi.typed import {name}" in str(caught.value)


def test_a_compiled_pattern_with_flags_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\(\?i\)"):
        constraints_from([pydantic.Field(pattern=re.compile("a", re.IGNORECASE))], WHERE)


def test_of_two_bounds_the_stricter_holds() -> None:
    one = Constraints(ge=1, le=9, min_length=2, max_length=5, multiple_of=2)
    other = Constraints(ge=3, le=Decimal(8), min_length=1, max_length=4, multiple_of=6, pattern="a")
    both = Constraints(ge=3, le=Decimal(8), min_length=2, max_length=4, multiple_of=6, pattern="a")
    assert one.merge(other) == other.merge(one) == both
    assert one.merge(Constraints()) == one.merge(one) == one


@pytest.mark.parametrize(
    "one, other",
    [
        (Constraints(pattern="a"), Constraints(pattern="b")),
        (Constraints(multiple_of=4), Constraints(multiple_of=6)),
        (Constraints(ge=4), Constraints(ge="4")),
    ],
)
def test_constraints_that_cannot_be_one_are_refused(one: Constraints, other: Constraints) -> None:
    with pytest.raises(ConfigurationError, match=r"^shop.py:7: \w+ is given twice"):
        one.merge(other, WHERE)


def test_constraints_become_keywords_of_json_schema() -> None:
    numbers = Constraints(ge=1, gt=Decimal("0.5"), le=9, lt=10.5, multiple_of=Decimal(2))
    assert numbers.as_schema() == {
        "minimum": 1,
        "exclusiveMinimum": 0.5,
        "maximum": 9,
        "exclusiveMaximum": 10.5,
        "multipleOf": 2,
    }
    texts = Constraints(min_length=1, max_length=3, pattern="a")
    assert texts.as_schema() == {"minLength": 1, "maxLength": 3, "pattern": "a"}
    assert Constraints(min_length=1, max_length=3).as_schema("Items") == {"minItems": 1, "maxItems": 3}
    assert Constraints(ge=date(2026, 1, 1)).as_schema() == {}


ENGINES: list[Callable[[Any, Constraints, Any], bool]] = [
    lambda kind, constraints, value: passes(kind, constraints, value),
    lambda kind, constraints, value: _msgspec_takes(kind, constraints, value),
    lambda kind, constraints, value: _pydantic_takes(kind, constraints, value),
]


def _msgspec_takes(kind: Any, constraints: Constraints, value: Any) -> bool:
    try:
        msgspec.convert(value, Annotated[kind, msgspec.Meta(**dict(constraints.given()))])
    except msgspec.ValidationError:
        return False
    return True


def _pydantic_takes(kind: Any, constraints: Constraints, value: Any) -> bool:
    try:
        pydantic.TypeAdapter(Annotated[kind, pydantic.Field(**dict(constraints.given()))]).validate_python(value)
    except pydantic.ValidationError:
        return False
    return True


@pytest.mark.parametrize(
    "constraints",
    [Constraints(ge=2), Constraints(gt=2), Constraints(le=2), Constraints(lt=2), Constraints(multiple_of=2)],
)
@pytest.mark.parametrize("value", [-2, 0, 1, 2, 3, 4])
def test_the_engines_agree_on_numbers(constraints: Constraints, value: int) -> None:
    assert len({takes(int, constraints, value) for takes in ENGINES}) == 1


@pytest.mark.parametrize(
    "constraints", [Constraints(min_length=2), Constraints(max_length=2), Constraints(pattern="b")]
)
@pytest.mark.parametrize("value", ["", "a", "äö", "abc", "\U0001f600b"])
def test_the_engines_agree_on_texts(constraints: Constraints, value: str) -> None:
    assert len({takes(str, constraints, value) for takes in ENGINES}) == 1
