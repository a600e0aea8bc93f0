"""A file as a response: whole, in parts, not at all; and the file is always closed."""

# ruff: noqa: ASYNC240 -- the tests make and change files, which nobody waits for

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import pytest

from microasgi import BackgroundTask, MicroASGI, Request
from microasgi.files import FileResponse, reading
from microasgi.files.ranges import Span
from microasgi.files.reading import SMALL, OpenFile, chunks, load
from microasgi.testing import Exchange, Faults, RawResponse, http_scope, lint, request, websocket_scope
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

TEXT = b"0123456789" * 10
LARGE = SMALL * 5 + 7
PATHSEND = {"extensions": {"http.response.pathsend": {}}}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a file of a hundred bytes."""
    path = tmp_path / "small.txt"
    path.write_bytes(TEXT)
    return path


@pytest.fixture(scope="module")
def content() -> bytes:
    """Return more bytes than are read at once."""
    return bytes(range(256)) * (LARGE // 256) + b"the end"


@pytest.fixture
def large(tmp_path: Path, content: bytes) -> Path:
    """Return a file of them."""
    path = tmp_path / "large.bin"
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def every_file_is_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test after which a file is open still."""
    opened: set[int] = set()

    def open_it(path: str, flags: int, *args: Any) -> int:
        descriptor = real_open(path, flags, *args)
        if flags == reading._FLAGS:
            opened.add(descriptor)
        return descriptor

    def close_it(descriptor: int) -> None:
        opened.discard(descriptor)
        real_close(descriptor)

    real_open, real_close = os.open, os.close
    monkeypatch.setattr(os, "open", open_it)
    monkeypatch.setattr(os, "close", close_it)
    yield
    assert not opened


async def get(app: Any, method: str = "GET", **headers: str) -> RawResponse:
    return await request(app, method, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_a_small_file_is_sent_whole(small: Path) -> None:
    answer = await get(FileResponse(small))
    assert answer.body == TEXT
    assert answer.header(b"content-type") == b"text/plain; charset=utf-8"
    assert answer.header(b"content-length") == b"100"
    assert answer.header(b"accept-ranges") == b"bytes"
    assert (
        answer.header(
            b"last-modified",
        )
        is not None
    )
    assert answer.header(b"content-disposition") is None
    assert len(answer.messages) == 2


async def test_a_large_file_is_sent_whole(large: Path, content: bytes) -> None:
    answer = await get(FileResponse(str(large)))
    assert answer.body == content
    assert answer.header(b"content-length") == str(len(content)).encode()


async def test_an_empty_file_is_sent(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    answer = await get(FileResponse(tmp_path / "empty"))
    assert (answer.status, answer.body, answer.header(b"content-length")) == (200, b"", b"0")


@pytest.mark.parametrize("name", ["small", "large"])
async def test_head_gets_the_headers_of_get(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    whole, head = await get(FileResponse(path)), await get(FileResponse(path), "HEAD")
    assert (head.status, head.headers, head.body) == (200, whole.headers, b"")


async def test_it_may_be_sent_more_than_once(small: Path) -> None:
    response = FileResponse(small)
    assert (await get(response)).headers == (await get(response)).headers


async def test_a_changed_file_has_another_tag(small: Path) -> None:
    response = FileResponse(small)
    first = await get(response)
    os.utime(small, ns=(1, 1))
    second = await get(response)
    small.write_bytes(TEXT + b"!")
    os.utime(small, ns=(1, 1))
    third = await get(response)
    assert len({answer.header(b"etag") for answer in (first, second, third)}) == 3


async def test_headers_of_ours_come_before_the_files(small: Path) -> None:
    given = {"etag": '"mine"', "content-type": "text/x-mine", "content-length": "5", "Accept-Ranges": "none"}
    answer = await get(FileResponse(small, headers=given))
    assert answer.header(b"etag") == b'"mine"'
    assert answer.header(b"content-type") == b"text/x-mine"
    assert answer.header(b"content-length") == b"100"
    assert answer.header(b"accept-ranges") == b"none"
    assert (await get(FileResponse(small, headers=given), if_none_match='"mine"')).status == 304


async def test_media_type_and_download_name(small: Path) -> None:
    answer = await get(FileResponse(small, media_type="application/x-mine", filename="Grüße\r\n.txt"))
    assert answer.header(b"content-type") == b"application/x-mine"
    expected = b"attachment; filename=\"Gr__e__.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%0D%0A.txt"
    assert answer.header(b"content-disposition") == expected
    shown = await get(FileResponse(small, filename="a.css", content_disposition_type="inline"))
    assert shown.header(b"content-type") == b"text/css; charset=utf-8"
    assert shown.header(b"content-disposition") == b'inline; filename="a.css"'


async def test_a_stat_result_gives_the_headers_beforehand_but_the_file_has_the_word(small: Path) -> None:
    status = small.stat()
    response = FileResponse(small, stat_result=status)
    known = dict(response.raw_headers)
    assert known[b"content-length"] == b"100"
    assert (await get(response)).header(b"etag") == known[b"etag"]
    small.write_bytes(b"shorter")
    answer = await get(response)
    assert answer.body == b"shorter"
    assert answer.header(b"etag") != known[b"etag"]
    assert [name for name, _ in answer.headers].count(b"etag") == 1


@pytest.mark.parametrize("name", ["small", "large"])
async def test_one_range(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    whole = path.read_bytes()
    answer = await get(FileResponse(path), range="bytes=5-90")
    assert (answer.status, answer.body) == (206, whole[5:91])
    assert answer.header(b"content-range") == f"bytes 5-90/{len(whole)}".encode()
    assert answer.header(b"content-length") == b"86"


@pytest.mark.parametrize("name", ["small", "large"])
async def test_several_ranges_are_a_multipart_document(name: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    whole = path.read_bytes()
    answer = await get(FileResponse(path), range="bytes=70-79,5-9,-1")
    assert answer.status == 206
    kind = answer.header(b"content-type") or b""
    document = message_from_bytes(b"content-type: " + kind + b"\r\n\r\n" + answer.body)
    parts = document.get_payload()
    assert isinstance(parts, list)
    bodies = [part.get_payload(decode=True) for part in parts]  # type: ignore[union-attr]
    assert bodies == [whole[70:80], whole[5:10], whole[-1:]]
    assert [part["content-range"] for part in parts][:2] == [  # type: ignore[index]
        f"bytes 70-79/{len(whole)}",
        f"bytes 5-9/{len(whole)}",
    ]


async def test_a_range_of_nothing_is_416(small: Path) -> None:
    answer = await get(FileResponse(small, filename="x.txt"), range="bytes=100-")
    assert (answer.status, answer.body) == (416, b"")
    assert answer.header(b"content-range") == b"bytes */100"
    assert answer.header(b"content-type") is None
    assert answer.header(b"content-disposition") is None


async def test_more_than_16_ranges_are_answered_with_the_whole_file(small: Path) -> None:
    answer = await get(FileResponse(small), range="bytes=" + ",".join(f"{n * 3}-{n * 3}" for n in range(17)))
    assert (answer.status, answer.body) == (200, TEXT)


async def test_what_the_client_has_is_not_sent(small: Path) -> None:
    first = await get(FileResponse(small))
    again = await get(
        FileResponse(small, headers={"x-mine": "1"}), if_none_match=(first.header(b"etag") or b"").decode()
    )
    assert (again.status, again.body) == (304, b"")
    assert again.header(b"etag") == first.header(b"etag")
    assert again.header(b"x-mine") == b"1"
    assert again.header(b"content-length") is None
    assert again.header(b"content-type") is None


async def test_a_failed_precondition_is_412(small: Path) -> None:
    answer = await get(FileResponse(small), if_match='"other"')
    assert (answer.status, answer.body, answer.header(b"content-length")) == (412, b"", b"0")


async def test_what_a_handler_has_done_is_not_denied_by_a_condition(small: Path) -> None:
    done: list[str] = []
    app = MicroASGI()

    @app.post("/")
    async def make(request: Request) -> FileResponse:
        done.append("made")
        return FileResponse(small)

    for condition in ({"if-none-match": "*"}, {"if-match": '"other"'}):
        answer = await request(app, "POST", headers=condition)
        assert (answer.status, answer.body) == (200, TEXT)
    assert done == ["made", "made"]


async def test_another_status_is_sent_with_the_whole_file(small: Path) -> None:
    answer = await get(FileResponse(small, 404), range="bytes=0-1", if_none_match="*")
    assert (answer.status, answer.body) == (404, TEXT)


async def test_a_status_without_content_has_none(small: Path) -> None:
    answer = await get(FileResponse(small, 204))
    assert (answer.status, answer.body, answer.header(b"content-length")) == (204, b"", None)


async def test_the_server_sends_a_large_file_by_its_path_when_it_offers_to(large: Path) -> None:
    answer = await request(FileResponse(large), **PATHSEND)
    assert answer.messages[1:] == [{"type": "http.response.pathsend", "path": str(large)}]
    assert answer.header(b"content-length") == str(LARGE).encode()


async def test_parts_and_small_files_are_never_sent_by_path(small: Path, large: Path, content: bytes) -> None:
    part = await request(FileResponse(large), headers={"range": "bytes=5-"}, **PATHSEND)
    assert part.body == content[5:]
    assert (await request(FileResponse(small), **PATHSEND)).body == TEXT
    head = await request(FileResponse(large), "HEAD", **PATHSEND)
    assert [message["type"] for message in head.messages] == ["http.response.start", "http.response.body"]


async def test_a_relative_path_is_made_absolute_for_the_server(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(large.parent)
    answer = await request(FileResponse("large.bin"), **PATHSEND)
    assert answer.messages[-1]["path"] == str(large)


async def test_a_file_denies_a_handshake(small: Path, large: Path) -> None:
    for path in (small, large):
        async with Exchange(FileResponse(path, 403), websocket_scope()) as exchange:
            assert (await exchange.receive_output())["status"] == 403
            assert (await exchange.receive_output())["body"] == path.read_bytes()


@pytest.mark.parametrize("make", ["missing", "directory", "fifo", "nul"])
async def test_what_is_no_file_is_an_error_that_names_it(tmp_path: Path, make: str) -> None:
    path = str(tmp_path / "there\0") if make == "nul" else str(tmp_path / "there")
    if make == "directory":
        os.mkdir(path)
    if make == "fifo":
        os.mkfifo(path)
    with pytest.raises(RuntimeError, match="FileResponse: '.*there.*' cannot be sent"):
        await get(FileResponse(path))


async def test_a_device_is_no_file() -> None:
    with pytest.raises(RuntimeError, match="/dev/null is no regular file"):
        await get(FileResponse("/dev/null"))


async def test_a_file_that_becomes_a_fifo_before_it_is_opened_is_refused(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = small.stat()
    small.unlink()
    os.mkfifo(small)
    monkeypatch.setattr(reading.os, "stat", lambda path, **options: status)
    with pytest.raises(RuntimeError, match="no regular file"):
        await get(FileResponse(small))


async def test_a_missing_file_is_a_500_and_logged(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    app = MicroASGI()

    @app.get("/")
    async def download(request: Request) -> FileResponse:
        return FileResponse(tmp_path / "gone")

    with caplog.at_level(logging.ERROR, "microasgi"):
        answer = await request(app)
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert "gone" in caplog.text


async def test_the_applications_handler_answers_for_a_missing_file(tmp_path: Path) -> None:
    app = MicroASGI()

    @app.exception_handler(RuntimeError)
    async def answer_error(request: Request, error: Exception) -> tuple[str, int]:
        return "no such report", 404

    @app.get("/")
    async def download(request: Request) -> FileResponse:
        return FileResponse(tmp_path / "gone")

    answer = await request(app)
    assert (answer.status, answer.body) == (404, b"no such report")


async def test_a_handler_may_return_it_behind_middleware_and_with_a_background_task(small: Path) -> None:
    done: list[str] = []
    constant = FileResponse(small)

    async def mark(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-mark"] = "1"
        return response

    app = MicroASGI(middleware=[mark])

    @app.get("/")
    async def download(request: Request) -> FileResponse:
        return FileResponse(small, background=BackgroundTask(done.append, "sent"))

    @app.get("/constant")
    async def always(request: Request) -> FileResponse:
        return constant

    @app.get("/late")
    async def late(request: Request) -> Any:
        return FileResponse(small), 201, {"x-late": "1"}

    answer = await request(app)
    assert (answer.body, answer.header(b"x-mark"), done) == (TEXT, b"1", ["sent"])
    for _ in range(2):
        answer = await request(app, path="/constant")
        assert [name for name, _ in answer.headers].count(b"x-mark") == 1
    answer = await request(app, path="/late")
    assert (answer.status, answer.header(b"x-late"), answer.body) == (201, b"1", TEXT)


async def test_a_file_that_shrinks_is_never_marked_complete(large: Path) -> None:
    async def shrinking(scope: Scope, receive: Receive, send: Send) -> None:
        async def cut(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                os.truncate(large, SMALL + 1)

        await FileResponse(large)(scope, receive, cut)

    answer = await request(shrinking, raise_errors=False)
    assert isinstance(answer.error, RuntimeError)
    assert all(message.get("more_body") for message in answer.messages[1:])


async def test_a_file_that_shrinks_under_several_ranges_is_never_marked_complete(large: Path) -> None:
    async def shrinking(scope: Scope, receive: Receive, send: Send) -> None:
        async def cut(message: Message) -> None:
            os.truncate(large, SMALL)
            await send(message)

        await FileResponse(large)(scope, receive, cut)

    answer = await request(shrinking, headers={"range": f"bytes=0-9,{SMALL}-"}, raise_errors=False)
    assert "became shorter" in str(answer.error)
    assert all(message.get("more_body") for message in answer.messages[1:])


async def test_a_file_that_grows_is_cut(large: Path, content: bytes) -> None:
    async def growing(scope: Scope, receive: Receive, send: Send) -> None:
        async def grow(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                with large.open("ab") as file:
                    file.write(b"more")

        await FileResponse(large)(scope, receive, grow)

    assert (await request(growing)).body == content


async def test_a_small_file_that_shrinks_while_it_is_read_is_what_it_is_then(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_read = OpenFile.read

    def read(self: OpenFile, offset: int, size: int) -> bytes:
        os.truncate(small, 40)
        return real_read(self, offset, 30 if not offset else size)

    monkeypatch.setattr(OpenFile, "read", read)
    answer = await get(FileResponse(small))
    assert (answer.body, answer.header(b"content-length")) == (TEXT[:40], b"40")


async def test_a_file_that_cannot_be_read_is_closed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: OpenFile, offset: int, size: int) -> bytes:
        raise OSError("broken disk")

    monkeypatch.setattr(OpenFile, "read", fail)
    with pytest.raises(RuntimeError, match="broken disk"):
        await get(FileResponse(small))


@pytest.mark.parametrize("leave", [0, 1, SMALL])
async def test_when_the_client_leaves_the_file_is_closed_and_the_background_runs(large: Path, leave: int) -> None:
    done: list[str] = []
    response = FileResponse(large, background=BackgroundTask(done.append, "ran"))
    await request(response, faults=Faults(leave_after_bytes=leave), raise_errors=False)
    assert done == ["ran"]


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_when_send_raises_the_file_is_closed(large: Path, after: int) -> None:
    await request(FileResponse(large), faults=Faults(fail_send_after=after), raise_errors=False)


@pytest.fixture(params=["threads", "unsupported", "misses"])
def without_page_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take the reading without threads away: as where there is none, none for this file, nothing in the cache."""
    if request.param == "threads":
        monkeypatch.setattr(reading, "_NO_WAIT", None)
    else:
        error = OSError(95, "not supported") if request.param == "unsupported" else BlockingIOError(11, "not there")

        def fail(*args: Any) -> int:
            raise error

        monkeypatch.setattr(reading, "_NO_WAIT", 8)
        monkeypatch.setattr(os, "preadv", fail, raising=False)
    return str(request.param)


async def test_what_is_not_in_memory_is_read_in_threads(large: Path, content: bytes, without_page_cache: str) -> None:
    answer = await get(FileResponse(large))
    assert answer.body == content


async def test_a_file_is_closed_by_the_thread_that_reads_it_last(large: Path) -> None:
    file = OpenFile(str(large))
    with file._lock:
        file.close()
        os.fstat(file._descriptor)
    assert file.read(0, 10) == b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"
    assert file.read(0, 10) == b""
    file.close()


async def test_chunks_end_where_the_file_does(small: Path) -> None:
    file = OpenFile(str(small))
    assert b"".join([piece async for piece in chunks(file, Span(90, 200))]) == TEXT[90:]
    file.close()


async def test_only_the_headers_can_be_loaded(large: Path) -> None:
    loaded = load(str(large), read=False, coding="br")
    assert (loaded.body, loaded.file, loaded.size) == (None, None, LARGE)
    assert loaded.validators.etag.endswith(b'-br"')


async def test_a_slow_client_holds_up_nobody(large: Path, content: bytes) -> None:
    received: list[bytes] = []

    async def read_slowly() -> None:
        async with Exchange(FileResponse(large), http_scope(), window=0) as exchange:
            async for message in exchange:
                await anyio.sleep(0.001)
                received.append(message.get("body", b""))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(read_slowly)
            assert (await get(lint(FileResponse(large)))).body == content
    assert b"".join(received) == content
