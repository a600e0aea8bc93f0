"""The hub over channel layers: Channels' own in memory, and both of channels_redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import pytest

from microasgi import ConfigurationError
from microasgi.realtime import Gap, Hub, HubUnavailable
from tests.realtime.reading import take, until

layers = pytest.importorskip("channels.layers", reason="channels is not installed")
core = pytest.importorskip("channels_redis.core", reason="channels_redis is not installed")
pubsub = pytest.importorskip("channels_redis.pubsub", reason="channels_redis is not installed")
pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """Layers run on asyncio."""
    return "asyncio", {"debug": True}


def make_layer(kind: str, url: str) -> Any:
    if kind == "memory":
        return layers.InMemoryChannelLayer()
    host = {"address": url, "socket_timeout": None}
    made = core.RedisChannelLayer if kind == "core" else pubsub.RedisPubSubChannelLayer
    return made(hosts=[host if kind == "core" else url], prefix=uuid4().hex)


@asynccontextmanager
async def hub_over(layer: Any, **options: Any) -> AsyncIterator[Hub]:
    hub = Hub(layer, **options)
    async with hub.lifespan():
        yield hub
    await layer.flush()


each_layer = pytest.mark.parametrize("kind", ["memory", "core", "pubsub"])


@each_layer
async def test_members_share_groups_with_all_who_use_the_layer(redis_url: str, kind: str) -> None:
    layer = make_layer(kind, redis_url)
    async with hub_over(layer) as hub, hub.subscribe("a", info=1) as one, hub.subscribe("a") as two:
        await layer.group_send("a", {"type": "x", "n": 1})
        assert await hub.publish("a", {"type": "x", "n": 2}) == 2
        for member in (one, two):
            assert await take(member, 2) == [{"type": "x", "n": 1}, {"type": "x", "n": 2}]
        assert await hub.count("a") == 2
        assert await hub.members("a") == [1, None]
        channel = await layer.new_channel()
        await layer.group_add("a", channel)
        await hub.publish("a", {"type": "y"})
        with anyio.fail_after(10):
            assert await layer.receive(channel) == {"type": "y"}


@each_layer
async def test_threads_publish_through_the_hubs_loop(redis_url: str, kind: str) -> None:
    async with hub_over(make_layer(kind, redis_url)) as hub, hub.subscribe("a") as member:
        assert await anyio.to_thread.run_sync(hub.publish_sync, "a", {"type": "x"}) == 1
        assert await take(member) == [{"type": "x"}]


@each_layer
async def test_nothing_is_left_behind(redis_url: str, kind: str) -> None:
    layer = make_layer(kind, redis_url)
    async with hub_over(layer) as hub:
        before = len(asyncio.all_tasks())
        for seconds in range(10):
            with anyio.move_on_after(seconds * 0.001):
                async with hub.subscribe("a", "b"):
                    await anyio.sleep(0.005)
        await until(lambda: len(asyncio.all_tasks()) <= before + 1)
        figures = hub.metrics()
        assert (figures["groups"], figures["members"]) == (0, 0)
        async with hub.subscribe("a") as member:
            await hub.publish("a", {"type": "x"})
            assert await take(member) == [{"type": "x"}]


async def test_without_the_lifespan_a_thread_publishes_on_a_loop_of_its_own(redis_url: str) -> None:
    layer = make_layer("pubsub", redis_url)
    async with hub_over(layer) as hub, hub.subscribe("a") as member:
        other = Hub(layer)
        assert await anyio.to_thread.run_sync(other.publish_sync, "a", {"type": "x"}) == 0
        assert await take(member) == [{"type": "x"}]


@pytest.mark.parametrize("message", ["text", [1], None, b"x", object()])
async def test_a_layer_carries_dicts(message: Any) -> None:
    async with hub_over(layers.InMemoryChannelLayer()) as hub:
        with pytest.raises(TypeError):
            await hub.publish("a", message)


async def test_what_the_layer_refuses_is_refused() -> None:
    async with hub_over(layers.InMemoryChannelLayer()) as hub:
        with pytest.raises(TypeError, match="Group name"):
            await hub.publish("a group!", {"type": "x"})


@pytest.fixture
async def forgiving_loop() -> AsyncIterator[None]:
    """Let tasks fail that nobody awaits: the core layer has such, and they meet the death of Redis too."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda *_: None)
    yield
    loop.set_exception_handler(before)


@pytest.mark.usefixtures("forgiving_loop")
@pytest.mark.parametrize("kind", ["core", "pubsub"])
async def test_a_layer_whose_redis_dies_is_joined_again(mortal: Any, kind: str) -> None:
    mortal.start()
    layer = make_layer(kind, mortal.url)
    hub = Hub(layer, timeout=1)
    async with hub.lifespan(), hub.subscribe("a") as member:
        await hub.publish("a", {"type": "x"})
        assert await take(member) == [{"type": "x"}]
        mortal.kill()
        with pytest.raises(HubUnavailable):
            await hub.publish("a", {"type": "lost"})
        async with hub.subscribe("b"):
            pass
        mortal.start()
        got: list[Any] = []
        with anyio.fail_after(15):
            while {"type": "again"} not in got:
                try:
                    await hub.publish("a", {"type": "again"})
                except HubUnavailable:
                    pass
                await anyio.sleep(0.1)
                got += [await anext(aiter(member)) for _ in range(member.queued)]
        assert kind == "pubsub" or Gap(("a",)) in got
    await layer.flush()


async def test_a_layer_keeps_nothing() -> None:
    layer = layers.InMemoryChannelLayer()
    with pytest.raises(ConfigurationError, match="replay"):
        Hub(layer, replay=1)
    async with hub_over(layer) as hub, hub.subscribe("a", since="1") as member:
        assert await take(member) == [Gap(("a",))]


async def test_the_hub_says_how_to_start_it() -> None:
    hub = Hub(layers.InMemoryChannelLayer())
    with pytest.raises(RuntimeError, match=r"app\.lifespan"):
        await hub.publish("a", {})
    async with hub.lifespan():
        with pytest.raises(RuntimeError, match="already"):
            async with hub.lifespan():
                pass


def test_trio_is_refused() -> None:
    async def run() -> None:
        async with Hub(layers.InMemoryChannelLayer()).lifespan():
            pass

    with pytest.raises(ConfigurationError, match="asyncio"):
        anyio.run(run, backend="trio")


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="channel layer"):
        Hub(object())


async def test_what_json_cannot_hold_is_poison(redis_url: str) -> None:
    layer = make_layer("pubsub", redis_url)
    async with hub_over(layer) as hub, hub.subscribe("a") as member:
        await layer.group_send("a", {"type": "x", "raw": b"\xff"})
        await layer.group_send("a", {"type": "y"})
        assert await take(member) == [{"type": "y"}]
        assert hub.metrics()["poison"] == 1


async def test_an_error_inside_of_the_lifespan_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with Hub(layers.InMemoryChannelLayer()).lifespan():
            raise KeyError
