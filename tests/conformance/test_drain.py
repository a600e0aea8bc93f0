"""Real servers are asked to stop while streams and sockets are open: what the clients see, and that it exits."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conformance.servers import SERVERS, Running, Server

pytestmark = pytest.mark.server

GRACE = 0.5
# Daphne has no other code for this; granian drops sockets when it hears the signal, with the last frame or without it.
CODES: dict[str, set[int | None]] = {"daphne": {4012}, "granian": {1012, None}}
PATIENCE = 15.0  # the grace and what servers take, on a busy machine

_BY_NAME = {server.name: server for server in SERVERS}


def _with(name: str, label: str, *arguments: str) -> Server:
    server = _BY_NAME[name]
    return replace(server, name=label, arguments=(*server.arguments, *arguments))


VARIANTS = [
    _with("uvicorn", "uvicorn-reload", "--reload"),
    _with("uvicorn", "uvicorn-workers", "--workers=2"),
    _with("uvicorn", "uvicorn-without-lifespan", "--lifespan=off"),
    _with("hypercorn", "hypercorn-workers", "--workers=2"),
    _with("hypercorn", "hypercorn-alone", "--workers=0"),
    _with("granian", "granian-workers", "--workers=2"),
    _with("granian", "granian-asyncio", "--loop=asyncio"),
]


def _name(server: Server) -> str:
    return server.name


def _wait_for_workers(process: Running) -> None:
    """Wait until every worker has started: granian loses a signal that comes while one does."""
    workers = 2 if "--workers=2" in process.server.arguments else 0
    deadline = time.monotonic() + PATIENCE
    while process.log.count("** lifespan begins") < workers and time.monotonic() < deadline:
        time.sleep(0.01)
    if workers:
        time.sleep(0.3)


@pytest.fixture(params=[*SERVERS, *VARIANTS], ids=_name)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    server: Server = request.param
    if not server.installed:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
        pytest.skip(f"{server.package} is not installed")
    process = Running(server, tmp_path, app="tests.conformance.drained:app", environment={"DRAIN_GRACE": str(GRACE)})
    try:
        process.wait_until_listening()
        _wait_for_workers(process)
        yield process
    finally:
        process.stop()


def stream(port: int, path: str, opened: Callable[[], object]) -> bytes:
    """Return everything that comes until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = connection.recv(65536) if path != "/slow" else b""
        opened()
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


def listen(port: int, path: str, opened: Callable[[], object]) -> int | None:
    """Return the code that the server closes the socket with; None if it just drops it."""
    with connect(f"ws://127.0.0.1:{port}{path}", open_timeout=PATIENCE) as websocket:
        if path == "/listens":
            websocket.send("hello")
            assert websocket.recv(PATIENCE) == "hello"
        opened()
        try:
            while True:
                websocket.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None


def test_what_was_accepted_ends_well_and_the_process_exits(running: Running) -> None:
    asked: dict[str, Any] = {
        **dict.fromkeys(("/endless", "/polite", "/download", "/slow"), stream),
        **dict.fromkeys(("/listens", "/talks"), listen),
    }
    with ThreadPoolExecutor(len(asked)) as pool:
        opened: list[str] = []
        seen: dict[str, Future[Any]] = {
            path: pool.submit(client, running.port, path, lambda path=path: opened.append(path))
            for path, client in asked.items()
        }
        deadline = time.monotonic() + PATIENCE
        while len(opened) < len(asked) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # for the server to read what the client has sent
        running.process.send_signal(signal.SIGTERM)
        got = {path: future.result(PATIENCE) for path, future in seen.items()}
    # By default SIGTERM ends a process by that signal, and uvicorn sees to it.
    assert running.wait(PATIENCE) in (0, -signal.SIGTERM), running.log
    assert {got["/listens"], got["/talks"]} <= CODES.get(running.server.package, {1012})
    assert got["/download"].count(b"part\n") == 20
    assert got["/polite"].endswith(b"\r\n0\r\n\r\n")
    assert b"tick\n" in got["/endless"]
    assert not got["/endless"].endswith(b"\r\n0\r\n\r\n")
    assert got["/slow"].endswith(b"slow")
    for line in ("endless is closed", "listens hears 1012", "talks ends", "task is done", "lifespan ends"):
        assert f"** {line}" in running.log


def test_with_nothing_open_the_process_exits_at_once(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE) as connection:  # kept alive, and idle
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert running.terminate(PATIENCE) in (0, -signal.SIGTERM), running.log
    assert "** lifespan ends" in running.log
