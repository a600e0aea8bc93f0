"""The drain reaches what is live: event streams end at once and whole, sockets of groups hear 1012 before the grace."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from microasgi import MicroASGI, Request, WebSocket, WebSocketDisconnect
from microasgi.exceptions import StreamCut
from microasgi.realtime import EventStream, GroupEndpoint, Hub
from microasgi.testing import AsyncTestClient, Exchange, http_scope, lifespan_scope
from tests.realtime.reading import until

pytestmark = pytest.mark.anyio

GRACE = 30.0  # more than any test waits: whoever needs it fails


def make_app(hub: Hub | None = None) -> MicroASGI:
    app = MicroASGI()
    app.draining.grace = GRACE
    if hub is not None:
        app.lifespan(hub.lifespan)
    return app


@asynccontextmanager
async def lived(app: MicroASGI) -> AsyncIterator[None]:
    async with Exchange(app, lifespan_scope()) as exchange:
        await exchange.send_input({"type": "lifespan.startup"})
        assert (await exchange.receive_output())["type"] == "lifespan.startup.complete"
        yield
        await exchange.send_input({"type": "lifespan.shutdown"})
        await exchange.wait_finished()


async def drain(app: MicroASGI) -> None:
    with anyio.fail_after(10):
        await app.drain()


def streaming(app: MicroASGI, events: Any, **options: Any) -> Exchange:
    @app.get("/")
    async def stream(request: Request) -> EventStream:
        return events(request) if callable(events) else EventStream(events)

    return Exchange(app, http_scope("GET", "/"), **options)


async def read_until(exchange: Exchange, text: bytes) -> bytes:
    seen = b""
    with anyio.fail_after(10):
        while text not in seen:
            seen += (await exchange.receive_output()).get("body", b"")
    return seen


async def rest_of(exchange: Exchange) -> bytes:
    """Return what else was sent; the response has to be whole."""
    await exchange.wait_finished()
    assert exchange.complete
    return b"".join([message.get("body", b"") async for message in exchange])


async def test_a_stream_of_the_hub_ends_at_once_and_whole() -> None:
    hub = Hub()
    app = make_app(hub)
    async with lived(app), streaming(app, lambda request: hub.stream(request, "a")) as exchange:
        await until(lambda: hub.metrics()["members"])
        await hub.publish("a", "first")
        await hub.publish("a", "last")
        await drain(app)
        assert b'"last"' in await rest_of(exchange)
    assert hub.metrics()["members"] == 0


@pytest.mark.parametrize("waits", [True, False])
async def test_a_stream_of_any_source_ends_at_once_and_whole(waits: bool) -> None:
    ended: list[str] = []

    async def ticks() -> AsyncIterator[int]:
        try:
            for number in range(10**9):
                yield number
                await anyio.sleep(1000 if waits else 0.001)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            ended.append("clean-up has run")

    app = make_app()
    async with lived(app), streaming(app, ticks()) as exchange:
        await read_until(exchange, b"data: 0")
        await drain(app)
        await rest_of(exchange)
    assert ended == ["clean-up has run"]


async def test_a_generator_that_holds_scopes_over_its_yields_ends_well_too() -> None:
    async def scoped() -> AsyncIterator[int]:
        with anyio.fail_after(GRACE):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                yield 1
                await anyio.sleep_forever()

    app = make_app()
    async with lived(app), streaming(app, scoped()) as exchange:
        await read_until(exchange, b"data: 1")
        await drain(app)
        await rest_of(exchange)


async def test_a_stream_of_a_blocking_iterator_ends_after_its_step() -> None:
    def steps() -> Any:
        while True:
            yield "step"
            time.sleep(0.01)

    app = make_app()
    async with lived(app), streaming(app, lambda _: EventStream(steps())) as exchange:
        await read_until(exchange, b"data: step")
        await drain(app)
        await rest_of(exchange)


async def test_a_stream_that_begins_in_a_drain_ends_at_once_and_whole() -> None:
    hub = Hub()
    app = make_app(hub)
    async with lived(app):
        await drain(app)
        async with streaming(app, lambda request: hub.stream(request, "a")) as exchange:
            await rest_of(exchange)


async def test_a_stream_whose_client_does_not_read_is_cut_after_the_grace() -> None:
    hub = Hub()
    app = make_app(hub)
    app.draining.grace = 0.05
    async with lived(app):
        with pytest.raises(StreamCut):
            async with streaming(app, lambda request: hub.stream(request, "a"), window=3) as exchange:
                await until(lambda: hub.metrics()["members"])
                for number in range(5):
                    await hub.publish("a", number)
                await drain(app)
                assert not exchange.complete
    assert hub.metrics()["members"] == 0


class Wall(GroupEndpoint):
    hub = Hub()
    groups = ("a",)


def listening(hub: Hub) -> Any:
    async def handle(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"], lambda text: hub.publish("a", text))

    return handle


def sending(hub: Hub) -> Any:
    async def handle(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"])

    return handle


def sleeping(hub: Hub) -> Any:
    async def handle(websocket: WebSocket) -> None:
        async with hub.connect(websocket, "a"):
            await anyio.sleep_forever()

    return handle


@pytest.mark.parametrize("kind", [listening, sending, sleeping, Wall])
async def test_a_socket_of_a_group_hears_1012_without_the_grace(kind: Any) -> None:
    hub = Wall.hub if kind is Wall else Hub()
    app = make_app(hub)
    app.websocket("/")(kind if kind is Wall else kind(hub))
    async with AsyncTestClient(app) as client, client.websocket_connect("/") as peer:
        await until(lambda: hub.metrics()["members"])
        await hub.publish("a", "last words")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drain, app)
            with anyio.fail_after(10):
                assert await peer.receive_text() == '"last words"'
                with pytest.raises(WebSocketDisconnect) as caught:
                    await peer.receive_text()
        assert caught.value.code == 1012
    assert hub.metrics()["members"] == 0


async def test_a_handler_that_is_busy_with_a_message_may_finish_it() -> None:
    hub, done = Hub(), anyio.Event()
    app = make_app(hub)

    async def work(websocket: WebSocket) -> None:
        await websocket.send_text("begins")
        await anyio.sleep(0.8)
        await websocket.send_text("done")
        done.set()

    @app.websocket("/")
    async def handle(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"], lambda _: work(websocket))

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as peer:
        await peer.send_text("go")
        assert await peer.receive_text() == "begins"
        await drain(app)
        assert await peer.receive_text() == "done"
        with pytest.raises(WebSocketDisconnect) as caught:
            await peer.receive_text()
        assert caught.value.code == 1012
    assert done.is_set()
