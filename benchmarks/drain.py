"""The drain: a stream and a socket are open, SIGTERM comes. How long until the process exits, and what clients see.

Law: the same handlers for every framework, written as its documentation has it; no server is told a deadline. microasgi
has three ways: a plain stream, one of `draining.until`, and an event stream and a socket of a hub's group.
A process that is still there after LIMIT seconds is killed and counts as one that does not exit.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

SERVERS = {
    "uvicorn": ("uvicorn", "{app}", "--port={port}", "--log-level=warning"),
    "hypercorn": ("hypercorn", "{app}", "--bind=127.0.0.1:{port}"),
    "granian": ("granian", "{app}", "--interface=asgi", "--port={port}"),
    "daphne": ("daphne", "--port={port}", "{app}"),
}
GRACE = 1.0  # microasgi's, for streams and sockets that do not end by themselves
LIMIT = 10.0
TARGETS = {"microasgi": ("/stream", "/polite", "/live"), "": ("/stream",)}
TITLES = {"/stream": "", "/polite": ", `draining.until`", "/live": ", `EventStream` and `hub.serve`"}


async def ticks() -> AsyncIterator[bytes]:
    """An endless stream of server-sent events; it tells the log when its clean-up runs."""
    try:
        while True:
            yield b"data: tick\n\n"
            await asyncio.sleep(0.05)
    finally:
        print("** stream cleaned up", flush=True)


async def listen(websocket: Any) -> None:
    """Echo until the peer leaves, as most sockets do."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    finally:
        print("** socket cleaned up", flush=True)


def _microasgi() -> Any:
    from microasgi import MicroASGI, Request, StreamingResponse, WebSocket
    from microasgi.realtime import EventStream, Hub

    app, hub = MicroASGI(), Hub()
    app.lifespan(hub.lifespan)
    app.draining.grace = GRACE

    @app.get("/stream")
    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(ticks(), media_type="text/event-stream")

    @app.get("/polite")
    async def polite(request: Request) -> StreamingResponse:
        return StreamingResponse(app.draining.until(ticks()), media_type="text/event-stream")

    async def events() -> AsyncIterator[str]:
        async for _ in ticks():
            yield "tick"

    @app.get("/live")
    async def live(request: Request) -> EventStream:
        return EventStream(events())

    async def echo(websocket: WebSocket) -> None:
        await listen(websocket)

    async def member(websocket: WebSocket) -> None:
        try:
            await hub.serve(websocket, ["all"], lambda text: hub.publish("all", text))
        finally:
            print("** socket cleaned up", flush=True)

    app.websocket("/socket")(echo)
    app.websocket("/socket/live")(member)
    return app


def _starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def stream(request: Any) -> Any:
        return StreamingResponse(ticks(), media_type="text/event-stream")

    return Starlette(routes=[Route("/stream", stream), Route("/polite", stream), WebSocketRoute("/socket", listen)])


def _fastapi() -> Any:
    from fastapi import FastAPI, WebSocket
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    async def stream() -> Any:
        return StreamingResponse(ticks(), media_type="text/event-stream")

    async def echo(websocket: WebSocket) -> None:
        await listen(websocket)

    app.get("/stream")(stream)
    app.get("/polite")(stream)
    app.websocket("/socket")(echo)
    return app


MAKERS = {"microasgi": _microasgi, "starlette": _starlette, "fastapi": _fastapi}
if "DRAIN_FRAMEWORK" in os.environ:  # imported by a server
    app = MAKERS[os.environ["DRAIN_FRAMEWORK"]]()


def see_stream(port: int, target: str, seen: dict[str, str]) -> None:
    """Note how the stream ends for its client."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received, seen[target] = connection.recv(65536), "open"
        try:
            while data := connection.recv(65536):
                received += data
        except OSError:
            pass
    seen[target] = "whole" if received.endswith(b"\r\n0\r\n\r\n") else "cut"


def see_socket(port: int, path: str, seen: dict[str, str]) -> None:
    """Note the code that the socket is closed with."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}{path}") as websocket:
        websocket.send("hello")
        websocket.recv(LIMIT)
        seen["/socket"] = "open"
        try:
            websocket.recv(LIMIT + 5)
        except ConnectionClosed as closed:
            seen["/socket"] = str(closed.rcvd.code) if closed.rcvd else "no code"
        except TimeoutError:
            pass


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(condition: Any, seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


def end(process: subprocess.Popen[str]) -> None:
    """Kill the process and the workers that it has left behind: they are a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def measure(server: str, framework: str, target: str) -> dict[str, Any]:
    """One life of a process: open a stream and a socket, send SIGTERM, note what happens."""
    port = free_port()
    command = [one.format(app="drain:app", port=port) for one in SERVERS[server]]
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])
    environment = os.environ | {"PYTHONPATH": paths, "DRAIN_FRAMEWORK": framework}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    seen: dict[str, str] = {}
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 20)
        clients = [
            threading.Thread(target=see_stream, args=(port, target, seen), daemon=True),
            threading.Thread(
                target=see_socket, args=(port, "/socket/live" if target == "/live" else "/socket", seen), daemon=True
            ),
        ]
        for client in clients:
            client.start()
        if not wait_for(lambda: len(seen) == 2, 10):
            return {"wrong": f"only {sorted(seen)} opened"}
        process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        exits = wait_for(lambda: process.poll() is not None, LIMIT)
        taken = time.monotonic() - begun
        before = dict(seen)
    finally:
        end(process)
    if exits:
        for client in clients:
            client.join(LIMIT)
        before = seen
    log = process.communicate()[0]
    cleaned = [kind for kind in ("stream", "socket") if f"** {kind} cleaned up" in log]
    return {
        "seconds": round(taken, 2) if exits else None,
        "stream": before[target],
        "socket": before["/socket"],
        "cleaned": cleaned,
    }


def cell(row: dict[str, Any]) -> str:
    """`1.2 s · stream cut · socket 1012 · cleaned up: stream, socket`."""
    if "wrong" in row:
        return str(row["wrong"])
    taken = f"{row['seconds']:.1f} s" if row["seconds"] is not None else f"**never** (killed after {LIMIT:.0f} s)"
    cleaned = " and ".join(row["cleaned"]) or "nothing"
    return f"{taken} · stream {row['stream']} · socket {row['socket']} · {cleaned} cleaned up"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", nargs="+", default=list(SERVERS), choices=SERVERS)
    parser.add_argument("--frameworks", nargs="+", default=list(MAKERS), choices=MAKERS)
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    options = parser.parse_args()
    columns = [(name, target) for name in options.frameworks for target in TARGETS.get(name, TARGETS[""])]
    results: dict[str, dict[str, Any]] = {}
    print(f"grace {GRACE:g} s; {os.cpu_count()} processors\n")
    titles = [name + TITLES[target] for name, target in columns]
    print("| server | " + " | ".join(titles) + " |\n|---" + "|---" * len(columns) + "|")
    for server in options.servers:
        rows = {title: measure(server, *column) for title, column in zip(titles, columns, strict=True)}
        results[server] = rows
        print(f"| {server} | " + " | ".join(cell(row) for row in rows.values()) + " |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
