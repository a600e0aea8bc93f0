"""The middleware behind real servers, at a unix socket, and in front of a real browser."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
APP = "tests.middleware.served:app"
AT_A_UNIX_SOCKET = {
    "uvicorn": ("--uds={path}", "--no-proxy-headers"),
    "hypercorn": ("--bind=unix:{path}",),
    "granian": ("--interface=asgi", "--uds={path}"),
}


@contextmanager
def running(server: str, family: socket.AddressFamily, address: Any, *options: str) -> Iterator[None]:
    """Run a server until it answers connections at the address, and end it."""
    pytest.importorskip(server)
    command = [sys.executable, "-m", server, *options, APP]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(process, family, address)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for(process: subprocess.Popen[bytes], family: socket.AddressFamily, address: Any) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        with socket.socket(family) as probe:
            if probe.connect_ex(address) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"no server at {address}")


@pytest.mark.server
@pytest.mark.parametrize("server", AT_A_UNIX_SOCKET)
def test_a_proxy_at_a_unix_socket_is_believed(server: str) -> None:
    told = {
        "x-forwarded-for": "203.0.113.7, 192.0.2.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "out.example",
    }
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/s"
        options = [option.format(path=path) for option in AT_A_UNIX_SOCKET[server]]
        with running(server, socket.AF_UNIX, path, *options):
            with httpx.Client(transport=httpx.HTTPTransport(uds=path), base_url="http://localhost") as client:
                answer = client.get("/seen", headers=told)
    assert answer.json() == {"url": "https://out.example/seen", "client": ["192.0.2.1", 0]}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def exchange(port: int, *lines: str) -> bytes:
    """Send the lines as a request and return the status line of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "connection: close", "", ""]).encode())
        return connection.makefile("rb").readline()


HANDSHAKE = (
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    "sec-websocket-key: " + "A" * 22 + "==",
)


@pytest.mark.server
@pytest.mark.parametrize(
    "server, options",
    [
        ("uvicorn", ["--http=httptools", "--port={port}"]),
        ("uvicorn", ["--http=h11", "--port={port}"]),
        ("hypercorn", ["--bind=127.0.0.1:{port}"]),
        ("granian", ["--interface=asgi", "--port={port}"]),
        ("daphne", ["--port={port}"]),
    ],
)
def test_hosts_that_are_not_named_are_refused_by_every_server(server: str, options: list[str], free_port: int) -> None:
    given = [option.format(port=free_port) for option in options]
    with running(server, socket.AF_INET, ("127.0.0.1", free_port), *given):
        assert b" 200 " in exchange(free_port, "GET /seen HTTP/1.1", "host: localhost:9")
        assert b" 400 " in exchange(free_port, "GET /seen HTTP/1.1", "host: evil.example")
        assert b" 400 " in exchange(free_port, "GET /seen HTTP/1.1", "host: localhost", "host: localhost")
        assert b" 400 " in exchange(free_port, "GET /seen HTTP/1.1")
        refused = exchange(free_port, "GET /ws HTTP/1.1", "host: evil.example", *HANDSHAKE)
        assert b" 400 " in refused or b" 403 " in refused


READ = """async ([url, headers]) => {
    try {
        const response = await fetch(url, {headers});
        return [response.status, await response.text()];
    } catch (error) {
        return [0, error.name];
    }
}"""


@pytest.mark.browser
@pytest.mark.server
def test_a_browser_runs_scripts_with_the_nonce_and_reads_what_cors_allows(chromium: str, free_port: int) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    here, there = f"http://localhost:{free_port}", f"http://127.0.0.1:{free_port}"
    with running("uvicorn", socket.AF_INET, ("127.0.0.1", free_port), f"--port={free_port}"):
        with sync_api.sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            page = browser.new_page()
            page.goto(here)
            assert page.title() == "nothing ran, ours ran"
            assert page.evaluate(READ, [f"{there}/seen", {}])[0] == 200
            assert page.evaluate(READ, [f"{there}/seen", {"x-key": "1"}])[0] == 200
            assert page.evaluate(READ, [f"{there}/seen", {"x-other": "1"}]) == [0, "TypeError"]
            assert page.evaluate(READ, [f"{there}/broken", {}]) == [500, "Internal Server Error"]
            page.goto(there)
            assert page.evaluate(READ, [f"{here}/seen", {}]) == [0, "TypeError"]
            browser.close()
