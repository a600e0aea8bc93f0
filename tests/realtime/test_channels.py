"""Channels and the hub in the same groups: channels_redis' pub/sub layer on the other side of a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import pytest

from microasgi.realtime import Hub
from tests.realtime.reading import take

channels_redis = pytest.importorskip("channels_redis.pubsub", reason="channels_redis is not installed")
pytestmark = pytest.mark.anyio

WIRES = [{}, {"serializer_format": "json"}, {"symmetric_encryption_keys": ["secret", "old"]}]


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """Channels runs on asyncio."""
    return "asyncio", {"debug": True}


@asynccontextmanager
async def both(url: str, wire: dict[str, Any], **options: Any) -> AsyncIterator[tuple[Hub, Any]]:
    """Run a hub and a layer that share groups."""
    prefix = uuid4().hex
    layer = channels_redis.RedisPubSubChannelLayer(hosts=[url], prefix=prefix, **wire)
    hub = Hub(
        url,
        prefix=prefix,
        codec=wire.get("serializer_format", "msgpack"),
        symmetric_keys=wire.get("symmetric_encryption_keys", ()),
        **options,
    )
    async with hub.lifespan():
        yield hub, layer
        await layer.flush()


@pytest.mark.parametrize("wire", WIRES, ids=["msgpack", "json", "encrypted"])
@pytest.mark.parametrize("replay", [0, 3])
@pytest.mark.parametrize("group", ["chat", "chat.room-1_ü"])
async def test_messages_go_both_ways(redis_url: str, wire: dict[str, Any], replay: int, group: str) -> None:
    message = {"type": "chat.message", "text": "é", "n": [1, 2.5, None, True]}
    async with both(redis_url, wire, replay=replay) as (hub, layer), hub.subscribe(group) as member:
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        await layer.group_send(group, message)
        assert await take(member) == [message]
        with anyio.fail_after(10):
            assert await layer.receive(channel) == message
            await hub.publish(group, message)
            assert await layer.receive(channel) == message
            await anyio.to_thread.run_sync(hub.publish_sync, group, message)
            assert await layer.receive(channel) == message
        assert await take(member, 2) == [message] * 2


async def test_a_sync_view_of_django_reaches_members(redis_url: str) -> None:
    from asgiref.sync import async_to_sync

    async with both(redis_url, {}) as (hub, layer), hub.subscribe("a") as member:
        await anyio.to_thread.run_sync(async_to_sync(layer.group_send), "a", {"type": "x", "n": 1})
        assert await take(member) == [{"type": "x", "n": 1}]


async def test_what_only_python_can_read_is_poison(redis_url: str) -> None:
    async with both(redis_url, {}) as (hub, layer), hub.subscribe("a") as member:
        await layer.group_send("a", {"type": "x", 1: "not text"})
        await layer.group_send("a", {"type": "y"})
        assert await take(member) == [{"type": "y"}]
        assert hub.metrics()["poison"] == 1
