"""Real websockets on uvicorn in one group: processor time for a delivery, memory for a socket, latency.

    python benchmarks/sockets.py                    # 1,000 sockets for each system, which take turns
    python benchmarks/sockets.py --sockets 100 --systems hub-redis,channels-pubsub

One server process for each system; this process holds the other ends (no permessage-deflate) and publishes, with the
same PUBLISH for all but the core layer. The figures are medians of `--rounds` of `--messages` at `--rate` a second.
`raw` is an ASGI callable that sends to all its sockets in a loop, without groups, queues or limits: the floor, which is
the server's. `+auth` is a consumer as Channels' documentation has it, inside of AuthMiddlewareStack and a URLRouter,
without it stands alone. Only every tenth end looks into what it gets: the client is not to be what is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.realtime import GROUP, make_layer
from microasgi import MicroASGI, WebSocket
from microasgi.realtime import Hub
from tests.redis_server import running_redis

SYSTEMS = ("raw", "hub-redis", "channels-pubsub", "channels-pubsub+auth", "channels-core+auth")
TICK = os.sysconf("SC_CLK_TCK")
LOOKS = 10
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def hub_app(url: str) -> Any:
    """Return the application of this framework."""
    app, hub = MicroASGI(), Hub(url, prefix="hub-redis")
    app.lifespan(hub.lifespan)

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await hub.serve(websocket, [GROUP])

    return app


def raw_app(url: str) -> Any:
    """Return an ASGI callable that does nothing but this."""
    import msgpack
    from redis.asyncio import Redis

    sockets: set[Any] = set()
    tasks: list[Any] = []

    async def forward() -> None:
        async with Redis.from_url(url) as client, client.pubsub() as pubsub:
            await pubsub.subscribe(f"raw__group__{GROUP}")
            async for message in pubsub.listen():
                if message["type"] == "message":
                    text = json.dumps(msgpack.unpackb(message["data"]))
                    for send in sockets:
                        await send({"type": "websocket.send", "text": text})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            tasks or tasks.append(asyncio.create_task(forward()))
            await send({"type": "websocket.accept"})
            sockets.add(send)
            while (await receive())["type"] != "websocket.disconnect":
                pass
            sockets.discard(send)

    return app


def channels_app(system: str, url: str) -> Any:
    """Return a consumer of Channels over one of the layers of channels_redis."""
    import django
    from django.conf import settings

    apps = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    settings.configure(SECRET_KEY="x", CHANNEL_LAYERS={}, INSTALLED_APPS=apps, DATABASES=databases)
    django.setup()
    from channels import layers
    from channels.auth import AuthMiddlewareStack
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import URLRouter
    from django.urls import path

    name, _, auth = system.partition("+")
    layer = make_layer(name, url)

    class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
        async def connect(self) -> None:
            await self.channel_layer.group_add(GROUP, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(GROUP, self.channel_name)

        async def bench_message(self, event: Any) -> None:
            await self.send(text_data=json.dumps(event))

    consumer = Consumer.as_asgi()
    inner = AuthMiddlewareStack(URLRouter([path("ws", consumer)])) if auth else consumer

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            layers.channel_layers.backends["default"] = layer
            await inner(scope, receive, send)

    return app


def serve(system: str, url: str, port: int) -> None:
    import uvicorn

    app = {"raw": raw_app, "hub-redis": hub_app}.get(system, lambda url: channels_app(system, url))(url)
    uvicorn.run(app, port=port, log_level="error", ws_per_message_deflate=False, ws_ping_interval=None)


def processor_time(pid: int) -> float:
    """Return the seconds that a process has used, with its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid: int) -> int:
    """Return a process' KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class End(asyncio.Protocol):
    """A client: counts bytes after the handshake, and may note how old a message is."""

    def __init__(self, latencies: list[float] | None) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        self.bytes, self._latencies = 0, latencies

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(b" 101 " in data)
            return
        self.bytes += len(data)
        if self._latencies is not None:
            now = time.time()
            self._latencies += [now - float(one.split(b'"')[1]) for one in data.split(b'"at"')[1:]]


async def wait_for(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


class Case:
    """One system: its server, the clients' ends, and the figures."""

    def __init__(self, system: str, url: str, port: int) -> None:
        self.system, self.port = system, port
        self._url, self._layer = url, None
        self.server = subprocess.Popen([sys.executable, __file__, "--serve", system, url, str(port)])
        self.latencies: list[float] = []
        self.rounds: list[dict[str, float]] = []

    async def open(self, sockets: int) -> None:
        """Open the sockets, and note what they cost."""
        await wait_for(self.port)
        warm = await self._connect(None)
        before, started = resident(self.server.pid), processor_time(self.server.pid)
        self.ends = [await self._connect(None if n % LOOKS else self.latencies) for n in range(sockets)]
        self._before = before
        self.memory = (resident(self.server.pid) - before) / sockets
        self.connecting = (processor_time(self.server.pid) - started) / sockets * 1000
        warm.transport.abort()
        await asyncio.sleep(0.5)

    async def _connect(self, latencies: list[float] | None) -> End:
        _, end = await asyncio.get_running_loop().create_connection(lambda: End(latencies), "127.0.0.1", self.port)
        if not await end.opened:
            raise RuntimeError("no websocket")
        return end

    async def publish(self, client: Any, message: dict[str, Any]) -> None:
        import msgpack

        if "core" in self.system:
            self._layer = self._layer or make_layer("channels-core", self._url)
            await self._layer.group_send(GROUP, message)
        else:
            client.publish(f"{self.system.removesuffix('+auth')}__group__{GROUP}", msgpack.packb(message))

    async def run(self, client: Any, messages: int, rate: float) -> None:
        """Publish and note what arrives."""
        self.latencies.clear()
        started = processor_time(self.server.pid)
        for number in range(messages):
            due = time.perf_counter() + 1 / rate
            at = f"{time.time():.6f}"
            await self.publish(client, {"type": "bench.message", "text": "x" * 30, "n": number + 100, "at": at})
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
        seen = -1
        while seen != self._bytes():
            seen = self._bytes()
            await asyncio.sleep(1)
        latencies = sorted(self.latencies)
        self.rounds.append(
            {
                "cpu": (processor_time(self.server.pid) - started) / (messages * len(self.ends)) * 1e6,
                "p50": latencies[len(latencies) // 2] * 1000,
                "p99": latencies[int(len(latencies) * 0.99)] * 1000,
                "memory": (resident(self.server.pid) - self._before) / len(self.ends),
                "arrived": len(latencies) / (messages * len(self.ends) / LOOKS),
            }
        )

    def _bytes(self) -> int:
        return sum(end.bytes for end in self.ends)

    def row(self) -> str:
        got = {name: statistics.median(one[name] for one in self.rounds) for name in self.rounds[0]}
        return (
            f"| {self.system} | {len(self.ends):,} | {got['cpu']:.1f} | {got['p50']:.1f} | {got['p99']:.1f} "
            f"| {1 - got['arrived']:.1%} | {self.connecting:.2f} | {self.memory:.1f} | {got['memory']:.1f} |"
        )


async def compare(arguments: argparse.Namespace, url: str) -> None:
    """Let the systems take turns, and print a table."""
    import redis

    client = redis.Redis.from_url(url)
    cases = [Case(system, url, arguments.port + n) for n, system in enumerate(arguments.systems.split(","))]
    try:
        for case in cases:
            await case.open(arguments.sockets)
        for _ in range(arguments.rounds):
            for case in cases:
                await case.run(client, arguments.messages, arguments.rate)
        for case in cases:
            print(case.row(), flush=True)
    finally:
        for case in cases:
            case.server.kill()
            case.server.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--messages", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], arguments.serve[1], int(arguments.serve[2]))
        return
    titles = [
        "system",
        "sockets",
        "CPU us/delivery",
        "p50 ms",
        "p99 ms",
        "lost",
        "connect CPU ms",
        "KiB/socket",
        "after use",
    ]
    print("|", " | ".join(titles), "|\n" + "|---" * len(titles) + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder, running_redis(str(shutil.which("redis-server")), Path(folder)) as url:
        asyncio.run(compare(arguments, url))


if __name__ == "__main__":
    main()
