"""The lifespans of what stands beside Django: in order, each with a state of its own, lazily where nobody asks."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route

from microasgi import MicroASGI, Request, WebSocket
from microasgi.django.beside import Beside, asgi
from microasgi.testing import AsyncTestClient, TestClient
from microasgi.types import Message, Scope
from tests.conformance.servers import ROOT

pytestmark = pytest.mark.anyio
LOG: list[str] = []


@pytest.fixture(autouse=True)
def log() -> list[str]:
    LOG.clear()
    return LOG


def living(name: str, grace: float = 5.0, fails: bool = False) -> MicroASGI:
    app = MicroASGI()
    app.draining.grace = grace

    @app.lifespan
    async def life() -> AsyncIterator[dict[str, str]]:
        LOG.append(f"{name} starts")
        if fails:
            raise OSError("no database")
        yield {"name": name, f"only {name}": name}
        LOG.append(f"{name} stops")

    @app.get("/state")
    async def state(request: Request) -> dict[str, Any]:
        return dict(request.scope["state"])

    @app.websocket("/state")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.state.name)

    return app


def foreign() -> Starlette:
    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[dict[str, str]]:
        LOG.append("foreign starts")
        yield {"name": "foreign"}
        LOG.append("foreign stops")

    async def state(request: StarletteRequest) -> JSONResponse:
        return JSONResponse({"name": request.state.name})

    return Starlette(routes=[Route("/state", state)], lifespan=life)


def test_they_start_in_order_and_stop_in_reverse() -> None:
    with TestClient(asgi({"/a": living("a"), "/foreign": foreign(), "/b": living("b")})):
        assert LOG == ["a starts", "foreign starts", "b starts"]
    assert LOG[3:] == ["b stops", "foreign stops", "a stops"]


def test_each_finds_its_own_state_over_what_the_others_have() -> None:
    with TestClient(asgi({"/a": living("a"), "/b": living("b"), "/foreign": foreign()})) as client:
        assert client.get("/a/state").json() == {"name": "a", "only a": "a", "only b": "b"}
        assert client.get("/b/state").json() == {"name": "b", "only a": "a", "only b": "b"}
        assert client.get("/foreign/state").json() == {"name": "foreign"}
        with client.websocket_connect("/b/state") as socket:
            assert socket.receive_text() == "b"


def test_a_request_cannot_change_the_state_of_others() -> None:
    app = living("a")

    @app.get("/change")
    async def change(request: Request) -> None:
        request.state.name = "changed"

    with TestClient(asgi({"/a": app})) as client:
        client.get("/a/change")
        assert client.get("/a/state").json()["name"] == "a"


def test_an_application_at_two_prefixes_lives_once() -> None:
    app = living("a")
    with TestClient(asgi({"/a": app, "/also": app})) as client:
        assert client.get("/also/state").json()["name"] == "a"
    assert LOG == ["a starts", "a stops"]


def test_if_one_does_not_start_those_before_it_are_stopped_and_the_server_is_told() -> None:
    application = asgi({"/a": living("a"), "/b": living("b", fails=True)})
    with (
        pytest.raises(RuntimeError, match="at /b did not start: OSError: no database"),
        TestClient(application),
    ):
        pass
    assert LOG == ["a starts", "b starts", "a stops"]


def test_without_applications_the_lifespan_is_answered_all_the_same() -> None:
    with TestClient(asgi({})) as client:
        assert client.get("/").text == "django"


def test_they_drain_with_the_longest_grace() -> None:
    application = asgi({"/a": living("a", 0.5), "/b": living("b", 7.0)})
    assert isinstance(application, Beside)
    with TestClient(application):
        assert application.draining.grace == 7.0


def bare(application: Any) -> httpx.AsyncClient:
    """Return a client that asks for no lifespan, as daphne does not."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://testserver")


async def test_where_the_server_does_not_ask_they_start_before_the_first_answer_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = asgi({"/a": living("a"), "/b": living("b")})
    with caplog.at_level(logging.INFO, "microasgi"):
        async with bare(application) as client, anyio.create_task_group() as group:
            for path in ("/a/state", "/b/state", "/", "/a/state"):
                group.start_soon(client.get, path)
    assert LOG == ["a starts", "b starts"]
    assert caplog.text.count("the server has no lifespan: starting the application before its first answer") == 1
    assert isinstance(application, Beside)
    await application.drain()


async def test_a_lazy_start_that_fails_is_503_and_in_the_log_and_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with bare(asgi({"/a": living("a", fails=True)})) as client:
        assert (await client.get("/a/state")).status_code == 503
        assert (await client.get("/")).status_code == 503
    assert LOG == ["a starts", "a starts"]
    assert "OSError: no database" in caplog.text


async def test_a_handshake_may_be_what_starts_them() -> None:
    application = asgi({"/a": living("a")})
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "websocket", "path": "/a/state", "query_string": b"", "headers": [(b"host", b"testserver")]}
    with anyio.move_on_after(2):
        await application({**scope, "subprotocols": [], "extensions": {}}, receive, send)
    assert sent[1] == {"type": "websocket.send", "text": "a"}


async def test_each_event_loop_has_lives_of_its_own() -> None:
    application = asgi({"/a": living("a")})
    async with AsyncTestClient(application) as here:
        await anyio.to_thread.run_sync(_ask_elsewhere, application)
        assert (await here.get("/a/state")).json()["name"] == "a"
    assert LOG == ["a starts", "a starts", "a stops", "a stops"]


def _ask_elsewhere(application: Any) -> None:
    with TestClient(application) as client:
        assert client.get("/a/state").json()["name"] == "a"


THREAD = """
import asyncio, threading
from collections.abc import AsyncIterator
from microasgi import MicroASGI
from microasgi.django.beside import asgi

def living(name):
    app = MicroASGI()

    @app.lifespan
    async def life():
        yield
        await asyncio.sleep(0)
        print(name, "stops", flush=True)

    return app

application = asgi({"/a": living("a"), "/b": living("b")})
answered = threading.Event()

async def serve():
    async def send(message): ...
    async def receive(): ...
    scope = {"type": "http", "method": "GET", "path": "/a", "query_string": b"", "headers": [(b"host", b"localhost")]}
    await application({**scope, "http_version": "1.1"}, receive, send)
    answered.set()
    await asyncio.sleep(60)

threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
answered.wait(10)
"""


def test_where_the_process_ends_before_its_loop_they_are_stopped_at_exit() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", THREAD], env=environment, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("b stops\na stops\n", "")
