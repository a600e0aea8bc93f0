"""Convertors: what each of them reads and refuses, and what it writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.convertors import CONVERTOR_TYPES, NO_MATCH, Convertor, register_url_convertor
from microasgi.exceptions import ConfigurationError

NUMBER = UUID("01234567-89ab-cdef-0123-456789abcdef")


class Color(str, Enum):  # noqa: UP042 - not StrEnum, whose str() is the text itself
    RED = "red"


class Size(IntEnum):
    BIG = 3


class Level(int, Enum):
    LOW = 1


class DayConvertor(Convertor[date]):
    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def convert(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_string(self, value: date) -> str:
        return value.isoformat()


@pytest.fixture(autouse=True)
def convertors_as_before() -> Iterator[None]:
    before = dict(CONVERTOR_TYPES)
    yield
    CONVERTOR_TYPES.clear()
    CONVERTOR_TYPES.update(before)


def read(kind: str, text: str) -> Any:
    return CONVERTOR_TYPES[kind].reader()(text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("str", "a b", "a b"),
        ("str", "ü", "ü"),
        ("path", "", ""),
        ("path", "a/b", "a/b"),
        ("int", "0", 0),
        ("int", "007", 7),
        ("int", "9" * 20, 10**20 - 1),
        ("float", "1", 1.0),
        ("float", "1.50", 1.5),
        ("float", "0" * 39 + "1", 1.0),
        ("uuid", str(NUMBER), NUMBER),
        ("uuid", str(NUMBER).upper(), NUMBER),
        ("uuid", NUMBER.hex, NUMBER),
    ],
)
def test_a_text_that_fits_is_read(kind: str, text: str, value: object) -> None:
    assert read(kind, text) == value
    assert type(read(kind, text)) is type(value)
    assert CONVERTOR_TYPES[kind].convert(text) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("str", ""),
        ("int", ""),
        ("int", "-1"),
        ("int", "+1"),
        ("int", "1_0"),
        ("int", " 1"),
        ("int", "1\n"),
        ("int", "9" * 21),
        ("int", "\N{ARABIC-INDIC DIGIT THREE}"),
        ("int", "\N{SUPERSCRIPT TWO}"),
        ("float", ""),
        ("float", "."),
        ("float", "1."),
        ("float", ".5"),
        ("float", "1.2.3"),
        ("float", "-1.5"),
        ("float", "1e5"),
        ("float", "nan"),
        ("float", "inf"),
        ("float", "1.5\n"),
        ("float", "\N{ARABIC-INDIC DIGIT THREE}.5"),
        ("float", "9" * 41),
        ("uuid", ""),
        ("uuid", "0" * 31),
        ("uuid", "g" * 32),
        ("uuid", "0" * 36),
        ("uuid", "-" * 36),
        ("uuid", "0x" + "0" * 30),
        ("uuid", "0" * 31 + "\n"),
        ("uuid", "\N{ARABIC-INDIC DIGIT THREE}" * 32),
        ("uuid", "01234567--89ab-cdef-0123-456789abcde"),
        ("uuid", "01234567-89a--cdef-0123-456789abcdef"),
        ("uuid", "{" + "0" * 30 + "}"),
    ],
)
def test_a_text_that_does_not_fit_is_no_match(kind: str, text: str) -> None:
    assert read(kind, text) is NO_MATCH
    with pytest.raises(ValueError, match="does not fit"):
        CONVERTOR_TYPES[kind].convert(text)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("str", "a", "a"),
        ("str", 5, "5"),
        ("str", 1.5, "1.5"),
        ("str", NUMBER, str(NUMBER)),
        ("str", Decimal("1.50"), "1.50"),
        ("str", date(2026, 1, 2), "2026-01-02"),
        ("str", Color.RED, "red"),
        ("path", "a/b", "a/b"),
        ("int", 5, "5"),
        ("int", Size.BIG, "3"),
        ("int", Level.LOW, "1"),
        ("float", 2, "2"),
        ("float", 2.0, "2"),
        ("float", 0.1, "0.1"),
        ("float", 10.0, "10"),
        ("float", 1e16, "10000000000000000"),
        ("float", 1e-7, "0.0000001"),
        ("uuid", NUMBER, str(NUMBER)),
        ("uuid", str(NUMBER), str(NUMBER)),
    ],
)
def test_a_value_is_written_as_it_would_be_typed(kind: str, value: object, text: str) -> None:
    assert CONVERTOR_TYPES[kind].to_string(value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("str", None),
        ("str", True),
        ("str", b"a"),
        ("str", ["a"]),
        ("str", object()),
        ("int", "5"),
        ("int", True),
        ("int", 5.0),
        ("float", "5"),
        ("float", False),
        ("uuid", 5),
    ],
)
def test_a_value_of_another_kind_is_refused(kind: str, value: object) -> None:
    with pytest.raises(ValueError):
        CONVERTOR_TYPES[kind].to_string(value)


@given(st.integers(0, 10**20 - 1))
def test_every_int_up_to_20_digits_comes_back(number: int) -> None:
    assert read("int", CONVERTOR_TYPES["int"].to_string(number)) == number


@given(st.floats(1e-20, 1e20))
def test_every_ordinary_float_comes_back(number: float) -> None:
    assert read("float", CONVERTOR_TYPES["float"].to_string(number)) == number


@pytest.mark.parametrize("number", [-1.5, float("nan"), float("inf"), 1e300, 5e-324])
def test_a_float_that_would_not_be_read_is_no_match(number: float) -> None:
    assert read("float", CONVERTOR_TYPES["float"].to_string(number)) is NO_MATCH


@given(st.sampled_from(sorted(CONVERTOR_TYPES)), st.text())
def test_whatever_is_in_a_path_is_a_value_or_no_match(kind: str, text: str) -> None:
    value = read(kind, text)
    assert value is NO_MATCH or read(kind, str(CONVERTOR_TYPES[kind].to_string(value))) == value


@given(st.sampled_from(sorted(CONVERTOR_TYPES)), st.text(), st.text(min_size=1))
def test_a_text_that_a_value_may_not_hold_is_in_no_value(kind: str, text: str, part: str) -> None:
    convertor = CONVERTOR_TYPES[kind]
    if not convertor.may_hold(part) and part in text and (kind != "str" or "/" not in text):
        assert read(kind, text) is NO_MATCH


def test_own_convertors_are_a_regex_and_two_functions() -> None:
    register_url_convertor("day", DayConvertor())
    assert read("day", "2026-01-02") == date(2026, 1, 2)
    assert CONVERTOR_TYPES["day"].to_string(date(2026, 1, 2)) == "2026-01-02"


def test_a_regex_has_to_fit_to_the_very_end() -> None:
    register_url_convertor("day", DayConvertor())
    assert read("day", "2026-01-02\n") is NO_MATCH
    assert read("day", "2026-01-020") is NO_MATCH


def test_a_value_error_of_convert_is_no_match() -> None:
    register_url_convertor("day", DayConvertor())
    assert read("day", "2026-02-30") is NO_MATCH


def test_other_errors_of_convert_are_the_programs() -> None:
    class Broken(Convertor[int]):
        def convert(self, value: str) -> int:
            raise KeyError(value)

    with pytest.raises(KeyError):
        Broken().reader()("a")


def test_a_convertor_without_its_two_functions_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Convertor[str]().convert("a")
    with pytest.raises(NotImplementedError):
        Convertor[str]().to_string("a")


@pytest.mark.parametrize(
    ("regex", "spans"),
    [
        ("[^/]+", False),
        ("[0-9]{4}", False),
        ("[a-z-]+", False),
        (".*", True),
        (".+", True),
        (r"\S+", True),
        ("[^-]+", True),
        ("[0-9/]+", True),
        ("[0-9]{4}/[0-9]{2}", True),
        ("[^/]+/[^/]+", True),
        ("/?", True),
    ],
)
def test_a_regex_that_takes_a_slash_spans_segments(regex: str, spans: bool) -> None:
    convertor = Convertor[str]()
    convertor.regex = regex
    assert convertor.may_hold("/") is spans


def test_of_other_texts_an_own_convertor_may_hold_all() -> None:
    assert DayConvertor().may_hold("x")


@pytest.mark.parametrize("key", ["", "{a}", "a}"])
def test_a_convertor_has_a_name_that_a_template_can_hold(key: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a convertor"):
        register_url_convertor(key, DayConvertor())


def test_a_class_in_place_of_a_convertor_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="an instance of a Convertor class"):
        register_url_convertor("day", DayConvertor)  # type: ignore[arg-type]


def test_a_broken_regex_is_refused_when_it_is_registered() -> None:
    broken = DayConvertor()
    broken.regex = "("
    with pytest.raises(ConfigurationError, match="'day' is none"):
        register_url_convertor("day", broken)


def test_a_uuid_of_the_standard_library_always_fits() -> None:
    number = uuid4()
    assert read("uuid", str(number)) == number
