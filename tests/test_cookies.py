"""Cookies: reading whatever comes, writing only what browsers take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.cookies import cookie_finder, format_cookie, parse_cookies

cookie_names = st.text(st.sampled_from("abcXYZ019!#$%&'*+-.^_`|~"), min_size=1, max_size=8)
cookie_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=20)


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a=1; b=2", {"a": "1", "b": "2"}),
        ("a=1;b=2;", {"a": "1", "b": "2"}),
        (" a = 1 ;\tb\t=\t2\t", {"a": "1", "b": "2"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=", {"a": ""}),
        ("alone; =nameless; ; ==; a=1", {"a": "1"}),
        ("a=first; a=second", {"a": "first"}),
        ('a="x y"', {"a": "x y"}),
        ('a="x\\054y\\073\\"\\\\"', {"a": 'x,y;"\\'}),
        ('a="\\351\\777\\9"', {"a": "é7779"}),
        ('a="half', {"a": '"half'}),
        ('a="', {"a": '"'}),
        ('a="cut;b=1"', {"a": '"cut', "b": '1"'}),
        ('a="\\"', {"a": "\\"}),
        ("caf\xc3\xa9=\xff", {"caf\xc3\xa9": "\xff"}),
        ("__proto__=1; __Host-a=2", {"__proto__": "1", "__Host-a": "2"}),
    ],
)
def test_a_cookie_header_is_read_as_a_browser_writes_it(header: str, cookies: dict[str, str]) -> None:
    assert parse_cookies(header) == cookies


def test_cookies_after_the_first_180_are_ignored() -> None:
    header = ";".join(f"c{number}={number}" for number in range(1000))
    assert list(parse_cookies(header)) == [f"c{number}" for number in range(180)]


def test_the_number_of_cookies_read_can_be_set() -> None:
    assert parse_cookies("a=1; b=2; c=3", max_pairs=2) == {"a": "1", "b": "2"}
    assert parse_cookies("a=1; b=2; c=3", max_pairs=3) == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize("piece", [";", "=", '"', "\\", 'a="', "\\0", " "])
def test_a_long_cookie_header_is_read_too(piece: str) -> None:
    assert isinstance(parse_cookies('a="' + piece * 50_000 + '"'), dict)


@given(st.text())
def test_any_text_can_be_read_as_cookies(header: str) -> None:
    for name, value in parse_cookies(header).items():
        assert name
        assert ";" not in name
        assert isinstance(value, str)


@given(st.dictionaries(cookie_names, cookie_values, max_size=5))
def test_cookies_come_back_as_they_were_written(cookies: dict[str, str]) -> None:
    written = [format_cookie(name, value, path=None, samesite=None) for name, value in cookies.items()]
    assert parse_cookies("; ".join(written)) == cookies


@given(st.text(), st.text(), st.none() | st.text(), st.none() | st.text())
def test_whatever_is_written_is_legal_in_a_header(name: str, value: str, path: str | None, domain: str | None) -> None:
    try:
        text = format_cookie(name, value, path=path, domain=domain)
    except ValueError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert text.count(";") == 1 + (path is not None) + (domain is not None)


def test_a_cookie_has_the_safe_defaults() -> None:
    assert format_cookie("a", "b") == "a=b; Path=/; SameSite=lax"


def test_a_cookie_has_all_its_attributes() -> None:
    text = format_cookie(
        "__Secure-a",
        "b",
        max_age=60,
        expires="Thu, 01 Jan 1970 00:00:00 GMT",
        path="/x",
        domain="example.org",
        secure=True,
        httponly=True,
        samesite="none",
        partitioned=True,
    )
    assert text == (
        "__Secure-a=b; Domain=example.org; expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Max-Age=60; Partitioned; "
        "Path=/x; SameSite=none; Secure"
    )


def test_a_value_with_other_characters_is_quoted() -> None:
    assert format_cookie("a", 'x y",;\\é', path=None, samesite=None) == 'a="x y\\"\\054\\073\\\\\\351"'
    assert format_cookie("a", "", path=None, samesite=None) == 'a=""'


def test_a_value_with_the_characters_of_base64_and_paths_is_not_quoted() -> None:
    assert format_cookie("a", "AZaz09+/==.-_:{}[]()<>@?", path=None, samesite=None) == "a=AZaz09+/==.-_:{}[]()<>@?"


@pytest.mark.parametrize("name", ["", " ", "a b", "a=", "a;", "é", "a\n", "a,", '"a"', "\ud800"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="the name must be a token"):
        format_cookie(name, "x")


@pytest.mark.parametrize("character", [*map(chr, range(32)), "\x7f", "€", "\ud800", "\U0001f600"])
def test_a_value_that_cannot_be_in_a_cookie_is_refused_with_the_way_out(character: str) -> None:
    with pytest.raises(ValueError, match=r"cookie 'a': .* at position 2 cannot be in a cookie; percent-encode"):
        format_cookie("a", f"xy{character}z")


@pytest.mark.parametrize("attribute", ["path", "domain", "expires"])
@pytest.mark.parametrize("value", ["/;x", "/\n", "/\x00", "/é", "/\x7f", "/\ud800"])
def test_an_attribute_that_would_end_early_is_refused(attribute: str, value: str) -> None:
    options: dict[str, Any] = {attribute: value}
    with pytest.raises(ValueError, match=f"cookie 'a': {attribute} has .* at position 1"):
        format_cookie("a", "b", **options)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("__Secure-a", {}, "needs secure=True"),
        ("__host-a", {}, "needs secure=True"),
        ("__Host-a", {"secure": True, "path": "/x"}, "needs path='/' and no domain"),
        ("__Host-a", {"secure": True, "path": None}, "needs path='/' and no domain"),
        ("__HOST-a", {"secure": True, "domain": "example.org"}, "needs path='/' and no domain"),
        ("a", {"samesite": "none"}, "samesite='none' needs secure=True"),
        ("a", {"samesite": "None"}, "samesite='none' needs secure=True"),
        ("a", {"samesite": "loose"}, "not 'loose'"),
        ("a", {"partitioned": True}, "partitioned=True needs secure=True"),
    ],
)
def test_what_browsers_would_drop_is_refused(name: str, options: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        format_cookie(name, "x", **options)


def test_the_prefixes_are_written_when_their_rules_hold() -> None:
    assert format_cookie("__Host-a", "b", secure=True) == "__Host-a=b; Path=/; SameSite=lax; Secure"
    assert format_cookie("__Secure-a", "b", secure=True, path=None) == "__Secure-a=b; SameSite=lax; Secure"


def test_samesite_is_written_in_lower_case() -> None:
    assert format_cookie("a", "b", samesite="Strict").endswith("SameSite=strict")  # type: ignore[arg-type]


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5))]), min_value=datetime(1601, 1, 2)))
def test_a_date_is_written_as_http_wants_it(moment: datetime) -> None:
    expected = format_datetime(moment.astimezone(UTC), usegmt=True)
    assert f"; expires={expected};" in format_cookie("a", "b", expires=moment)


def test_seconds_from_now_become_a_date() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    text = format_cookie("a", "b", path=None, samesite=None, expires=3600)
    written = datetime.strptime(text, "a=b; expires=%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert timedelta(0) <= written - before - timedelta(hours=1) < timedelta(minutes=5)


def test_a_date_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone"):
        format_cookie("a", "b", expires=datetime(2030, 1, 1))


@pytest.mark.parametrize(
    "expires",
    [
        10**30,
        -(10**30),
        10**17,
        10**12,
        datetime(1600, 12, 31, tzinfo=UTC),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_a_date_beyond_the_calendar_is_refused(expires: datetime | int) -> None:
    with pytest.raises(ValueError, match="is no date from 1601 to 9999"):
        format_cookie("a", "b", expires=expires)


@given(st.text(alphabet='ab=; \t"\\0,é', max_size=40), st.sampled_from(["a", "b", "ab"]))
def test_one_cookie_is_found_as_all_are_parsed(header: str, name: str) -> None:
    assert cookie_finder(name)(header) == parse_cookies(header).get(name)
    assert cookie_finder(name, 2)(header) == parse_cookies(header, 2).get(name)
