"""Groups behind real servers: what is published arrives, and who is gone is gone on every one of them."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.servers import PATIENCE, SERVERS, Running, Server

pytestmark = pytest.mark.server
sync_client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.name)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Return a client of a server that runs the application."""
    server: Server = request.param
    if not server.installed:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
        pytest.skip(f"{server.package} is not installed")
    running = Running(server, tmp_path_factory.mktemp("server"), app="tests.realtime.served:app")
    try:
        running.wait_until_listening()
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=PATIENCE) as client:
            yield client
    finally:
        running.stop()


def wait_for_members(client: httpx.Client, number: int) -> None:
    deadline = time.monotonic() + 10
    while client.get("/count").json()["count"] != number:
        assert time.monotonic() < deadline, f"not {number} members after 10 seconds"
        time.sleep(0.05)


def socket_url(client: httpx.Client, path: str) -> str:
    return f"ws://127.0.0.1:{client.base_url.port}{path}"


@pytest.mark.parametrize("path", ["/quiet", "/sending"])
@pytest.mark.parametrize("goodbye", [True, False])
def test_a_socket_is_in_its_group_until_its_peer_is_gone(client: httpx.Client, path: str, goodbye: bool) -> None:
    with sync_client.connect(socket_url(client, path)) as socket:
        wait_for_members(client, 1)
        assert client.post("/publish/hello").json() == {"reached": 1}
        while (message := socket.recv(10)) != '"hello"':
            assert message == '{"type":"ping"}'
        if not goodbye:
            socket.socket.close()
    wait_for_members(client, 0)


def test_a_stale_user_sees_4401(client: httpx.Client) -> None:
    from websockets.exceptions import ConnectionClosed

    with sync_client.connect(socket_url(client, "/guarded")) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(10)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4401
    wait_for_members(client, 0)


def test_events_arrive_and_a_client_that_leaves_is_noticed(client: httpx.Client) -> None:
    with client.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        wait_for_members(client, 1)
        client.post("/publish/hello")
        seen = [next(lines) for _ in range(2)]
        while not seen[-1].startswith("data:"):
            seen.append(next(lines))
        assert seen[-1] == 'data: "hello"'
        assert seen[-2].startswith("id: ")
    wait_for_members(client, 0)


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_streams_and_sockets_end_well_at_once_when_the_process_is_asked_to_stop(server: Server, tmp_path: Path) -> None:
    if not server.installed:
        pytest.skip(f"{server.package} is not installed")
    running = Running(server, tmp_path, app="tests.realtime.served:app")
    try:
        running.wait_until_listening()
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=PATIENCE) as client:
            seen = watch(client)
            wait_for_members(client, 4)
            wait_until(lambda: b"data: tick" in seen["/ticks"])
            running.process.terminate()
            assert running.wait() in (0, -signal.SIGTERM), running.log
        wait_until(lambda: not any(thread.is_alive() for thread in threading.enumerate() if thread.name == "watching"))
    finally:
        running.stop()
    assert "the grace is over" not in running.log
    for path in ("/events", "/ticks"):
        assert seen[path].endswith(b"\r\n0\r\n\r\n"), (path, seen[path][-80:])
    code = {"daphne": {4012}, "granian": {1012, None}}.get(server.package, {1012})
    assert {seen["/quiet"], seen["/sending"], seen["/wall"]} <= code


def watch(client: httpx.Client) -> dict[str, Any]:
    """Open streams and sockets; note what comes, and how they end."""
    seen: dict[str, Any] = {"/ticks": b"", "/events": b""}
    works = [*((read_stream, path) for path in seen), *((read_socket, one) for one in ("/quiet", "/sending", "/wall"))]
    for work, path in works:
        threading.Thread(target=work, args=(client, path, seen), name="watching", daemon=True).start()
    return seen


def read_stream(client: httpx.Client, path: str, seen: dict[str, Any]) -> None:
    with socket.create_connection(("127.0.0.1", int(client.base_url.port or 0)), PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        try:
            while data := connection.recv(65536):
                seen[path] += data
        except ConnectionResetError:
            pass


def read_socket(client: httpx.Client, path: str, seen: dict[str, Any]) -> None:
    from websockets.exceptions import ConnectionClosed

    with sync_client.connect(socket_url(client, path)) as websocket:
        try:
            while True:
                websocket.recv(PATIENCE)
        except ConnectionClosed as closed:
            seen[path] = closed.rcvd.code if closed.rcvd else None


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["uvicorn", "daphne"])
def test_two_processes_are_one_over_redis(name: str, redis_url: str, tmp_path: Path) -> None:
    server = next(server for server in SERVERS if server.name == name)
    if not server.installed:
        pytest.skip(f"{server.package} is not installed")
    both = [
        Running(server, tmp_path, app="tests.realtime.served:app", environment={"HUB_URL": redis_url}) for _ in range(2)
    ]
    try:
        for running in both:
            running.wait_until_listening()
        here, there = (httpx.Client(base_url=f"http://127.0.0.1:{one.port}", timeout=PATIENCE) for one in both)
        with here, there, sync_client.connect(socket_url(here, "/quiet")) as socket:
            wait_for_members(there, 1)
            assert there.post("/publish/hello").json() == {"reached": 0}
            assert socket.recv(10) == '"hello"'
            socket.close()
            wait_for_members(there, 0)
    finally:
        for running in both:
            running.stop()
