"""Middleware, exception handlers, lifespans and background work."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypedDict, assert_type

from microasgi import (
    BackgroundTask,
    BackgroundTasks,
    CallNext,
    HTTPException,
    JSONResponse,
    MicroASGI,
    Middleware,
    MutableHeaders,
    Request,
    Response,
    Router,
    WebSocket,
)
from microasgi.types import ASGIApp, Message, Receive, Scope, Send


class MyState(TypedDict):
    """What the lifespan yields."""

    count: int


class Tagging:
    """A pure ASGI middleware with options."""

    def __init__(self, app: ASGIApp, *, name: str = "x-tag") -> None:
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[self.name] = "yes"
            await send(message)

        await self.app(scope, receive, tagged)


async def count(request: Request[MyState], call_next: CallNext) -> Response:
    response = await call_next(request)
    response.headers["x-count"] = str(request.state["count"])
    return response


def factory(app: ASGIApp) -> ASGIApp:
    return Tagging(app, name="x-other")


@asynccontextmanager
async def database(app: MicroASGI) -> AsyncGenerator[MyState]:
    app.state.opened = True
    yield {"count": 1}


async def on_http_error(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)


app = MicroASGI(
    middleware=[Middleware(Tagging, name="x-a"), Tagging, count, factory],
    lifespan=database,
    exception_handlers={HTTPException: on_http_error, 500: on_http_error},
)
app.add_middleware(Tagging, name="x-b")
admin = Router(middleware=[count])


@app.middleware
async def check(request: Request, call_next: CallNext) -> Response:
    if not request.cookies:
        raise HTTPException(401)
    return await call_next(request)


class OutOfStock(Exception):
    """The application's own error."""

    tool = "saw"


@app.exception_handler(OutOfStock)
async def out_of_stock(request: Request, error: OutOfStock) -> dict[str, str]:
    return {"tool": error.tool}


@app.exception_handler(404)
def not_found(request: Request, error: HTTPException) -> tuple[str, int]:
    return error.detail, error.status_code


@app.exception_handler(KeyError)
async def on_socket(websocket: WebSocket, error: KeyError) -> None:
    await websocket.close(4000)


@app.lifespan
async def cache() -> AsyncIterator[MyState]:
    yield {"count": 2}


@app.lifespan
async def announce(app: MicroASGI) -> AsyncIterator[None]:
    yield


async def work(name: str, *, loud: bool = False) -> None:
    app.tasks.start_soon(work, name)


@app.get("/", middleware=[count, Middleware(Tagging)])
async def home(request: Request) -> Response:
    tasks = BackgroundTasks([BackgroundTask(work, "a", loud=True)])
    tasks.add_task(print, "b")
    return JSONResponse({}, background=tasks)


async def written_out(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    return await call_next(request)


app.middleware(written_out)


async def call_them(request: Request, call_next: CallNext) -> None:
    """Call the decorated functions: they are what they were."""
    assert_type(await check(request, call_next), Response)
    assert_type(await out_of_stock(request, OutOfStock()), dict[str, str])
    assert_type(not_found(request, HTTPException(404)), tuple[str, int])
    assert_type(cache(), AsyncIterator[MyState])
