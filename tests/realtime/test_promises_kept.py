"""What an attack on the hub has found, each as a promise."""

from __future__ import annotations

import logging
import multiprocessing
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import microasgi.realtime.streams
from microasgi import ConfigurationError, MicroASGI, Request, WebSocket
from microasgi.realtime import EventStream, Gap, GroupEndpoint, Hub, on_event
from microasgi.testing import AsyncTestClient

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def all_of(subscription: Any, quiet: float = 0.3) -> list[Any]:
    """Return what comes until nothing comes for a while."""
    found: list[Any] = []
    with anyio.CancelScope() as scope:
        while True:
            scope.deadline = anyio.current_time() + quiet
            found.append(await anext(subscription))
    return found


def admin_of(url: str) -> Any:
    return pytest.importorskip("redis.asyncio").Redis.from_url(url)


async def cut_off(hub: Hub, url: str) -> None:
    """End the connection that listens, and return before there is another one."""
    async with admin_of(url) as admin:
        await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    while hub.metrics()["connected"]:
        await anyio.lowlevel.checkpoint()


async def test_who_joins_while_the_group_is_unsubscribed_from_hears_what_comes_next(redis_url: str) -> None:
    hub, other = Hub(redis_url), Hub(redis_url)
    async with hub.lifespan(), other.lifespan():
        listener: Any = hub._backend._listener  # type: ignore[attr-defined]
        confirm = listener._confirm
        late: list[Any] = []
        async with hub.subscribe("left") as first:
            listener._confirm = lambda *answer: late.append(answer)  # as if much came before Redis' answer
            first.leave("left")
            while not late:  # noqa: ASYNC110 - Redis answers soon
                await anyio.sleep(0.01)
            joined = anyio.Event()
            second = hub.subscribe("left")

            async def join() -> None:
                await second.__aenter__()
                joined.set()

            async with anyio.create_task_group() as group:
                group.start_soon(join)
                await anyio.sleep(0.2)
                assert not joined.is_set()
                listener._confirm = confirm
                for answer in late:
                    confirm(*answer)
                await joined.wait()
            await other.publish("left", 1)
            assert await all_of(second) == [1]
            second.close()


@pytest.mark.parametrize("overflow", ["drop_oldest", "close"])
@pytest.mark.parametrize("where", ["memory", "redis"])
async def test_who_has_missed_more_than_a_queue_holds_gets_a_gap_and_the_rest(
    redis_url: str, where: str, overflow: Any
) -> None:
    hub = Hub(redis_url if where == "redis" else "memory://", replay=100)
    async with hub.lifespan():
        async with hub.subscribe("long") as member:
            await hub.publish("long", 0)
            first = await anext(member.deliveries())
        for number in range(1, 30):
            await hub.publish("long", number)
        async with hub.subscribe("long", since=first.id, max_queue=5, overflow=overflow) as member:
            assert await all_of(member) == [Gap(("long",)), 26, 27, 28, 29]
            assert member.dropped == 25


async def test_history_comes_in_order_while_others_publish(redis_url: str) -> None:
    hub, other = Hub(redis_url, replay=50), Hub(redis_url, replay=50)
    async with hub.lifespan(), other.lifespan(), hub.subscribe("order"), anyio.create_task_group() as group:

        async def publish() -> None:
            for number in range(10_000):
                await other.publish("order", number)

        group.start_soon(publish)
        for _ in range(20):
            async with hub.subscribe("order", replay=1) as member:
                found = [await anext(member) for _ in range(5)]
                assert found == sorted(found)
        group.cancel_scope.cancel()


async def test_who_joins_during_a_reconnect_gets_nothing_twice(redis_url: str) -> None:
    hub, other = Hub(redis_url, replay=50), Hub(redis_url, replay=50)
    async with hub.lifespan(), other.lifespan(), hub.subscribe("twice") as early:
        await other.publish("twice", 0)
        assert await all_of(early) == [0]
        await cut_off(hub, redis_url)
        await other.publish("twice", 1)
        async with hub.subscribe("twice", replay=10) as late:
            assert await all_of(late, 1.0) == [0, 1]
            assert await all_of(early) == [1]


async def test_a_reconnect_after_a_quiet_day_gives_nothing_twice(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(redis_url, replay=50)
    async with hub.lifespan(), hub.subscribe("quiet") as member:
        await hub.publish("quiet", 0)
        assert await all_of(member) == [0]
        monkeypatch.setattr(microasgi.realtime.streams, "_KEPT", -3600)
        await cut_off(hub, redis_url)
        assert await all_of(member, 1.0) == [Gap(("quiet",))]


async def test_what_others_publish_without_history_and_is_lost_is_a_gap(redis_url: str) -> None:
    hub, other = Hub(redis_url, replay=50), Hub(redis_url)
    async with hub.lifespan(), other.lifespan(), hub.subscribe("mixed") as member:
        await hub.publish("mixed", 0)
        await other.publish("mixed", 1)
        assert await all_of(member) == [0, 1]
        await cut_off(hub, redis_url)
        await other.publish("mixed", 2)
        assert await all_of(member, 1.0) == [Gap(("mixed",))]


async def test_two_gaps_that_meet_in_a_full_queue_become_one() -> None:
    async with Hub().subscribe("a", "b", max_queue=2) as member:
        member.put_gap(Gap(("a",)))
        member.put(1)  # type: ignore[arg-type]
        member.put_gap(Gap(("b",)))
        for number in range(2, 5):
            member.put(number)  # type: ignore[arg-type]
        assert member.take() == Gap(("a", "b"))


@pytest.mark.parametrize("what", ["mark", "entry"])
async def test_what_no_hub_writes_does_not_end_the_application(redis_url: str, what: str) -> None:
    hub = Hub(redis_url, replay=5)
    async with hub.lifespan(), hub.subscribe("odd") as member, admin_of(redis_url) as admin:
        await hub.publish("odd", 0)
        assert await all_of(member) == [0]
        if what == "mark":
            await admin.publish("asgi__id__odd", b"1" * 5000)
        else:
            await admin.xadd("asgi__stream__odd", {"x": "y"})
            await admin.xtrim("asgi__stream__odd", maxlen=1, approximate=False)
            await cut_off(hub, redis_url)
            assert Gap(("odd",)) in await all_of(member, 1.0)
        await hub.publish("odd", 1)
        assert (await all_of(member))[-1] == 1


async def test_a_group_that_is_left_while_it_is_joined_is_no_error(redis_url: str) -> None:
    hub = Hub(redis_url)
    async with hub.lifespan():
        for turns in range(8):
            async with hub.subscribe() as member, anyio.create_task_group() as group:
                group.start_soon(member.join, *(f"{turns}-{number}" for number in range(4)))
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                member.leave(f"{turns}-3")


async def test_bytes_reach_an_event_stream_in_base64() -> None:
    app, hub = MicroASGI(), Hub(replay=5)
    app.lifespan(hub.lifespan)

    @app.get("/")
    async def events(request: Request) -> EventStream:
        return hub.stream(request, "raw", replay=5)

    async with AsyncTestClient(app) as client:
        await hub.publish("raw", b"\x00\xff")
        async with client.stream("GET", "/") as response:
            lines = response.aiter_lines()
            seen = [await anext(lines) for _ in range(5)]
    assert seen[2] == "event: bytes"
    assert seen[4] == "data: AP8="


async def test_members_who_came_while_redis_refused_are_counted_later(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("microasgi.realtime.redishub.BEAT", 0.1)
    hub = Hub(redis_url)
    async with hub.lifespan(), admin_of(redis_url) as admin:
        await anyio.sleep(0.2)
        await admin.config_set("maxmemory", "100kb")
        async with hub.subscribe("full"):
            await admin.config_set("maxmemory", "0")
            with anyio.fail_after(5):
                while await hub.count("full") != 1:  # noqa: ASYNC110 - at the next heartbeat
                    await anyio.sleep(0.05)


async def test_what_redis_refuses_does_not_fill_the_log(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    hub = Hub(redis_url)
    async with hub.lifespan():
        with caplog.at_level(logging.ERROR, "microasgi"):
            for _ in range(100):
                hub._backend._outbox.post("NONSENSE")  # type: ignore[attr-defined]
            await hub.count("any")
        assert len([one for one in caplog.records if "refused" in one.message]) < 10


def _publish_and_say(hub: Hub, numbers: int, answer: Any) -> None:
    async def main() -> None:
        async with hub.subscribe("forked") as member:
            for number in range(numbers):
                await hub.publish("forked", number)
            answer.put([item.id async for item in _some(member, numbers)])

    anyio.run(main)


async def _some(member: Any, number: int) -> Any:
    deliveries = member.deliveries()
    for _ in range(number):
        yield await anext(deliveries)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_that_were_forked_do_not_share_ids() -> None:
    context, hub = multiprocessing.get_context("fork"), Hub(replay=5)
    answer = context.SimpleQueue()
    for _ in range(2):
        process = context.Process(target=_publish_and_say, args=(hub, 1, answer))
        process.start()
        process.join()
    assert answer.get() != answer.get()


@pytest.mark.parametrize("options", [{"revalidat": 1}, {"heartbeat": 0}, {"idle": None}, {"revalidate_every": -1.0}])
async def test_options_that_cannot_be_are_refused(options: Any) -> None:
    app, hub = MicroASGI(), Hub()

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            hub.connect(websocket, "a", **options)
        await websocket.accept()

    async with AsyncTestClient(app) as client, client.websocket_connect("/"):
        pass


async def test_a_method_that_is_overridden_takes_its_event_still() -> None:
    app, hub = MicroASGI(), Hub()
    app.lifespan(hub.lifespan)
    made = hub

    class Base(GroupEndpoint):
        hub = made
        groups = ("notes",)

        @on_event("note")
        async def note(self, websocket: WebSocket, event: Any) -> None:
            await websocket.send_text("base")

    @app.websocket("/")
    class Own(Base):
        async def note(self, websocket: WebSocket, event: Any) -> None:
            await websocket.send_text("own")

    async with AsyncTestClient(app) as client, client.websocket_connect("/") as socket:
        await hub.publish("notes", {"type": "note", "secret": 1})
        assert await socket.receive_text() == "own"


def test_two_methods_for_one_event_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="both take 'x'"):

        class Twice(GroupEndpoint):
            @on_event("x")
            async def one(self, websocket: WebSocket, event: Any) -> None: ...

            @on_event("x")
            async def two(self, websocket: WebSocket, event: Any) -> None: ...


async def test_a_handshake_that_outlasts_the_grace_is_answered_with_503() -> None:
    app = MicroASGI()

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await anyio.sleep_forever()

    sent: list[Any] = []
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await anyio.sleep_forever()
        asked = True
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "path": "/", "headers": []}
    scope |= {"query_string": b"", "scheme": "ws", "root_path": "", "http_version": "1.1", "subprotocols": []}
    scope |= {"extensions": {"websocket.http.response": {}}, "state": {}, "client": None, "server": None}
    async with app._enter(), anyio.create_task_group() as group:
        group.start_soon(app, scope, receive, send)
        await anyio.sleep(0.05)
        await app.drain(0.05)
    assert sent[0]["type"] == "websocket.http.response.start"
    assert sent[0]["status"] == 503
