"""The hub when Redis is not there, dies, comes back, or stands still: what is stated happens, and nothing is left."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import anyio
import pytest

from microasgi import MicroASGI
from microasgi.realtime import Gap, Hub, HubUnavailable
from microasgi.testing import TestClient
from tests.realtime.reading import take, until

pytestmark = pytest.mark.anyio

TIMEOUT = 0.5


@pytest.fixture(scope="module")
def anyio_backend() -> Any:
    """redis-py runs on asyncio."""
    return "asyncio", {"debug": True}


def is_connected(hub: Hub) -> Any:
    return lambda: hub.metrics()["connected"]


async def is_count(hub: Hub, group: str, number: int) -> bool:
    return await hub.count(group) == number


async def publish_when_possible(hub: Hub, group: str, message: Any) -> None:
    with anyio.fail_after(10):
        while True:
            try:
                await hub.publish(group, message)
                return
            except HubUnavailable:
                await anyio.sleep(0.02)


async def test_without_redis_the_application_starts_and_catches_up(mortal: Any, caplog: Any) -> None:
    hub = Hub(mortal.url, timeout=TIMEOUT)
    async with hub.lifespan(), hub.subscribe("a") as member:
        with pytest.raises(HubUnavailable):
            await hub.publish("a", 1)
        with pytest.raises(HubUnavailable):
            await hub.count("a")
        with pytest.raises(HubUnavailable):
            await anyio.to_thread.run_sync(hub.publish_sync, "a", 1)
        mortal.start()
        assert await take(member) == [Gap(("a",))]
        assert await hub.publish("a", 2) == 1
        assert await take(member) == [2]
        await until(lambda: is_count(hub, "a", 1))
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len(warnings) <= 3


def test_a_request_that_cannot_publish_is_answered_with_503(mortal: Any) -> None:
    hub, app = Hub(mortal.url, timeout=TIMEOUT), MicroASGI()
    app.lifespan(hub.lifespan)

    @app.post("/")
    async def publish() -> None:
        await hub.publish("a", 1)

    with TestClient(app) as client:
        answer = client.post("/")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert "Redis" not in answer.text


async def test_a_redis_that_was_killed_and_started_again_is_subscribed_to_again(mortal: Any) -> None:
    mortal.start()
    hub, other = Hub(mortal.url, timeout=TIMEOUT), Hub(mortal.url, timeout=TIMEOUT)
    async with hub.lifespan(), other.lifespan(), hub.subscribe("a", "b", info="x") as member:
        await other.publish("a", 1)
        assert await take(member) == [1]
        mortal.kill()
        await until(lambda: not hub.metrics()["connected"])
        with pytest.raises(HubUnavailable):
            await hub.publish("a", 2)
        late = hub.subscribe("c")
        async with late:
            mortal.start()
            assert await take(member) == [Gap(("a", "b"))]
            assert await take(late) == [Gap(("c",))]
            await publish_when_possible(other, "b", 3)
            await publish_when_possible(other, "c", 4)
            assert await take(member) == [3]
            assert await take(late) == [4]
        await until(lambda: is_count(other, "a", 1))
        assert await other.members("a") == ["x"]
        assert hub.metrics()["reconnects"] == 1
        assert hub.metrics()["members"] == 1


async def test_what_history_has_kept_fills_the_gap(mortal: Any) -> None:
    mortal.start()
    hub, other = Hub(mortal.url, timeout=TIMEOUT, replay=10), Hub(mortal.url, timeout=TIMEOUT, replay=10)
    async with hub.lifespan(), other.lifespan(), hub.subscribe("a") as member:
        await other.publish("a", 0)
        assert await take(member) == [0]
        await break_connection(mortal, hub)
        for number in range(1, 6):
            await other.publish("a", number)
        assert await take(member, 5) == [1, 2, 3, 4, 5]
        await break_connection(mortal, hub)
        for number in range(20):
            await other.publish("a", number)
        assert (await take(member))[0] in (Gap(("a",)), 0)
        mortal.kill()
        mortal.start()
        await until(is_connected(hub))
        await publish_when_possible(other, "a", "new")
        got = []
        while got[-1:] != ["new"]:
            got += await take(member)
        assert Gap(("a",)) in got


async def break_connection(mortal: Any, hub: Hub) -> None:
    """Let Redis close the hub's listening connection."""
    from redis.asyncio import Redis

    async with Redis.from_url(mortal.url) as redis:
        before = hub.metrics()["reconnects"]
        for client in await redis.client_list():
            if int(client["sub"]):
                await redis.client_kill_filter(_id=client["id"])
                break
        else:
            raise AssertionError("nobody listens")
        await until(lambda: hub.metrics()["reconnects"] > before or not hub.metrics()["connected"])


async def test_a_redis_that_stands_still_for_a_moment_loses_nothing(mortal: Any) -> None:
    mortal.start()
    hub = Hub(mortal.url, timeout=5)
    async with hub.lifespan(), hub.subscribe("a") as member:
        mortal.freeze()
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(hub.publish, "a", number)
            await anyio.sleep(0.2)
            assert member.queued == 0
            mortal.thaw()
        assert await take(member, 3) == [0, 1, 2]
        assert hub.metrics()["gaps"] == 0


async def test_a_redis_that_stands_still_holds_nobody_up(mortal: Any) -> None:
    mortal.start()
    hub = Hub(mortal.url, timeout=TIMEOUT)
    async with hub.lifespan(), hub.subscribe("a") as member:
        mortal.freeze()
        try:
            with anyio.fail_after(TIMEOUT * 6):
                for call in (hub.publish, hub.publish):
                    with pytest.raises(HubUnavailable):
                        await call("a", "frozen")
                with pytest.raises(HubUnavailable):
                    await anyio.to_thread.run_sync(hub.publish_sync, "a", 1)
            await until(lambda: not hub.metrics()["connected"])
            with anyio.fail_after(TIMEOUT * 4):
                async with hub.subscribe("b"):
                    pass
        finally:
            mortal.thaw()
        await until(is_connected(hub))
        await publish_when_possible(hub, "a", "thawed")
        got = []
        while got[-1:] != ["thawed"]:
            got += await take(member)
        assert Gap(("a",)) in got


async def test_the_lifespan_ends_though_redis_stands_still(mortal: Any) -> None:
    mortal.start()
    before = len(asyncio.all_tasks())
    try:
        async with Hub(mortal.url, timeout=TIMEOUT).lifespan():
            mortal.freeze()
            started = anyio.current_time()
        assert anyio.current_time() - started < 10
    finally:
        mortal.thaw()
    assert len(asyncio.all_tasks()) == before


async def test_a_publisher_that_hangs_can_be_cancelled(mortal: Any) -> None:
    mortal.start()
    async with Hub(mortal.url, timeout=30).lifespan() as _, anyio.create_task_group() as group:
        hub = Hub(mortal.url, timeout=2)
        async with hub.lifespan(), hub.subscribe("a"):
            mortal.freeze()
            try:
                for _number in range(10):
                    group.start_soon(hub.publish, "a", 1)
                await anyio.sleep(0.05)
                group.cancel_scope.cancel()
            finally:
                mortal.thaw()


async def test_a_flapping_redis_leaves_no_task_and_no_subscription(mortal: Any) -> None:
    before = len(asyncio.all_tasks())
    hub = Hub(mortal.url, timeout=TIMEOUT)
    async with hub.lifespan():
        for _ in range(3):
            mortal.start()
            await until(is_connected(hub))
            async with hub.subscribe("a", "b"):
                mortal.kill()
            async with hub.subscribe("c"):
                await until(lambda: not hub.metrics()["connected"])
        assert hub.metrics()["groups"] == hub.metrics()["members"] == 0
        assert not hub._backend._listener._topics  # type: ignore[attr-defined]
        assert not hub._backend._listener._named  # type: ignore[attr-defined]
        assert not hub._backend._held  # type: ignore[attr-defined]
    assert len(asyncio.all_tasks()) == before


async def test_a_process_that_reads_slower_than_redis_sends_is_cut_off_and_told_by_a_gap(mortal: Any) -> None:
    from redis import Redis

    mortal.start()
    hub = Hub(mortal.url, timeout=TIMEOUT)
    async with hub.lifespan(), hub.subscribe("a") as member:
        with Redis.from_url(mortal.url) as redis:  # it blocks the loop on purpose: nobody reads meanwhile
            redis.config_set("client-output-buffer-limit", "pubsub 1mb 1mb 1")
            for _ in range(300):
                redis.publish("asgi__group__a", b"\xda\xc3\x50" + b"x" * 50_000)
        got: list[Any] = []
        while Gap(("a",)) not in got:
            got += await take(member)
        await publish_when_possible(hub, "a", "after")
        while got[-1:] != ["after"]:
            got += await take(member)
        assert len(got) < 300
