"""A bridge on real servers: ASGI with and without sync middleware, and Django's runserver, which is WSGI."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT

from tests.conformance.servers import SERVERS, Running, Server
from tests.django.test_bridge_bodies import expected, upload

pytestmark = pytest.mark.server
ASGI = {server.name: server for server in SERVERS}
RUNSERVER = Server("runserver", "django", ("django", "runserver", "--noreload", "127.0.0.1:{port}"), "")
CASES = [
    (replace(ASGI["uvicorn"], name="uvicorn-async"), "async"),
    (replace(ASGI["uvicorn-h11"], name="uvicorn-sync"), "sync"),
    (ASGI["hypercorn"], ""),
    (ASGI["granian"], ""),
    (ASGI["daphne"], ""),
    (RUNSERVER, ""),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case[0].name)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The project on a server."""
    server, more = request.param
    if not server.installed:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
        pytest.skip(f"{server.package} is not installed")
    environment = {"DJANGO_SETTINGS_MODULE": "tests.django.project.bridged_settings", "PROJECT_MORE": more}
    application = "tests.django.project.bridged_served:application"
    one = Running(server, tmp_path_factory.mktemp("served"), app=application, environment=environment)
    try:
        one.wait_until_listening()
        yield one
    finally:
        one.stop()


def ask(running: Running, path: str, method: str = "GET", **more: Any) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
    try:
        connection.request(method, path, **more)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def leave(running: Running, path: str, *, after: int) -> None:
    """Ask for something, and leave when so many bytes of the answer have come."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        received = 0
        while received < after:
            received += len(client.recv(65536))
        if not after:
            time.sleep(0.3)  # it has begun, and may have sent its headers


def inside(running: Running, *, until: str = "") -> Any:
    """Return what goes on in the server, when this has happened."""
    seen: list[str] = []
    for _ in range(100):
        told = json.loads(ask(running, "/api/inside")[1])
        seen += told["events"]
        if not until or any(event.startswith(until) for event in seen):
            break
        time.sleep(0.05)
    # The servers' own tasks, such as those that wait for an idle connection to end, are theirs.
    return {"events": seen, "tasks": [task for task in told["tasks"] if "Exchange" in task or "ASGIHandler" in task]}


def test_a_response_has_djangos_headers_and_the_applications_cookies(running: Running) -> None:
    response, body = ask(running, "/api/cookies")
    assert (response.status, body) == (200, b"biscuits")
    assert len(response.headers.get_all("set-cookie") or ()) == 5
    assert any("Partitioned; Priority=High" in text for text in response.headers.get_all("set-cookie") or ())
    assert response.headers["x-frame-options"] == "DENY"
    if running.server.name.endswith("sync") and running.server.name != "runserver":
        assert response.headers["x-sync" if running.server.name == "uvicorn-sync" else "x-async"] == "1"


def test_head_and_a_response_without_a_body_are_answered(running: Running) -> None:
    head, body = ask(running, "/api/", "HEAD")
    assert (head.status, head.headers["content-length"], body) == (200, "13", b"")
    assert ask(running, "/api/bare")[0].status == 204


def test_an_upload_arrives_whole(running: Running) -> None:
    content = upload(3_500_000)
    response, body = ask(running, "/api/form", "POST", body=content, headers={"Content-Type": MULTIPART_CONTENT})
    assert response.status == 200, body
    assert json.loads(body) == expected(3_500_000)
    assert BOUNDARY.encode() in content


def test_a_response_streams_and_reads_the_database_meanwhile(running: Running) -> None:
    assert ask(running, "/api/stream")[1] == b"0;1;2;"
    assert ask(running, "/api/rows")[1] == b"rows:0;0"
    assert ask(running, "/api/count")[1] == b'{"count":0}'
    assert json.loads(ask(running, "/api/count-in-def")[1])["count"] == 0


def test_the_script_prefix_is_that_of_the_site(running: Running) -> None:
    seen = json.loads(ask(running, "/api/prefix")[1])
    assert seen["here"] == seen["sensitive"] == json.loads(ask(running, "/api/prefix-in-def")[1])
    assert seen["here"] == ["/", "/admin/", "en-us"]


def test_an_error_is_djangos_page_and_one_in_the_middle_ends_the_connection(running: Running) -> None:
    response, body = ask(running, "/api/fail")
    assert (response.status, b"Server Error (500)" in body) == (500, True)
    if running.server.name == "runserver":  # which has no mark for the end of a stream
        assert ask(running, "/api/broken")[1] == b"begun;"
    elif running.server.name != "daphne":  # which ends the stream as if it were whole
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            ask(running, "/api/broken")


def test_who_leaves_has_the_application_cancelled_and_nothing_is_left(running: Running) -> None:
    before = inside(running)["tasks"]
    leave(running, "/api/endless", after=100_000)
    seen = inside(running, until="endless closed")
    assert any(event.startswith("endless closed") for event in seen["events"])
    if running.server.name != "runserver":  # which does not hear of it before it writes
        leave(running, "/api/wait", after=0)
        assert "wait cleaned up" in inside(running, until="wait cleaned up")["events"]
        leave(running, "/api/silent", after=0)
        assert "silent closed" in inside(running, until="silent closed")["events"]
    for _ in range(40):
        after = inside(running)["tasks"]
        if after == before:
            break
        time.sleep(0.05)
    assert after == before


def test_a_request_is_finished_once(running: Running) -> None:
    if running.server.name == "runserver":
        pytest.skip("it does not serve what counts them")
    inside(running)
    time.sleep(0.1)
    inside(running)  # its own end, and that of the one before, are told by the next ones
    leave(running, "/api/endless", after=10_000)
    time.sleep(0.5)
    events = json.loads(ask(running, "/api/inside")[1])["events"]
    assert [event for event in events if event.startswith("endless")] != []
    assert events.count("finished") == 2  # of `inside` and of the one that was left


def test_background_tasks_run_after_the_response(running: Running) -> None:
    assert ask(running, "/api/later")[1] == b"now"
    assert "background done" in inside(running, until="background done")["events"]
