"""Accept-Encoding: weights, "identity" and "*" as RFC 9110 section 12.5.3 has them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.middleware.acceptencoding import Choice, choose_coding

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    "accept, coding",
    [
        ("gzip", "gzip"),
        ("gzip, br", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        (" gzip ; q=0.3 ,\tbr;q=0.2", "gzip"),
        ("zstd;q=0, br;q=0.001, gzip;q=0.0", "br"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("gzip, *;q=0.5", "gzip"),
        ("gzip;q=0.5, *;q=0.5", "zstd"),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("identity;q=0.5, gzip;q=0.8", "gzip"),
    ],
)
def test_the_highest_weight_wins_and_of_equal_ones_the_server_s_order(accept: str, coding: str) -> None:
    assert choose_coding(accept.encode(), OFFERED) == Choice(coding, False)


@pytest.mark.parametrize(
    "accept",
    ["", ",", "identity", "deflate", "gzip;q=0", "gzip;q=0.5, identity", "*;q=0, identity", "*;q=0", "identity;q=0"],
)
def test_nothing_is_chosen_where_nothing_that_is_offered_is_wanted(accept: str) -> None:
    assert choose_coding(accept.encode(), OFFERED) == Choice(None, False)


@pytest.mark.parametrize("accept", ["gzip, identity;q=0", "gzip, *;q=0", "gzip;q=0.1, identity;q=0.000"])
def test_a_client_can_insist_on_a_coding(accept: str) -> None:
    assert choose_coding(accept.encode(), OFFERED) == Choice("gzip", True)


@pytest.mark.parametrize("weight", ["q=2", "q=-1", "q=", "q", "q=0.1234", "q=nan", "q=1e0", "level=1", "q=0.5;x"])
def test_what_is_no_weight_counts_as_zero(weight: str) -> None:
    assert choose_coding(f"gzip;{weight}".encode(), OFFERED) == Choice(None, False)


def test_of_a_coding_named_twice_the_first_counts() -> None:
    assert choose_coding(b"gzip;q=0, gzip", OFFERED) == Choice(None, False)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(accept: bytes) -> None:
    assert choose_coding(accept, OFFERED).coding in {None, *OFFERED}


def test_a_long_header_is_read_once_over() -> None:
    assert choose_coding(b"gzip;q=0.5, " * 100_000 + b"br", OFFERED) == Choice("br", False)
