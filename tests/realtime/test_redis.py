"""The hub over a real Redis: groups of several processes, what is kept there, and who is where."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import ConfigurationError, MicroASGI
from microasgi.exceptions import MissingPackage
from microasgi.realtime import Gap, Hub, HubUnavailable
from microasgi.testing import TestClient
from tests.realtime.reading import take, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """redis-py runs on asyncio."""
    return "asyncio", {"debug": True}


@asynccontextmanager
async def hubs(url: str, number: int = 1, **options: Any) -> AsyncIterator[list[Hub]]:
    """Run hubs, as so many processes would, under a prefix of their own."""
    options.setdefault("prefix", uuid4().hex)
    async with AsyncExitStack() as stack:
        made = [Hub(url, **options) for _ in range(number)]
        for hub in made:
            await stack.enter_async_context(hub.lifespan())
        yield made


@pytest.mark.parametrize("codec", ["msgpack", "json"])
@pytest.mark.parametrize("keys", [[], ["new", b"old"]])
@pytest.mark.parametrize("replay", [0, 5])
async def test_a_message_reaches_all_processes(redis_url: str, codec: Any, keys: Any, replay: int) -> None:
    async with hubs(redis_url, 2, codec=codec, symmetric_keys=keys, replay=replay) as (one, two):
        async with one.subscribe("a") as here, two.subscribe("a", "b") as there:
            assert await one.publish("a", {"é": [1, None, "x" * 70_000]}) == 1
            assert await one.publish("b", 2) == 0
            assert await take(here) == [{"é": [1, None, "x" * 70_000]}]
            assert await take(there, 2) == [{"é": [1, None, "x" * 70_000]}, 2]


async def test_bytes_travel_as_messagepack(redis_url: str) -> None:
    async with hubs(redis_url) as (hub,), hub.subscribe("a") as member:
        await hub.publish("a", b"\x00\xff")
        assert await take(member) == [b"\x00\xff"]
    async with hubs(redis_url, codec="json") as (hub,):
        with pytest.raises(TypeError, match="msgpack"):
            await hub.publish("a", b"x")


async def test_a_publisher_that_waits_sees_its_messages_in_order_everywhere(redis_url: str) -> None:
    async with hubs(redis_url, 2) as (one, two), two.subscribe("a", max_queue=1000) as member:
        for number in range(1000):
            await one.publish("a", number)
        assert await take(member, 1000) == list(range(1000))


async def test_many_publishers_at_once_lose_nothing(redis_url: str) -> None:
    async with hubs(redis_url, 2) as (one, two), two.subscribe("a", max_queue=2000) as member:
        async with anyio.create_task_group() as group:
            for number in range(2000):
                group.start_soon(one.publish, "a", number)
        assert sorted(await take(member, 2000)) == list(range(2000))
        assert two.metrics()["dropped"] == 0


async def test_a_publisher_at_full_speed_loses_nothing_to_readers_that_keep_up(redis_url: str) -> None:
    async with hubs(redis_url, 2) as (one, two), two.subscribe("a") as member, anyio.create_task_group() as group:

        async def publish() -> None:
            async with anyio.create_task_group() as publishers:
                for number in range(1000):
                    publishers.start_soon(one.publish, "a", number)

        group.start_soon(publish)
        assert sorted(await take(member, 1000)) == list(range(1000))
        assert member.dropped == 0


async def test_one_subscription_for_each_group_and_process(redis_url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_url) as redis, hubs(redis_url, prefix="one") as (hub,):
        async with AsyncExitStack() as stack:
            for _ in range(50):
                await stack.enter_async_context(hub.subscribe("a", "b"))
            assert await redis.pubsub_numsub("one__group__a", "one__group__b") == [
                (b"one__group__a", 1),
                (b"one__group__b", 1),
            ]
            clients = [client for client in await redis.client_list() if int(client["sub"])]
            assert [client["sub"] for client in clients] == ["2"]
        await until(lambda: not hub._backend._listener._topics)  # type: ignore[attr-defined]
        assert await redis.pubsub_channels("one__*") == []


@given(name=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
@settings(max_examples=20, deadline=None)
async def test_a_group_has_any_text_as_its_name(redis_url: str, name: str) -> None:
    async with hubs(redis_url, replay=2) as (hub,), hub.subscribe(name, info=name) as member:
        await hub.publish(name, name)
        assert await take(member) == [name]
        assert await hub.members(name) == [name]


async def test_a_group_that_is_left_and_joined_at_once_still_hears(redis_url: str) -> None:
    async with hubs(redis_url) as (hub,):
        for number in range(50):
            async with hub.subscribe("a") as member:
                await hub.publish("a", number)
                assert await take(member) == [number]


async def test_cancelled_joins_leave_no_subscription_behind(redis_url: str) -> None:
    async with hubs(redis_url) as (hub,):

        async def join(seconds: float) -> None:
            with anyio.move_on_after(seconds):
                async with hub.subscribe("a", uuid4().hex, replay=1, info=1):
                    await anyio.sleep(seconds / 2)

        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(join, number * 0.0002)
        await until(lambda: not hub._backend._listener._topics)  # type: ignore[attr-defined]
        figures = hub.metrics()
        assert (figures["groups"], figures["members"]) == (0, 0)
        assert await hub.count("a") == 0


async def test_cancellation_at_every_turn_of_the_loop_leaves_nothing_behind(redis_url: str) -> None:
    async with hubs(redis_url, replay=3) as (hub,):
        await hub.publish("a", 1)
        tasks = len(asyncio.all_tasks())

        async def live() -> None:
            async with hub.subscribe("a", "b", replay=2, info=1) as member:
                await take(member)
                await member.join("c")
                await hub.publish("c", 2)
                await take(member)

        for turns in range(60):
            task = asyncio.create_task(live())
            for _ in range(turns):
                await asyncio.sleep(0.0002 if turns % 2 else 0)
            task.cancel()
            await asyncio.wait([task])
            assert hub.metrics()["members"] == hub.metrics()["groups"] == 0
        await until(lambda: not hub._backend._listener._topics)  # type: ignore[attr-defined]
        assert await hub.count("a") == await hub.count("c") == 0
        assert len(asyncio.all_tasks()) == tasks
        async with hub.subscribe("a") as member:
            await hub.publish("a", "fine")
            assert await take(member) == ["fine"]


async def test_a_cancelled_publish_disturbs_nobody(redis_url: str) -> None:
    async with hubs(redis_url) as (hub,), hub.subscribe("a") as member:
        async with anyio.create_task_group() as group:
            for number in range(20):
                with anyio.move_on_after(0 if number % 2 else 5):
                    await hub.publish("a", number)
            group.cancel_scope.cancel()
        await hub.publish("a", "last")
        got = [await anext(aiter(member)) for _ in range(member.queued or 1)]
        while got[-1] != "last":
            got += await take(member)
        assert set(range(0, 20, 2)) <= set(got)


@pytest.mark.parametrize("message", [object(), {"a": object()}, float("nan"), {"a": b"x"}, 2**64])
async def test_what_cannot_be_carried_is_refused_where_it_is_published(redis_url: str, message: Any) -> None:
    async with hubs(redis_url) as (hub,):
        with pytest.raises((TypeError, ValueError)):
            await hub.publish("a", message)


async def test_keys_of_objects_arrive_as_text_not_as_poison(redis_url: str) -> None:
    async with hubs(redis_url) as (hub,), hub.subscribe("a") as member:
        await hub.publish("a", {1: "x"})
        assert await take(member) == [{"1": "x"}]


async def test_a_message_above_the_limit_is_refused(redis_url: str) -> None:
    async with hubs(redis_url, max_message_size=100) as (hub,):
        with pytest.raises(ValueError, match="max_message_size"):
            await hub.publish("a", "x" * 100)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\x01\x02", b"\xa1", b"x" * 101, b"\x91" * 5000 + b"\x01"])
async def test_poison_from_elsewhere_is_counted_and_hurts_nobody(redis_url: str, data: bytes) -> None:
    from redis.asyncio import Redis

    prefix = uuid4().hex
    async with Redis.from_url(redis_url) as redis, hubs(redis_url, prefix=prefix, max_message_size=100) as (hub,):
        async with hub.subscribe("a") as member:
            assert await redis.publish(f"{prefix}__group__a", data) == 1
            await hub.publish("a", "after")
            assert await take(member) == ["after"]
            assert hub.metrics()["poison"] == 1


async def test_a_message_of_another_key_is_poison(redis_url: str) -> None:
    async with hubs(redis_url, prefix="keys", symmetric_keys=["a"]) as (one,):
        async with hubs(redis_url, prefix="keys", symmetric_keys=["b", "a"]) as (two,):
            async with one.subscribe("x") as first, two.subscribe("x") as second:
                await one.publish("x", 1)
                await two.publish("x", 2)
                await one.publish("x", 3)
                assert await take(first, 2) == [1, 3]
                assert await take(second, 3) == [1, 2, 3]
                assert one.metrics()["poison"] == 1


async def test_threads_publish_without_a_loop_and_without_the_lifespan(redis_url: str) -> None:
    async with hubs(redis_url, prefix="sync") as (hub,), hub.subscribe("a") as member:
        assert await anyio.to_thread.run_sync(hub.publish_sync, "a", 1) == 1
        other = Hub(redis_url, prefix="sync", replay=3)
        assert await anyio.to_thread.run_sync(other.publish_sync, "a", 2) == 0
        assert await take(member, 2) == [1, 2]
        with pytest.raises(RuntimeError, match="await hub"):
            hub.publish_sync("a", 1)
        await other._backend._clients.close()  # type: ignore[attr-defined]


async def test_presence_is_that_of_all_processes(redis_url: str) -> None:
    async with hubs(redis_url, 2) as (one, two):
        async with one.subscribe("a", info={"name": "Ada"}), two.subscribe("a", info="Bob") as other:
            assert sorted(map(str, await one.members("a"))) == ["Bob", "{'name': 'Ada'}"]
            assert await one.count("a") == 2
            other.leave("a")
            assert await two.members("a") == [{"name": "Ada"}]
        assert await two.count("a") == 0


async def test_the_members_of_a_dead_process_are_forgotten(redis_url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_url) as redis, hubs(redis_url, 2, prefix="dead") as (one, two):
        async with one.subscribe("a", info=1), two.subscribe("a", info=2):
            assert await two.count("a") == 2
            await redis.delete(f"dead__alive__{one._backend._presence._process}")  # type: ignore[attr-defined]
            assert await two.members("a") == [2]
            assert await two.members("a") == [2]
            assert await redis.hlen("dead__here__a") == 1
            await one._backend._presence.write(one._backend._home)  # type: ignore[attr-defined]
            assert await two.count("a") == 2


async def test_history_is_that_of_all_processes(redis_url: str) -> None:
    async with hubs(redis_url, 2, replay=3) as (one, two):
        async with one.subscribe("a", "b") as member:
            for number in range(6):
                await (one, two)[number % 2].publish("ab"[number % 2], number)
            names = [item.id for item in await take(member.deliveries(), 6)]
        async with two.subscribe("a", "b", since=names[1]) as late:
            assert await take(late, late.queued) == [2, 3, 4, 5]
        async with two.subscribe("a", "b", replay=2) as late:
            assert await take(late, late.queued) == [2, 3, 4, 5]
        for number in range(3):
            await one.publish("a", number)
        async with two.subscribe("a", "b", since=names[1]) as late:
            assert await take(late, late.queued) == [Gap(("a",)), 3, 5, 0, 1, 2]


@pytest.mark.parametrize("since", ["", "x", "1", "-1", "9" * 30, "1234567890123456", "2000000000000000", "é"])
async def test_an_id_that_is_none_of_ours_is_a_gap(redis_url: str, since: str) -> None:
    async with hubs(redis_url, replay=3) as (hub,):
        await hub.publish("a", 1)
        async with hub.subscribe("a", since=since) as member:
            assert await take(member, member.queued) == [Gap(("a",)), 1]


async def test_nothing_is_lost_or_doubled_between_history_and_live_messages(redis_url: str) -> None:
    async with hubs(redis_url, 2, replay=1000) as (one, two), anyio.create_task_group() as group:

        async def publish() -> None:
            for number in range(500):
                await one.publish("a", number)

        group.start_soon(publish)
        for pause in range(5):
            await anyio.sleep(0.01 * pause)
            async with two.subscribe("a", replay=1000, max_queue=1000) as member:
                assert await take(member, 500) == list(range(500))


async def test_the_hub_says_how_to_start_it(redis_url: str) -> None:
    hub = Hub(redis_url)
    for call in (hub.publish("a", 1), hub.count("a"), hub.members("a"), hub.subscribe("a").__aenter__()):
        with pytest.raises(RuntimeError, match=r"app\.lifespan\(hub\.lifespan\)"):
            await call
    async with hub.lifespan():
        with pytest.raises(RuntimeError, match="runs already"):
            async with hub.lifespan():
                pass
    async with hub.lifespan(), hub.subscribe("a") as member:
        await hub.publish("a", "again")
        assert await take(member) == ["again"]


def test_a_hub_over_redis_refuses_trio(redis_url: str) -> None:
    async def run() -> None:
        async with Hub(redis_url).lifespan():
            pass

    with pytest.raises(ConfigurationError, match="asyncio"):
        anyio.run(run, backend="trio")


def test_a_hub_serves_one_loop(redis_url: str) -> None:
    hub = Hub(redis_url)

    async def publish() -> None:
        await hub.publish("a", 1)

    app = MicroASGI()
    app.lifespan(hub.lifespan)
    with TestClient(app), pytest.raises(RuntimeError, match="another event loop"):
        anyio.run(publish)


async def test_a_client_of_redis_serves_as_well(redis_url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_url) as redis:
        async with hubs(redis) as (hub,), hub.subscribe("a") as member:
            await hub.publish("a", 1)
            assert await take(member) == [1]
            with pytest.raises(RuntimeError, match="URL"):
                await anyio.to_thread.run_sync(hub.publish_sync, "a", 1)
        assert await redis.ping()
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            Hub(redis)


async def test_a_wrong_password_is_found_at_the_start(redis_url: str) -> None:
    with pytest.raises(ConfigurationError, match="refuses"):
        async with Hub(redis_url.replace("//", "//:wrong@")).lifespan():
            pass


@pytest.mark.parametrize(
    "options", [{"codec": "pickle"}, {"symmetric_keys": "secret"}, {"symmetric_keys": b"secret"}, {"replay": -1}]
)
def test_options_that_cannot_be_are_refused(redis_url: str, options: Any) -> None:
    with pytest.raises(ConfigurationError):
        Hub(redis_url, **options)


@pytest.mark.parametrize("package", ["redis", "msgpack", "cryptography.fernet"])
def test_a_missing_package_is_named(redis_url: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match="pip install"):
        Hub(redis_url, symmetric_keys=["x"])


async def test_the_end_of_the_lifespan_ends_everything(redis_url: str) -> None:
    tasks = len(asyncio.all_tasks())
    hub, got = Hub(redis_url), list[Any]()

    async def read() -> None:
        async with hub.subscribe("a") as member:
            got.extend([message async for message in member])

    async with anyio.create_task_group() as group:
        async with hub.lifespan():
            group.start_soon(read)
            await until(lambda: hub.metrics()["members"])
            await hub.publish("a", 1)
            await until(lambda: hub.metrics()["delivered"])
    assert got == [1]
    assert len(asyncio.all_tasks()) == tasks
    with pytest.raises(RuntimeError):
        await hub.publish("a", 1)


async def test_an_error_inside_of_the_lifespan_comes_out_as_it_is(redis_url: str) -> None:
    with pytest.raises(KeyError):
        async with Hub(redis_url).lifespan():
            raise KeyError


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN"])
async def test_json_from_elsewhere_that_is_none_is_poison(redis_url: str, data: bytes) -> None:
    from redis.asyncio import Redis

    prefix = uuid4().hex
    async with Redis.from_url(redis_url) as redis, hubs(redis_url, prefix=prefix, codec="json") as (hub,):
        async with hub.subscribe("a") as member:
            await redis.publish(f"{prefix}__group__a", data)
            await redis.publish(f"{prefix}__group__a", b'{"fine":1}')
            assert await take(member) == [{"fine": 1}]
            assert hub.metrics()["poison"] == 1


async def test_poison_in_the_history_is_a_gap(redis_url: str) -> None:
    from redis.asyncio import Redis

    prefix = uuid4().hex
    async with Redis.from_url(redis_url) as redis, hubs(redis_url, prefix=prefix, replay=5) as (hub,):
        await hub.publish("a", 1)
        await redis.xadd(f"{prefix}__stream__a", {"data": b"\xc1", "before": "0-0"}, id="9000000000000000-0")
        async with hub.subscribe("a", replay=5) as member:
            assert await take(member, member.queued) == [Gap(("a",)), 1]


async def test_what_redis_refuses_is_told_to_who_asked(redis_url: str, caplog: pytest.LogCaptureFixture) -> None:
    from redis.asyncio import Redis

    prefix = uuid4().hex
    async with Redis.from_url(redis_url) as redis, hubs(redis_url, prefix=prefix, replay=5) as (hub,):
        await redis.set(f"{prefix}__stream__a", "somebody else's")
        with pytest.raises(HubUnavailable, match="WRONGTYPE"):
            await hub.publish("a", 1)
        await hub.publish("b", 1)
    assert "WRONGTYPE" in caplog.text
