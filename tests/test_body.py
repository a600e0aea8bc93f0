"""A body is read once from the server, whole or not at all, under its limits, and the disconnect is always heard."""

from __future__ import annotations

import gc
import tempfile
import threading
import types
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

import microasgi.body
import microasgi.intake
from microasgi.body import Body, Chunks, Replay, shared_body
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.intake import Intake
from microasgi.spool import Spool
from microasgi.types import Message
from tests.strict_server import StrictServer, chunk, http_disconnect

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
ENOUGH = 100 * MIB


def body_of(*messages: Message) -> tuple[Body, StrictServer]:
    server = StrictServer(*messages)
    body = Body(server.receive)
    body.source = lambda: server.receive  # a test has no server that holds it
    return body, server


async def read(body: Body, max_size: int = ENOUGH, timeout: float = 30.0) -> bytes:
    return await body.read(max_size, timeout)


# The whole body.


@pytest.mark.parametrize(
    ("messages", "whole"),
    [
        ([chunk(b"", False)], b""),
        ([{"type": "http.request"}], b""),
        ([chunk(b"one", False)], b"one"),
        ([chunk(b"a"), chunk(b""), chunk(b"b"), {"type": "http.request", "body": b"c"}], b"abc"),
        ([chunk(b"a"), chunk(b"", False)], b"a"),
        ([chunk(b"a"), {"type": "http.request", "more_body": True}, chunk(b"b", False)], b"ab"),
    ],
)
async def test_the_parts_are_joined(messages: list[Message], whole: bytes) -> None:
    body, _ = body_of(*messages)
    assert await read(body) == whole


async def test_it_is_read_from_the_server_once() -> None:
    body, server = body_of(chunk(b"a"), chunk(b"b", False))
    assert await read(body) is await read(body)
    assert server.calls == 2


async def test_tasks_that_read_at_the_same_time_get_the_same() -> None:
    body, server = body_of(chunk(b"a"))
    found: list[bytes] = []

    async def reader() -> None:
        found.append(await read(body))

    async with anyio.create_task_group() as group:
        group.start_soon(reader)
        group.start_soon(reader)
        await anyio.sleep(0.01)
        server.push(chunk(b"b", False))
    assert found == [b"ab", b"ab"]


async def test_tasks_that_read_at_the_same_time_wait_for_the_disk_too() -> None:
    body, _ = body_of(chunk(b"x" * MIB), chunk(b"x"), chunk(b"x", False))
    found: list[bytes] = []

    async def reader() -> None:
        found.append(await read(body))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(reader)
    assert [len(one) for one in found] == [MIB + 2] * 3


async def test_a_reader_who_is_cancelled_leaves_no_half_of_it() -> None:
    body, server = body_of(chunk(b"lost"))
    with anyio.move_on_after(0.01):
        await read(body)
    server.push(chunk(b"rest", False))
    with pytest.raises(RuntimeError, match="cancelled"):
        await read(body)


# Limits.


async def test_a_body_as_large_as_the_limit_is_taken() -> None:
    body, _ = body_of(chunk(b"12345"), chunk(b"67890", False))
    assert await read(body, 10) == b"1234567890"


async def test_above_the_limit_reading_stops_with_413() -> None:
    body, server = body_of(chunk(b"12345"), chunk(b"678901"), chunk(b"never read", False))
    with pytest.raises(HTTPException) as caught:
        await read(body, 10)
    assert caught.value.status_code == 413
    assert caught.value.headers == {"connection": "close"}
    assert len(server.inbox) == 1


async def test_what_was_too_large_stays_too_large() -> None:
    body, _ = body_of(chunk(b"12345"), chunk(b"6", False))
    for _ in range(2):
        with pytest.raises(HTTPException, match="413"):
            await read(body, 5)


async def test_a_body_that_was_read_under_a_larger_limit_is_held_to_a_smaller_one() -> None:
    body, _ = body_of(chunk(b"12345", False))
    assert await read(body, 5)
    with pytest.raises(HTTPException, match="413"):
        await read(body, 4)
    with pytest.raises(HTTPException, match="413"):
        await anext(Chunks(body, 4, 30.0))


async def test_a_stream_is_counted_too() -> None:
    body, _ = body_of(chunk(b"123"), chunk(b"456", False))
    stream = Chunks(body, 5, 30.0)
    assert await anext(stream) == b"123"
    with pytest.raises(HTTPException, match="413"):
        await anext(stream)


async def test_a_client_that_sends_nothing_for_too_long_gets_408() -> None:
    body, _ = body_of(chunk(b"a"))
    for _ in range(2):
        with pytest.raises(HTTPException, match="no part of the body came for 0.01 seconds") as caught:
            await read(body, ENOUGH, 0.01)
        assert caught.value.status_code == 408
        assert caught.value.headers == {"connection": "close"}


async def test_what_is_raised_again_does_not_keep_what_had_been_read() -> None:
    body, _ = body_of(chunk(b"x" * 10))
    with pytest.raises(HTTPException) as caught:
        await read(body, 5)
    assert body._failure is not caught.value
    assert body._failure is not None
    assert body._failure.__traceback__ is None


# The client leaves.


async def test_a_client_that_leaves_in_the_middle_ends_the_reading() -> None:
    body, _ = body_of(chunk(b"a"), http_disconnect)
    for _ in range(2):
        with pytest.raises(ClientDisconnect):
            await read(body)
    assert body.disconnected


async def test_a_stream_says_that_the_client_left_as_often_as_it_is_asked() -> None:
    body, _ = body_of(chunk(b"a"), http_disconnect)
    stream = Chunks(body, ENOUGH, 30.0)
    assert await anext(stream) == b"a"
    for _ in range(2):
        with pytest.raises(ClientDisconnect):
            await anext(stream)


@pytest.mark.parametrize(
    "message",
    [{"type": "http.response.start"}, {"type": "websocket.receive"}, {}, {"type": "http.request", "body": "text"}],
)
async def test_a_message_that_is_none_of_http_is_an_error(message: Message) -> None:
    body, _ = body_of(message)
    with pytest.raises(RuntimeError, match="no message of an http scope"):
        await read(body)


# Large bodies.


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The temporary files that were made."""
    made: list[Any] = []
    make = tempfile.TemporaryFile

    def remember() -> Any:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", remember)
    return made


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[int]]:
    """The threads that touched the disk."""
    seen: set[int] = set()
    for name in ("flush", "finish", "close"):
        method = getattr(Spool, name)

        def noting(self: Spool, method: Any = method) -> Any:
            seen.add(threading.get_ident())
            return method(self)

        monkeypatch.setattr(Spool, name, noting)
    yield seen
    assert threading.get_ident() not in seen


async def test_a_body_above_1_mib_waits_on_disk_and_no_disk_is_touched_on_the_loop(
    files: list[Any], threads: set[int]
) -> None:
    parts = [bytes([number]) * (700 * 1024) for number in range(6)]
    body, _ = body_of(*map(chunk, parts), chunk(b"end", False))
    assert await read(body) == b"".join(parts) + b"end"
    assert [file.closed for file in files] == [True]
    assert threads


async def test_a_body_of_1_mib_stays_in_memory(files: list[Any], threads: set[int]) -> None:
    body, _ = body_of(chunk(b"x" * (MIB - 1)), chunk(b"x", False))
    assert len(await read(body)) == MIB
    assert not files


async def test_one_large_message_needs_no_disk(files: list[Any], threads: set[int]) -> None:
    body, _ = body_of(chunk(b"x" * (2 * MIB)), chunk(b"", False))
    assert len(await read(body)) == 2 * MIB


@pytest.mark.parametrize("ending", [chunk(b"x" * (4 * MIB)), http_disconnect])
async def test_the_file_is_deleted_when_the_upload_fails(ending: Message, files: list[Any], threads: set[int]) -> None:
    body, _ = body_of(chunk(b"x" * MIB), chunk(b"x"), chunk(b"x"), ending)
    with pytest.raises((HTTPException, ClientDisconnect)):
        await read(body, 4 * MIB)
    assert [file.closed for file in files] == [True]


async def test_the_file_is_deleted_when_the_reader_is_cancelled(files: list[Any], threads: set[int]) -> None:
    body, _ = body_of(chunk(b"x" * MIB), chunk(b"x"))
    with anyio.move_on_after(0.2):
        await read(body)
    assert [file.closed for file in files] == [True]


def test_the_file_is_deleted_when_the_loop_has_gone(files: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(function: Any, *args: Any) -> Any:
        return function(*args)

    @types.coroutine
    def never() -> Any:
        yield

    async def receive() -> Message:
        await never()
        return {}

    monkeypatch.setattr(microasgi.body, "run_in_threadpool", at_once)
    monkeypatch.setattr(Body, "next_chunk", lambda *_: receive())
    reading = Body(receive)._collect_on_disk(b"x", ENOUGH, 30.0)
    reading.send(None)
    assert [file.closed for file in files] == [False]
    reading.close()
    assert [file.closed for file in files] == [True]


# In chunks.


async def test_a_stream_gives_the_chunks_as_they_come_without_empty_ones() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b""), chunk(b"b"), chunk(b"", False))
    assert [part async for part in Chunks(body, ENOUGH, 30.0)] == [b"a", b"b"]


async def test_a_known_body_is_streamed_as_often_as_wanted() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False))
    await read(body)
    for _ in range(2):
        assert [part async for part in Chunks(body, ENOUGH, 30.0)] == [b"ab"]


@pytest.mark.parametrize("more", [True, False])
async def test_what_a_stream_has_begun_cannot_be_read_from_its_start(more: bool) -> None:
    body, _ = body_of(chunk(b"a", more))
    await anext(Chunks(body, ENOUGH, 30.0))
    with pytest.raises(RuntimeError, match=r"consumed by stream\(\)"):
        await read(body)
    with pytest.raises(RuntimeError, match=r"consumed by stream\(\)"):
        await anext(Chunks(body, ENOUGH, 30.0))


async def test_of_an_empty_body_nothing_can_be_consumed() -> None:
    body, _ = body_of(chunk(b"", True), chunk(b"", False))
    for _ in range(2):
        assert [part async for part in Chunks(body, ENOUGH, 30.0)] == []
    assert await read(body) == b""


async def test_a_stream_may_be_left_early() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False))
    async for part in Chunks(body, ENOUGH, 30.0):
        assert part == b"a"
        break
    gc.collect()


# Looking out for the disconnect.


async def test_whether_the_client_is_there_is_told_without_waiting() -> None:
    body, server = body_of()
    assert not await body.is_disconnected()
    server.push(http_disconnect)
    assert await body.is_disconnected()
    assert await body.is_disconnected()


async def test_asking_for_the_client_leaves_the_body_to_its_reader() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b"), chunk(b"c", False))
    for _ in range(5):
        assert not await body.is_disconnected()
    assert await read(body) == b"abc"


async def test_a_disconnect_behind_the_body_is_seen() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False), http_disconnect)
    await read(body)
    assert await body.is_disconnected()


async def test_what_receive_raises_reaches_who_asks() -> None:
    async def receive() -> Message:
        raise ZeroDivisionError

    intake = Intake(receive)
    for ask in (intake.is_disconnected, intake.until_disconnect, intake.take):
        with pytest.raises(ZeroDivisionError):
            await ask()


async def test_asking_takes_nothing_from_a_body_that_comes_later() -> None:
    body, server = body_of()
    assert not await body.is_disconnected()
    server.push(chunk(b"a"), chunk(b"b", False))
    assert await read(body) == b"ab"


async def test_who_looks_out_may_be_cancelled_before_the_body_comes() -> None:
    body, server = body_of()
    with anyio.move_on_after(0.01):
        await body.until_disconnect()
    server.push(chunk(b"a", False))
    assert await read(body) == b"a"


async def test_a_reader_that_was_cancelled_gets_no_body_with_a_hole() -> None:
    body, server = body_of(chunk(b"a"))
    stream = Chunks(body, ENOUGH, 30.0)
    assert await anext(stream) == b"a"
    with anyio.move_on_after(0.01):
        await anext(stream)
    server.push(chunk(b"b"), chunk(b"c", False))
    with pytest.raises(RuntimeError, match="that part may be gone"):
        await anext(stream)


async def test_a_hole_is_not_hidden_by_what_comes_after_it() -> None:
    body, server = body_of(chunk(b"1"))
    stream = Chunks(body, ENOUGH, 30.0)
    assert await anext(stream) == b"1"
    with anyio.move_on_after(0.01):
        await anext(stream)
    server.push(chunk(b"2"), chunk(b"3"), chunk(b"4", False))
    assert not await body.is_disconnected()
    with pytest.raises(RuntimeError, match="that part may be gone"):
        await anext(stream)
    await body.stop()


async def test_watching_keeps_the_body_for_its_reader() -> None:
    body, server = body_of(chunk(b"a"))
    async with anyio.create_task_group() as group:
        group.start_soon(body.watch)
        await anyio.sleep(0.01)
        stream = Chunks(body, ENOUGH, 30.0)
        assert await anext(stream) == b"a"
        group.start_soon(body.watch)
        await anyio.sleep(0.01)
        server.push(chunk(b"b", False))
        assert await anext(stream) == b"b"
        server.push(http_disconnect)
    assert await body.watch() == http_disconnect


async def test_watching_gives_up_a_body_that_nobody_begins_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microasgi.intake, "PATIENCE", 0.01)
    body, _ = body_of(*[chunk(b"x" * MIB) for _ in range(5)], http_disconnect)
    assert await body.watch() == http_disconnect


async def test_an_application_behind_may_cancel_its_own_receive() -> None:
    body, server = body_of()
    replay = Replay(body)
    with anyio.move_on_after(0.01):
        await replay()
    server.push(chunk(b"lost where a cancelled receive loses"), chunk(b"b", False))
    assert await replay() == chunk(b"b", False)
    with pytest.raises(RuntimeError, match="an application behind this one receives it"):
        await read(body)


async def test_looking_out_ends_when_it_is_stopped() -> None:
    body, server = body_of()
    await body.stop()
    assert not await body.is_disconnected()
    assert server.receiving
    await body.stop()
    await anyio.sleep(0.01)
    assert not server.receiving


async def test_two_readers_take_turns_in_receive() -> None:
    body, server = body_of()
    found: list[Message] = []

    async def take() -> None:
        found.append(await body.take())

    async with anyio.create_task_group() as group:
        group.start_soon(take)
        group.start_soon(take)
        await anyio.sleep(0.01)
        server.push(chunk(b"a"), chunk(b"b", False))
    assert found == [chunk(b"a"), chunk(b"b", False)]


async def test_asking_disturbs_nobody_who_reads() -> None:
    body, server = body_of()
    async with anyio.create_task_group() as group:
        group.start_soon(read, body)
        await anyio.sleep(0.01)
        assert not await body.is_disconnected()
        server.push(chunk(b"a", False))
    assert body.content == b"a"


async def test_the_wait_for_the_disconnect_keeps_the_body_for_its_reader() -> None:
    body, server = body_of(chunk(b"a"), chunk(b"b", False))
    async with anyio.create_task_group() as group:
        group.start_soon(body.until_disconnect)
        await anyio.sleep(0.01)
        assert await read(body) == b"ab"
        server.push(http_disconnect)
    assert await body.until_disconnect() == http_disconnect


async def test_reader_and_look_out_take_turns_in_receive() -> None:
    body, server = body_of()
    found: list[bytes] = []

    async def reader() -> None:
        found.extend([part async for part in Chunks(body, ENOUGH, 30.0)])

    async with anyio.create_task_group() as group:
        group.start_soon(body.until_disconnect)
        group.start_soon(reader)
        for part in (b"a", b"b", b"c"):
            await anyio.sleep(0.01)
            server.push(chunk(part))
        server.push(chunk(b"", False), http_disconnect)
    assert found == [b"a", b"b", b"c"]


async def test_a_reader_goes_on_when_the_look_out_is_cancelled() -> None:
    body, server = body_of()
    async with anyio.create_task_group() as outer:
        async with anyio.create_task_group() as group:
            group.start_soon(body.until_disconnect)
            await anyio.sleep(0.01)
            outer.start_soon(read, body)
            await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        server.push(chunk(b"a", False))
    assert body.content == b"a"


async def test_a_reader_that_waits_for_the_look_out_is_told_of_the_disconnect() -> None:
    body, server = body_of()
    async with anyio.create_task_group() as group:
        group.start_soon(body.until_disconnect)
        await anyio.sleep(0.01)
        with pytest.raises(ClientDisconnect):
            async with anyio.create_task_group() as readers:
                readers.start_soon(expect_disconnect, body)
                await anyio.sleep(0.01)
                server.push(http_disconnect)
            raise ClientDisconnect


async def expect_disconnect(body: Body) -> None:
    with pytest.raises(ClientDisconnect):
        await read(body)


async def test_a_look_out_holds_back_about_1_mib_until_somebody_reads() -> None:
    body, server = body_of(*[chunk(b"x" * 400_000) for _ in range(6)], chunk(b"", False))
    async with anyio.create_task_group() as group:
        group.start_soon(body.until_disconnect)
        await anyio.sleep(0.01)
        assert len(server.inbox) == 4
        assert len(await read(body)) == 2_400_000
        server.push(http_disconnect)


async def test_a_body_that_nobody_begins_to_read_is_given_up_for_the_disconnect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(microasgi.intake, "PATIENCE", 0.01)
    body, _ = body_of(*[chunk(b"x" * MIB) for _ in range(5)], http_disconnect)
    assert await body.until_disconnect() == http_disconnect
    with pytest.raises(RuntimeError, match="nobody began to read it for 30 seconds"):
        await read(body)
    with pytest.raises(RuntimeError, match="nobody began to read it"):
        await Replay(body)()


async def test_a_body_whose_reading_has_begun_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microasgi.intake, "PATIENCE", 0.01)
    body, server = body_of(chunk(b"first"), *[chunk(b"x" * MIB) for _ in range(3)], chunk(b"", False), http_disconnect)
    stream = Chunks(body, ENOUGH, 30.0)
    assert await anext(stream) == b"first"
    async with anyio.create_task_group() as group:
        group.start_soon(body.until_disconnect)
        await anyio.sleep(0.1)
        assert len(server.inbox) == 3
        assert len(b"".join([part async for part in stream])) == 3 * MIB


# For an application behind the request.


async def test_an_application_behind_gets_a_body_that_was_read() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False), http_disconnect)
    await read(body)
    for _ in range(2):
        assert await Replay(body)() == chunk(b"ab", False)
    replay = Replay(body)
    assert [await replay(), await replay(), await replay()] == [chunk(b"ab", False), http_disconnect, http_disconnect]


async def test_an_application_behind_gets_the_messages_of_an_unread_body() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False), http_disconnect)
    await body.is_disconnected()
    replay = Replay(body)
    assert [await replay() for _ in range(3)] == [chunk(b"a"), chunk(b"b", False), http_disconnect]


async def test_a_short_body_can_still_be_read_when_an_application_behind_has_received_it() -> None:
    body, _ = body_of(chunk(b"a"), chunk(b"b", False))
    replay = Replay(body)
    await replay()
    with pytest.raises(RuntimeError, match="an application behind this one receives it"):
        await read(body)
    await replay()
    assert await read(body) == b"ab"


async def test_a_long_body_is_not_kept_for_that() -> None:
    body, _ = body_of(chunk(b"x" * MIB), chunk(b"x"), chunk(b"x", False))
    replay = Replay(body)
    for _ in range(3):
        await replay()
    with pytest.raises(RuntimeError, match="an application behind this one receives it"):
        await read(body)


async def test_an_application_does_not_wait_in_vain_for_what_was_consumed() -> None:
    body, _ = body_of(chunk(b"a", False))
    await anext(Chunks(body, ENOUGH, 30.0))
    with pytest.raises(RuntimeError, match=r"consumed by stream\(\)"):
        await Replay(body)()


# Who shares it.


async def test_all_who_have_the_same_receive_share_it() -> None:
    scope: dict[str, Any] = {}
    server, other = StrictServer(), StrictServer()
    receive, wrapped = server.receive, other.receive
    body = shared_body(scope, receive)
    assert shared_body(scope, receive) is body
    assert shared_body(scope, wrapped) is not body
    assert shared_body(scope, receive) is body
    assert shared_body(scope, server.receive) is body


async def test_any_callable_will_do_for_receive() -> None:
    class Receive:
        __slots__ = ()

        async def __call__(self) -> Message:
            return chunk(b"a", False)

    assert await read(Body(Receive())) == b"a"


async def test_nothing_is_kept_alive_by_a_ring_of_references() -> None:
    class Server(StrictServer):
        def __init__(self) -> None:
            super().__init__(chunk(b"a", False))
            self.scope: dict[str, Any] = {}

    server = Server()
    receive = server.receive
    await shared_body(server.scope, receive).read(10, 1.0)
    gone = weakref.ref(server)
    gc.disable()
    try:
        del server, receive
        assert gone() is None
    finally:
        gc.enable()


async def test_after_the_request_nothing_is_received() -> None:
    async def receive() -> Message:
        return {}

    body = Body(receive)
    del receive
    with pytest.raises(RuntimeError, match="this request is over"):
        await read(body)
