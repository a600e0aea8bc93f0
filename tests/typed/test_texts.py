"""Texts become values of scalar types, or a reason in plain English."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal, localcontext
from typing import Annotated, Any, Literal, NewType, Optional, TypeVar, Union
from uuid import UUID

import annotated_types as at
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st

from microasgi import MicroASGI
from microasgi.exceptions import ConfigurationError
from microasgi.testing import TestClient
from microasgi.typed.constraints import Constraints
from microasgi.typed.faults import Faulty
from microasgi.typed.markers import Query
from microasgi.typed.texts import TextType, text_type

WHERE = "shop.py:7"


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2


class Colour(enum.Enum):
    RED = "red"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        return cls[str(value).upper()]  # KeyError where there is none


class Mixed(enum.Enum):
    YES = True
    ONE = 1
    WORD = "one"
    NOTHING = None


class Things(enum.Enum):
    THING = object()


UserId = NewType("UserId", int)
Page = typing_extensions.TypeAliasType("Page", Annotated[int, Query(ge=1)])
T = TypeVar("T")
Maybe = typing_extensions.TypeAliasType("Maybe", Optional[T], type_params=(T,))  # noqa: UP045  (| needs a type)
Many = typing_extensions.TypeAliasType("Many", list[T], type_params=(T,))


@dataclass
class Model:
    name: str


def text_of(annotation: Any, constraints: Constraints | None = None) -> TextType:
    text = text_type(annotation, constraints or Constraints(), WHERE)
    assert text is not None
    return text


def reason(annotation: Any, text: str, constraints: Constraints | None = None) -> str:
    with pytest.raises(ValueError) as caught:
        text_of(annotation, constraints).read(text)
    assert type(caught.value) in (ValueError, Faulty)
    assert caught.value.__cause__ is None
    return str(caught.value)


@pytest.mark.parametrize(
    "annotation, text, value",
    [
        (str, "", ""),
        (str, " a ", " a "),
        (int, "7", 7),
        (int, "-7", -7),
        (int, "+7", 7),
        (int, "007", 7),
        (int, "1" * 4300, int("1" * 4300)),
        (float, "1.5", 1.5),
        (float, "-1e3", -1000.0),
        (float, "7", 7.0),
        (Decimal, "19.90", Decimal("19.90")),
        (Decimal, "1e4299", Decimal("1e4299")),
        (bool, "true", True),
        (bool, "ON", True),
        (bool, "Yes", True),
        (bool, "1", True),
        (bool, "False", False),
        (bool, "off", False),
        (bool, "no", False),
        (bool, "0", False),
        (bytes, "ä", b"\xc3\xa4"),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID(int=0x12345678123456781234567812345678)),
        (UUID, "12345678123456781234567812345678", UUID(int=0x12345678123456781234567812345678)),
        (date, "2026-01-31", date(2026, 1, 31)),
        (time, "12:30", time(12, 30)),
        (time, "12:30:01.5Z", time(12, 30, 1, 500_000, tzinfo=UTC)),
        (datetime, "2026-01-31T12:30:00Z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (datetime, "2026-01-31t12:30:00z", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (datetime, "2026-01-31 12:30", datetime(2026, 1, 31, 12, 30)),
        (
            datetime,
            "2026-01-31T12:30:00.123456789+05:30",
            datetime(2026, 1, 31, 12, 30, 0, 123456, timezone(timedelta(hours=5.5))),
        ),
        (timedelta, "P1DT2H30M", timedelta(days=1, hours=2, minutes=30)),
        (timedelta, "PT0.5S", timedelta(microseconds=500_000)),
        (timedelta, "PT1,5M", timedelta(seconds=90)),
        (timedelta, "P2W", timedelta(weeks=2)),
        (timedelta, "-p1d", timedelta(days=-1)),
        (timedelta, "90", timedelta(seconds=90)),
        (timedelta, "-1.5", timedelta(seconds=-1.5)),
        (Size, "s", Size.SMALL),
        (Level, "2", Level.HIGH),
        (Right, "3", Right.READ | Right.WRITE),
        (Colour, "red", Colour.RED),
        (Colour, "Red", Colour.RED),
        (Mixed, "yes", Mixed.YES),
        (Mixed, "one", Mixed.WORD),
        (Literal["a", "b"], "b", "b"),
        (Literal[1, "x", True, None], "1", 1),
        (Literal[1, "x", True, None], "true", True),
        (Literal[1, "x", True, None], "x", "x"),
        (Literal[Size.SMALL], "s", Size.SMALL),
        (Literal[b"a"], "a", b"a"),
        (UserId, "5", 5),
        (Page, "5", 5),
        (Maybe[int], "5", 5),
        (Many[Maybe[int]], "5", 5),
        (int | str, "5", 5),
        (int | str, "five", "five"),
        (Union[date, int, None], "2026-01-31", date(2026, 1, 31)),  # noqa: UP007
        (Optional[int], "5", 5),  # noqa: UP045
        (Annotated[int | None, Query(ge=1)], "5", 5),
        (int | None | Annotated[str, "x"], "x", "x"),
    ],
)
def test_a_text_becomes_a_value(annotation: Any, text: str, value: Any) -> None:
    read = text_of(annotation).read(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "annotation, texts, told",
    [
        (int, ["", " 1", "1 ", "1.0", "1_0", "--1", "+", "٣", "²", "0x1", "NaN"], "has to be an integer"),
        (int, ["1" * 4301, "-" + "1" * 4301], "has to have at most 4,300 digits"),
        (float, ["", "x", "nan", "inf", "1_0", " 1", "٣", "1e", "0" * 4301], "has to be a number"),
        (float, ["1e999", "-1e999"], "has to be a number below 1.8e308"),
        (
            Decimal,
            ["", "NaN", "sNaN", "Infinity", "1_0", "1e", "٣", "1e" + "9" * 30, "0" * 4301],
            "has to be a decimal number",
        ),
        (Decimal, ["1e4300", "1e-4301", "1e999999999"], "has to have at most 4,300 digits"),
        (bool, ["", "2", "tru", "ja", " true"], "has to be true or false"),
        (bytes, ["\ud800"], "has to be Unicode text"),
        (
            UUID,
            [
                "",
                "1" * 31,
                "{12345678-1234-5678-1234-567812345678}",
                "1234567812345678-1234-5678-12345678-",
                "1" * 15 + "_" + "1" * 16,
                "٣" * 32,
                " " * 32,
            ],
            "has to be a UUID",
        ),
        (
            date,
            ["", "2026-02-30", "20260131", "2026-W01-1", "2026-1-1", "٢٠٢٦-01-01", "2026-01-31\n"],
            "has to be a date such as 2026-01-31",
        ),
        (
            time,
            ["", "24:00", "12", "1230", "12:60", "T12:00", "12:00:60", "12:00+24:00"],
            "has to be a time such as 12:30:00",
        ),
        (
            datetime,
            [
                "",
                "2026-01-31",
                "20260131T123000",
                "2026-01-31x12:30",
                "2026-01-31T24:00",
                "2026-02-30T12:00",
                "1767225600",
                "2026-01-31T12:30Z\n",
            ],
            "has to be a date and time such as 2026-01-31T12:30:00Z",
        ),
        (
            datetime,
            ["2026-01-31T12:30:00 02:00"],
            "has to be a date and time such as 2026-01-31T12:30:00Z (in a query + is written %2B)",
        ),
        (
            timedelta,
            ["", "P", "PT", "P1DT", "P1Y", "P1M", "1 day", "PT1S1H", "1e3", ".5", "٣", "9" * 21, "P1D\n", "--1"],
            "has to be a duration such as P1DT2H30M, or seconds",
        ),
        (timedelta, ["P1000000000D", "9" * 20], "has to be a duration below 1,000,000,000 days"),
        (Size, ["", "S", "SMALL"], "has to be one of 's', 'l'"),
        (Level, ["3", "HIGH", "x"], "has to be one of 1, 2"),
        (Right, ["8", "-1", "x"], "has to be a sum of 1, 2"),
        (Colour, ["green"], "has to be 'red'"),
        (Literal["a"], ["b"], "has to be 'a'"),
        (Literal["a", 1, True], ["b"], "has to be one of 'a', 1, true"),
        (Literal[b"a"], ["b"], "has to be 'a'"),
        (int | None, [""], "has to be an integer"),
        (Page, ["0"], "has to be at least 1"),
        (int | bool, ["x"], "has to be an integer, or has to be true or false"),
    ],
)
def test_a_text_that_does_not_fit_is_told_what_it_has_to_be(annotation: Any, texts: list[str], told: str) -> None:
    assert {reason(annotation, text) for text in texts} == {told}


def test_a_long_list_of_choices_is_cut() -> None:
    told = reason(enum.Enum("Many", {f"N{number}": number for number in range(50)}), "x")
    assert told.endswith("18, 19 and 30 more")


def test_str_without_constraints_is_str_itself() -> None:
    assert text_of(str).read is str
    assert text_of(str | None).read is str
    assert text_of(list[str]).read is str


def test_digits_of_integers_stay_within_the_limit_of_the_interpreter() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(1000)
    try:
        assert reason(int, "1" * 2000) == "has too many digits"
    finally:
        sys.set_int_max_str_digits(before)


def test_decimals_do_not_depend_on_the_context() -> None:
    with localcontext() as context:
        for signal in list(context.traps):
            context.traps[signal] = False
        context.prec = 3
        assert text_of(Decimal).read("19.9999") == Decimal("19.9999")
        assert reason(Decimal, "1e") == "has to be a decimal number"


@pytest.mark.parametrize(
    "annotation, optional",
    [
        (int, False),
        (int | None, True),
        (Optional[list[int]], True),  # noqa: UP045
        (list[int | None], False),
        (Literal["a", None], True),
        (Literal["a"], False),
        (Annotated[int | None, "x"], True),
        (Annotated[int, "x"] | None, True),
        (int | str | None, True),
        (int | Annotated[str | None, "x"], True),
    ],
)
def test_it_is_known_whether_none_is_a_value(annotation: Any, optional: bool) -> None:
    assert text_of(annotation).optional is optional


@pytest.mark.parametrize(
    "annotation, value",
    [
        (list[int], [1, 2, 1]),
        (Sequence[int], [1, 2, 1]),
        (set[int], {1, 2}),
        (AbstractSet[int], {1, 2}),
        (frozenset[int], frozenset({1, 2})),
        (tuple[int, ...], (1, 2, 1)),
        (list[int] | None, [1, 2, 1]),
        (Annotated[list[Annotated[int, Query(ge=1)]] | None, Query(max_length=3)], [1, 2, 1]),
        (list[int | str], [1, 2, 1]),
        (list[int | None], [1, 2, 1]),
    ],
)
def test_texts_become_a_container(annotation: Any, value: Any) -> None:
    text = text_of(annotation)
    assert text.container is type(value)
    assert text.convert(["1", "2", "1"]) == value


def test_each_text_of_a_container_that_does_not_fit_is_pointed_at() -> None:
    with pytest.raises(Faulty) as caught:
        text_of(list[Annotated[int, at.Ge(5)]]).convert(["x", "7", "3"])
    assert caught.value.parts == (("/0", "has to be an integer"), ("/2", "has to be at least 5"))


def test_a_long_list_of_nonsense_has_a_short_answer() -> None:
    with pytest.raises(Faulty) as caught:
        text_of(list[int]).convert(["x"] * 1000)
    assert len(caught.value.parts) == 20


def test_lengths_count_the_items_of_a_container_and_the_characters_of_a_text() -> None:
    limits = Constraints(max_length=2)
    assert text_of(list[str], limits).convert(["abc", "def"]) == ["abc", "def"]
    with pytest.raises(Faulty) as caught:
        text_of(list[str], limits).convert(["a", "b", "c"])
    assert caught.value.parts == (("", "has to have at most 2 items"),)
    assert text_of(set[str], limits).convert(["a", "b", "a"]) == {"a", "b"}
    assert reason(str, "abc", limits) == "has to have at most 2 characters"
    assert reason(str | None, "abc", limits) == "has to have at most 2 characters"
    assert text_of(str, limits).read("ab") == "ab"


@pytest.mark.parametrize(
    "annotation",
    [
        Annotated[UserId, at.Ge(5)],
        Annotated[int | float, at.Ge(5)],
        Annotated[Annotated[int, at.Ge(5)], at.Ge(1)] | None,
    ],
)
def test_constraints_are_found_wherever_they_stand(annotation: Any) -> None:
    assert reason(annotation, "4") == "has to be at least 5"
    assert text_of(annotation).read("5") == 5


@pytest.mark.parametrize(
    "annotation",
    [
        *(Model, list[Model], Model | None, int | Model, dict[str, int], list, list[list[int]], tuple[int, str], Any),
        *(object, None, type(None), list[int] | str, list[int] | set[int] | None, bytearray, list[Any]),
        Annotated[Model, at.Predicate(bool)],
    ],
)
def test_what_is_not_made_of_scalars_is_none_of_its_business(annotation: Any) -> None:
    assert text_type(annotation, Constraints(), WHERE) is None


@pytest.mark.parametrize(
    "annotation, told",
    [
        (Annotated[str, Query(ge=1)], "ge=1 does not fit a str"),
        (Annotated[int | str, Query(ge=1)], "ge=1 does not fit a str"),
        (Annotated[list[int], Query(ge=1)], "list[Annotated[int, Query(ge=1)]]"),
        (list[Annotated[int, Query(min_length=1)]], "min_length=1 does not fit an int"),
        (Annotated[Size, Query(pattern="s")], "pattern='s' does not fit a Size"),
        (Annotated[Literal["a"], Query(pattern="s")], "pattern='s' does not fit a Literal"),
        (Annotated[int, at.Predicate(bool)], "Predicate of annotated_types"),
        (Things, "has no value that a text can stand for"),
    ],
)
def test_a_constraint_that_does_not_fit_is_a_mistake_at_registration(annotation: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        text_type(annotation, Constraints(), WHERE)
    assert str(caught.value).startswith("shop.py:7: ")
    assert told in str(caught.value)


ALL = [
    *(str, int, float, bool, bytes, date, time, datetime, timedelta, UUID, Decimal, Size, Level, Right, Colour, Mixed),
    *(Literal["a", 1, True], int | date | None, Annotated[Decimal, Query(ge=0, multiple_of=0.1)]),
    Annotated[datetime, Query(ge=datetime(2026, 1, 1, tzinfo=UTC))],
]
# Near misses are likelier to find a crack than any text.
LIKELY = st.text(st.sampled_from("0123456789+-.,:eETZPWDHMS nNaAfiIx_٣²\n"), max_size=40)


@pytest.mark.parametrize("annotation", ALL, ids=str)
@given(st.one_of(st.text(), LIKELY, st.text(st.characters(), max_size=5)))
def test_any_text_is_a_value_or_a_reason(annotation: Any, text: str) -> None:
    kind = text_of(annotation)
    try:
        hash(kind.read(text))
    except ValueError as error:
        told = str(error)
    else:
        told = "has a value"
    assert told.startswith("has ")


OFFSETS = st.builds(timezone, st.builds(timedelta, minutes=st.integers(-1439, 1439)))
VALUES: list[Any] = [
    (int, st.integers(), str),
    (float, st.floats(allow_nan=False, allow_infinity=False), str),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False), str),
    (bool, st.booleans(), str),
    (str, st.text(), str),
    (bytes, st.text(st.characters(codec="utf-8")).map(str.encode), bytes.decode),
    (UUID, st.uuids(), str),
    (date, st.dates(), date.isoformat),
    (time, st.times(timezones=st.none() | OFFSETS), time.isoformat),
    (datetime, st.datetimes(timezones=st.none() | OFFSETS), datetime.isoformat),
    (timedelta, st.timedeltas(), lambda value: _iso_duration(value)),
]


def _iso_duration(value: timedelta) -> str:
    sign, value = ("-", -value) if timedelta.min < value < timedelta(0) else ("", value)
    if value == timedelta.min:
        return "-P999999999D"
    return f"{sign}P{value.days}DT{value.seconds}.{value.microseconds:06d}S"


@pytest.mark.parametrize("annotation, values, write", VALUES, ids=[str(row[0]) for row in VALUES])
@given(data=st.data())
def test_what_was_written_is_read_again(annotation: Any, values: Any, write: Any, data: st.DataObject) -> None:
    value = data.draw(values)
    assert text_of(annotation).read(write(value)) == value


def test_a_request_is_told_all_that_is_wrong_with_its_texts() -> None:
    app = MicroASGI()

    @app.get("/")
    async def search(
        page: Annotated[int, Query(ge=1)],
        since: datetime,
        size: Size,
        ids: Annotated[list[Annotated[int, at.Ge(5)]], Query(max_length=3)],
    ) -> dict[str, Any]:
        return {"page": page, "year": since.year, "size": size.name, "ids": ids}

    with TestClient(app) as client:
        good = client.get("/?page=1&since=2026-01-31T12:00:00%2B02:00&size=s&ids=5&ids=6")
        assert good.json() == {"page": 1, "year": 2026, "size": "SMALL", "ids": [5, 6]}
        bad = client.get("/?page=0&since=2026-01-31T12:00:00+02:00&size=x&ids=5&ids=4")
    assert bad.status_code == 422
    assert [(fault["name"], fault["detail"], fault.get("pointer")) for fault in bad.json()["errors"]] == [
        ("page", "has to be at least 1", None),
        ("since", "has to be a date and time such as 2026-01-31T12:30:00Z (in a query + is written %2B)", None),
        ("size", "has to be one of 's', 'l'", None),
        ("ids", "has to be at least 5", "#/1"),
    ]
