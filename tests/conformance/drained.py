"""An application with what lives long, for a server process that is about to be stopped.

It writes what happens inside into its log, one line each, marked so that the server's own lines are not taken for it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import anyio

from microasgi import MicroASGI, Request, StreamingResponse, WebSocket, WebSocketDisconnect

app = MicroASGI()
app.draining.grace = float(os.environ.get("DRAIN_GRACE", "0.5"))


def note(text: str) -> None:
    """Write a line into the log."""
    print(f"** {text}", flush=True)


@app.lifespan
async def life() -> AsyncIterator[None]:
    """Tell when it begins and ends."""
    note("lifespan begins")
    yield
    note("lifespan ends")


@app.get("/")
async def index(request: Request) -> str:
    """Answer at once."""
    return str(os.getpid())


@app.get("/endless")
async def endless(request: Request) -> StreamingResponse:
    """Stream for ever, without a look at the drain."""

    async def ticks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"tick\n"
                await anyio.sleep(0.02)
        finally:
            note("endless is closed")

    return StreamingResponse(ticks())


@app.get("/polite")
async def polite(request: Request) -> StreamingResponse:
    """Stream until the application drains."""

    async def ticks() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await anyio.sleep(0.02)

    return StreamingResponse(app.draining.until(ticks()))


@app.get("/download")
async def download(request: Request) -> StreamingResponse:
    """Stream something that ends within the grace."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"part\n"
            await anyio.sleep(0.02)

    return StreamingResponse(parts(), headers={"content-length": "100"})


@app.get("/slow")
async def slow(request: Request) -> str:
    """Take a while, and start a task that takes longer."""
    await anyio.sleep(0.3)
    app.tasks.start_soon(work)
    return "slow"


async def work() -> None:
    """Do what was promised."""
    await anyio.sleep(0.3)
    note("task is done")


@app.websocket("/listens")
async def listens(websocket: WebSocket) -> None:
    """Wait for messages."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as gone:
        note(f"listens hears {gone.code}")


@app.websocket("/talks")
async def talks(websocket: WebSocket) -> None:
    """Send and never receive."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("tick")
            await anyio.sleep(0.02)
    finally:
        note("talks ends")
