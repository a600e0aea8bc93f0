"""Deliveries to the members of one group: the hub beside Channels' layers, in one run.

    python benchmarks/realtime.py                          # every system, 1 to 10,000 members
    python benchmarks/realtime.py --members 100,1000 --systems hub-redis,channels-pubsub

Each system has a process of its own that holds the members, one task each; they take turns, round by round, and the
figures are medians of the rounds. A publisher is never what limits: over Redis another process sends packed messages
by PUBLISH, the very same bytes to the hub's and the pub/sub layer's members (the core layer needs its own
`group_send`), as fast as the members read: a few dozen are under way at any time, so nothing has to be dropped. Then
2,000 deliveries a second, at most 50 messages a second, for processor time and latency where nothing comes in bundles.

Processor time is that of the members' process alone. It is what to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
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
MOST_MEMBERS = {"channels-memory": 1000, "channels-core": 1000}  # beyond, one message takes seconds
SILENCE = 3.0
SAMPLES = 100
BUNDLE = 16


def make_layer(system: str, url: str) -> Any:
    """Return the layer of a system of Channels."""
    from channels.layers import InMemoryChannelLayer

    if system == "channels-memory":
        return InMemoryChannelLayer()
    if system == "channels-pubsub":
        from channels_redis.pubsub import RedisPubSubChannelLayer

        return RedisPubSubChannelLayer(hosts=[url], prefix=system)
    from channels_redis.core import RedisChannelLayer

    return RedisChannelLayer(hosts=[{"address": url, "socket_timeout": None}], prefix=system)


def make_message() -> dict[str, Any]:
    return {"type": "bench.message", "text": "x" * 100, "at": time.time()}


class Tally:
    """What has arrived, and how late."""

    def __init__(self, members: int) -> None:
        self.every = max(1, members // SAMPLES)
        self.more = asyncio.Event()
        self.begin(False)

    def begin(self, timed: bool) -> None:
        self.received, self.goal, self.timed = 0, 0, timed
        self.latencies: list[float] = []

    def count(self, number: int, got: dict[str, Any]) -> None:
        self.received += 1
        if self.received >= self.goal:
            self.more.set()
        if self.timed and number % self.every == 0:
            self.latencies.append(time.time() - got["at"])

    async def reach(self, goal: int) -> bool:
        """Wait until so much has come; tell whether it has, or nothing more comes."""
        self.goal, before = goal, -1
        while self.received < goal and self.received != before:
            before = self.received
            self.more.clear()
            try:
                async with asyncio.timeout(SILENCE):
                    await self.more.wait()
            except TimeoutError:
                pass
        return self.received >= goal


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


class Publisher:
    """Publishes when told to: in this process, or in another one."""

    def __init__(self, system: str, url: str, send: Any) -> None:
        self._system, self._url, self._send = system, url, send
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if not self._system.endswith("memory"):
            command = [sys.executable, __file__, "--publish", self._system, self._url]
            self._process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE)

    async def publish(self, number: int) -> None:
        """Publish at full speed."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{number}\n".encode())
            return
        for _ in range(number):
            await self._send(GROUP, make_message())


async def run_fast(publisher: Publisher, tally: Tally, members: int, seconds: float) -> dict[str, float]:
    """Publish for some seconds as fast as the members read."""
    tally.begin(False)
    started, used, sent = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - started < seconds:
        await publisher.publish(BUNDLE)
        sent += BUNDLE
        if not await tally.reach((sent - 2 * BUNDLE) * members):
            break
    await tally.reach(sent * members)
    taken = time.perf_counter() - started
    return {
        "per_second": tally.received / taken,
        "cpu": (time.process_time() - used) / max(tally.received, 1) * 1e6,
        "lost": 1 - tally.received / (sent * members),
    }


async def run_steady(publisher: Publisher, tally: Tally, members: int, seconds: float) -> dict[str, float]:
    """Publish at a rate."""
    rate = min(50.0, max(1.0, 2000 / members))
    tally.begin(True)
    started, used, sent = time.perf_counter(), time.process_time(), 0
    while sent < rate * seconds:
        await publisher.publish(1)
        sent += 1
        await asyncio.sleep(max(0.0, started + sent / rate - time.perf_counter()))
    await tally.reach(sent * members)
    latencies = sorted(tally.latencies) or [0.0]
    return {
        "rate": rate,
        "steady_cpu": (time.process_time() - used) / max(tally.received, 1) * 1e6,
        "steady_lost": 1 - tally.received / (sent * members),
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[int(len(latencies) * 0.99)] * 1000,
    }


async def hold(system: str, url: str, members: int, seconds: float) -> None:
    """Hold the members of one case; for each line that comes in, run a round and print its figures."""
    tally, ready = Tally(members), asyncio.Semaphore(0)
    hub = Hub("memory://" if system == "hub-memory" else url, prefix=system) if system.startswith("hub") else None
    layer = None if hub else make_layer(system, url)
    if hub:
        context = hub.lifespan()
        await context.__aenter__()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tasks: list[asyncio.Task[None]] = []
    for number in range(members):  # some at a time: a pool of redis-py gives out a hundred connections at most
        work = read_hub(hub, number, tally, ready) if hub else read_layer(layer, number, tally, ready)
        tasks.append(asyncio.create_task(work))
        if number >= 50:
            await ready.acquire()
    for _ in range(min(members, 50)):
        await ready.acquire()
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / members
    publisher = Publisher(system, url, hub.publish if hub else layer.group_send)
    await publisher.start()
    await publisher.publish(1)
    await tally.reach(members)
    print(json.dumps({"kib": memory}), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        fast = await run_fast(publisher, tally, members, seconds)
        print(json.dumps({**fast, **await run_steady(publisher, tally, members, seconds * 2)}), flush=True)
    os._exit(0)  # to leave ten thousand groups of some layers takes minutes


def run_publisher(system: str, url: str) -> None:
    """Publish as many as each line says."""
    import msgpack
    import redis

    client, channel = redis.Redis.from_url(url), f"{system}__group__{GROUP}"
    layer = make_layer(system, url) if system == "channels-core" else None

    async def send(number: int) -> None:
        for _ in range(number):
            await layer.group_send(GROUP, make_message())

    with asyncio.Runner() as runner:
        for line in sys.stdin:
            if layer is not None:
                runner.run(send(int(line)))
                continue
            pipeline = client.pipeline(transaction=False)
            for _ in range(int(line)):
                pipeline.publish(channel, msgpack.packb(make_message()))
            pipeline.execute()


def compare(arguments: argparse.Namespace) -> None:
    """Let the systems take turns, and print a table."""
    titles = ("system", "members", "deliveries/s", "CPU us", "lost", "at msg/s", "CPU us", "lost", "p50 ms", "p99 ms")
    print("|", " | ".join(titles), "| KiB/member |\n" + "|---" * (len(titles) + 1) + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder, running_redis(str(shutil.which("redis-server")), Path(folder)) as url:
        for members in map(int, arguments.members.split(",")):
            systems = [one for one in arguments.systems.split(",") if members <= MOST_MEMBERS.get(one, members)]
            for system, figures in run_rounds(systems, members, url, arguments).items():
                print_row(system, members, figures)


def run_rounds(systems: list[str], members: int, url: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the medians of each system's rounds."""
    processes = {}
    for system in systems:
        command = [sys.executable, __file__, "--hold", system, url, str(members), str(arguments.seconds)]
        processes[system] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        memory = {system: json.loads(process.stdout.readline()) for system, process in processes.items()}  # type: ignore[union-attr]
        rounds: dict[str, list[dict[str, float]]] = {system: [] for system in systems}
        for _ in range(arguments.rounds):
            for system, process in processes.items():
                print("go", file=process.stdin, flush=True)
                rounds[system].append(json.loads(process.stdout.readline()))  # type: ignore[union-attr]
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    return {
        system: {**{name: statistics.median(one[name] for one in taken) for name in taken[0]}, **memory[system]}
        for system, taken in rounds.items()
    }


def print_row(system: str, members: int, figures: dict[str, float]) -> None:
    print(
        f"| {system} | {members:,} | {figures['per_second']:,.0f} | {figures['cpu']:.2f} | {figures['lost']:.1%} "
        f"| {figures['rate']:g} | {figures['steady_cpu']:.2f} | {figures['steady_lost']:.1%} | {figures['p50']:.1f} "
        f"| {figures['p99']:.1f} | {figures['kib']:.1f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", default="1,100,1000,10000")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--publish", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--hold", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.publish:
        run_publisher(*arguments.publish)
    elif arguments.hold:
        system, url, members, seconds = arguments.hold
        asyncio.run(hold(system, url, int(members), float(seconds)))
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
