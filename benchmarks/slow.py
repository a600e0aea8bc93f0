"""Slow readers: what they lose by each overflow policy, while others keep up, over Redis.

    python benchmarks/slow.py

90 members read as fast as they can, 10 sleep 5 ms after each message. Every message that a slow member has not got has
to be among those that its subscription has counted. Redis is started here and ended.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.realtime import BUNDLE, GROUP, Publisher, Tally, read_hub
from microasgi.realtime import Hub, SlowReader
from tests.redis_server import running_redis


async def read_slowly(hub: Hub, overflow: Any, pause: float, seen: list[Any], ready: asyncio.Semaphore) -> None:
    subscription, got = hub.subscribe(GROUP, overflow=overflow), 0
    async with subscription:
        ready.release()
        try:
            async for message in subscription:
                got += 1
                if "last" in message["text"]:
                    break
                await asyncio.sleep(pause)
        except SlowReader:
            pass
    seen.append((got, subscription.dropped))


async def lose(url: str, overflow: Any, members: int = 100, messages: int = 20_000) -> None:
    """Publish more than some members can read, as fast as the others can, and print what each kind got."""
    hub, tally, ready, seen = Hub(url, prefix="slow"), Tally(members), asyncio.Semaphore(0), list[Any]()
    async with hub.lifespan():
        slow = [asyncio.create_task(read_slowly(hub, overflow, 0.005, seen, ready)) for _ in range(members // 10)]
        quick = members - len(slow)
        tasks = [asyncio.create_task(read_hub(hub, number, tally, ready)) for number in range(quick)]
        for _ in range(members):
            await ready.acquire()
        publisher = Publisher("slow", url, None)
        await publisher.start()
        for sent in range(BUNDLE, messages + 1, BUNDLE):
            await publisher.publish(BUNDLE)
            await tally.reach((sent - 2 * BUNDLE) * quick)
        await tally.reach(messages * quick)
        lost = messages * quick - tally.received
        await asyncio.sleep(1)
        await hub.publish(GROUP, {"text": "last"})
        await asyncio.gather(*slow)
        dropped = hub.metrics()["dropped"]
        for task in tasks:
            task.cancel()
    got, counted = sum(one[0] for one in seen), sum(one[1] for one in seen)
    print(f"| {overflow} | {messages:,} | {lost} | {got / len(slow):,.0f} | {counted / len(slow):,.0f} | {dropped:,} |")


def main() -> None:
    print("| policy | published | lost by 90 quick | a slow one: got | dropped, counted | the hub counts |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder, running_redis(str(shutil.which("redis-server")), Path(folder)) as url:
        for overflow in ("drop_oldest", "drop_newest", "close"):
            asyncio.run(lose(url, overflow))


if __name__ == "__main__":
    main()
