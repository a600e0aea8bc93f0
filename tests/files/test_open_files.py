"""Open files: closed whatever becomes of the request, and never another one than was found."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from microasgi import MicroASGI
from microasgi.files import FileResponse, StaticFiles, reading, responses, static
from microasgi.files.reading import SMALL, OpenFile, load
from microasgi.testing import http_scope, request
from microasgi.types import ASGIApp, Message

pytestmark = pytest.mark.anyio


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Return a file that is not read whole."""
    path = tmp_path / "static" / "large.bin"
    path.parent.mkdir()
    path.write_bytes(b"x" * (SMALL + 1))
    return path


@pytest.fixture
def still_open(large: Path, monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Return the descriptors of that file that are open."""
    still: set[int] = set()
    real_open, real_close = os.open, os.close

    def open_it(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = real_open(path, *args, **kwargs)
        if path == str(large):
            still.add(descriptor)
        return descriptor

    def close_it(descriptor: int) -> None:
        still.discard(descriptor)
        real_close(descriptor)

    monkeypatch.setattr(os, "open", open_it)
    monkeypatch.setattr(os, "close", close_it)
    return still


async def cancel_while_it_is_opened(app: ASGIApp, opening: threading.Semaphore, go_on: threading.Event) -> None:
    """Start twenty requests, cancel them as `asyncio.timeout` does while threads open the file, and let those end."""

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    tasks = [asyncio.ensure_future(app(http_scope(path="/large.bin"), receive, send)) for _ in range(20)]
    for _ in tasks:
        await asyncio.to_thread(opening.acquire)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    go_on.set()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "where, make",
    [
        (static, lambda path: StaticFiles(directory=path.parent)),
        (responses, FileResponse),
    ],
)
async def test_a_request_that_is_cancelled_while_its_file_is_opened_leaves_none_open(
    large: Path, still_open: set[int], monkeypatch: pytest.MonkeyPatch, where: Any, make: Callable[[Path], ASGIApp]
) -> None:
    opening, go_on = threading.Semaphore(0), threading.Event()
    opened: list[int] = []

    def slow(path: str, **options: Any) -> reading.Loaded:
        opening.release()
        go_on.wait(10)
        try:
            return load(path, **options)
        finally:
            opened.append(len(still_open))

    monkeypatch.setattr(where, "load", slow)
    await cancel_while_it_is_opened(make(large), opening, go_on)
    with anyio.fail_after(10):
        while len(opened) < 20 or still_open:  # noqa: ASYNC110 -- nobody sets an event when an object goes
            await anyio.sleep(0.001)
    assert any(opened)


def test_a_file_that_could_not_be_opened_is_given_up_without_a_word(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(OSError):
            OpenFile(str(path))


def fail(path: str) -> str:
    """Be a policy that has an error."""
    raise KeyError(path)


@pytest.mark.parametrize("policy", [fail, lambda path: "max-age=1\r\nx: y", lambda path: 60])
async def test_a_policy_that_fails_leaves_no_file_open(large: Path, still_open: set[int], policy: Any) -> None:
    app = MicroASGI()
    app.mount("/", StaticFiles(directory=large.parent, cache_control=policy))
    errors: list[BaseException] = []

    @app.exception_handler(500)
    async def note(request: Any, error: Exception) -> tuple[str, int]:
        errors.append(error)  # with its traceback, which holds on to what the functions held
        return "failed", 500

    for _ in range(3):
        assert (await request(app, path="/large.bin", raise_errors=False)).status == 500
    assert (len(errors), still_open) == (3, set())


@pytest.mark.parametrize("follow, expected", [(False, (404, b"")), (True, (200, b"secret"))])
@pytest.mark.parametrize("moment", ["found", "checked"])
async def test_a_link_that_takes_the_files_place_is_not_followed(
    large: Path, monkeypatch: pytest.MonkeyPatch, follow: bool, expected: tuple[int, bytes], moment: str
) -> None:
    secret = large.parent.parent / "secret"
    secret.write_text("secret")

    def swap() -> None:
        large.unlink(missing_ok=True)
        large.symlink_to(secret)

    def swap_and_load(path: str, **options: Any) -> reading.Loaded:
        swap()
        return load(path, **options)

    def check_and_swap(status: os.stat_result, path: str) -> None:
        check(status, path)
        swap()

    check = reading._check_regular
    if moment == "found":
        monkeypatch.setattr(static, "load", swap_and_load)
    else:
        monkeypatch.setattr(reading, "_check_regular", check_and_swap)
    answer = await request(StaticFiles(directory=large.parent, follow_symlink=follow), path="/large.bin")
    assert (answer.status, answer.body if answer.status == 200 else b"") == expected


async def test_a_file_response_follows_links(large: Path) -> None:
    (large.parent / "link").symlink_to(large)
    assert len((await request(FileResponse(large.parent / "link"))).body) == SMALL + 1
