"""A stream ends with the client, cleans up after itself, and is never called complete when it is not."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
import pytest

from microasgi.exceptions import ClientDisconnect
from microasgi.requests import Request
from microasgi.streaming import StreamingResponse
from microasgi.testing import lint
from microasgi.types import Message, Receive, Scope, Send
from tests.strict_server import StrictServer, chunk, http_disconnect, http_scope, websocket_scope

pytestmark = pytest.mark.anyio


class Leaver(StrictServer):
    """A server whose client leaves as soon as so many messages have come to it."""

    def __init__(self, after: int = 1) -> None:
        super().__init__()
        self._after = after

    async def send(self, message: Message) -> None:
        await super().send(message)
        if len(self.sent) == self._after:
            self.push(http_disconnect)


async def send_to(server: StrictServer, response: StreamingResponse, method: str = "GET") -> None:
    with anyio.fail_after(5):
        await response(http_scope(method), server.receive, server.send)


@pytest.fixture
def log() -> list[str]:
    return []


def waiting(log: list[str], *chunks: Any) -> AsyncIterator[Any]:
    """Yield the chunks, then wait for ever; tell of the clean-up, which awaits."""

    async def generate() -> AsyncIterator[Any]:
        try:
            for one in chunks:
                yield one
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            log.append("cleaned up")

    return generate()


async def still(log: list[str]) -> AsyncIterator[bytes]:
    """Wait for ever; clean up at once."""
    try:
        await anyio.sleep_forever()
        yield b""
    finally:
        log.append("cleaned up")


def ending(log: list[str], *chunks: Any) -> AsyncIterator[Any]:
    """Yield the chunks; tell of the clean-up."""

    async def generate() -> AsyncIterator[Any]:
        try:
            for one in chunks:
                yield one
        finally:
            log.append("cleaned up")

    return generate()


def blocking(log: list[str], *chunks: Any) -> Iterator[Any]:
    """The same, not async; tell of the threads."""
    try:
        for one in chunks:
            log.append("on the loop" if threading.current_thread() is threading.main_thread() else "in a thread")
            yield one
    finally:
        where = "on the loop" if threading.current_thread() is threading.main_thread() else "in a thread"
        log.append(f"cleaned up {where}")


def part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


LAST: Message = {"type": "http.response.body", "body": b"", "more_body": False}


# What is sent.


@pytest.mark.parametrize("kind", [ending, blocking])
async def test_every_chunk_is_sent_as_it_comes_and_then_the_end(kind: Any, log: list[str]) -> None:
    server = StrictServer()
    await send_to(server, StreamingResponse(kind(log, b"a", "é", b"", b"b"), 201, {"x-a": "b"}, "text/plain"))
    headers = [(b"x-a", b"b"), (b"content-type", b"text/plain; charset=utf-8")]
    start = {"type": "http.response.start", "status": 201, "headers": headers}
    assert server.sent == [start, part(b"a"), part("é".encode()), part(b""), part(b"b"), LAST]
    assert log[-1].startswith("cleaned up")


@pytest.mark.parametrize("make", [list, tuple, iter, partial(map, str.upper), dict.fromkeys])
async def test_any_iterable_will_do(make: Any) -> None:
    server = StrictServer()
    await send_to(server, StreamingResponse(make("AB")))
    assert server.body == b"AB"


async def test_any_async_iterable_will_do() -> None:
    class Numbers:
        def __init__(self) -> None:
            self.left = 3

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return b"%d" % self.left

    server = StrictServer()
    await send_to(server, StreamingResponse(Numbers()))
    assert server.body == b"210"


@pytest.mark.parametrize("one", [b"a", bytearray(b"a"), memoryview(b"a"), type("Bytes", (bytes,), {})(b"a")])
async def test_chunks_are_sent_as_exactly_bytes(one: Any, log: list[str]) -> None:
    server = StrictServer()
    await send_to(server, StreamingResponse(ending(log, one)))
    assert type(server.sent[1]["body"]) is bytes


async def test_a_blocking_iterator_never_runs_on_the_loop(log: list[str]) -> None:
    await send_to(StrictServer(), StreamingResponse(blocking(log, b"a", b"b")))
    assert log == ["in a thread", "in a thread", "cleaned up in a thread"]


async def test_it_is_sent_once(log: list[str]) -> None:
    response = StreamingResponse(ending(log, b"a"))
    await send_to(StrictServer(), response)
    with pytest.raises(RuntimeError, match="was sent before"):
        await send_to(StrictServer(), response)


@pytest.mark.parametrize("kind", [ending, blocking])
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_where_no_body_is_due_the_iterator_is_closed_without_being_asked(
    kind: Any, method: str, status: int, log: list[str]
) -> None:
    server, iterator = StrictServer(), kind(log, b"a")
    await send_to(server, StreamingResponse(iterator, status), method)
    assert server.sent[1:] == [{"type": "http.response.body", "body": b""}]
    assert log == []
    if kind is ending:
        assert await anext(iterator, "closed") == "closed"
    else:
        assert next(iterator, "closed") == "closed"


async def test_an_iterator_that_can_be_closed_is_closed() -> None:
    class Lines:
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            raise StopIteration

        def close(self) -> None:
            self.closed += 1

    lines = Lines()
    await send_to(StrictServer(), StreamingResponse(lines))
    assert lines.closed == 1


async def test_what_a_middleware_puts_around_the_iterator_is_closed_and_so_is_the_iterator(log: list[str]) -> None:
    async def upper(inner: AsyncIterator[Any]) -> AsyncIterator[bytes]:
        try:
            async for one in inner:
                yield one.upper()
        finally:
            log.append("outer")

    server = StrictServer()
    server.send_fails_after = 2
    response = StreamingResponse(ending(log, b"a", b"b"))
    response.body_iterator = upper(response.body_iterator)
    await send_to(server, response)
    assert server.body == b"A"
    assert log == ["outer", "cleaned up"]


async def test_it_denies_a_handshake_in_one_message(log: list[str]) -> None:
    server = StrictServer({"type": "websocket.connect"})
    scope = websocket_scope(extensions={"websocket.http.response": {}})
    await StreamingResponse(ending(log, b"a", "b"), 403)(scope, server.receive, server.send)
    assert server.sent == [
        {"type": "websocket.http.response.start", "status": 403, "headers": []},
        {"type": "websocket.http.response.body", "body": b"ab"},
    ]
    assert log == ["cleaned up"]


# A declared length.


async def test_a_stream_may_declare_its_length(log: list[str]) -> None:
    server = StrictServer()
    await send_to(server, StreamingResponse(ending(log, b"ab", b"c"), headers={"content-length": "3"}))
    assert server.sent[-1] == LAST


async def test_not_a_byte_more_than_declared_is_sent(log: list[str]) -> None:
    server = StrictServer()
    with pytest.raises(RuntimeError, match="exceeds its content-length: 2 bytes came where 1 were missing"):
        await send_to(server, StreamingResponse(ending(log, b"ab", b"cd"), headers={"content-length": "3"}))
    assert server.sent[1:] == [part(b"ab")]
    assert log == ["cleaned up"]


async def test_fewer_bytes_than_declared_are_not_called_complete(log: list[str]) -> None:
    server = StrictServer()
    with pytest.raises(RuntimeError, match="ended 1 bytes before its content-length"):
        await send_to(server, StreamingResponse(ending(log, b"ab"), headers={"content-length": "3"}))
    assert server.sent[1:] == [part(b"ab")]


@pytest.mark.parametrize("length", ["", "abc", "-1", "1.5"])
def test_a_declared_length_is_a_number(length: str) -> None:
    with pytest.raises(ValueError, match="content-length is"):
        StreamingResponse([], headers={"content-length": length})


async def test_head_needs_none_of_the_declared_bytes() -> None:
    server = StrictServer()
    await send_to(server, StreamingResponse([b"abc"], headers={"content-length": "3"}), "HEAD")
    assert server.kinds == ["http.response.start", "http.response.body"]


# Errors.


class Broken(Exception):
    pass


async def async_breaking(error: Exception) -> AsyncIterator[bytes]:
    yield b"a"
    await anyio.sleep(0.01)
    raise error


def breaking(error: Exception) -> Iterator[bytes]:
    yield b"a"
    raise error


@pytest.mark.parametrize("kind", [async_breaking, breaking])
@pytest.mark.parametrize("error", [Broken(), OSError("the disk"), TimeoutError()])
async def test_an_error_in_the_stream_is_raised_and_the_stream_not_called_complete(kind: Any, error: Exception) -> None:
    server = StrictServer()
    ran: list[int] = []

    async def background() -> None:
        ran.append(1)

    with pytest.raises(type(error)) as caught:
        await send_to(server, StreamingResponse(kind(error), background=background))
    assert caught.value is error
    assert server.sent[1:] == [part(b"a")]
    assert ran == []


@pytest.mark.parametrize("one", [None, 5, {"a": 1}])
async def test_a_chunk_that_is_no_text_and_no_bytes_is_an_error(one: Any, log: list[str]) -> None:
    server = StrictServer()
    with pytest.raises(TypeError, match="a stream sends text or bytes"):
        await send_to(server, StreamingResponse(ending(log, b"a", one)))
    assert server.sent[1:] == [part(b"a")]
    assert log == ["cleaned up"]


async def test_text_that_utf_8_cannot_hold_does_not_reach_the_server(log: list[str]) -> None:
    server = StrictServer()
    with pytest.raises(UnicodeEncodeError):
        await send_to(server, StreamingResponse(ending(log, "\ud800")))
    assert server.kinds == ["http.response.start"]


async def test_an_error_of_the_clean_up_is_raised_as_it_is() -> None:
    async def generate() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await anyio.sleep_forever()
        finally:
            raise Broken

    server = Leaver()
    with pytest.raises(Broken):
        await send_to(server, StreamingResponse(generate()))


def endless(log: list[str], *chunks: Any) -> Iterator[bytes]:
    try:
        while True:
            time.sleep(0.001)
            yield b"a"
    finally:
        log.append("cleaned up")


@pytest.mark.parametrize("kind", [waiting, endless])
async def test_an_error_out_of_receive_ends_the_stream_and_is_raised(kind: Any, log: list[str]) -> None:
    async def receive() -> Message:
        await anyio.sleep(0.01)
        raise Broken

    server = StrictServer()
    with pytest.raises(Broken):
        await StreamingResponse(kind(log, b"a"))(http_scope(), receive, server.send)
    assert log[-1].startswith("cleaned up")


async def test_an_oserror_out_of_receive_says_that_the_client_left(log: list[str]) -> None:
    async def receive() -> Message:
        await anyio.sleep(0.01)
        raise ConnectionResetError

    server = StrictServer()
    await StreamingResponse(waiting(log, b"a"))(http_scope(), receive, server.send)
    assert log == ["cleaned up"]


# The client leaves.


async def test_the_generator_is_cancelled_and_cleans_up_when_the_client_leaves(log: list[str]) -> None:
    server = StrictServer(chunk(b"", False))
    async with anyio.create_task_group() as group:
        group.start_soon(send_to, server, StreamingResponse(waiting(log, b"a")))
        await anyio.sleep(0.02)
        assert log == []
        server.push(http_disconnect)
    assert log == ["cleaned up"]
    assert LAST not in server.sent


async def test_on_asyncio_the_clean_up_may_await(log: list[str], anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("trio cancels every await of a cancelled scope, and says so")

    async def generate() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await anyio.sleep_forever()
        finally:
            await anyio.sleep(0.01)
            await asyncio.sleep(0.01)
            log.append("cleaned up")

    await send_to(Leaver(), StreamingResponse(generate()))
    assert log == ["cleaned up"]


async def test_a_generator_that_send_keeps_waiting_is_closed(log: list[str]) -> None:
    class Slow(Leaver):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if len(self.sent) == 3:
                await anyio.sleep_forever()

    server = Slow(3)
    await send_to(server, StreamingResponse(ending(log, b"a", b"b", b"c")))
    assert log == ["cleaned up"]


async def test_a_blocking_generator_is_closed_in_a_thread_when_its_step_has_ended(log: list[str]) -> None:
    step, left = threading.Event(), threading.Event()

    def generate() -> Iterator[bytes]:
        try:
            yield b"a"
            step.set()
            left.wait(5)
            log.append("stepped")
            yield b"b"
        finally:
            log.append("in a thread" if threading.current_thread() is not threading.main_thread() else "on the loop")

    server = StrictServer()
    async with anyio.create_task_group() as group:
        group.start_soon(send_to, server, StreamingResponse(generate()))
        await anyio.to_thread.run_sync(step.wait, 5)
        server.push(http_disconnect)
        await anyio.sleep(0.02)
        assert log == []
        left.set()
    assert log == ["stepped", "in a thread"]
    assert server.body == b"a"


async def test_a_blocking_generator_is_not_closed_under_its_running_step(
    log: list[str], anyio_backend_name: str
) -> None:
    """A native cancellation does not wait for a worker thread, but the clean-up does."""
    if anyio_backend_name != "asyncio":
        pytest.skip("on trio there is no such cancellation")
    step, left = threading.Event(), threading.Event()

    def generate() -> Iterator[bytes]:
        try:
            step.set()
            left.wait(5)
            yield b"a"
        finally:
            log.append("cleaned up")

    response = StreamingResponse(generate())
    task = asyncio.create_task(response(http_scope(), StrictServer().receive, StrictServer().send))
    await anyio.to_thread.run_sync(step.wait, 5)
    task.cancel()
    await anyio.sleep(0.02)
    assert not task.done()
    left.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cleaned up"]
    assert await anext(response.body_iterator, "closed") == "closed"


@pytest.mark.parametrize("kind", [ending, blocking])
@pytest.mark.parametrize("sent_before", range(4))
async def test_an_oserror_out_of_send_ends_the_stream_quietly_wherever_it_comes(
    kind: Any, sent_before: int, log: list[str]
) -> None:
    server = StrictServer()
    server.send_fails_after = sent_before

    async def background() -> None:
        log.append("background")

    await send_to(server, StreamingResponse(kind(log, b"a", b"b"), background=background))
    assert len(server.sent) == sent_before
    assert log[-1] == "background"
    assert any(entry.startswith("cleaned up") for entry in log) is (sent_before > 0)


async def test_background_runs_after_a_disconnect_too(log: list[str]) -> None:
    async def background() -> None:
        await anyio.sleep(0.01)
        log.append("background")

    await send_to(Leaver(), StreamingResponse(waiting(log, b"a"), background=background))
    assert log == ["cleaned up", "background"]


async def test_a_generator_may_hold_a_task_group_over_its_yields(log: list[str]) -> None:
    async def generate() -> AsyncIterator[bytes]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            try:
                yield b"a"
                await anyio.sleep(0.01)
                yield b"b"
            finally:
                log.append("cleaned up")
                group.cancel_scope.cancel()

    await send_to(StrictServer(), StreamingResponse(generate()))
    failing = StrictServer()
    failing.send_fails_after = 2
    await send_to(failing, StreamingResponse(generate()))
    assert log == ["cleaned up"] * 2


async def test_an_error_beside_such_a_task_group_is_raised() -> None:
    async def generate() -> AsyncIterator[bytes]:
        async with anyio.create_task_group() as group:
            group.start_soon(fail_when_cancelled)
            await anyio.sleep(0.01)
            yield b"a"

    server = StrictServer()
    server.send_fails_after = 1
    with pytest.raises(BaseExceptionGroup) as caught:
        await send_to(server, StreamingResponse(generate()))
    assert caught.group_contains(Broken)
    assert not caught.group_contains(GeneratorExit)


async def fail_when_cancelled() -> None:
    try:
        await anyio.sleep_forever()
    finally:
        raise Broken


# Beside a body that arrives.


async def test_a_stream_may_read_its_request_while_it_is_sent() -> None:
    server = StrictServer()
    request = Request(http_scope("POST"), server.receive, server.send)

    async def echo() -> AsyncIterator[bytes]:
        async for one in request.stream():
            yield one

    response = StreamingResponse(echo())
    async with anyio.create_task_group() as group:
        group.start_soon(response, request.scope, request.until_disconnect, server.send)
        for one in (b"a", b"b", b"c"):
            await anyio.sleep(0.005)
            server.push(chunk(one))
        server.push(chunk(b"", False))
    assert server.body == b"abc"
    assert server.sent[-1] == LAST


async def test_a_client_that_leaves_in_the_middle_of_both_ends_both(log: list[str]) -> None:
    server = StrictServer(chunk(b"a"))
    request = Request(http_scope("POST"), server.receive, server.send)

    async def echo() -> AsyncIterator[bytes]:
        try:
            async for one in request.stream():
                yield one
        finally:
            log.append("cleaned up")

    async with anyio.create_task_group() as group:
        group.start_soon(run_until_left, StreamingResponse(echo()), request, server)
        await anyio.sleep(0.02)
        server.push(http_disconnect)
    assert server.body == b"a"
    assert LAST not in server.sent
    assert log == ["cleaned up"]


async def run_until_left(response: StreamingResponse, request: Request, server: StrictServer) -> None:
    try:
        await response(request.scope, request.until_disconnect, server.send)
    except ClientDisconnect:
        return  # the generator, too, waits for the client; whichever hears of it first


# Tasks.


@pytest.fixture
def count_tasks(anyio_backend_name: str) -> Callable[[], int]:
    def count() -> int:
        if anyio_backend_name == "asyncio":
            return len(asyncio.all_tasks())
        import trio

        return trio.lowlevel.current_statistics().tasks_living

    return count


@pytest.mark.parametrize(("kind", "server"), [(ending, StrictServer), (waiting, Leaver), (endless, Leaver)])
async def test_nothing_outlives_the_stream(
    kind: Any, server: type[StrictServer], log: list[str], count_tasks: Callable[[], int]
) -> None:
    before = count_tasks()
    await send_to(server(), StreamingResponse(kind(log, b"a")))
    assert count_tasks() == before


async def test_a_stream_that_never_waits_starts_no_task(log: list[str], anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("on trio there is always one")

    async def send(message: Message) -> None:
        pass

    async def receive() -> Message:
        raise AssertionError("nobody had to look")

    loop, made = asyncio.get_running_loop(), []

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(make)
    try:
        await StreamingResponse(ending(log, b"a", b"b"))(http_scope(), receive, send)
        await asyncio.sleep(0)
    finally:
        loop.set_task_factory(None)
    assert made == []


# Cancelled from outside, at the same time or not (asyncio).


@pytest.fixture
def on_asyncio(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("about asyncio's Task.cancel and Task.uncancel")


def cancelling() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()


@pytest.mark.usefixtures("on_asyncio")
async def test_a_disconnect_leaves_no_trace_of_a_cancellation(log: list[str]) -> None:
    await send_to(Leaver(), StreamingResponse(waiting(log)))
    assert cancelling() == 0
    await asyncio.sleep(0)


@pytest.mark.usefixtures("on_asyncio")
async def test_a_generator_that_swallows_the_cancellation_leaves_no_trace_either() -> None:
    async def generate() -> AsyncIterator[bytes]:
        yield b"a"
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            yield b"b"

    server = Leaver()
    await send_to(server, StreamingResponse(generate()))
    assert server.sent[-1] == LAST
    assert cancelling() == 0


@pytest.mark.usefixtures("on_asyncio")
async def test_a_task_that_went_on_after_a_cancellation_can_still_stream(log: list[str]) -> None:
    server = Leaver()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await StreamingResponse(waiting(log))(http_scope(), server.receive, server.send)
            log.append(f"went on with {cancelling()}")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert log == ["cleaned up", "went on with 1"]


async def test_a_deadline_around_the_stream_is_heard_and_the_generator_cleans_up(log: list[str]) -> None:
    with anyio.move_on_after(0.02) as scope:
        await StreamingResponse(waiting(log, b"a"))(http_scope(), StrictServer().receive, StrictServer().send)
    assert scope.cancelled_caught
    assert log == ["cleaned up"]


@pytest.mark.usefixtures("on_asyncio")
async def test_a_native_deadline_around_the_stream_is_heard(log: list[str]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await StreamingResponse(waiting(log, b"a"))(http_scope(), StrictServer().receive, StrictServer().send)
    assert log == ["cleaned up"]
    assert cancelling() == 0


def both_at_once(first: Callable[[], object], second: Callable[[], object]) -> tuple[StrictServer, Receive]:
    """A server whose client leaves in the same turn of the loop in which something else happens."""
    server = StrictServer()

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        first()
        asyncio.get_running_loop().call_soon(second)
        return http_disconnect

    return server, receive


@pytest.mark.usefixtures("on_asyncio")
@pytest.mark.parametrize("order", [0, 1])
async def test_a_native_cancellation_in_the_same_moment_is_not_taken_for_the_disconnect(
    order: int, log: list[str]
) -> None:
    cancel: list[Callable[[], object]] = []
    server, receive = both_at_once(*[lambda: cancel[0](), lambda: None][:: 1 if order else -1])

    async def work() -> None:
        await StreamingResponse(still(log))(http_scope(), receive, server.send)
        await asyncio.sleep(0.05)
        log.append("went on")

    task = asyncio.create_task(work())
    cancel.append(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cleaned up"]


@pytest.mark.usefixtures("on_asyncio")
@pytest.mark.parametrize("order", [0, 1])
async def test_a_cancelled_scope_in_the_same_moment_is_heard(order: int, log: list[str]) -> None:
    with anyio.CancelScope() as scope:
        calls = [scope.cancel, lambda: None]
        server, receive = both_at_once(*(calls if order else calls[::-1]))
        await StreamingResponse(still(log))(http_scope(), receive, server.send)
        await anyio.sleep(60)
    assert scope.cancelled_caught
    assert log == ["cleaned up"]
    assert cancelling() == 0


@pytest.mark.usefixtures("on_asyncio")
@pytest.mark.parametrize("order", [0, 1])
async def test_a_native_deadline_in_the_same_moment_is_heard(order: int, log: list[str]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60) as deadline:
            calls = [lambda: deadline.reschedule(asyncio.get_running_loop().time()), lambda: None]
            server, receive = both_at_once(*(calls if order else calls[::-1]))
            await StreamingResponse(still(log))(http_scope(), receive, server.send)
            await asyncio.sleep(60)
    assert log == ["cleaned up"]
    assert cancelling() == 0


@pytest.mark.usefixtures("on_asyncio")
async def test_a_failing_sibling_ends_the_stream_of_a_task_group(log: list[str]) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise Broken

    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await StreamingResponse(waiting(log))(http_scope(), StrictServer().receive, StrictServer().send)
    assert caught.group_contains(Broken)
    assert log == ["cleaned up"]
    assert cancelling() == 0


@pytest.mark.usefixtures("on_asyncio")
async def test_a_disconnect_does_not_disturb_a_clean_up_that_somebody_else_began(log: list[str]) -> None:
    server = StrictServer()

    async def generate() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.sleep(60)
        finally:
            server.push(http_disconnect)
            await asyncio.sleep(0.02)
            log.append("cleaned up")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await StreamingResponse(generate())(http_scope(), server.receive, server.send)
    assert log == ["cleaned up"]
    assert cancelling() == 0


# By the rules of ASGI.


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_lint_finds_nothing(method: str, log: list[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(ending(log, b"a", "b"), headers={"content-length": "2"})(scope, receive, send)

    server = StrictServer(chunk(b"", False))
    await lint(app, strict=True)(http_scope(method), server.receive, server.send)


async def test_an_unsent_stream_complains_of_nothing(log: list[str]) -> None:
    StreamingResponse(ending(log, b"a"))
    StreamingResponse(blocking(log, b"a"))
    gc.collect()
    assert log == []


def test_the_body_of_a_stream_cannot_be_replaced_by_accident() -> None:
    response = StreamingResponse([b"a"])
    with pytest.raises(RuntimeError, match="comes in chunks"):
        _ = response.body
    with pytest.raises(RuntimeError, match="set that, or return a new Response"):
        response.body = b"b"
