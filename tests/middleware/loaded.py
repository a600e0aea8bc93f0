"""The application that test_load_servers.py serves: streams, files and slow answers behind the middleware for load."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import anyio

from microasgi import MicroASGI, Middleware, Request, StreamingResponse
from microasgi.middleware import CompressionMiddleware, ConcurrencyLimitMiddleware, TimeoutMiddleware
from microasgi.types import Receive, Scope, Send

__all__ = ["app"]

LATE = [Middleware(TimeoutMiddleware, seconds=0.3)]

app = MicroASGI(middleware=[CompressionMiddleware, Middleware(ConcurrencyLimitMiddleware, limit=100)])
go_on: dict[str, anyio.Event] = {}


@app.get("/events/{name}")
async def events(request: Request) -> StreamingResponse:
    name = request.path_params["name"]
    go_on[name] = anyio.Event()

    async def chunks() -> AsyncIterator[str]:
        yield "first\n"
        await go_on[name].wait()
        yield "second\n"

    return StreamingResponse(chunks(), media_type="text/plain")


@app.post("/events/{name}")
async def let_go_on(request: Request) -> None:
    go_on[request.path_params["name"]].set()


@app.get("/late", middleware=LATE)
async def late() -> str:
    await anyio.sleep(30)
    return "late"


@app.get("/cut", middleware=LATE)
async def cut() -> StreamingResponse:
    async def chunks() -> AsyncIterator[str]:
        yield "one "
        await anyio.sleep(30)

    return StreamingResponse(chunks(), media_type="text/plain")


async def send_file(scope: Scope, receive: Receive, send: Send) -> None:
    """Send the file named by the environment, by the server itself where that is offered."""
    path = anyio.Path(os.environ["LOADED_FILE"])
    media_type = b"image/png" if b"png" in scope["query_string"] else b"text/plain"
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % (await path.stat()).st_size)]
    by_server = "http.response.pathsend" in (scope.get("extensions") or ())
    headers.append((b"x-by-server", b"%d" % by_server))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if by_server:
        await send({"type": "http.response.pathsend", "path": str(path)})
    else:
        await send({"type": "http.response.body", "body": await path.read_bytes()})


app.mount("/file", send_file)
