"""Deliveries per second: the hub beside Channels' layers, in one run.

    python benchmarks/realtime.py                          # every system, 1 to 10,000 members
    python benchmarks/realtime.py --members 100,1000 --systems hub-redis,channels-pubsub

Each case is a process of its own that holds the members, one task each. Over Redis a second process publishes; in
memory the same one does. First at full speed for `--seconds`, one message after the other: deliveries per second and
what was lost. Then at a rate of 2,000 deliveries per second, at most 50 messages: median and 99th percentile of the
time from before publishing to the member. Redis is started here, on a free port, and ended.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from microasgi.realtime import Hub
from tests.redis_server import running_redis

SYSTEMS = ("hub-memory", "channels-memory", "hub-redis", "channels-pubsub", "channels-core")
GROUP = "bench"
MOST_MESSAGES = 20_000
MOST_DELIVERIES = 1_000_000
SILENCE = 3.0


def make_layer(system: str, url: str) -> Any:
    """Return the layer of a system of Channels."""
    from channels.layers import InMemoryChannelLayer

    if system == "channels-memory":
        return InMemoryChannelLayer()
    if system == "channels-pubsub":
        from channels_redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer(hosts=[url], prefix="pubsub")
    from channels_redis.core import RedisChannelLayer

    return RedisChannelLayer(hosts=[{"address": url, "socket_timeout": None}], prefix="core")


def message() -> dict[str, Any]:
    return {"type": "bench.message", "text": "x" * 100, "at": time.time()}


class Tally:
    """What has arrived."""

    def __init__(self, members: int) -> None:
        self.every = max(1, members // 50)
        self.received = 0
        self.last = time.perf_counter()
        self.latencies: list[float] = []

    def count(self, number: int, got: dict[str, Any]) -> None:
        self.received += 1
        self.last = time.perf_counter()
        if number % self.every == 0:
            self.latencies.append(time.time() - got["at"])

    async def settle(self, expected: int) -> None:
        """Wait until everything has come, or nothing more comes."""
        quiet_since = time.perf_counter()
        while self.received < expected and time.perf_counter() - max(self.last, quiet_since) < SILENCE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def publish(send: Any, seconds: float, rate: float, most: int) -> int:
    """Publish for some seconds, at full speed or at a rate; return how many."""
    started, sent = time.perf_counter(), 0
    while sent < most and time.perf_counter() - started < seconds:
        await send(GROUP, message())
        sent += 1
        if rate:
            await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
    return sent


async def read_hub(hub: Hub, number: int, tally: Tally, ready: asyncio.Semaphore) -> None:
    async with hub.subscribe(GROUP) as subscription:
        ready.release()
        async for got in subscription:
            tally.count(number, got)


async def read_layer(layer: Any, number: int, tally: Tally, ready: asyncio.Semaphore) -> None:
    name = await layer.new_channel()
    await layer.group_add(GROUP, name)
    ready.release()
    while True:
        tally.count(number, await layer.receive(name))


async def phase(system: str, url: str, send: Any, members: int, tally: Tally, seconds: float, rate: float) -> Any:
    """Publish, from here or from another process, and return what came of it."""
    tally.received, tally.latencies = 0, []
    started = tally.last = time.perf_counter()
    most = 50 if rate else min(MOST_MESSAGES, max(20, MOST_DELIVERIES // members))
    if system.endswith("memory"):
        sent = await publish(send, seconds, rate, most)
    else:
        command = [sys.executable, __file__, "--publish", system, url, str(seconds), str(rate), str(most)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        started = float((await process.stdout.readline()) or 0)  # type: ignore[union-attr]
        sent = int((await process.communicate())[0])
    await tally.settle(sent * members)
    latencies = sorted(tally.latencies) or [0.0]
    return {
        "sent": sent,
        "per_second": tally.received / max(tally.last - started, 1e-9),
        "lost": 1 - tally.received / max(sent * members, 1),
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[int(len(latencies) * 0.99)] * 1000,
    }


async def hold(system: str, url: str, members: int, seconds: float) -> None:
    """Hold the members of one case and print its figures."""
    tally, ready = Tally(members), asyncio.Semaphore(0)
    hub = Hub("memory://" if system == "hub-memory" else url, prefix="hub") if system.startswith("hub") else None
    layer = None if hub else make_layer(system, url)
    context = hub.lifespan() if hub else None
    if context:
        await context.__aenter__()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reading = (lambda n: read_hub(hub, n, tally, ready)) if hub else (lambda n: read_layer(layer, n, tally, ready))
    tasks: list[asyncio.Task[None]] = []
    for number in range(members):  # some at a time: a pool of redis-py gives out a hundred connections at most
        tasks.append(asyncio.create_task(reading(number)))
        if number >= 50:
            await ready.acquire()
    for _ in range(min(members, 50)):
        await ready.acquire()
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / members
    send = hub.publish if hub else layer.group_send
    rate = min(50.0, max(1.0, 2000 / members))
    fast = await phase(system, url, send, members, tally, seconds, 0)
    slow = await phase(system, url, send, members, tally, 10.0 if members < 1000 else 5.0, rate)
    print(json.dumps({"fast": fast, "slow": slow, "rate": rate, "kib": memory}), flush=True)
    os._exit(0)  # to leave ten thousand groups of some layers takes minutes


async def run_publisher(system: str, url: str, seconds: float, rate: float, most: int) -> None:
    if system.startswith("hub"):
        hub = Hub(url, prefix="hub")
        async with hub.lifespan():
            print(time.perf_counter(), flush=True)
            print(await publish(hub.publish, seconds, rate, most))
        return
    layer = make_layer(system, url)
    print(time.perf_counter(), flush=True)
    print(await publish(layer.group_send, seconds, rate, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", default="1,100,1000,10000")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--publish", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--hold", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        system, url, *numbers = arguments.publish
        asyncio.run(run_publisher(system, url, float(numbers[0]), float(numbers[1]), int(numbers[2])))
    elif arguments.hold:
        system, url, members, seconds = arguments.hold
        asyncio.run(hold(system, url, int(members), float(seconds)))
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Run every case in turn and print a table."""
    titles = [
        "system",
        "members",
        "deliveries/s",
        "messages/s",
        "lost",
        "at msg/s",
        "lost",
        "p50 ms",
        "p99 ms",
        "KiB/member",
    ]
    print("|", " | ".join(titles), "|")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, running_redis(str(shutil.which("redis-server")), Path(folder)) as url:
        for members in arguments.members.split(","):
            for system in arguments.systems.split(","):
                command = [sys.executable, __file__, "--hold", system, url, members, str(arguments.seconds)]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
                except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
                    print(f"| {system} | {members} | - {type(error).__name__} |", flush=True)
                    continue
                print_row(system, int(members), json.loads(done.stdout.splitlines()[-1]), arguments.seconds)


def print_row(system: str, members: int, figures: Any, seconds: float) -> None:
    fast, slow = figures["fast"], figures["slow"]
    print(
        f"| {system} | {members:,} | {fast['per_second']:,.0f} | {fast['per_second'] / members:,.0f} "
        f"| {fast['lost']:.1%} | {figures['rate']:g} | {slow['lost']:.1%} | {slow['p50']:.1f} | {slow['p99']:.1f} "
        f"| {figures['kib']:.1f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
