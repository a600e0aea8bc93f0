"""Files through real servers: the same bytes and headers from each, by its own path sending where it has that."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from tests.conformance.servers import PATIENCE, SERVERS, Running, Server

pytestmark = pytest.mark.server

LARGE = bytes(range(256)) * 8192
SENDS_BY_PATH = {"granian"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a large and a small file."""
    path = tmp_path_factory.mktemp("files")
    (path / "large.bin").write_bytes(LARGE)
    (path / "small.css").write_text("body {}")
    (path / ".env").write_text("secret")
    return path


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.name)
def served(request: pytest.FixtureRequest, directory: Path) -> Iterator[tuple[Server, int]]:
    """Return a server that runs the application, and its port."""
    server: Server = request.param
    if not server.installed:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing(f"{server.package} is not installed")
    environment = {"MICROASGI_TEST_FILES": str(directory)}
    running = Running(server, directory.parent, app="tests.files.served:app", environment=environment)
    try:
        running.wait_until_listening()
        yield server, running.port
    finally:
        running.stop()
    assert "Traceback" not in running.log


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_large_files_arrive_whole(served: tuple[Server, int]) -> None:
    server, port = served
    for path in ("/static/large.bin", "/download"):
        response, body = ask(port, path)
        assert (response.status, body == LARGE) == (200, True)
        assert response.getheader("content-length") == str(len(LARGE))
        assert response.getheader("accept-ranges") == "bytes"
    response, _ = ask(port, "/download")
    assert response.getheader("x-pathsend") == ("yes" if server.name in SENDS_BY_PATH else "no")
    assert response.getheader("content-disposition", "").endswith("filename*=UTF-8''Gr%C3%BC%C3%9Fe.bin")


def test_parts_and_conditions(served: tuple[Server, int]) -> None:
    _, port = served
    part, body = ask(port, "/static/large.bin", range="bytes=1000000-1999999")
    assert (part.status, body) == (206, LARGE[1000000:2000000])
    several, body = ask(port, "/static/large.bin", range="bytes=0-1,-2")
    assert (several.status, str(len(body))) == (206, several.getheader("content-length"))
    none, body = ask(port, "/static/large.bin", range="bytes=99999999-")
    assert (none.status, body, none.getheader("content-range")) == (416, b"", f"bytes */{len(LARGE)}")
    known, body = ask(port, "/static/large.bin", if_none_match=part.getheader("etag") or "")
    assert (known.status, body) == (304, b"")


def test_head_has_the_length_and_no_body(served: tuple[Server, int]) -> None:
    _, port = served
    for path, size in (("/static/large.bin", len(LARGE)), ("/static/small.css", 7)):
        response, body = ask(port, path, "HEAD")
        assert (response.status, body, response.getheader("content-length")) == (200, b"", str(size))


@pytest.mark.parametrize("path", ["/static/.env", "/static/../served.py", "/static//small.css", "/static/%2e%2e/x"])
def test_nothing_else_is_there(served: tuple[Server, int], path: str) -> None:
    _, port = served
    response, body = ask(port, path)
    assert (response.status, b"secret" in body) == (404, False)


def test_clients_that_leave_in_the_middle_do_no_harm(served: tuple[Server, int]) -> None:
    _, port = served
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"GET /static/large.bin HTTP/1.1\r\nhost: x\r\n\r\n")
            client.recv(1000)
    assert ask(port, "/static/small.css")[1] == b"body {}"
