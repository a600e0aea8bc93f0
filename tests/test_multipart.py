"""A multipart body is cut into heads, data and ends, the same in every chunking, and never with a part of it lost."""

from __future__ import annotations

import logging
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.exceptions import HTTPException, MissingPackage
from microasgi.multipart import (
    Event,
    FormLimits,
    MultipartReader,
    PartHead,
    decode_text,
    parse_disposition,
    pick_codec,
)


def read(*chunks: bytes, boundary: str = "B", limits: FormLimits | None = None) -> list[Event]:
    reader = MultipartReader(boundary, limits or FormLimits())
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    reader.finish()
    return join_data(events)


def join_data(events: list[Event]) -> list[Event]:
    """Put together what came in several pieces."""
    joined: list[Event] = []
    for event in events:
        if event and isinstance(event, bytes) and joined and isinstance(joined[-1], bytes) and joined[-1]:
            joined[-1] += event
        else:
            joined.append(event)
    return joined


def outcome(*chunks: bytes) -> list[Event] | int:
    try:
        return read(*chunks)
    except HTTPException as error:
        return error.status_code


def field(name: str = "a", value: bytes = b"1", *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *headers]
    return b"--B\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


def file(name: str = "f") -> bytes:
    return b'--B\r\nContent-Disposition: form-data; name="%b"; filename="x"\r\n\r\n\r\n' % name.encode()


def refused(status: int, *chunks: bytes, boundary: str = "B", limits: FormLimits | None = None) -> str:
    with pytest.raises(HTTPException) as caught:
        read(*chunks, boundary=boundary, limits=limits)
    assert caught.value.status_code == status
    return caught.value.detail


END = b"--B--\r\n"


def test_a_part_is_its_head_its_data_and_its_end() -> None:
    body = field("a", b"one", "X-More: \t yes ") + END
    head = PartHead("a", None, [(b"content-disposition", b'form-data; name="a"'), (b"x-more", b"yes")])
    assert read(body) == [head, b"one", b""]


def test_a_part_without_data_has_only_an_end() -> None:
    assert [event for event in read(field(value=b"") + END) if isinstance(event, bytes)] == [b""]


def test_a_form_without_parts_is_complete() -> None:
    assert read(b"--B--") == []


def test_line_ends_before_the_first_boundary_are_skipped() -> None:
    assert len(read(b"\r", b"\n\r\n", field() + END)) == 3


def test_what_follows_the_closing_boundary_is_ignored() -> None:
    assert len(read(field() + END, b"--B\r\nanything")) == 3


def test_data_may_look_like_a_boundary() -> None:
    data = b"\r\n--\r\n--b\r\n--Bx\r\n-\r\r\n--B-\r"
    assert read(field(value=data) + END)[1] == data


@given(st.lists(st.integers(0, 400)), st.sampled_from([b"", b"text before\r\n", b"\r\ntext before\r\n", b"\n"]))
def test_the_chunking_makes_no_difference(cuts: list[int], before: bytes) -> None:
    body = before + field("a", b"\r\n--Bx", "X-Y: z") + file() + field(value=b"") + END + b"after"
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    assert outcome(*chunks) == outcome(body)


@pytest.mark.parametrize("size", range(1, len(field() + file() + END) - 2))
def test_a_body_that_ends_early_is_400(size: int) -> None:
    body = (field() + file() + END)[:-2]
    assert "closing boundary" in refused(400, body[:size])


def test_an_empty_body_is_400() -> None:
    assert "closing boundary" in refused(400)


@pytest.mark.parametrize(
    "body",
    [
        b"text before\r\n" + field() + END,
        b"--C\r\n",
        b"--B\n",
        b"--B\r\n bad: x\r\n\r\n",
        b"--B\r\n: x\r\n\r\n",
        b"--B\r\nname\r\n\r\n",
        field("a", b"1", "X: a\rb") + END,
        field("a", b"1", "X: a\nb") + END,
        field("a", b"1", "X: a\x00b") + END,
        field("a", b"1", "X: a\x7fb") + END,
        field("a", b"1", "X: y\r\n folded") + END,
        b"--B\r\n\r\nno headers\r\n" + END,
        b"--B\r\nContent-Type: text/plain\r\n\r\nno name\r\n" + END,
        field("a", b"1", 'Content-Disposition: form-data; name="b"') + END,
    ],
)
def test_a_malformed_body_is_400(body: bytes) -> None:
    assert refused(400, body).startswith("Malformed multipart body: ")


def test_a_malformed_body_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        refused(400, b"--C\r\n")
    assert not caplog.records


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"--B", b"\r\n", b"-", field(), file(), b":", END])))
def test_any_bytes_are_parts_or_400(data: bytes | list[bytes]) -> None:
    chunks = data if isinstance(data, list) else [b"--B\r\n", data]
    result = outcome(*chunks)
    assert result == 400 or isinstance(result, list)


@pytest.mark.parametrize("boundary", ["x", "x" * 70, "'()+_,-./:=? x", "*%{}"])
def test_a_boundary_is_up_to_70_characters_of_ascii(boundary: str) -> None:
    body = (field() + END).replace(b"--B", b"--" + boundary.encode())
    assert len(read(body, boundary=boundary)) == 3


@pytest.mark.parametrize("boundary", ["", "x" * 71, "a\r\nb", "a\x00", "é"])
def test_any_other_boundary_is_400(boundary: str) -> None:
    assert "boundary" in refused(400, b"", boundary=boundary)


def test_fields_above_their_number_are_413() -> None:
    limits = FormLimits(max_fields=3, max_files=0)
    assert len(read(field() * 3 + END, limits=limits)) == 9
    assert "more than 3 fields" in refused(413, field() * 4 + END, limits=limits)


def test_files_above_their_number_are_413() -> None:
    limits = FormLimits(max_fields=0, max_files=3)
    assert len([event for event in read(file() * 3 + END, limits=limits) if isinstance(event, PartHead)]) == 3
    assert "more than 3 files" in refused(413, file() * 4 + END, limits=limits)


def test_headers_of_a_part_above_their_number_are_400() -> None:
    assert len(read(field("a", b"1", *["X: y"] * 15) * 2 + END)) == 6
    refused(400, field("a", b"1", *["X: y"] * 16) + END)


def test_headers_of_a_part_above_their_bytes_are_400() -> None:
    room = 8192 - len('Content-Disposition: form-data; name="a"\r\n') - len("X: \r\n")
    assert len(read(field("a", b"1", "X: " + "y" * room) * 2 + END)) == 6
    assert "larger than 8192 bytes" in refused(400, field("a", b"1", "X: " + "y" * (room + 1)) + END)


@pytest.mark.parametrize("line", ["x" * 8193, "x:" + " " * 8193, "x: " + "y" * 8193])
def test_a_header_that_does_not_end_is_refused_before_it_does(line: str) -> None:
    reader = MultipartReader("B", FormLimits())
    with pytest.raises(HTTPException) as caught:
        reader.feed(b"--B\r\n" + line.encode())
    assert caught.value.status_code == 400


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    with pytest.raises(MissingPackage, match=r'pip install "microasgi\[forms\]"'):
        MultipartReader("B", FormLimits())


@pytest.mark.parametrize(
    "value, name, filename",
    [
        ('form-data; name="a"', "a", None),
        ('form-data; name="a"; filename="b"', "a", "b"),
        ("Form-Data;NAME=a;", "a", None),
        ('form-data ; name = "a" ; filename = "b" ;', "a", "b"),
        ('form-data; name=""; filename=""', "", ""),
        ("form-data; name=\"a;b='c'\"", "a;b='c'", None),
        ('form-data; name="é 文"; filename="ü"', "é 文", "ü"),
        ('form-data; name="a%22b%0D%0Ac"', 'a"b\r\nc', None),
        ('form-data; name="100%2522"', "100%2522", None),
        (r'form-data; name="a\"b\\c"', r'a"b\c', None),
        (r'form-data; name="a"; filename="C:\new\file.txt"', "a", r"C:\new\file.txt"),
        ('form-data; name="a\\"; filename="b\\"', "a\\", "b\\"),
        ("form-data; name=a; filename=\"x\"; filename*=UTF-8''y", "a", "x"),
        ("form-data; name=a; filename*=utf-8'en'%e2%82%ac%20rates", "a", "€ rates"),
    ],
)
def test_a_disposition_is_read_as_browsers_write_it(value: str, name: str, filename: str | None) -> None:
    assert parse_disposition(value.encode()) == (name, filename)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"form-data",
        b'attachment; name="a"',
        b'form-data; filename="a"',
        b'form-data; name="a"; name="b"',
        b'form-data; name="a',
        b'form-data; name="a"b',
        b'form-data; name="a" filename="b"',
        b'form-data; name="a", filename="b"',
        b"form-data; name",
        b'form-data; ="a"; name="a"',
        b'form-data; name="\xe9"',
        b'form-data; name="a"; filename="\xe9"',
        b'form-data; name="a"; size="\xe9"',
        b"form-data; name=a; filename*=b",
        b"form-data; name=a; filename*=iso-8859-1''%e9",
        b"form-data; name=a; filename*=utf-7''%e9",
        b"form-data; name=a; filename*=utf-8''%ff",
    ],
)
def test_any_other_disposition_is_400(value: bytes) -> None:
    with pytest.raises(HTTPException) as caught:
        parse_disposition(value)
    assert caught.value.status_code == 400


@given(st.text(st.characters(codec="utf-8") | st.sampled_from('";\\=%')))
def test_any_disposition_is_read_or_400(text: str) -> None:
    try:
        parse_disposition(b"form-data; name=" + text.encode())
    except HTTPException as error:
        if error.status_code != 400:
            raise


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "us-ascii", "ASCII", "ISO-8859-1", "latin1", "Latin-1"])
def test_three_charsets_are_known(charset: str) -> None:
    codec = pick_codec({"charset": charset}, "none", 415)
    assert decode_text(b"abc", codec) == "abc"


@pytest.mark.parametrize(
    "charset", ["", "utf-16", "rot13", "idna", "unicode_escape", "utf-7", "ıso-8859-1", "x" * 9999]
)
def test_no_other_charset_is_looked_up(charset: str) -> None:
    with pytest.raises(HTTPException) as caught:
        pick_codec({"charset": charset}, "utf-8", 415)
    assert caught.value.status_code == 415


def test_without_a_charset_it_is_the_default() -> None:
    assert pick_codec({}, "ascii", 415) == "ascii"


def test_bytes_of_another_charset_are_400() -> None:
    with pytest.raises(HTTPException, match="byte 1 cannot be read"):
        decode_text(b"a\xff", "utf-8")
