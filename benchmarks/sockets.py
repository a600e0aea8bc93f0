"""Real websockets on uvicorn in one group: processor time for a delivery, memory for a socket, latency.

    python benchmarks/sockets.py                    # 1,000 sockets, the hub beside Channels' layers, in one run
    python benchmarks/sockets.py --sockets 100 --systems hub-redis

One server process for each system; this process holds the other ends (no permessage-deflate) and publishes through
Redis: `--messages` at `--rate` a second. A consumer of Channels stands alone, without its middleware for users.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
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

SYSTEMS = ("hub-redis", "channels-pubsub", "channels-core")
TICK = os.sysconf("SC_CLK_TCK")
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def hub_app(url: str) -> Any:
    """Return the application of this framework."""
    app, hub = MicroASGI(), Hub(url, prefix="hub")
    app.lifespan(hub.lifespan)

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await hub.serve(websocket, [GROUP])

    return app


def channels_app(system: str, url: str) -> Any:
    """Return a consumer of Channels over one of the layers of channels_redis."""
    from channels.generic.websocket import AsyncWebsocketConsumer
    from django.conf import settings

    settings.configure(CHANNEL_LAYERS={})
    layer = make_layer(system, url)

    class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            from channels import layers

            layers.channel_layers.backends["default"] = layer
            await super().__call__(scope, receive, send)

        async def connect(self) -> None:
            await self.channel_layer.group_add(GROUP, self.channel_name)
            await self.accept()

        async def disconnect(self, code: int) -> None:
            await self.channel_layer.group_discard(GROUP, self.channel_name)

        async def bench_message(self, event: Any) -> None:
            await self.send(text_data=json.dumps(event))

    consumer = Consumer.as_asgi()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await consumer(scope, receive, send)

    return app


def serve(system: str, url: str, port: int) -> None:
    import uvicorn

    app = hub_app(url) if system.startswith("hub") else channels_app(system, url)
    uvicorn.run(app, port=port, log_level="error", ws_per_message_deflate=False, ws_ping_interval=None)


def processor_time(pid: int) -> float:
    """Return the seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid: int) -> int:
    """Return a process' KiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def read(reader: asyncio.StreamReader, latencies: list[float]) -> None:
    """Read text frames (RFC 6455 section 5.2) and note how old each is."""
    while True:
        _, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        payload = await reader.readexactly(size)
        latencies.append(time.time() - json.loads(payload)["at"])


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    answer = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in answer:
        raise RuntimeError(f"no websocket: {answer!r:.100}")
    return reader, writer


async def wait_for(port: int) -> None:
    for _ in range(400):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def measure(system: str, url: str, port: int, pid: int, arguments: argparse.Namespace) -> str:
    await wait_for(port)
    warm = await connect(port)
    before, started = resident(pid), processor_time(pid)
    ends = [await connect(port) for _ in range(arguments.sockets)]
    memory = (resident(pid) - before) / arguments.sockets
    connecting = (processor_time(pid) - started) / arguments.sockets
    latencies: list[float] = []
    tasks = [asyncio.create_task(read(reader, latencies)) for reader, _ in ends]
    hub = Hub(url, prefix="hub") if system.startswith("hub") else None
    send = hub.publish if hub else make_layer(system, url).group_send
    context = hub.lifespan() if hub else None
    if context:
        await context.__aenter__()
    started = processor_time(pid)
    for number in range(arguments.messages):
        due = time.perf_counter() + 1 / arguments.rate
        await send(GROUP, {"type": "bench.message", "text": "x" * 30, "n": number, "at": time.time()})
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    expected = arguments.messages * arguments.sockets
    deadline = time.perf_counter() + 10
    while len(latencies) < expected and time.perf_counter() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    used = processor_time(pid) - started
    for task in tasks:
        task.cancel()
    if context:
        await context.__aexit__(None, None, None)
    for _, writer in [*ends, warm]:
        writer.transport.abort()
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2] * 1000, latencies[int(len(latencies) * 0.99)] * 1000
    lost = 1 - len(latencies) / expected
    return (
        f"| {system} | {arguments.sockets:,} | {used / len(latencies) * 1e6:.1f} | {p50:.0f} | {p99:.0f} "
        f"| {lost:.1%} | {connecting * 1000:.2f} | {memory:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--messages", type=int, default=40)
    parser.add_argument("--rate", type=float, default=4.0)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve[0], arguments.serve[1], int(arguments.serve[2]))
        return
    titles = ["system", "sockets", "CPU us/delivery", "p50 ms", "p99 ms", "lost", "connect CPU ms", "KiB/socket"]
    print("|", " | ".join(titles), "|")
    print("|---" * len(titles) + "|")
    with tempfile.TemporaryDirectory() as folder, running_redis(str(shutil.which("redis-server")), Path(folder)) as url:
        for number, system in enumerate(arguments.systems.split(",")):
            port = arguments.port + number
            server = subprocess.Popen([sys.executable, __file__, "--serve", system, url, str(port)])
            try:
                print(asyncio.run(measure(system, url, port, server.pid, arguments)), flush=True)
            finally:
                server.kill()
                server.wait()


if __name__ == "__main__":
    main()
