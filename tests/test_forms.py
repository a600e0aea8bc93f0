"""Forms arrive whole or are refused: every limit at its edge, every break in the middle, and no file left behind."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import types
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from io import BytesIO
from itertools import pairwise
from typing import Any, BinaryIO

import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi.exceptions import HTTPException
from microasgi.forms import FormData, FormLimits, Part, UploadFile, iter_parts, parse_form
from microasgi.headers import Headers

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=B"
END = b"--B--\r\n"


async def chunked(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def parse(*chunks: bytes, content_type: str = MULTIPART, **limits: Any) -> FormData:
    return await parse_form(content_type, chunked(*chunks), FormLimits(**limits))


async def status_of(*chunks: bytes, **options: Any) -> int:
    try:
        form = await parse(*chunks, **options)
    except HTTPException as error:
        return error.status_code
    await form.close()
    return 200


async def refused(status: int, *chunks: bytes, content_type: str = MULTIPART, **limits: Any) -> str:
    with pytest.raises(HTTPException) as caught:
        await parse(*chunks, content_type=content_type, **limits)
    assert caught.value.status_code == status
    return caught.value.detail


def field(name: str, value: bytes, *headers: str) -> bytes:
    return part(f'name="{name}"', value, *headers)


def file(name: str, value: bytes, filename: str = "x.bin") -> bytes:
    return part(f'name="{name}"; filename="{filename}"', value, "Content-Type: text/csv; charset=cp1252")


def part(params: str, value: bytes, *headers: str) -> bytes:
    lines = [f"Content-Disposition: form-data; {params}", *headers]
    return b"--B\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + value + b"\r\n"


def upload(form: FormData, name: str) -> UploadFile:
    value = form[name]
    assert isinstance(value, UploadFile)
    return value


@pytest.fixture
def temporary_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BinaryIO]]:
    """Every temporary file that is made during the test, which has to leave all of them closed."""
    made: list[BinaryIO] = []
    real = tempfile.TemporaryFile

    def record() -> BinaryIO:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", record)
    yield made
    assert all(file.closed for file in made)


# --- urlencoded


async def test_an_urlencoded_form_keeps_order_repetition_and_blanks() -> None:
    form = await parse(b"a=1&b=%C3%A9+x&", b"a=2&c", content_type=URLENCODED)
    assert form.multi_items() == [("a", "1"), ("b", "é x"), ("a", "2"), ("c", "")]


async def test_an_empty_urlencoded_body_is_an_empty_form() -> None:
    assert (await parse(content_type=URLENCODED)).multi_items() == []
    assert (await parse(content_type=URLENCODED, max_fields=0)).multi_items() == []


@pytest.mark.parametrize(
    "charset, body",
    [("utf-8", "é".encode()), ("utf-8", b"%C3%A9"), ("iso-8859-1", b"\xe9"), ("latin1", b"%e9"), ("ascii", b"%C3%A9")],
)
async def test_an_urlencoded_form_is_decoded_by_its_charset(charset: str, body: bytes) -> None:
    form = await parse(b"%61=" + body, content_type=f"Application/X-WWW-Form-Urlencoded; charset={charset}")
    assert form["a"] == "é"


async def test_an_unknown_charset_of_the_body_is_415() -> None:
    await refused(415, b"a=1", content_type=URLENCODED + "; charset=utf-7")
    await refused(415, field("a", b"1") + END, content_type=MULTIPART + "; charset=utf-16")


async def test_an_urlencoded_body_of_another_charset_is_400() -> None:
    await refused(400, b"a=\xff", content_type=URLENCODED)
    await refused(400, b"a=\xc3\xa9", content_type=URLENCODED + "; charset=us-ascii")


async def test_an_urlencoded_form_is_limited_by_fields() -> None:
    assert len((await parse(b"&".join([b"a=1"] * 1000), content_type=URLENCODED)).multi_items()) == 1000
    assert "more than 1000 fields" in await refused(413, b"&".join([b"a=1"] * 1001), content_type=URLENCODED)


async def test_an_urlencoded_form_is_limited_by_bytes_while_it_arrives() -> None:
    seen: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            seen.append(1)
            yield b"a=%s&" % (b"x" * 997)

    with pytest.raises(HTTPException) as caught:
        await parse_form(URLENCODED, endless(), FormLimits(max_form_memory=10_000))
    assert caught.value.status_code == 413
    assert len(seen) == 11


async def test_an_urlencoded_field_is_limited_by_its_bytes() -> None:
    form = await parse(b"a=%C3%A9&bb=" + b"x" * 10, content_type=URLENCODED, max_field_size=10)
    assert form["bb"] == "x" * 10
    await refused(413, b"a=1&bb=" + b"x" * 11, content_type=URLENCODED, max_field_size=10)
    await refused(413, b"a=1&bb=" + b"%C3%A9" * 6, content_type=URLENCODED, max_field_size=10)


async def test_an_urlencoded_form_may_be_larger_than_a_query_string() -> None:
    assert len(str((await parse(b"a=" + b"x" * MIB, content_type=URLENCODED))["a"])) == MIB


@given(st.binary(max_size=100), st.sampled_from(["", "; charset=latin-1", "; charset=ascii", "; charset=x", ';;="']))
async def test_any_urlencoded_bytes_are_a_form_or_4xx(body: bytes, params: str) -> None:
    assert await status_of(body, content_type=URLENCODED + params) in (200, 400, 415)


# --- other media types


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/json", "multipart/mixed; boundary=B", ";"])
async def test_another_media_type_is_an_empty_form_and_nothing_is_read(content_type: str) -> None:
    stream = chunked(b"a=1")
    assert (await parse_form(content_type, stream, FormLimits())).multi_items() == []
    assert [chunk async for chunk in stream] == [b"a=1"]


# --- multipart


async def test_a_multipart_form_has_fields_and_files_in_order() -> None:
    form = await parse(field("a", b"1") + file("f", b"x,y") + field("a", "é".encode()) + END)
    assert [name for name, _ in form.multi_items()] == ["a", "f", "a"]
    assert form.getlist("a") == ["1", "é"]
    sent = upload(form, "f")
    assert (sent.filename, sent.size, sent.content_type) == ("x.bin", 3, "text/csv; charset=cp1252")
    assert await sent.read() == b"x,y"
    await form.close()
    assert sent.file.closed


async def test_a_file_without_a_name_is_still_a_file() -> None:
    form = await parse(file("f", b"", filename="") + END)
    assert (upload(form, "f").filename, upload(form, "f").size) == ("", 0)


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 71])
async def test_a_multipart_form_without_a_proper_boundary_is_400(content_type: str) -> None:
    assert "boundary" in await refused(400, END, content_type=content_type)


async def test_a_field_is_decoded_by_the_charset_of_its_part_or_of_the_body() -> None:
    latin = field("a", b"\xe9", "Content-Type: text/plain; charset=ISO-8859-1")
    assert (await parse(latin + END))["a"] == "é"
    assert (await parse(field("a", b"\xe9") + END, content_type=MULTIPART + "; charset=latin-1"))["a"] == "é"
    assert (await parse(field("a", "é".encode(), "Content-Type: text/plain") + END))["a"] == "é"


async def test_an_unknown_charset_of_a_part_is_400() -> None:
    await refused(400, field("a", b"1", "Content-Type: text/plain; charset=utf-16") + END)


async def test_a_field_of_another_charset_is_400() -> None:
    await refused(400, field("a", b"\xff") + END)


async def test_a_field_is_limited_while_it_arrives() -> None:
    assert (await parse(field("a", b"x" * MIB) + END))["a"] == "x" * MIB
    await refused(413, field("a", b"x" * (MIB + 1)) + END)
    await refused(413, field("a", b"x" * 11), max_field_size=10)


async def test_all_fields_together_are_limited() -> None:
    assert len(await parse(field("a", b"x" * 4) + field("é", b"x" * 3) + END, max_form_memory=10)) == 2
    await refused(413, field("a", b"x" * 4) + field("é", b"x" * 4) + END, max_form_memory=10)


async def test_files_do_not_count_as_memory() -> None:
    form = await parse(file("f", b"x" * 100) + END, max_form_memory=10, max_field_size=10)
    assert upload(form, "f").size == 100


async def test_a_file_is_limited_while_it_arrives() -> None:
    assert upload(await parse(file("f", b"x" * 10) + END, max_file_size=10), "f").size == 10
    await refused(413, file("f", b"x" * 11), max_file_size=10)
    assert (await parse(field("a", b"x" * 11) + END, max_file_size=10))["a"] == "x" * 11


async def test_the_number_of_parts_is_limited() -> None:
    assert len((await parse(field("a", b"") * 1000 + file("f", b"") * 100 + END)).multi_items()) == 1100
    await refused(413, field("a", b"") * 1001 + END)
    await refused(413, file("f", b"") * 101 + END)


@pytest.mark.parametrize("size", range(len(field("a", b"1") + file("f", b"23") + END) - 2))
async def test_a_form_that_is_cut_off_is_400(size: int) -> None:
    body = field("a", b"1") + file("f", b"23") + END
    await refused(400, body[:size])


async def test_a_large_file_goes_to_disk_and_back(temporary_files: list[BinaryIO]) -> None:
    content = bytes(range(256)) * 4096 * 3 + b"tail"
    body = file("small", b"s" * MIB) + file("large", content) + END
    form = await parse(*[body[start : start + 65536] for start in range(0, len(body), 65536)])
    assert isinstance(upload(form, "small").file, BytesIO)
    sent = upload(form, "large")
    assert [sent.file] == temporary_files
    assert sent.size == len(content)
    assert await sent.read(10) == content[:10]
    await sent.seek(len(content) - 4)
    assert await sent.read() == b"tail"
    await form.close()


async def test_a_body_in_one_chunk_is_the_same_form(temporary_files: list[BinaryIO]) -> None:
    content = bytes(range(256)) * 4096 * 3 + b"tail"
    form = await parse(file("f", content) + field("a", b"1") + END)
    assert await upload(form, "f").read() == content
    assert form["a"] == "1"
    await form.close()


async def test_other_tasks_get_their_turn_while_a_large_chunk_is_parsed() -> None:
    turns: list[int] = []

    async def count() -> None:
        while True:
            turns.append(1)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        await parse(file("f", b"\r\n--Bx" * 200_000) + END, spool_size=2 * MIB)
        group.cancel_scope.cancel()
    assert len(turns) >= 2


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from('\\";\r\n')).filter(
    lambda name: not any(code in name for code in ("%22", "%0D", "%0A"))
)
FIELDS = st.tuples(NAMES, st.text(st.characters(codec="utf-8")))
CONTENTS = st.binary() | st.lists(st.sampled_from([b"\r", b"\n", b"--", b"\r\n--B", b"x"])).map(b"".join)
FILES = st.tuples(NAMES, st.tuples(NAMES, CONTENTS))


def quoted(name: str) -> str:
    for char, code in (("\\", "\\\\"), ('"', "%22"), ("\r", "%0D"), ("\n", "%0A")):
        name = name.replace(char, code)
    return f'"{name}"'


@settings(max_examples=60)
@given(st.lists(FIELDS | FILES, max_size=6), st.lists(st.integers(0, 2000), max_size=8), st.integers(0, 40))
async def test_a_form_comes_out_as_it_was_sent(items: list[tuple[str, Any]], cuts: list[int], spool: int) -> None:
    body = b""
    for name, value in items:
        if isinstance(value, str):
            body += part(f"name={quoted(name)}", value.encode())
        else:
            body += part(f"name={quoted(name)}; filename={quoted(value[0])}", value[1])
    boundary = b"--" + b"=_boundary"
    body = body.replace(b"--B\r\nContent-D", boundary + b"\r\nContent-D") + boundary + b"--\r\n"
    edges = [0, *sorted(cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(edges)]
    form = await parse(*chunks, content_type='multipart/form-data; boundary="=_boundary"', spool_size=spool)
    found = [
        (name, (value.filename, await value.read()) if isinstance(value, UploadFile) else value)
        for name, value in form.multi_items()
    ]
    await form.close()
    assert found == items


PIECES = st.sampled_from([b"--B", b"\r\n", b"--", b":", b'"', field("a", b"1"), file("f", b"123456"), END])


@settings(max_examples=60)
@given(st.lists(PIECES | st.binary(max_size=20), max_size=12))
async def test_any_multipart_bytes_are_a_form_or_4xx(chunks: list[bytes]) -> None:
    assert await status_of(*chunks, spool_size=3, max_fields=3, max_files=2) in (200, 400, 413)


# --- breaks in the middle


class _GoneError(Exception):
    """What a stream raises in the middle of a body."""


async def test_an_error_of_the_stream_leaves_no_file(temporary_files: list[BinaryIO]) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield file("small", b"1") + file("large", b"x" * 2 * MIB)
        raise _GoneError

    with pytest.raises(_GoneError):
        await parse_form(MULTIPART, breaking(), FormLimits())
    assert len(temporary_files) == 1


async def test_a_refusal_leaves_no_file(temporary_files: list[BinaryIO]) -> None:
    await refused(413, file("f", b"x" * 2 * MIB) + field("a", b"12"), max_field_size=1)
    await refused(400, file("f", b"x" * 2 * MIB))
    assert len(temporary_files) == 2


async def test_a_refusal_closes_the_stream() -> None:
    stream = chunked(b"a=1&b=2", b"&c=3")
    with pytest.raises(HTTPException):
        await parse_form(URLENCODED, stream, FormLimits(max_form_memory=1))
    assert [chunk async for chunk in stream] == []


async def test_a_refusal_bears_a_stream_that_cannot_be_closed() -> None:
    class Endless:
        def __aiter__(self) -> Endless:
            return self

        async def __anext__(self) -> bytes:
            return b"a=1&"

    with pytest.raises(HTTPException):
        await parse_form(URLENCODED, Endless(), FormLimits(max_form_memory=10))


async def test_cancellation_leaves_no_file(temporary_files: list[BinaryIO]) -> None:
    waiting = anyio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield file("f", b"x" * 2 * MIB)
        waiting.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(parse_form, MULTIPART, stalling(), FormLimits())
        await waiting.wait()
        group.cancel_scope.cancel()
    assert len(temporary_files) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_cancelled_during_a_write_waits_for_it_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, temporary_files: list[BinaryIO], anyio_backend: str
) -> None:
    writing, go_on = threading.Event(), threading.Event()
    real = tempfile.TemporaryFile

    def slow() -> BinaryIO:
        writing.set()
        assert go_on.wait(10)
        return real()

    monkeypatch.setattr(tempfile, "TemporaryFile", slow)
    task = asyncio.create_task(parse(file("f", b"x" * 2 * MIB)))
    await asyncio.to_thread(writing.wait, 10)
    task.cancel()
    await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(temporary_files) == 1


PARKED = object()


@types.coroutine
def park() -> Generator[object, None, None]:
    yield PARKED


@types.coroutine
def run_until_parked(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, None]:
    value: Any = None
    while (trap := coroutine.send(value)) is not PARKED:
        value = yield trap


async def test_a_task_that_is_thrown_away_leaves_no_file(temporary_files: list[BinaryIO]) -> None:
    class Parking:
        def __init__(self) -> None:
            self.chunks = [file("f", b"x" * 2 * MIB)]

        def __aiter__(self) -> Parking:
            return self

        async def __anext__(self) -> bytes:
            if self.chunks:
                return self.chunks.pop()
            await park()
            raise StopAsyncIteration

    coroutine = parse_form(MULTIPART, Parking(), FormLimits())
    await run_until_parked(coroutine)
    coroutine.close()
    assert len(temporary_files) == 1


# --- part by part


class Chunks:
    """A stream that nobody has to finish, unlike a generator."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


def parts_of(*chunks: bytes, content_type: str = MULTIPART, **limits: Any) -> AsyncIterator[Part]:
    return iter_parts(content_type, Chunks(*chunks), FormLimits(**limits))


async def test_parts_come_one_by_one_while_the_body_arrives() -> None:
    sent: list[str] = []

    async def arriving() -> AsyncIterator[bytes]:
        sent.append("first")
        yield file("f", b"12")[:-2]
        sent.append("second")
        yield b"345\r\n" + field("a", b"\xc3\xa9") + END

    parts = iter_parts(MULTIPART, arriving(), FormLimits())
    first = await anext(parts)
    assert (first.name, first.filename, first.content_type) == ("f", "x.bin", "text/csv; charset=cp1252")
    assert first.headers["content-disposition"] == 'form-data; name="f"; filename="x.bin"'
    assert sent == ["first"]
    assert [data async for data in first.stream()] == [b"12", b"345"]
    second = await anext(parts)
    assert (second.name, second.filename, second.content_type) == ("a", None, None)
    assert await second.text() == "é"
    with pytest.raises(StopAsyncIteration):
        await anext(parts)


async def test_the_next_part_skips_what_was_not_read() -> None:
    body = file("f", b"12") + field("a", b"3") + END
    names = [part.name async for part in parts_of(*[bytes([byte]) for byte in body])]
    assert names == ["f", "a"]


async def test_a_part_that_was_read_has_no_more_bytes() -> None:
    parts = parts_of(field("a", b"1") + END)
    part = await anext(parts)
    assert await part.read() == b"1"
    assert await part.read() == b""
    with pytest.raises(StopAsyncIteration):
        await anext(parts)
    assert await part.read() == b""


async def test_a_part_that_was_passed_cannot_be_read() -> None:
    parts = parts_of(field("a", b"1") + field("b", b"2") + END)
    first = await anext(parts)
    await anext(parts)
    with pytest.raises(RuntimeError, match="read before the next part is asked for"):
        await first.read()


async def test_reading_a_part_is_limited() -> None:
    part = await anext(parts_of(field("a", b"123") + END, max_field_size=3))
    assert await part.read() == b"123"
    part = await anext(parts_of(field("a", b"1234") + END, max_field_size=3))
    with pytest.raises(HTTPException, match="larger than 3 bytes"):
        await part.read()
    part = await anext(parts_of(field("a", b"1234") + END, max_field_size=3))
    assert await part.read(limit=4) == b"1234"
    part = await anext(parts_of(field("a", b"1234") + END))
    with pytest.raises(HTTPException, match="larger than 3 bytes"):
        await part.text(limit=3)


async def test_streaming_a_file_is_limited_by_the_size_of_a_file() -> None:
    part = await anext(parts_of(file("f", b"1234") + END, max_file_size=3))
    with pytest.raises(HTTPException, match="larger than 3 bytes"):
        [data async for data in part.stream()]


async def test_streaming_a_body_that_is_cut_off_is_400() -> None:
    part = await anext(parts_of(file("f", b"1234")))
    with pytest.raises(HTTPException, match="closing boundary"):
        [data async for data in part.stream()]


async def test_only_multipart_comes_in_parts() -> None:
    with pytest.raises(HTTPException) as caught:
        parts_of(b"a=1", content_type=URLENCODED)
    assert caught.value.status_code == 415


# --- uploads


async def test_an_upload_in_memory_is_read_and_written_in_place() -> None:
    sent = UploadFile(BytesIO(b"hello"), size=5, filename="a/b.txt", headers=Headers({"content-type": "text/plain"}))
    assert await sent.read(2) == b"he"
    await sent.seek(5)
    await sent.write(b" world")
    await sent.seek(0)
    assert await sent.read() == b"hello world"
    assert (sent.size, sent.content_type, sent.safe_filename) == (11, "text/plain", "b.txt")
    await sent.close()
    assert sent.file.closed


class _Watched:
    """A file that remembers which threads used it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            self.threads.add(threading.get_ident())
            return getattr(self.file, name)(*args)

        return call


async def test_an_upload_that_is_not_in_memory_is_used_in_threads() -> None:
    with tempfile.TemporaryFile() as real:
        watched: Any = _Watched(real)
        sent = UploadFile(watched)
        await sent.write(b"hello")
        await sent.seek(0)
        assert await sent.read() == b"hello"
        assert (sent.size, sent.filename, sent.content_type, sent.safe_filename) == (None, None, None, "file")
        await sent.close()
        assert real.closed
    assert threading.get_ident() not in watched.threads


async def test_an_upload_shows_what_it_is() -> None:
    assert repr(UploadFile(BytesIO(), size=0, filename="a")) == "UploadFile(filename='a', size=0, headers=Headers({}))"


async def test_form_data_is_made_like_any_multi_dict() -> None:
    form = FormData([("a", "1"), ("a", "2")])
    assert form["a"] == "2"
    assert FormData(a="1")["a"] == "1"
    await form.close()
