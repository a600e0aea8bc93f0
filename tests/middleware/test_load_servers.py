"""Compression and deadlines behind real servers: what is flushed arrives, and what is cut is known to be cut."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.servers import PATIENCE, SERVERS, Running, Server
from tests.middleware.decoders import decoder

pytestmark = pytest.mark.server

ROOT = Path(__file__).parents[2]
TEXT = b"It was a dark and stormy night.\n" * 20_000


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "text"
    path.write_bytes(TEXT)
    return path


@pytest.fixture(scope="module", params=SERVERS, ids=lambda server: server.name)
def client(request: pytest.FixtureRequest, file: Path) -> Iterator[httpx.Client]:
    """Return a client of a server that runs the application."""
    server: Server = request.param
    if not server.installed:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
        pytest.skip(f"{server.package} is not installed")
    running = Running(server, file.parent, app="tests.middleware.loaded:app", environment={"LOADED_FILE": str(file)})
    try:
        running.wait_until_listening()
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=PATIENCE) as client:
            yield client
    finally:
        running.stop()


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_a_chunk_arrives_before_the_next_one_is_made(client: httpx.Client, coding: str) -> None:
    read, path = decoder(coding), f"/events/{coding}"
    with client.stream("GET", path, headers={"accept-encoding": coding}) as response:
        assert response.headers["content-encoding"] == coding
        pieces = response.iter_raw()
        seen = b""
        while seen != b"first\n":
            seen += read(next(pieces))
        client.post(path)
        assert b"".join(map(read, pieces)) == b"second\n"


def test_a_file_is_whole_whoever_sends_it(client: httpx.Client) -> None:
    for coding in ("zstd", "br", "gzip", "identity"):
        response = client.get("/file", headers={"accept-encoding": coding})
        assert response.headers.get("content-encoding", "identity") == coding
        assert response.content == TEXT
    picture = client.get("/file?png", headers={"accept-encoding": "gzip"})
    assert picture.headers.get("content-encoding") is None
    assert (picture.headers["content-length"], picture.content) == (str(len(TEXT)), TEXT)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_what_is_late_is_504(client: httpx.Client, coding: str) -> None:
    response = client.get("/late", headers={"accept-encoding": coding})
    assert (response.status_code, response.text) == (504, "The answer took too long.")


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_what_is_cut_is_known_to_be_cut(client: httpx.Client, coding: str) -> None:
    # Daphne keeps the connection open, and completes nothing on it.
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadTimeout)):
        client.get("/cut", headers={"accept-encoding": coding}, timeout=2)
    assert client.get("/late").status_code == 504


def test_head_has_no_body_and_keeps_the_connection_in_order(client: httpx.Client) -> None:
    for coding in ("zstd", "br", "gzip", "identity"):
        assert client.head("/file", headers={"accept-encoding": coding}).content == b""
        assert client.get("/file", headers={"accept-encoding": coding}).content == TEXT
