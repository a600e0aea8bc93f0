"""A Django project with an application beside it on real servers: what each answers, and how it ends.

Every server is started once: it is asked everything, and then to stop while a stream, a socket and a view are open.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.conformance.servers import SERVERS, Running, Server

pytestmark = pytest.mark.server

PATIENCE = 15.0
_RUNSERVER = Server(
    "runserver", "daphne", ("django", "runserver", "--noreload", "{port}"), root_path="", has_lifespan=False
)
TRIED = [*(server for server in SERVERS if server.name != "uvicorn-h11"), _RUNSERVER]
CODES: dict[str, set[int | None]] = {"daphne": {4012}, "granian": {1012, None}}


@dataclass
class Seen:
    """What came of it all."""

    server: Server
    root: str
    answers: dict[str, httpx.Response]
    echoed: str
    strays: list[int]
    log_until_stop: str
    stream: bytes
    endless: bytes
    slow: bytes
    code: int | None
    status: int | None
    log: str


@pytest.fixture(scope="module", params=TRIED, ids=lambda server: server.name)
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    server: Server = request.param
    if not server.installed:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
        pytest.skip(f"{server.package} is not installed")
    return _observe(server, tmp_path_factory.mktemp(server.name))


def _observe(server: Server, directory: Path) -> Seen:
    by_django = server is _RUNSERVER
    root = "" if by_django else "/pre"
    settings = f"tests.django.project.{'runserver' if by_django else 'beside'}_settings"
    process = Running(
        server,
        directory,
        app="tests.django.project.beside:application",
        root_path=root,
        environment={"DJANGO_SETTINGS_MODULE": settings},
    )
    try:
        process.wait_until_listening()
        paths = (
            "/",
            "/whoami/",
            "/apix",
            "/api/where",
            "/api/sync",
            "/static/admin/css/base.css",
            "/around/sub/whoami/",
        )
        with httpx.Client(base_url=f"http://127.0.0.1:{process.port}", timeout=PATIENCE) as client:
            answers = {path: client.get(path) for path in paths}
            answers["bad host"] = client.get("/api/where", headers={"host": "evil.test"})
        with connect(f"ws://127.0.0.1:{process.port}/api/echo", open_timeout=PATIENCE) as websocket:
            websocket.send("hello")
            echoed = str(websocket.recv(PATIENCE))
        strays = [_refused(process.port, path) for path in ("/elsewhere", "/around/sub/", "/around/other")]
        log = process.log
        ended = _stop_while_open(process)
        return Seen(server, root, answers, echoed, strays, log, *ended, process.wait(PATIENCE), process.log)
    finally:
        process.stop()


def _refused(port: int, path: str) -> int:
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{port}{path}", open_timeout=PATIENCE)
    return refused.value.response.status_code


def _stop_while_open(process: Running) -> tuple[bytes, bytes, bytes, int | None]:
    opened: list[str] = []
    paths = ("/api/ticks", "/api/endless", "/slow/")
    with ThreadPoolExecutor(4) as pool:
        ticks, endless, slow = [pool.submit(_read_all, process.port, path, opened.append) for path in paths]
        code = pool.submit(_listen, process.port, opened.append)
        deadline = time.monotonic() + PATIENCE
        while len(opened) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)  # for the server to read what the clients have sent
        process.process.send_signal(signal.SIGTERM)
        return (
            ticks.result(PATIENCE),
            endless.result(PATIENCE),
            slow.result(PATIENCE),
            code.result(PATIENCE),
        )


def _read_all(port: int, path: str, opened: Callable[[str], object]) -> bytes:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = connection.recv(65536) if path != "/slow/" else b""
        opened(path)
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


def _listen(port: int, opened: Callable[[str], object]) -> int | None:
    with connect(f"ws://127.0.0.1:{port}/api/echo", open_timeout=PATIENCE) as websocket:
        websocket.send("hello")
        websocket.recv(PATIENCE)
        opened("socket")
        try:
            websocket.recv(PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
    return 0


def test_the_site_answers_and_knows_where_it_is(seen: Seen) -> None:
    assert seen.answers["/"].text == "django"
    assert seen.answers["/whoami/"].json() == {
        "user": "AnonymousUser",
        "path": f"{seen.root}/whoami/",
        "script": seen.root,
    }
    assert seen.answers["/apix"].status_code == 404
    assert "x-frame-options" in seen.answers["/apix"].headers


def test_a_site_that_is_mounted_knows_where_it_is(seen: Seen) -> None:
    assert seen.answers["/around/sub/whoami/"].json() == {
        "user": "AnonymousUser",
        "path": f"{seen.root}/around/sub/whoami/",
        "script": f"{seen.root}/around/sub",
    }


def test_the_application_answers_and_knows_both(seen: Seen) -> None:
    where, in_thread = seen.answers["/api/where"].json(), seen.answers["/api/sync"].json()
    assert where == {
        "notes": in_thread["notes"],
        "state": "the lifespan",
        "root": f"{seen.root}/api",
        "own": f"{seen.root}/api/where",
        "site": f"{seen.root}/count/",
        "user": "",
    }
    assert in_thread["site"] == f"{seen.root}/count/"


def test_a_host_that_is_not_allowed_is_refused_by_the_application_too(seen: Seen) -> None:
    assert seen.answers["bad host"].status_code == 400


def test_static_files_are_served_with_debug(seen: Seen) -> None:
    assert seen.answers["/static/admin/css/base.css"].headers["content-type"].startswith("text/css")


def test_a_socket_reaches_its_application(seen: Seen) -> None:
    assert seen.echoed == "hello anonymous"


def test_a_socket_to_nowhere_is_refused_without_a_traceback(seen: Seen) -> None:
    assert set(seen.strays) == {403 if seen.server.package == "daphne" else 404}
    assert "Traceback" not in seen.log_until_stop


def test_the_lifespan_runs_once_and_to_its_end(seen: Seen) -> None:
    assert seen.log.count("** app starts") == 1
    assert seen.log.count("** app stops") == 1
    lazy = "the server has no lifespan: starting the application before its first answer"
    assert (lazy in seen.log) is not seen.server.has_lifespan


def test_at_sigterm_what_is_open_ends_well_and_the_process_exits(seen: Seen) -> None:
    assert seen.status in (0, -signal.SIGTERM), seen.log
    assert b"data: tick\n\n" in seen.stream
    assert seen.stream.endswith(b"\r\n0\r\n\r\n")
    assert b"data: tick\n\n" in seen.endless
    assert not seen.endless.endswith(b"\r\n0\r\n\r\n")  # cut: it is not whole
    assert seen.slow.endswith(b"slow")
    assert seen.code in CODES.get(seen.server.package, {1012})
