"""WSGI sites mounted through a2wsgi: Flask, CherryPy and Django answer as behind a WSGI server.

Django is tested against uvicorn in a process of its own, see `wsgi_site`; the others there and in process, under the
lint. a2wsgi needs asyncio.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from microasgi.testing import TestClient
from microasgi.testing.httpx_package import httpx
from tests.thirdparty.packages import require
from tests.thirdparty.wsgi_site import build

require("a2wsgi", "flask", "cherrypy", "django")

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds for the server to start


@contextmanager
def served(*options: str) -> Iterator[str]:
    """Run uvicorn with all three sites and give its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.thirdparty.wsgi_site:make_app"]
    options = ("--port", str(port), "--log-level", "critical", *options)
    process = subprocess.Popen([*command, *options], cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(address, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server did not start: {process.poll()}")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with served() as address:
        yield address


@pytest.fixture(
    params=[
        "flask in process",
        "cherrypy in process",
        *(pytest.param(f"{name} served", marks=pytest.mark.server) for name in ("flask", "cherrypy", "django")),
    ]
)
def site(request: pytest.FixtureRequest) -> Iterator[tuple[httpx.Client, str]]:
    """Return a client and the path of a WSGI site."""
    name, _, way = request.param.partition(" ")
    if way == "served":
        with httpx.Client(base_url=request.getfixturevalue("address"), trust_env=False) as client:
            yield client, f"/{name}"
    else:
        with TestClient(build(name), raise_server_exceptions=False, follow_redirects=False) as client:
            yield client, f"/{name}"


Site = tuple[httpx.Client, str]


def test_the_mount_is_the_script_name_and_the_rest_is_the_path(site: Site) -> None:
    client, path = site
    told = client.get(f"{path}/where/up/caf%C3%A9?a=1&b=%20").json()
    assert told["SCRIPT_NAME"] == path
    assert told["PATH_INFO"].startswith("/where/up/caf")
    assert told["rest"] == "up/café"
    assert told["QUERY_STRING"] == "a=1&b=%20"
    assert httpx.URL(told["url"]) == client.build_request("GET", f"{path}/where/up/caf%C3%A9?a=1&b=%20").url


def test_so_it_is_below_a_function_middleware(site: Site) -> None:
    client, path = site
    response = client.get(f"/around{path}/where/up")
    assert response.headers["x-passed"] == "function"
    assert response.json()["SCRIPT_NAME"] == f"/around{path}"


def test_a_form_arrives(site: Site) -> None:
    client, path = site
    response = client.post(f"{path}/form", data={"name": "Ada Ünal", "tea": ["green", "black"]})
    assert response.json() == {"name": ["Ada Ünal"], "tea": ["green", "black"]}


@pytest.mark.parametrize("below", ["", "/around"])
def test_an_upload_arrives_whole(site: Site, below: str) -> None:
    client, path = site
    data = bytes(range(256)) * 12_000
    response = client.post(f"{below}{path}/upload", files={"file": ("a b.bin", data)})
    assert response.json() == {"name": "a b.bin", "size": len(data), "digest": hashlib.sha256(data).hexdigest()}


@pytest.mark.parametrize("below", ["", "/around"])
def test_a_stream_comes_in_chunks(site: Site, below: str) -> None:
    client, path = site
    with client.stream("GET", f"{below}{path}/stream") as response:
        chunks = list(response.iter_raw())
    assert b"".join(chunks) == b"".join(b"%d " % number * 500 for number in range(4))
    assert "content-length" not in response.headers


def test_a_redirect_leads_to_the_same_mount(site: Site) -> None:
    client, path = site
    response = client.get(f"{path}/away", follow_redirects=False)
    assert response.status_code == 302
    assert client.build_request("GET", response.headers["location"]).url.path == f"{path}/where/back"
    assert client.get(response.headers["location"]).json()["rest"] == "back"


def test_a_session_by_cookie_is_kept(site: Site) -> None:
    client, path = site
    assert [client.get(f"{path}/count").json()["count"] for _ in range(3)] == [1, 2, 3]


def test_its_own_404_and_500_come_through(site: Site) -> None:
    client, path = site
    assert client.get(f"{path}/nowhere").status_code == 404
    assert client.get(f"{path}/boom").status_code == 500
    assert client.get("/nowhere").text == "Not Found"


def test_an_answer_to_head_has_no_body(site: Site) -> None:
    client, path = site
    response = client.head(f"{path}/where/up")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("name", ["flask", "cherrypy"])
def test_a_root_path_comes_before_the_mount(name: str) -> None:
    with TestClient(build(name), root_path="/outer") as client:
        told = client.get(f"/{name}/where/up").json()
    assert (told["SCRIPT_NAME"], told["PATH_INFO"]) == (f"/outer/{name}", "/where/up")
    assert told["url"] == f"http://testserver/outer/{name}/where/up"
