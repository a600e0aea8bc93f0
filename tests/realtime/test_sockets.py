"""Sockets in groups: a chat in ten lines, and every way in which a socket ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from microasgi import ConfigurationError, HTTPException, MicroASGI, WebSocket, WebSocketDisconnect, WebSocketException
from microasgi.realtime import Gap, GroupEndpoint, Hub, limits, on_event
from microasgi.testing import AsyncTestClient
from tests.realtime.reading import until

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[Any]:
    async with AsyncTestClient(app) as client:
        yield client


def make_app(hub: Hub) -> MicroASGI:
    app = MicroASGI()
    app.lifespan(hub.lifespan)
    return app


def serving(hub: Hub, **options: Any) -> MicroASGI:
    """Return an application whose one socket is in the group "a" and only sends."""
    app = make_app(hub)

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"], **options)

    return app


async def end_of(socket: Any) -> tuple[int, str]:
    """Return code and reason with which the server closes."""
    with anyio.fail_after(10), pytest.raises(WebSocketDisconnect) as caught:
        while True:
            await socket.receive_text()
    return caught.value.code, caught.value.reason


async def is_empty(hub: Hub) -> bool:
    figures = hub.metrics()
    return figures["members"] == figures["groups"] == 0


async def test_a_chat_is_ten_lines() -> None:
    app = MicroASGI()
    hub = Hub()
    app.lifespan(hub.lifespan)

    @app.websocket("/chat/{room}")
    async def chat(websocket: WebSocket) -> None:
        room = websocket.path_params["room"]
        async with hub.connect(websocket, room) as member:
            async for text in member.iter_text():
                await hub.publish(room, text)

    async with client_of(app) as client:
        async with client.websocket_connect("/chat/x") as one, client.websocket_connect("/chat/x") as two:
            async with client.websocket_connect("/chat/y") as other:
                await one.send_text("hi")
                assert await one.receive_json() == "hi"
                assert await two.receive_json() == "hi"
                await other.send_text("alone")
                assert await other.receive_json() == "alone"
        await until(lambda: is_empty(hub))


@pytest.mark.parametrize("kind, sent", [("text", "x"), ("json", {"a": 1}), ("bytes", b"\x00")])
async def test_serve_calls_with_what_comes_in(kind: Any, sent: Any) -> None:
    hub, app = Hub(), None

    async def on_message(message: Any) -> None:
        await hub.publish("a", message)

    app = serving(hub, on_message=on_message, kind=kind)
    async with client_of(app) as client, client.websocket_connect("/") as socket:
        await getattr(socket, f"send_{kind}")(sent)
        received = await (socket.receive_bytes() if kind == "bytes" else socket.receive_json())
        assert received == sent


async def test_a_socket_that_only_sends_notices_that_its_peer_left() -> None:
    hub = Hub()
    async with client_of(serving(hub)) as client:
        async with client.websocket_connect("/") as socket:
            await socket.send_text("is dropped")
            await hub.publish("a", [1])
            assert await socket.receive_json() == [1]
        await until(lambda: is_empty(hub))


async def test_groups_are_joined_and_left_later() -> None:
    hub = Hub()
    app = make_app(hub)

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        async with hub.connect(websocket) as member:
            async for text in member.iter_json():
                member.leave(*member.subscription.groups)
                await member.join(text)
                await hub.publish(text, text)

    async with client_of(app) as client, client.websocket_connect("/") as peer:
        for name in ("a", "b"):
            await peer.send_json(name)
            assert await peer.receive_json() == name
        assert await hub.publish("a", 1) == 0


async def test_who_comes_back_gets_what_was_missed_and_a_gap_where_it_is_gone() -> None:
    hub = Hub(replay=2)
    app = make_app(hub)

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"], since=websocket.query_params["since"])

    for number in range(3):
        await hub.publish("a", number)
    async with client_of(app) as client, client.websocket_connect("/?since=x") as peer:
        assert [await peer.receive_json() for _ in range(3)] == [{"type": "gap", "groups": ["a"]}, 1, 2]


async def test_what_comes_from_groups_can_be_sent_otherwise() -> None:
    hub = Hub()
    app = make_app(hub)

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        async def send(item: Any) -> None:
            await websocket.send_text(f"{item.group}: {item.data}")

        await hub.serve(websocket, ["a"], send=send)

    async with client_of(app) as client, client.websocket_connect("/") as peer:
        await hub.publish("a", 1)
        assert await peer.receive_text() == "a: 1"


async def test_a_peer_that_sends_too_much_is_closed_with_1008() -> None:
    hub = Hub()
    async with client_of(serving(hub, rate=(3, 60.0))) as client, client.websocket_connect("/") as socket:
        for _ in range(4):
            await socket.send_text("x")
        assert await end_of(socket) == (1008, "at most 3 messages in 60 seconds")
    await until(lambda: is_empty(hub))


async def test_a_rate_fills_up_again() -> None:
    hub = Hub()
    async with client_of(serving(hub, rate=(2, 0.02))) as client, client.websocket_connect("/") as socket:
        for _ in range(6):
            await socket.send_text("x")
            await anyio.sleep(0.03)
        await hub.publish("a", "still here")
        assert await socket.receive_json() == "still here"


@pytest.mark.parametrize("rate", [(0, 1.0), (1, 0.0)])
async def test_a_rate_that_is_none_is_refused(rate: Any) -> None:
    async with client_of(serving(Hub(), rate=rate)) as client:
        with pytest.raises(ConfigurationError, match="rate"):
            async with client.websocket_connect("/"):
                pass


async def test_a_slow_reader_with_the_policy_close_is_closed_with_1013() -> None:
    hub = Hub()
    app = make_app(hub)

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        async def send(item: Any) -> None:
            await anyio.sleep(30)

        await hub.serve(websocket, ["a"], send=send, max_queue=2, overflow="close")

    async with client_of(app) as client, client.websocket_connect("/") as peer:
        with anyio.move_on_after(0.5):
            for _ in range(10):
                await hub.publish("a", 1)
                await anyio.lowlevel.checkpoint()
        assert hub.metrics()["dropped"] >= 2
        await peer.close()
    await until(lambda: is_empty(hub))


async def test_a_reader_that_was_dropped_while_it_was_not_served_is_closed_with_1013() -> None:
    hub = Hub()
    async with client_of(serving(hub, max_queue=2, overflow="close")) as client:
        async with client.websocket_connect("/") as peer:
            for _ in range(10):
                hub._backend.publish_sync("a", 1)  # without a turn for the reader
            assert (await end_of(peer))[0] == 1013


async def test_a_heartbeat_is_sent_in_silence() -> None:
    async with client_of(serving(Hub(), heartbeat=0.02)) as client, client.websocket_connect("/") as socket:
        for _ in range(3):
            assert await socket.receive_json() == {"type": "ping"}


async def test_a_silent_peer_is_closed_with_1001() -> None:
    async with client_of(serving(Hub(), idle=0.1)) as client, client.websocket_connect("/") as socket:
        for _ in range(4):
            await anyio.sleep(0.05)
            await socket.send_text("here")
        assert await end_of(socket) == (1001, "nothing was heard for 0.1 seconds")


@pytest.mark.parametrize("answers, code", [([True, False], 4401), ([True, 4403], 4403), ([None], 4401), ([0], 4401)])
async def test_a_stale_user_is_closed(answers: list[Any], code: int) -> None:
    hub, left = Hub(), list(answers)

    async def may_stay(websocket: WebSocket) -> Any:
        return left.pop(0)

    async with client_of(serving(hub, revalidate=may_stay, revalidate_every=0.01)) as client:
        async with client.websocket_connect("/") as socket:
            assert (await end_of(socket))[0] == code
    assert left == []
    await until(lambda: is_empty(hub))


async def test_a_check_that_fails_closes(caplog: pytest.LogCaptureFixture) -> None:
    async def may_stay(websocket: WebSocket) -> bool:
        raise LookupError("the database is gone")

    async with AsyncTestClient(
        serving(Hub(), revalidate=may_stay, revalidate_every=0.01), raise_server_exceptions=False
    ) as client:
        async with client.websocket_connect("/") as socket:
            assert (await end_of(socket))[0] == 1011
    assert "the database is gone" in caplog.text


async def test_a_check_that_never_answers_closes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.05)

    async def may_stay(websocket: WebSocket) -> bool:
        await anyio.sleep_forever()
        return True

    async with AsyncTestClient(
        serving(Hub(), revalidate=may_stay, revalidate_every=0.01), raise_server_exceptions=False
    ) as client:
        async with client.websocket_connect("/") as socket:
            assert (await end_of(socket))[0] == 1011
    assert "revalidate has not answered" in caplog.text


async def test_the_end_of_the_hub_closes_with_1012() -> None:
    hub = Hub()
    app = MicroASGI()

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await hub.serve(websocket, ["a"])

    async with client_of(app) as client:
        async with hub.lifespan():
            socket_context = client.websocket_connect("/")
            peer = await socket_context.__aenter__()
        assert await end_of(peer) == (1012, "the server restarts")
        await socket_context.__aexit__(None, None, None)


async def test_an_error_of_the_handler_comes_out_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub()
    app = make_app(hub)

    @app.websocket("/{what}")
    async def socket(websocket: WebSocket) -> None:
        errors = {"error": LookupError(), "told": WebSocketException(4000, "told"), "http": HTTPException(403)}
        async with hub.connect(websocket, "a") as member:
            if websocket.path_params["what"] == "task":
                member.start_soon(fail, "x")
                await member.wait_closed()
            raise errors[websocket.path_params["what"]]

    async def fail(text: str) -> None:
        raise WebSocketException(4001, text)

    caplog.set_level(logging.CRITICAL)
    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        for what, code in (("error", 1011), ("told", 4000), ("http", 1008), ("task", 4001)):
            async with client.websocket_connect(f"/{what}") as peer:
                assert (await end_of(peer))[0] == code
            await until(lambda: is_empty(hub))


async def test_a_peer_that_leaves_before_it_is_accepted_leaves_nothing() -> None:
    hub = Hub()
    sent: list[Any] = []
    app = serving(hub)

    async def receive() -> Any:
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        sent.append(message)

    from microasgi.testing import websocket_scope

    await app(websocket_scope("/"), receive, send)
    assert sent == []
    assert await is_empty(hub)


async def test_a_cancelled_handler_leaves_nothing() -> None:
    hub = Hub()
    async with hub.lifespan(), anyio.create_task_group() as group:
        from tests.test_websockets import open_socket

        websocket, _ = await open_socket()

        async def handle() -> None:
            async with hub.connect(websocket, "a"):
                await anyio.sleep_forever()

        group.start_soon(handle)
        await anyio.wait_all_tasks_blocked()
        assert hub.metrics()["members"] == 1
        group.cancel_scope.cancel()
    assert await is_empty(hub)


class Chat(GroupEndpoint):
    hub = Hub()
    groups = ("all",)
    encoding = "json"
    log: list[Any] = []  # noqa: RUF012

    async def on_connect(self, websocket: WebSocket) -> None:
        if "deny" in websocket.query_params:
            raise HTTPException(403)
        await self.member.join(websocket.query_params["room"])
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await self.hub.publish(data.pop("to"), data)

    @on_event("chat.message")
    async def chat_message(self, websocket: WebSocket, event: Any) -> None:
        await websocket.send_text(f"chat: {event['text']}")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        self.log.append(close_code)


async def test_a_class_is_in_groups_and_its_methods_take_their_messages() -> None:
    app = make_app(Chat.hub)
    app.websocket("/")(Chat)
    Chat.log.clear()
    async with client_of(app) as client:
        async with client.websocket_connect("/?room=x") as one, client.websocket_connect("/?room=y") as two:
            await one.send_json({"to": "all", "type": "chat.message", "text": "hi"})
            assert await one.receive_text() == await two.receive_text() == "chat: hi"
            await one.send_json({"to": "x", "type": "on_disconnect"})
            assert await one.receive_json() == {"type": "on_disconnect"}
            await Chat.hub.publish("y", b"raw")
            assert await two.receive_bytes() == b"raw"
            await two.close(4000)
            await until(lambda: _has(Chat.log, 4000))
        with pytest.raises(Exception, match="403"):
            async with client.websocket_connect("/?deny=1"):
                pass
        await until(lambda: is_empty(Chat.hub))
    assert sorted(Chat.log) == [1000, 1011, 4000]


async def _has(log: list[Any], code: int) -> bool:
    return code in log


async def test_a_class_has_limits_and_its_own_way_with_messages() -> None:
    hub = Hub()

    class Quiet(GroupEndpoint):
        groups = ("a",)
        options = {"rate": (1, 60.0)}  # noqa: RUF012

        async def on_group_message(self, websocket: WebSocket, message: Any) -> None:
            await websocket.send_text("gap" if isinstance(message, Gap) else f"got {message}")

    Quiet.hub = hub
    app = make_app(hub)
    app.websocket("/")(Quiet)
    async with client_of(app) as client, client.websocket_connect("/") as socket:
        await hub.publish("a", 1)
        assert await socket.receive_text() == "got 1"
        await socket.send_text("one")
        await socket.send_text("two")
        assert (await end_of(socket))[0] == 1008


async def test_a_class_without_a_hub_says_what_it_needs() -> None:
    class Lost(GroupEndpoint):
        pass

    app = MicroASGI()
    app.websocket("/")(Lost)
    async with client_of(app) as client:
        with pytest.raises(ConfigurationError, match="hub = hub"):
            async with client.websocket_connect("/"):
                pass


async def test_cancellation_at_every_turn_of_the_loop_leaves_nothing() -> None:
    hub = Hub()
    async with hub.lifespan():
        for turns in range(40):
            async with anyio.create_task_group() as group:
                from tests.test_websockets import open_socket

                websocket, _ = await open_socket()

                async def handle(websocket: Any = websocket) -> None:
                    async with hub.connect(websocket, "a", heartbeat=0.001, idle=10.0) as member:
                        member.start_soon(anyio.sleep_forever)
                        await hub.publish("a", 1)
                        await member.join("b")
                        await member.wait_closed()

                group.start_soon(handle)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert await is_empty(hub)
