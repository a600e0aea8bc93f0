"""An application beside the project: it imports a model, so it has to be imported after Django is set up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from django.urls import reverse

from microasgi import MicroASGI, Request, StreamingResponse, WebSocket
from microasgi.django.site import site
from tests.django.project.notes.models import Note

__all__ = ["app", "around"]

app = MicroASGI()
app.draining.grace = 0.5


@app.lifespan
async def life() -> AsyncIterator[dict[str, str]]:
    """Tell when it begins and ends."""
    print("** app starts", flush=True)
    yield {"from": "the lifespan"}
    print("** app stops", flush=True)


@app.get("/where", name="where")
async def where(request: Request) -> dict[str, Any]:
    """Say what is known here."""
    return {
        "state": request.scope["state"]["from"],
        "root": request.scope["root_path"],
        "own": request.url_path_for("where"),
        "site": reverse("count"),
        "notes": await Note.objects.acount(),
        "user": (await request.user()).get_username(),
    }


@app.get("/sync")
def in_thread(request: Request) -> dict[str, Any]:
    """Say the same of a thread."""
    return {"notes": Note.objects.count(), "site": reverse("count")}


@app.get("/ticks")
async def ticks(request: Request) -> StreamingResponse:
    """Stream events until the application drains."""

    async def events() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await anyio.sleep(0.02)

    return StreamingResponse(app.draining.until(events()), media_type="text/event-stream")


@app.get("/endless")
async def endless(request: Request) -> StreamingResponse:
    """Stream without a look at the drain."""

    async def events() -> AsyncIterator[str]:
        while True:
            yield "data: tick\n\n"
            await anyio.sleep(0.02)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(websocket: WebSocket) -> None:
    """Send back what comes, with the user's name."""
    await websocket.accept()
    user = await websocket.user()
    while True:
        await websocket.send_text(f"{await websocket.receive_text()} {user.get_username() or 'anonymous'}")


around = MicroASGI()
around.mount("/sub", site())
