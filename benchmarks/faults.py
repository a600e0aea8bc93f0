"""What a hub over Redis does when something goes wrong: when messages arrive again, what is lost, what is left.

    python benchmarks/faults.py

100 members in one group, another hub publishes every 5 ms, or fails to. `lost` are the messages that Redis had taken
and that a member has not got; each such hole has to be told by a `Gap`. `left` are tasks, and what is subscribed
in Redis, after the hubs have ended. Redis is started here and killed, frozen and started again.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from microasgi.realtime import Gap, Hub, HubUnavailable
from tests.realtime.conftest import Mortal

MEMBERS = 100
TIMEOUT = 1.0


def resident() -> float:
    """Return this process' MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Watch:
    """What was published and what has arrived."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.refused = 0
        self.got: list[set[int]] = [set() for _ in range(MEMBERS)]
        self.gaps = [0] * MEMBERS
        self.last_arrival = 0.0
        self.last_failure = 0.0

    async def read(self, hub: Hub, number: int) -> None:
        async with hub.subscribe("a", max_queue=10_000) as subscription:
            async for message in subscription:
                if isinstance(message, Gap):
                    self.gaps[number] += 1
                elif isinstance(message, int):
                    self.got[number].add(message)
                    self.last_arrival = time.perf_counter()

    async def publish(self, hub: Hub) -> None:
        number = 0
        while True:
            number += 1
            try:
                await hub.publish("a", number)
                self.sent.append(number)
            except HubUnavailable:
                self.refused += 1
            await asyncio.sleep(0.005)

    async def arrives(self) -> None:
        """Wait for the next arrival."""
        before = self.last_arrival
        while self.last_arrival == before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    def row(self, name: str, recovered: float, left: str) -> str:
        lost = max(len(set(self.sent) - got) for got in self.got)
        told = "each by a gap" if all(self.gaps) else "none"
        return (
            f"| {name} | {recovered:.2f} s | {self.refused} | {lost} of {len(self.sent):,} "
            f"| {told if lost or all(self.gaps) else 'no gap'} | {left} |"
        )


@asynccontextmanager
async def going(url: str, replay: int = 0) -> AsyncIterator[Watch]:
    """Run the members' hub and the publisher's."""
    watch = Watch()
    here = Hub(url, timeout=TIMEOUT, replay=replay)
    there = Hub(url, timeout=TIMEOUT, replay=replay)
    async with here.lifespan(), there.lifespan():
        tasks = [asyncio.create_task(watch.read(here, number)) for number in range(MEMBERS)]
        publishing = asyncio.create_task(watch.publish(there))
        yield watch
        publishing.cancel()
        await asyncio.wait([publishing])
        await asyncio.sleep(0.3)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def strike(redis: Mortal, name: str, disturb: Callable[[], Any], replay: int = 0, starts: bool = True) -> None:
    """Let messages flow, disturb Redis, and note how it goes on; `disturb` returns when Redis is well again."""
    before = len(asyncio.all_tasks())
    if starts:
        redis.start()
    async with going(redis.url, replay) as watch:
        if starts:
            await watch.arrives()
            await asyncio.sleep(0.3)
        await disturb()
        well = time.perf_counter()
        await watch.arrives()
        recovered = time.perf_counter() - well
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.1)
    left = f"{len(asyncio.all_tasks()) - before} tasks, {await subscribed(redis)} channels"
    print(watch.row(name, recovered, left), flush=True)
    redis.kill()


async def subscribed(redis: Mortal) -> int:
    from redis.asyncio import Redis

    async with Redis.from_url(redis.url) as client:
        return len(await client.pubsub_channels())


async def run(redis: Mortal) -> None:
    print("| what | messages again after | refused | lost | told | left |\n|---|---|---|---|---|---|", flush=True)

    async def appear() -> None:
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.start)

    async def restart() -> None:
        redis.kill()
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.start)

    async def freeze(seconds: float) -> None:
        redis.freeze()
        await asyncio.sleep(seconds)
        redis.thaw()

    async def cut() -> None:
        from redis.asyncio import Redis

        async with Redis.from_url(redis.url) as client:
            await client.client_kill_filter(_type="pubsub")

    await strike(redis, "Redis absent at the start, for a second", appear, starts=False)
    await strike(redis, "killed, started again after a second", restart)
    await strike(redis, "listening connection cut", cut)
    await strike(redis, "the same, `replay=1000`", cut, replay=1000)
    await strike(redis, "frozen for half a second", lambda: freeze(0.5))
    await strike(redis, "frozen for five seconds (`timeout=1`)", lambda: freeze(5))
    await strike(redis, "the same, `replay=1000`", lambda: freeze(5), replay=1000)
    redis.start()
    await fill(redis)
    await cancel(redis)
    await flood(redis)


async def flood(redis: Mortal) -> None:
    """Send poison and too large messages."""
    from redis.asyncio import Redis

    hub = Hub(redis.url, max_message_size=1000)
    async with hub.lifespan(), hub.subscribe("a") as member, Redis.from_url(redis.url) as client:
        before = resident()
        for data in (b"\xc1poison", b"\xa5" + b"x" * 10_000):
            for _ in range(50):
                async with client.pipeline(transaction=False) as pipeline:
                    for _ in range(100):
                        pipeline.publish("asgi__group__a", data)
                    await pipeline.execute()
                await asyncio.sleep(0.01)
        await hub.publish("a", "good")
        message = await anext(member)
        print(
            f"10,000 messages of poison, half of them too large: {hub.metrics()['poison']:,} counted, the next "
            f"({message!r}) arrives; {resident() - before:.1f} MiB more"
        )


async def fill(redis: Mortal) -> None:
    """Let a thousand members never read."""
    hub, other = Hub(redis.url), Hub(redis.url)
    async with hub.lifespan(), other.lifespan():
        members = [hub.subscribe("a") for _ in range(1000)]
        for member in members:
            await member.__aenter__()
        before = resident()
        for number in range(2000):
            await other.publish("a", {"n": number, "text": "x" * 1000})
        while hub.metrics()["received"] < 2000:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        figures = hub.metrics()
        print(
            f"1,000 members that never read, 2,000 messages of 1 kB: {figures['queued']:,} queued, "
            f"{figures['dropped']:,} dropped and counted, {resident() - before:.1f} MiB more"
        )
        for member in members:
            member.close()


async def cancel(redis: Mortal) -> None:
    """Cancel joins at every turn of the loop."""
    hub, before = Hub(redis.url), len(asyncio.all_tasks())
    async with hub.lifespan():
        running = len(asyncio.all_tasks())

        async def join(number: int) -> None:
            async with hub.subscribe(f"g{number % 50}"):
                await asyncio.sleep(1)

        for number in range(2000):
            task = asyncio.create_task(join(number))
            for _ in range(number % 20):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.sleep(0.5)
        figures, left, channels = hub.metrics(), len(asyncio.all_tasks()) - running, await subscribed(redis)
    print(
        f"2,000 joins cancelled after 0 to 19 turns of the loop: {figures['members']} members, "
        f"{figures['groups']} groups, {channels} channels, {left} tasks left; "
        f"{len(asyncio.all_tasks()) - before} after the lifespan"
    )


def main() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        redis = Mortal(str(shutil.which("redis-server")), Path(folder), port)
        try:
            asyncio.run(run(redis))
        finally:
            redis.kill()


if __name__ == "__main__":
    main()
