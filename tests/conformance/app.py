"""The application under test. What it lives through is kept in a record that `/recorded` tells to anyone who asks.

A client names its exchange in the `x-exchange` header; under that name the record is kept.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse as StarletteJSON
from starlette.routing import Route as StarletteRoute

from microasgi import (
    BackgroundTask,
    ClientDisconnect,
    HTTPException,
    MicroASGI,
    PlainTextResponse,
    Request,
    Response,
    StreamingResponse,
    WebSocket,
    WebSocketDisconnect,
)

__all__ = ["DeliberateError", "Records", "create_app", "create_broken_app"]

SECRET = "the inside"
BODY_LIMIT = 64
MESSAGE_LIMIT = 64


class DeliberateError(Exception):
    """Raised by a handler on purpose; its text must reach no client."""

    def __init__(self, exchange: str) -> None:
        super().__init__(f"{SECRET} {exchange}")
        self.exchange = exchange


class Records(logging.Handler):
    """What happened, by the name of the exchange; a logging handler, so that the framework's own words are in it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_exchange: dict[str, list[str]] = {}
        self._waiting: dict[str, anyio.Event] = {}

    def add(self, exchange: str, event: str) -> None:
        """Keep an event."""
        self.by_exchange.setdefault(exchange, []).append(event)

    def of(self, connection: Any, event: str) -> None:
        """Keep an event of a request or a socket."""
        self.add(connection.headers.get("x-exchange", ""), event)

    def tell(self, exchange: str) -> list[str]:
        """Return the events of an exchange; what was unexpected is told once."""
        if exchange == "unexpected":
            return self.by_exchange.pop(exchange, [])
        if exchange in self._waiting:
            self._waiting.pop(exchange).set()
        return self.by_exchange.get(exchange, [])

    async def until_asked(self, connection: Any) -> None:
        """Wait until somebody asks about this request's exchange: a client that has read its answer."""
        asked = self._waiting[connection.headers.get("x-exchange", "")] = anyio.Event()
        await asked.wait()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of the framework's log; one that nobody provoked is kept under "unexpected"."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DeliberateError):
            self.add(error.exchange, f"log: {record.getMessage().partition(' at ')[0]}")
        else:
            self.add("unexpected", f"{record.getMessage()} {error!r}")


def create_app(records: Records) -> MicroASGI:
    """Return the application; what it lives through goes into the records."""
    app = MicroASGI()
    starts = 0
    requests_before_start = 0

    @app.lifespan
    @asynccontextmanager
    async def life() -> AsyncIterator[dict[str, Any]]:
        nonlocal starts
        starts += 1
        yield {"answer": 42}
        print("the lifespan ended", file=sys.stderr, flush=True)

    @app.middleware
    async def stamp(request: Request, call_next: Any) -> Response:
        nonlocal requests_before_start
        requests_before_start += not starts
        url = str(request.url)
        response: Response = await call_next(request)
        response.headers["x-url"] = url
        response.headers["x-stamp"] = "middleware"
        return response

    @app.get("/recorded")
    async def recorded(request: Request) -> list[str]:
        return records.tell(request.query_params["of"])

    @app.get("/life")
    async def tell_life(request: Request) -> dict[str, Any]:
        return {
            "starts": starts,
            "requests_before_start": requests_before_start,
            "answer": request.state.answer,
            "starlette": request.state.starlette,
        }

    add_plain_routes(app)
    add_body_routes(app, records)
    add_response_routes(app, records)
    add_failing_routes(app)
    add_sockets(app, records)
    app.mount("/mounted", create_starlette(), name="mounted")
    return app


def create_broken_app() -> MicroASGI:
    """Return an application whose lifespan fails at start-up."""
    app = MicroASGI()

    @app.lifespan
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        raise RuntimeError("the cellar is flooded")
        yield  # a generator it is all the same

    @app.get("/")
    async def home() -> str:
        return "never"

    return app


def create_starlette() -> Starlette:
    """Return the foreign application that is mounted."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"starlette": "started"}

    async def info(request: StarletteRequest) -> StarletteJSON:
        return StarletteJSON(
            {
                "state": getattr(request.state, "starlette", None),
                "root_path": request.scope["root_path"],
                "path": request.scope["path"],
                "url": str(request.url_for("info")),
            }
        )

    return Starlette(routes=[StarletteRoute("/info", info, name="info")], lifespan=life)


def describe(request: Request) -> dict[str, Any]:
    """Return what the application sees of a request's target."""
    return {
        "method": request.method,
        "path": request.scope["path"],
        "root_path": request.scope["root_path"],
        "url": str(request.url),
        "base_url": str(request.base_url),
        "query": request.query_params.multi_items(),
        "params": {name: str(value) for name, value in request.path_params.items()},
        "http_version": request.scope["http_version"],
        "back": str(request.url_path_for("where", rest="x")),
    }


def add_plain_routes(app: MicroASGI) -> None:
    """Add routes about targets, headers and cookies."""

    @app.get("/")
    async def root() -> str:
        return "root"

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    @app.get("/in-a-thread")
    def in_a_thread() -> str:
        return "thread"

    @app.route("/where/{rest:path}", methods=["GET", "POST"], name="where")
    async def where(request: Request) -> dict[str, Any]:
        return describe(request)

    @app.get("/segment/{name}")
    async def segment(request: Request) -> dict[str, Any]:
        return describe(request)

    @app.get("/cookies")
    async def cookies(request: Request) -> dict[str, str]:
        return request.cookies

    @app.get("/headers")
    async def headers(request: Request) -> dict[str, Any]:
        return {"count": len(request.headers.getlist("x-many")), "hosts": request.headers.getlist("host")}

    @app.get("/slashed/")
    async def slashed() -> str:
        return "slashed"

    @app.get("/queried")
    async def queried(request: Request) -> dict[str, int]:
        return {"keys": len(request.query_params.multi_items())}


def add_body_routes(app: MicroASGI, records: Records) -> None:
    """Add routes that read a body."""

    @app.post("/echo")
    async def echo(request: Request) -> bytes:
        try:
            return await request.body()
        except ClientDisconnect:
            records.of(request, "ClientDisconnect")
            raise

    @app.post("/streamed-up")
    async def streamed_up(request: Request) -> dict[str, int]:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
        return {"size": size}

    @app.route("/limited", methods=["POST"], max_body_size=BODY_LIMIT)
    async def limited(request: Request) -> dict[str, int]:
        return {"size": len(await request.body())}

    @app.post("/impatient", body_timeout=0.2)
    async def impatient(request: Request) -> bytes:
        return await request.body()

    @app.post("/unread")
    async def unread() -> str:
        return "not read"

    @app.post("/json")
    async def json(request: Request) -> Any:
        return {"got": await request.json()}

    @app.post("/form")
    async def form(request: Request) -> dict[str, str]:
        async with request.form() as data:
            return {
                name: value if isinstance(value, str) else (await value.read()).decode()
                for name, value in data.multi_items()
            }


def add_response_routes(app: MicroASGI, records: Records) -> None:
    """Add routes with responses of all kinds."""

    @app.get("/no-content")
    async def no_content() -> None:
        return None

    @app.get("/not-modified")
    async def not_modified() -> Response:
        return Response(b"dropped", 304, {"etag": '"1"'})

    @app.get("/json")
    async def json() -> dict[str, str]:
        return {"text": "žluťoučký 🐎"}

    @app.get("/two-cookies")
    async def two_cookies() -> Response:
        response = PlainTextResponse("cookies")
        response.set_cookie("one", "1")
        response.set_cookie("two", "2", httponly=True)
        return response

    @app.get("/background")
    async def background(request: Request) -> Response:
        async def task() -> None:
            await records.until_asked(request)
            records.of(request, "background ran")

        return PlainTextResponse("sent", background=BackgroundTask(task))

    @app.get("/stream")
    async def stream(request: Request) -> AsyncIterator[str]:
        try:
            for number in range(5):
                yield f"part {number}\n"
        finally:
            records.of(request, "cleaned up")

    @app.get("/endless")
    async def endless(request: Request) -> Response:
        async def chunks() -> AsyncIterator[bytes]:
            records.of(request, "started")
            try:
                while True:
                    yield b"more\n"
                    await anyio.sleep(0.02)
            finally:
                records.of(request, "cleaned up")

        return StreamingResponse(chunks())

    @app.get("/watching")
    async def watching(request: Request) -> str:
        records.of(request, "started")
        while not await request.is_disconnected():  # noqa: ASYNC110 - asking is what is tried here
            await anyio.sleep(0.01)
        records.of(request, "saw the client leave")
        return "to nobody"

    @app.get("/waiting")
    async def waiting(request: Request) -> AsyncIterator[str]:
        try:
            yield "the only part"
            await anyio.sleep_forever()
        finally:
            records.of(request, "cleaned up")


def add_failing_routes(app: MicroASGI) -> None:
    """Add routes that raise."""

    @app.get("/fail")
    async def fail(request: Request) -> None:
        raise DeliberateError(request.headers.get("x-exchange", ""))

    @app.get("/fail-in-stream")
    async def fail_in_stream(request: Request) -> AsyncIterator[str]:
        yield "the first part"
        raise DeliberateError(request.headers.get("x-exchange", ""))

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"x-pot": "yes"})


def add_sockets(app: MicroASGI, records: Records) -> None:
    """Add the websockets."""

    @app.websocket("/ws/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                message = await ws.receive()
                if message["type"] == "websocket.disconnect":
                    records.of(ws, f"disconnect {message.get('code')} {message.get('reason') or ''}".rstrip())
                    return
                if message.get("text") is not None:
                    await ws.send_text(message["text"])
                else:
                    await ws.send_bytes(message["bytes"])
        finally:
            records.of(ws, "handler left")

    @app.websocket("/ws/leaving")
    async def leaving(ws: WebSocket) -> None:
        await ws.accept()
        try:
            await ws.receive_text()
        except WebSocketDisconnect as left:
            records.of(ws, f"WebSocketDisconnect {left.code} {left.reason or ''}".rstrip())
            raise

    @app.websocket("/ws/returns")
    async def returns(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("bye")

    @app.websocket("/ws/returns-unaccepted")
    async def returns_unaccepted(ws: WebSocket) -> None:
        return None

    @app.websocket("/ws/fails")
    async def fails(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_text("soon")
        raise DeliberateError(ws.headers.get("x-exchange", ""))

    @app.websocket("/ws/fails-unaccepted")
    async def fails_unaccepted(ws: WebSocket) -> None:
        raise DeliberateError(ws.headers.get("x-exchange", ""))

    @app.websocket("/ws/text", max_message_size=MESSAGE_LIMIT)
    async def text(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws.iter_text():
            await ws.send_text(message)

    @app.websocket("/ws/json")
    async def json(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws.iter_json():
            await ws.send_json(message)

    @app.websocket("/ws/closes")
    async def closes(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4001, "enough")

    @app.websocket("/ws/closes-unaccepted")
    async def closes_unaccepted(ws: WebSocket) -> None:
        await ws.close(4001, "never seen")

    @app.websocket("/ws/teapot")
    async def teapot(ws: WebSocket) -> None:
        raise HTTPException(418, "short and stout")

    @app.websocket("/ws/subprotocol")
    async def subprotocol(ws: WebSocket) -> None:
        await ws.accept(subprotocol=ws.subprotocols[-1] if ws.subprotocols else None)
        await ws.send_text(f"offered: {' '.join(ws.subprotocols)}")

    @app.websocket("/ws/accept-headers")
    async def accept_headers(ws: WebSocket) -> None:
        await ws.accept(headers={"x-accepted": "yes"})

    @app.websocket("/ws/sender")
    async def sender(ws: WebSocket) -> None:
        await ws.accept()
        try:
            while True:
                await ws.send_text("tick")
                await anyio.sleep(0.02)
        finally:
            records.of(ws, "handler left")

    @app.websocket("/ws/state")
    async def state(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json({"answer": ws.state.answer, "path": ws.scope["path"], "url": str(ws.url)})
