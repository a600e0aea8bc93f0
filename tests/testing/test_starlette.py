"""The room works for any ASGI application: here for one written with Starlette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.lowlevel
import pytest

from microasgi.exceptions import WebSocketDisconnect
from microasgi.testing import (
    AsyncTestClient,
    Exchange,
    Faults,
    TestClient,
    WebSocketDenialResponse,
    http_scope,
    request,
)

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

log: list[str] = []


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
    log.append("startup")
    yield {"db": "x"}
    log.append("shutdown")


async def home(request: Request) -> Response:
    return JSONResponse({"url": str(request.url), "db": getattr(request.state, "db", None)})


async def chunks(request: Request) -> Response:
    return JSONResponse([chunk.decode() async for chunk in request.stream() if chunk])


class Numbers:
    """Every number. Not a generator: Starlette leaves those for the collector, which Trio warns about."""

    def __init__(self) -> None:
        self.last = -1

    def __aiter__(self) -> Numbers:
        return self

    async def __anext__(self) -> str:
        await anyio.lowlevel.checkpoint()
        self.last += 1
        return str(self.last)


async def numbers(request: Request) -> Response:
    return StreamingResponse(Numbers())


def later(request: Request) -> Response:
    return PlainTextResponse("now", background=BackgroundTask(log.append, "later"))


def fails(request: Request) -> Response:
    raise ValueError("mine")


async def echo(socket: WebSocket) -> None:
    await socket.accept(subprotocol="chat")
    while True:
        await socket.send_text(await socket.receive_text())


async def denies(socket: WebSocket) -> None:
    await socket.send_denial_response(PlainTextResponse("no", status_code=401))


async def pass_on(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


ROUTES = [
    Route("/", home),
    Route("/chunks", chunks, methods=["POST"]),
    Route("/numbers", numbers),
    Route("/later", later),
    Route("/fails", fails),
    Mount("/mount", routes=[Route("/", home)]),
    WebSocketRoute("/echo", echo),
    WebSocketRoute("/denies", denies),
]
MIDDLEWARE = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)]


@pytest.fixture
def app() -> Starlette:
    log.clear()
    return Starlette(routes=ROUTES, lifespan=lifespan)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_sync_client_serves_it(app: Starlette, backend: Any) -> None:
    with TestClient(app, backend=backend) as client:
        assert client.get("/?a=b").json() == {"url": "http://testserver/?a=b", "db": "x"}
        assert client.get("/mount").json()["url"] == "http://testserver/mount/"
        assert client.get("/nowhere").status_code == 404
        assert client.post("/chunks", content=iter([b"a", b"b"])).json() == ["a", "b"]
        assert client.get("/later").text == "now"
        with pytest.raises(ValueError, match="mine"):
            client.get("/fails")
        with client.stream("GET", "/numbers") as response:
            assert next(response.iter_raw()) == b"0"
        with client.websocket_connect("/echo", ["chat"]) as socket:
            socket.send_text("hi")
            assert (socket.receive_text(), socket.accepted_subprotocol) == ("hi", "chat")
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/denies"):
            pass
        assert (denied.value.status_code, denied.value.text) == (401, "no")
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/nowhere"):
            pass
    assert log == ["startup", "later", "shutdown"]
    failure = TestClient(app, raise_server_exceptions=False, backend=backend)
    assert (failure.get("/fails").status_code, failure.get("/fails").text) == (500, "Internal Server Error")
    failure.close()


@pytest.mark.anyio
async def test_the_async_client_serves_it(app: Starlette) -> None:
    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json()["db"] == "x"
        assert (await client.get("/later")).text == "now"
        with pytest.raises(ValueError, match="mine"):
            await client.get("/fails")
        async with client.stream("GET", "/numbers") as response:
            assert await anext(response.aiter_raw()) == b"0"
        async with client.websocket_connect("/echo", ["chat"]) as socket:
            await socket.send_text("hi")
            assert await socket.receive_text() == "hi"
        with pytest.raises(WebSocketDenialResponse):
            async with client.websocket_connect("/denies"):
                pass
    assert log == ["startup", "later", "shutdown"]


@pytest.mark.anyio
@pytest.mark.parametrize("version", ["2.3", "2.4"])
async def test_its_stream_ends_when_the_client_leaves(app: Starlette, version: str) -> None:
    asgi = {"version": "3.0", "spec_version": version}
    answer = await request(app, path="/numbers", asgi=asgi, faults=Faults(leave_after_bytes=5))
    assert answer.body.startswith(b"01234")


@pytest.mark.anyio
async def test_its_class_middleware_keeps_the_rules() -> None:
    app = Starlette(routes=ROUTES, middleware=MIDDLEWARE)
    client = AsyncTestClient(app)
    assert (await client.post("/chunks", content=b"a")).json() == ["a"]
    assert (await client.get("/later")).text == "now"
    with pytest.raises(ValueError, match="mine"):
        await client.get("/fails")


@pytest.mark.anyio
async def test_its_requests_can_be_driven_by_hand(app: Starlette) -> None:
    async with Exchange(app, http_scope("POST", "/chunks")) as exchange:
        for body, more in ((b"a", True), (b"b", False)):
            await exchange.send_input({"type": "http.request", "body": body, "more_body": more})
        assert (await exchange.receive_output())["status"] == 200
        assert (await exchange.receive_output())["body"] == b'["a","b"]'
