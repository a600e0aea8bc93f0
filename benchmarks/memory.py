"""What stays behind: memory after many requests, tasks after many websockets; and what an import costs."""

import argparse
import asyncio
import gc
import itertools
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from cases import CASES, Case
from targets import microasgi as target
from worker import Session

MIX = (
    "plaintext", "path_query", "json_echo", "form", "cookie", "exception", "not_found", "method_not_allowed",
    "static_400", "parameter_400", "middlewares", "pair", "stream",
)  # fmt: skip
IMPORTS = {
    "microasgi": "microasgi",
    "starlette": "starlette.applications, starlette.routing, starlette.responses",
    "falcon": "falcon.asgi",
    "muffin": "muffin",
    "blacksheep": "blacksheep",
    "sanic": "sanic",
    "quart": "quart",
    "litestar": "litestar",
    "fastapi": "fastapi",
    "django": "django.core.asgi, django.http, django.urls",
}
MEASURE = """
import asyncio, sys
from time import perf_counter
before = len(sys.modules)
start = perf_counter()
import {modules}
print((perf_counter() - start) * 1000, len(sys.modules) - before)
"""


def resident() -> float:
    """This process's resident memory in MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1024 / 1024


def failing() -> Any:
    app = target.MicroASGI()

    @app.get("/")
    async def fail(request: Any) -> None:
        raise RuntimeError("on purpose")

    return app


async def sessions() -> list[Session]:
    """One application for each kind of request, the last one with an error that nobody handles."""
    made = [Session(CASES[name], getattr(target, CASES[name].build)(*CASES[name].arguments)) for name in MIX]
    made.append(Session(Case("failing", "unhandled error", "failing", status=500), failing()))
    for session in made:
        await session.lifespan.start()
        wrong = await session.check()
        if wrong:
            raise RuntimeError(f"{session.case.name}: {wrong}")
    return made


async def play(made: list[Session], count: int) -> None:
    for number, session in enumerate(itertools.islice(itertools.cycle(made), count)):
        scope, receive, send = session.request()
        await session.app(scope, receive, send)
        if number % 100 == 0:
            await asyncio.sleep(0)  # requests that never wait would keep the loop from its own work for ever


async def requests(count: int) -> None:
    """Memory at the start and after each quarter: what goes on growing is a leak, what settles is a cache."""
    made = await sessions()
    await play(made, count // 10)
    gc.collect()
    tasks, sizes = len(asyncio.all_tasks()), [resident()]
    for _ in range(4):
        await play(made, count // 4)
        gc.collect()
        sizes.append(resident())
    await asyncio.sleep(0.1)
    print(f"{count:,} requests of {len(made)} kinds: {', '.join(f'{size:.1f}' for size in sizes)} MiB", end="; ")
    print(f"{len(asyncio.all_tasks()) - tasks} tasks left")
    for session in made:
        await session.lifespan.stop()


class Idle:
    """A client that connects, tells when it was accepted, stays until told, and leaves."""

    def __init__(self, leave: asyncio.Event) -> None:
        self.leave, self.accepted, self.connected = leave, asyncio.Event(), False

    async def receive(self) -> dict[str, Any]:
        if not self.connected:
            self.connected = True
            return {"type": "websocket.connect"}
        await self.leave.wait()
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            self.accepted.set()


async def sockets(count: int) -> None:
    """Open so many at once and close them all, twice: what the second time needs more was not given back."""
    session = Session(CASES["websocket_echo"], target.websocket())
    await session.lifespan.start()
    tasks = len(asyncio.all_tasks())
    for _ in range(2):
        gc.collect()
        before, leave = resident(), asyncio.Event()
        clients = [Idle(leave) for _ in range(count)]
        talks = [
            asyncio.create_task(session.app(session.scope(b"/ws"), client.receive, client.send)) for client in clients
        ]
        for client in clients:
            await client.accepted.wait()
        each, open_tasks = (resident() - before) * 1024 / count, len(asyncio.all_tasks()) - tasks
        leave.set()
        await asyncio.gather(*talks)
        await asyncio.sleep(0.1)
        left = len(asyncio.all_tasks()) - tasks
        print(f"{count:,} websockets open: {each:.1f} KiB more and {open_tasks / count:.1f} tasks for each;", end=" ")
        print(f"{left} tasks left when all are closed")
    await session.lifespan.stop()


def import_figures(modules: str, processes: int, cache: str) -> tuple[float, int] | None:
    """Median milliseconds on top of asyncio and the number of modules loaded; None when it cannot be imported."""
    code = MEASURE.format(modules=modules)
    # Everyone's bytecode is in the same place and there: the first process, not counted, has written it.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": cache}
    times, loaded = [], 0
    for _ in range(processes + 1):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=env)
        if done.returncode:
            return None
        milliseconds, count = done.stdout.split()
        times.append(float(milliseconds))
        loaded = int(count)
    return median(times[1:]), loaded


def imports(processes: int) -> None:
    print("\n| import, on top of asyncio | ms | modules |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as cache:
        for name, modules in IMPORTS.items():
            figures = import_figures(modules, processes, cache)
            row = f"{figures[0]:.0f} | {figures[1]}" if figures else "not installed |"
            print(f"| {name} | {row} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--imports", type=int, default=15, help="processes for each framework; 0 leaves this out")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    asyncio.run(requests(options.requests))
    asyncio.run(sockets(options.sockets))
    if options.imports:
        imports(options.imports)


if __name__ == "__main__":
    main()
