"""Byte ranges, against an oracle that looks at every byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.files.ranges import MOST_RANGES, Span, content_range, frame, parse_ranges


@pytest.mark.parametrize(
    "header, spans",
    [
        (b"bytes=0-4", [(0, 5)]),
        (b"bytes=5-", [(5, 10)]),
        (b"bytes=-3", [(7, 10)]),
        (b"bytes=-30", [(0, 10)]),
        (b"bytes=8-100", [(8, 10)]),
        (b"bytes=8-" + b"9" * 5000, [(8, 10)]),
        (b"bytes=-" + b"9" * 5000, [(0, 10)]),
        (b"bytes=" + b"0" * 5000 + b"8-9", [(8, 10)]),
        (b"BYTES = 1-1", [(1, 2)]),
        (b"bytes= 1-1 ,\t3-3", [(1, 2), (3, 4)]),
        (b"bytes=,,1-1,,", [(1, 2)]),
        (b"bytes=8-9,0-1", [(8, 10), (0, 2)]),
        (b"bytes=0-3,2-5", [(0, 6)]),
        (b"bytes=0-1,2-3", [(0, 4)]),
        (b"bytes=8-8,0-5,1-2,3-6", [(8, 9), (0, 7)]),
        (b"bytes=0-0,-1", [(0, 1), (9, 10)]),
        (b"bytes=1-1,90-", [(1, 2)]),
    ],
)
def test_these_ask_for_spans_of_ten_bytes(header: bytes, spans: list[tuple[int, int]]) -> None:
    assert parse_ranges(header, 10) == [Span(*span) for span in spans]


@pytest.mark.parametrize(
    "header",
    [
        *(b"", b"bytes", b"bytes=", b"bytes=,", b"bytes=-", b"bytes=1", b"bytes=a-", b"bytes=1-b", b"bytes=5-4"),
        *(b"items=0-4", b"bytes=1-2-3", b"bytes=--5", b"bytes=+1-2", b"bytes=1 -2", b"bytes=0-1,x", b"bytes=1_0-"),
        *(b"bytes=\xb2-", "bytes=٣-".encode(), b"bytes=0-1;2-3"),
        b"bytes=" + b",".join(b"%d-%d" % (n, n) for n in range(MOST_RANGES + 1)),
    ],
)
def test_what_is_malformed_or_too_many_is_ignored(header: bytes) -> None:
    assert parse_ranges(header, 100) is None


@pytest.mark.parametrize("header", [b"bytes=10-", b"bytes=10-12,11-", b"bytes=-0", b"bytes=" + b"9" * 5000 + b"-"])
def test_what_is_behind_the_end_asks_for_nothing(header: bytes) -> None:
    assert parse_ranges(header, 10) == []


@pytest.mark.parametrize("header", [b"bytes=0-", b"bytes=-5", b"bytes=0-0"])
def test_nothing_of_an_empty_file_can_be_had(header: bytes) -> None:
    assert parse_ranges(header, 0) == []


_positions = st.integers(0, 60)
_asked = st.one_of(
    st.tuples(_positions, st.none() | _positions).filter(lambda pair: pair[1] is None or pair[0] <= pair[1]),
    st.tuples(st.none(), _positions),
)


def _wanted_bytes(asked: list[tuple[int | None, int | None]], size: int) -> set[int]:
    wanted: set[int] = set()
    for first, last in asked:
        if first is None:
            wanted |= set(range(max(0, size - (last or 0)), size))
        else:
            wanted |= set(range(first, size if last is None else min(size, last + 1)))
    return wanted


@given(st.lists(_asked, min_size=1, max_size=MOST_RANGES), st.integers(0, 50))
def test_the_spans_are_exactly_the_bytes_asked_for(asked: list[tuple[int | None, int | None]], size: int) -> None:
    texts = [f"{'' if first is None else first}-{'' if last is None else last}" for first, last in asked]
    spans = parse_ranges(f"bytes={','.join(texts)}".encode(), size)
    assert spans is not None
    covered = [place for span in spans for place in range(span.start, span.stop)]
    assert len(covered) == len(set(covered))
    assert set(covered) == _wanted_bytes(asked, size)
    in_order = sorted(spans)
    assert all(left.stop < right.start for left, right in pairwise(in_order))


@given(st.binary(max_size=200), st.integers(0, 50))
def test_any_bytes_give_spans_inside_of_the_file_or_none(header: bytes, size: int) -> None:
    for value in (header, b"bytes=" + header):
        assert all(0 <= start < stop <= size for start, stop in parse_ranges(value, size) or [])


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=5))
def test_the_length_of_a_frame_is_the_length_of_what_is_sent(pairs: list[tuple[int, int]]) -> None:
    content = bytes(range(50))
    parts, end, length = frame([Span(at, at + size) for at, size in pairs], 50, b"text/plain", b"xyz")
    sent = b"".join(head + content[span.start : span.stop] for head, span in parts) + end
    assert len(sent) == length
    assert sent.startswith(b"--xyz\r\n")
    assert sent.endswith(b"\r\n--xyz--\r\n")


def test_a_content_range_names_the_last_byte_and_the_size() -> None:
    assert content_range(Span(0, 5), 10) == b"bytes 0-4/10"
    assert content_range(None, 10) == b"bytes */10"
