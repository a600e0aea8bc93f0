"""Conditional requests, by the table of RFC 9110 section 13.2.2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.files.conditions import Validators, as_http_date, conditions_of, decide, parse_http_date
from microasgi.files.ranges import Span

MOMENT = 784111777
NOW = b"Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = b"Sun, 06 Nov 1994 08:49:36 GMT"
AFTER = b"Sun, 06 Nov 1994 08:49:38 GMT"
FILE = Validators(b'"a,b"', MOMENT)


def status(method: str = "GET", current: Validators = FILE, **conditions: bytes) -> int:
    asked = {name.replace("_", "-").encode(): value for name, value in conditions.items()}
    return decide(method, asked, current, 10)[0]


@pytest.mark.parametrize("value", [b'"a,b"', b'"x", "a,b"', b'W/"a,b"', b"*", b' "x" , W/"y" ,"a,b"', b'"","a,b"'])
def test_a_known_tag_is_not_modified(value: bytes) -> None:
    assert status(if_none_match=value) == 304
    assert status("HEAD", if_none_match=value) == 304


@pytest.mark.parametrize("value", [b'"x"', b"", b"a,b", b'"a', b'a,b"', b'"a,b', b"W/", b'w/"x"', b"**"])
def test_an_unknown_or_malformed_tag_is_sent_the_file(value: bytes) -> None:
    assert status(if_none_match=value) == 200


@pytest.mark.parametrize(
    "value, expected", [(b'"a,b"', 200), (b"*", 200), (b'W/"a,b"', 412), (b'"x"', 412), (b"", 412)]
)
def test_if_match_compares_strongly(value: bytes, expected: int) -> None:
    assert status(if_match=value) == expected


def test_a_weak_tag_matches_weakly_only() -> None:
    weak = Validators(b'W/"v"', MOMENT)
    assert status(current=weak, if_match=b'W/"v"') == 412
    assert status(current=weak, if_none_match=b'"v"') == 304


@pytest.mark.parametrize("date, expected", [(NOW, 304), (AFTER, 304), (BEFORE, 200), (b"yesterday", 200), (b"", 200)])
def test_if_modified_since(date: bytes, expected: int) -> None:
    assert status(if_modified_since=date) == expected


@pytest.mark.parametrize("date, expected", [(NOW, 200), (AFTER, 200), (BEFORE, 412), (b"yesterday", 200)])
def test_if_unmodified_since(date: bytes, expected: int) -> None:
    assert status(if_unmodified_since=date) == expected


def test_tags_go_before_dates() -> None:
    assert status(if_none_match=b'"x"', if_modified_since=AFTER) == 200
    assert status(if_match=b'"a,b"', if_unmodified_since=BEFORE) == 200
    assert status(if_match=b'"x"', if_none_match=b'"a,b"') == 412
    assert status(if_match=b'"a,b"', if_none_match=b'"a,b"') == 304


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", ""])
@pytest.mark.parametrize("conditions", [{"if_none_match": b"*"}, {"if_match": b'"x"'}, {"if_unmodified_since": BEFORE}])
def test_a_method_that_has_acted_is_sent_the_file(method: str, conditions: dict[str, bytes]) -> None:
    assert status(method, **conditions) == 200


def test_a_range_is_looked_at_last() -> None:
    assert status(range=b"bytes=0-1") == 206
    assert status(range=b"bytes=10-") == 416
    assert status(range=b"lines=1-2") == 200
    assert status("HEAD", range=b"bytes=0-1") == 200
    assert status(range=b"bytes=0-1", if_none_match=b'"a,b"') == 304
    assert decide("GET", {b"range": b"bytes=0-1"}, FILE, 10) == (206, [Span(0, 2)])


@pytest.mark.parametrize(
    "value, expected",
    [(b'"a,b"', 206), (NOW, 206), (b'W/"a,b"', 200), (b'"x"', 200), (AFTER, 200), (BEFORE, 200), (b"x", 200)],
)
def test_if_range_allows_a_part_of_the_very_same_file_only(value: bytes, expected: int) -> None:
    assert status(range=b"bytes=0-1", if_range=value) == expected


def test_if_range_with_a_weak_tag_of_ours_allows_no_part() -> None:
    assert status(current=Validators(b'W/"v"', MOMENT), range=b"bytes=0-1", if_range=b'W/"v"') == 200


@pytest.mark.parametrize("date", [NOW, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"])
def test_the_three_forms_of_a_date_are_read(date: bytes) -> None:
    assert parse_http_date(date) == MOMENT


@pytest.mark.parametrize("date", [b"", b"0", b"\xff", b"x" * 5000, b"Sun, 99 Nov 99999999999999999 08:49:37 GMT"])
def test_what_is_no_date_is_none(date: bytes) -> None:
    assert parse_http_date(date) is None


@given(st.integers(0, 253402300799))
def test_dates_are_read_as_they_were_written(moment: int) -> None:
    if moment // 31556952 + 1970 >= 1000:
        assert parse_http_date(as_http_date(moment)) == moment


def test_moments_that_no_date_can_name_become_the_nearest() -> None:
    assert as_http_date(-5) == b"Thu, 01 Jan 1970 00:00:00 GMT"
    assert as_http_date(10**15).endswith(b"9999 23:59:59 GMT")


@given(st.binary(max_size=80))
def test_any_date_is_read_without_an_error(value: bytes) -> None:
    assert isinstance(parse_http_date(value), int | None)


@given(
    st.sampled_from(["GET", "HEAD", "POST"]),
    st.dictionaries(
        st.sampled_from(
            [b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range", b"range"]
        ),
        st.binary(max_size=30) | st.sampled_from([b'"a,b"', b"*", NOW, BEFORE, AFTER, b"bytes=0-3", b"bytes=90-"]),
    ),
)
def test_every_request_has_one_of_five_answers(method: str, conditions: dict[bytes, bytes]) -> None:
    found, spans = decide(method, conditions, FILE, 10)
    assert found in {200, 206, 304, 412, 416}
    assert (spans is not None) == (found == 206)
    assert found not in {206, 416} or method == "GET"


def test_lines_of_one_name_are_one_list() -> None:
    headers = [(b"if-none-match", b'"x"'), (b"host", b"a"), (b"if-none-match", b'"a,b"')]
    assert conditions_of(headers) == {b"if-none-match": b'"x", "a,b"'}
