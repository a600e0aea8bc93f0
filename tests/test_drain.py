"""The drain: what lives long is told, has a grace, and ends well; nothing that was accepted is lost in silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from microasgi import draining as draining_module
from microasgi import sockets as sockets_module
from microasgi.application import MicroASGI
from microasgi.exceptions import StreamCut, WebSocketDisconnect
from microasgi.requests import Request
from microasgi.responses import PlainTextResponse
from microasgi.routing import Mount, Router
from microasgi.streaming import StreamingResponse
from microasgi.testing import Exchange, http_scope, lifespan_scope, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send
from microasgi.websockets import WebSocket

pytestmark = pytest.mark.anyio


class Lived:
    """An application with its lifespan, for as long as the block lasts."""

    def __init__(self, app: ASGIApp, **extra: Any) -> None:
        self.exchange = Exchange(app, lifespan_scope(**extra))

    async def __aenter__(self) -> Exchange:
        await self.exchange.open()
        await self.exchange.send_input({"type": "lifespan.startup"})
        assert (await self.exchange.receive_output())["type"] == "lifespan.startup.complete"
        return self.exchange

    async def __aexit__(self, *_: object) -> None:
        if not self.exchange.finished:
            await self.stop()
        await self.exchange.close()

    async def stop(self) -> None:
        await self.exchange.send_input({"type": "lifespan.shutdown"})
        assert (await self.exchange.receive_output())["type"] == "lifespan.shutdown.complete"
        await self.exchange.wait_finished()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a short while where a server would take a long one."""
    monkeypatch.setattr(draining_module, "_CLEAN_UP", 0.3)
    monkeypatch.setattr(sockets_module, "_PATIENCE", 0.05)


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def app() -> MicroASGI:
    app = MicroASGI()
    app.draining.grace = 0.05

    @app.get("/")
    async def index(request: Request) -> str:
        return "here"

    return app


def endless(log: list[str]) -> AsyncIterator[bytes]:
    """Tick for ever, and tell of the clean-up."""

    async def ticks() -> AsyncIterator[bytes]:
        try:
            yield b"tick"
            await anyio.sleep_forever()
        finally:
            log.append("closed")

    return ticks()


@asynccontextmanager
async def opened(app: ASGIApp, path: str = "/", **extra: Any) -> AsyncGenerator[Exchange]:
    """Open a socket that the application accepts."""
    async with Exchange(app, websocket_scope(path, **extra)) as socket:
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output())["type"] == "websocket.accept"
        yield socket


async def get(app: ASGIApp, path: str = "/", **extra: Any) -> list[Message]:
    async with Exchange(app, http_scope("GET", path, **extra)) as exchange:
        await exchange.send_input({"type": "http.request", "body": b"", "more_body": False})
        return [message async for message in exchange]


# What it is


async def test_draining_is_an_event_to_look_at_and_to_wait_for(app: MicroASGI) -> None:
    heard = []

    async def listen() -> None:
        await app.draining.wait()
        heard.append(app.draining.is_set())

    assert not app.draining
    async with Lived(app), anyio.create_task_group() as group:
        group.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        assert not app.draining.is_set()
        assert heard == []
        await app.drain()
        assert bool(app.draining)
    assert heard == [True]


async def test_the_next_life_begins_without_a_drain(app: MicroASGI) -> None:
    async with Lived(app):
        await app.drain()
    assert not app.draining
    async with Lived(app):
        assert not app.draining


async def test_nothing_can_be_drained_without_a_lifespan(app: MicroASGI) -> None:
    with pytest.raises(RuntimeError, match="with TestClient"):
        await app.drain()
    with pytest.raises(RuntimeError, match="lifespan does not run"):
        await app.draining.wait()


async def test_a_drain_with_nothing_to_end_takes_no_time(app: MicroASGI) -> None:
    app.draining.grace = 1000.0
    async with Lived(app):
        with anyio.fail_after(2):
            await app.drain()


async def test_two_drains_at_once_take_the_shorter_grace(app: MicroASGI, log: list[str]) -> None:
    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(endless(log))

    async with Lived(app), anyio.create_task_group() as group:
        exchange = Exchange(app, http_scope("GET", "/stream"))
        await exchange.open()
        await exchange.receive_output()
        with anyio.fail_after(5):
            group.start_soon(app.drain, 1000.0)
            await anyio.wait_all_tasks_blocked()
            await app.drain(0.01)
        with pytest.raises(StreamCut):
            await exchange.wait_finished()
        await exchange.close()


# Streams


@pytest.fixture(params=["async", "blocking"])
def long_stream(request: pytest.FixtureRequest, app: MicroASGI, log: list[str]) -> None:
    def blocking() -> Iterator[bytes]:
        try:
            while True:
                yield b"tick"
                anyio.from_thread.run(anyio.sleep, 0.01)
        finally:
            log.append("closed")

    @app.get("/stream")
    async def stream(_: Request) -> StreamingResponse:
        return StreamingResponse(endless(log) if request.param == "async" else blocking())


@pytest.mark.usefixtures("long_stream")
async def test_a_stream_that_outlasts_the_grace_is_cut_and_never_marked_complete(
    app: MicroASGI, log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with Lived(app):
        exchange = Exchange(app, http_scope("GET", "/stream"))
        await exchange.open()
        await exchange.receive_output()
        await exchange.receive_output()
        await app.drain()
        with pytest.raises(StreamCut):
            await exchange.wait_finished()
        await exchange.close()
    assert log == ["closed"]
    assert all(message.get("more_body", True) for message in exchange.messages)
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "the grace is over: 1 streams, websockets or requests are ended")
    ]


async def test_a_stream_that_ends_within_the_grace_is_whole(app: MicroASGI) -> None:
    app.draining.grace = 5.0

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            await app.draining.wait()
            yield b"two"

        return StreamingResponse(parts())

    async with Lived(app), Exchange(app, http_scope("GET", "/stream")) as exchange:
        await exchange.receive_output()
        await app.drain()
        await exchange.wait_finished()
        assert exchange.complete


async def test_a_stream_until_the_drain_ends_at_once_and_whole(app: MicroASGI, log: list[str]) -> None:
    app.draining.grace = 1000.0

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(app.draining.until(endless(log)))

    async with Lived(app), Exchange(app, http_scope("GET", "/stream")) as exchange:
        await exchange.receive_output()
        with anyio.fail_after(5):
            await app.drain()
        await exchange.wait_finished()
        assert exchange.complete
        assert log == ["closed"]


async def test_until_ends_with_its_source_and_gives_nothing_after_the_drain(app: MicroASGI) -> None:
    class Numbers:
        """An async iterable that has nothing to close."""

        def __init__(self) -> None:
            self.left = [1, 2, 3]

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    async with Lived(app):
        assert [number async for number in app.draining.until(Numbers())] == [3, 2, 1]
        seen = []
        async for number in app.draining.until(Numbers()):
            seen.append(number)
            await app.draining.end_all()
        assert seen == [3]
        assert [number async for number in app.draining.until(Numbers())] == []


async def test_a_stream_that_begins_while_draining_has_the_rest_of_the_grace(app: MicroASGI, log: list[str]) -> None:
    app.draining.grace = 0.2

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(endless(log))

    async with Lived(app):
        await app.drain()  # nothing is there, so it is over at once
        late = Exchange(app, http_scope("GET", "/stream"))
        await late.open()
        assert (await late.receive_output())["type"] == "http.response.start"
        assert (await late.receive_output())["body"] == b"tick"
        with pytest.raises(StreamCut):
            await late.wait_finished()
        await late.close()
        too_late = Exchange(app, http_scope("GET", "/stream"))
        await too_late.open()
        with pytest.raises(StreamCut):
            await too_late.wait_finished()
        await too_late.close()
        assert too_late.messages == []


async def test_a_stream_that_the_client_leaves_takes_no_part(app: MicroASGI, log: list[str]) -> None:
    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(endless(log))

    async with Lived(app), Exchange(app, http_scope("GET", "/stream")) as exchange:
        await exchange.receive_output()
        exchange.disconnect()
        await exchange.wait_finished()
        round_ = app.draining.here()
        assert round_ is not None
        assert round_.members == set()


async def test_a_stream_where_no_lifespan_runs_is_sent_as_ever() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    for content in (iter([b"x"]), _one()):
        await StreamingResponse(content)(http_scope(), receive, send)
    assert [message.get("body") for message in sent] == [None, b"x", b"", None, b"x", b""]


async def _one() -> AsyncIterator[bytes]:
    yield b"x"


async def test_what_cannot_be_ended_is_left_behind_and_reported(
    app: MicroASGI, caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn:
        def tell(self) -> None:
            raise LookupError("no")

        def cut(self) -> None:
            """Go on."""

    stubborn = Stubborn()
    async with Lived(app):
        app.draining.add(stubborn)
        await app.drain(0.01)
        app.draining.discard(stubborn)
    assert "failed when the application drained" in caplog.messages[0]
    assert caplog.messages[1:] == [
        "the grace is over: 1 streams, websockets or requests are ended",
        "1 streams, websockets or requests have not ended: they are left behind",
    ]


# Requests


@pytest.mark.parametrize("version, closes", [("1.1", True), ("1.0", True), ("2", False)])
async def test_requests_are_answered_while_draining_and_close_their_connection(
    app: MicroASGI, version: str, closes: bool
) -> None:
    async with Lived(app):
        assert (b"connection", b"close") not in (await get(app))[0]["headers"]
        await app.drain()
        start, body = await get(app, http_version=version)
        assert (start["status"], body["body"]) == (200, b"here")
        assert ((b"connection", b"close") in start["headers"]) is closes


async def test_a_connection_header_of_the_handler_gives_way(app: MicroASGI) -> None:
    @app.get("/keep")
    async def keep(request: Request) -> PlainTextResponse:
        return PlainTextResponse("x", headers={"connection": "keep-alive"})

    async with Lived(app):
        await app.drain()
        start = (await get(app, "/keep"))[0]
        assert [value for name, value in start["headers"] if name == b"connection"] == [b"close"]


async def test_routes_added_while_draining_are_answered_in_the_same_way(app: MicroASGI) -> None:
    async with Lived(app):
        await app.drain()

        @app.get("/new")
        async def new(request: Request) -> str:
            return "new"

        start, body = await get(app, "/new")
        assert body["body"] == b"new"
        assert (b"connection", b"close") in start["headers"]


async def test_middleware_and_sockets_know_nothing_of_it(app: MicroASGI) -> None:
    seen = []

    class Around:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["type"])
            await self.app(scope, receive, send)

    app.add_middleware(Around)
    async with Lived(app):
        await app.drain()
        assert (b"connection", b"close") in (await get(app))[0]["headers"]
    assert seen == ["lifespan", "http"]


# Websockets


def listener(log: list[str]) -> Callable[[WebSocket], Any]:
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnect as gone:
            log.append(f"{gone.code} {gone.reason}")
            raise

    return listen


async def test_a_socket_that_waits_for_messages_is_closed_at_once(app: MicroASGI, log: list[str]) -> None:
    app.draining.grace = 1000.0
    app.websocket("/")(listener(log))
    async with Lived(app), opened(app) as socket:
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await app.drain()
        close = await socket.receive_output()
        assert (close["type"], close["code"], close["reason"]) == (
            "websocket.close",
            1012,
            "the server stops or restarts",
        )
        await socket.wait_finished()
    assert log == ["1012 the server stops or restarts"]


@pytest.mark.parametrize("receive", ["receive_text", "receive_bytes", "receive_json", "iter_text", "receive"])
async def test_every_way_to_wait_for_a_message_ends(app: MicroASGI, log: list[str], receive: str) -> None:
    app.draining.grace = 1000.0

    @app.websocket("/")
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        if receive == "iter_text":
            async for _ in websocket.iter_text():
                pass
        else:
            message = await getattr(websocket, receive)()
            assert message["type"] == "websocket.disconnect"
        log.append("ended")

    async with Lived(app), opened(app) as socket:
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await app.drain()
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()
    assert log == (["ended"] if receive in ("iter_text", "receive") else [])


async def test_a_busy_handler_ends_when_it_waits_for_the_next_message(app: MicroASGI, log: list[str]) -> None:
    app.draining.grace = 5.0
    goes_on = anyio.Event()

    @app.websocket("/")
    async def work(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await goes_on.wait()
            await websocket.send_text(f"done {text}")
        log.append("ended")

    async with Lived(app), opened(app) as socket, anyio.create_task_group() as group:
        await socket.send_input({"type": "websocket.receive", "text": "job"})
        await anyio.wait_all_tasks_blocked()
        group.start_soon(app.drain)
        await anyio.wait_all_tasks_blocked()
        goes_on.set()
        assert (await socket.receive_output())["text"] == "done job"
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()
    assert log == ["ended"]


async def test_a_handler_that_only_sends_is_closed_after_the_grace(app: MicroASGI, log: list[str]) -> None:
    @app.websocket("/")
    async def talk(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("tick")
                await anyio.sleep(0.01)
        except WebSocketDisconnect as gone:
            log.append(str(gone.code))
            raise

    async with Lived(app), opened(app) as socket:
        with anyio.fail_after(5):
            await app.drain()
        await socket.wait_finished()
        messages = [message async for message in socket]
    assert messages[-1]["code"] == 1012
    assert {message.get("text") for message in messages[:-1]} == {"tick"}
    assert log == ["1012"]


async def test_messages_that_were_put_aside_are_heard_before_the_end(
    app: MicroASGI, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microasgi.socketconnection._INTERVAL", 0.0)
    app.draining.grace = 5.0

    @app.websocket("/")
    async def talk_first(websocket: WebSocket) -> None:
        await websocket.accept()
        for number in range(5):
            await websocket.send_text(str(number))
        await app.draining.wait()
        async for text in websocket.iter_text():
            log.append(text)

    async with Lived(app), opened(app) as socket:
        for text in "ab":
            await socket.send_input({"type": "websocket.receive", "text": text})
        await anyio.wait_all_tasks_blocked()
        await app.drain()
        await socket.wait_finished()
        messages = [message async for message in socket]
    assert messages[-1]["code"] == 1012
    assert log == ["a", "b"]


async def test_a_handler_that_does_not_notice_is_interrupted_and_cleans_up(app: MicroASGI, log: list[str]) -> None:
    @app.websocket("/")
    async def sleep(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cleaned up")

    async with Lived(app), opened(app) as socket:
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await app.drain()
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()
    assert log == ["cleaned up"]


async def test_a_handler_whose_server_takes_no_close_is_interrupted_without_the_grace(
    app: MicroASGI, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microasgi.sockets._CLOSING", 0.1)
    app.draining.grace = 30.0

    @app.websocket("/")
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await websocket.receive_text()
        finally:
            log.append("cleaned up")

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "websocket.close":
                await anyio.sleep_forever()
            await send(message)

        await app(scope, receive, sending)

    async with Lived(app), Exchange(stuck, websocket_scope("/")) as socket:
        await socket.send_input({"type": "websocket.connect"})
        assert (await socket.receive_output())["type"] == "websocket.accept"
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(10):
            await app.drain()
        await socket.wait_finished()
    assert log == ["cleaned up"]


async def test_a_socket_that_was_never_accepted_is_refused_after_the_grace(app: MicroASGI) -> None:
    @app.websocket("/")
    async def hesitate(websocket: WebSocket) -> None:
        await anyio.sleep_forever()

    async with Lived(app), Exchange(app, websocket_scope("/")) as socket:
        await socket.send_input({"type": "websocket.connect"})
        await anyio.wait_all_tasks_blocked()
        await app.drain()
        start = await socket.receive_output()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
        await socket.receive_output()
        await socket.wait_finished()


async def test_new_handshakes_are_refused_with_503(app: MicroASGI, log: list[str]) -> None:
    app.websocket("/")(listener(log))
    async with Lived(app):
        await app.drain()
        async with Exchange(app, websocket_scope("/")) as socket:
            await socket.send_input({"type": "websocket.connect"})
            start = await socket.receive_output()
            assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
            await socket.receive_output()
            await socket.wait_finished()
    assert log == []


async def test_a_socket_that_ends_by_itself_takes_no_part(app: MicroASGI, log: list[str]) -> None:
    app.websocket("/")(listener(log))
    async with Lived(app), opened(app) as socket:
        socket.disconnect(1001)
        await socket.wait_finished()
        round_ = app.draining.here()
        assert round_ is not None
        assert round_.members == set()
    assert log == ["1001 "]


async def test_a_server_that_refuses_the_close_is_reported(
    app: MicroASGI, log: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    app.websocket("/")(listener(log))
    leaving = anyio.Event()
    messages: list[Message] = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await leaving.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            leaving.set()
            raise RuntimeError("not now")

    async with Lived(app), anyio.create_task_group() as group:
        group.start_soon(app, websocket_scope("/"), receive, send)
        await anyio.wait_all_tasks_blocked()
        await app.drain()
    assert "a websocket could not be closed when the application drained" in caplog.messages
    assert log == ["1012 the server stops or restarts"]


@pytest.fixture
def on_asyncio_only(anyio_backend_name: str) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("the server in question runs on asyncio")


class Lane:
    """A server that sends nothing while somebody receives; what `receive` gives can be cancelled there."""

    def __init__(self) -> None:
        self.waiting: asyncio.Future[Message] | None = None
        self.sent: list[Message] = []
        self.is_listened_to = anyio.Event()

    def receive(self) -> asyncio.Future[Message]:
        self.waiting = asyncio.get_running_loop().create_future()
        if self.sent:
            self.is_listened_to.set()
        else:
            self.waiting.set_result({"type": "websocket.connect"})
        return self.waiting

    async def send(self, message: Message) -> None:
        if self.waiting is not None:
            await asyncio.wait([self.waiting])
        self.sent.append(message)


@pytest.mark.usefixtures("on_asyncio_only")
@pytest.mark.parametrize("receive", ["receive_text", "receive_bytes", "iter_text"])
async def test_a_server_that_closes_nothing_while_somebody_receives_is_let_go(
    app: MicroASGI, log: list[str], receive: str
) -> None:
    @app.websocket("/")
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        if receive == "iter_text":
            async for _ in websocket.iter_text():
                pass
            return
        try:
            await getattr(websocket, receive)()
        except WebSocketDisconnect as gone:
            log.append(str(gone.code))
            raise

    lane = Lane()
    async with Lived(app), anyio.create_task_group() as group:
        group.start_soon(app, websocket_scope("/"), lane.receive, lane.send)
        await lane.is_listened_to.wait()
        with anyio.fail_after(5):
            await app.drain(1000.0)
    assert [message["type"] for message in lane.sent] == ["websocket.accept", "websocket.close"]
    assert log == (["1012"] if receive != "iter_text" else [])


@pytest.mark.usefixtures("on_asyncio_only")
async def test_a_cancellation_from_elsewhere_is_no_disconnect(app: MicroASGI, log: list[str]) -> None:
    @app.websocket("/")
    async def wait(websocket: WebSocket) -> None:
        await websocket.accept()
        for receive in (websocket.receive_text, websocket.receive_bytes):
            with anyio.move_on_after(0.01) as scope:
                await receive()
            log.append(str(scope.cancelled_caught))

    lane = Lane()
    async with Lived(app):
        await app(websocket_scope("/"), lane.receive, lane.send)
    assert log == ["True", "True"]


# Tasks


async def test_a_drain_waits_for_tasks(app: MicroASGI, log: list[str]) -> None:
    async def work() -> None:
        await anyio.sleep(0.02)
        app.tasks.start_soon(more)
        log.append("work")

    async def more() -> None:
        log.append("more")

    async with Lived(app):
        app.tasks.start_soon(work)
        await app.drain()
        assert log == ["work", "more"]


async def test_a_task_that_goes_on_is_not_ended_by_a_drain_but_with_the_lifespan(
    app: MicroASGI, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microasgi.routing._GRACE", 0.05)

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    async with Lived(app):
        app.tasks.start_soon(work)
        await app.drain()
        assert log == []
    assert log == ["cancelled"]


async def test_tasks_settle_at_once_where_none_can_run(app: MicroASGI) -> None:
    await app.tasks.settle(1.0)


# The lifespan's end


async def test_the_end_of_the_lifespan_drains(app: MicroASGI, log: list[str]) -> None:
    @app.lifespan
    async def database() -> AsyncIterator[None]:
        yield
        log.append("database closes")

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(endless(log))

    app.websocket("/")(listener(log))
    async with Lived(app):
        exchange = Exchange(app, http_scope("GET", "/stream"))
        await exchange.open()
        await exchange.receive_output()
        async with opened(app):
            await anyio.wait_all_tasks_blocked()
            round_ = app.draining.here()
            assert round_ is not None
            assert len(round_.members) == 2
            lived = round_
            # left below: the lifespan's shutdown
            await app.drain()
        with pytest.raises(StreamCut):
            await exchange.wait_finished()
        await exchange.close()
    assert lived.members == set()
    assert log == ["1012 the server stops or restarts", "closed", "database closes"]


async def test_the_shutdown_message_alone_drains(app: MicroASGI, log: list[str]) -> None:
    app.websocket("/")(listener(log))
    lived = Lived(app)
    async with lived, opened(app) as socket:
        await anyio.wait_all_tasks_blocked()
        await lived.stop()
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()


async def test_a_lifespan_that_fails_does_not_drain(app: MicroASGI) -> None:
    with pytest.raises(LookupError):
        async with app._enter():
            raise LookupError
    assert app.draining.here() is None


# Mounted


@pytest.mark.parametrize("kind", [MicroASGI, Router])
async def test_what_is_mounted_drains_with_the_outermost(log: list[str], kind: Any) -> None:
    inner = kind()

    @inner.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(inner.draining.until(endless(log)))

    inner.websocket("/ws")(listener(log))
    app = MicroASGI(routes=[Mount("/inner", inner)])
    app.draining.grace = 1000.0
    async with Lived(app), opened(app, "/inner/ws") as socket, Exchange(app, http_scope("GET", "/inner/stream")) as got:
        await got.receive_output()
        await anyio.wait_all_tasks_blocked()
        assert not inner.draining
        with anyio.fail_after(5):
            await app.drain()
        assert inner.draining
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()
        await got.wait_finished()
        assert got.complete
    assert not inner.draining
    assert sorted(log) == ["1012 the server stops or restarts", "closed"]


async def test_an_outer_application_that_runs_no_lifespan_here_is_no_matter(app: MicroASGI) -> None:
    async with Lived(app, **{"microasgi.draining": MicroASGI().draining}):
        await app.drain()
        assert app.draining


# Servers without a lifespan


async def test_without_a_lifespan_a_drain_waits_for_requests_as_well(app: MicroASGI) -> None:
    app.draining.grace = 5.0
    goes_on = anyio.Event()

    @app.get("/slow")
    async def slow(request: Request) -> str:
        await goes_on.wait()
        return "slow"

    await get(app)  # which starts it
    async with Exchange(app, http_scope("GET", "/slow")) as exchange, anyio.create_task_group() as group:
        await exchange.send_input({"type": "http.request", "body": b"", "more_body": False})
        await anyio.wait_all_tasks_blocked()
        drained = anyio.Event()

        async def drain() -> None:
            await app.drain()
            drained.set()

        group.start_soon(drain)
        await anyio.wait_all_tasks_blocked()
        assert not drained.is_set()
        goes_on.set()
        with anyio.fail_after(5):
            await drained.wait()
        await exchange.wait_finished()
        assert exchange.complete
