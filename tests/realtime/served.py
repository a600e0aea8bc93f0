"""An application with a hub, in memory unless HUB_URL says otherwise, for real servers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

from microasgi import MicroASGI, Request, WebSocket
from microasgi.realtime import EventStream, GroupEndpoint, Hub

__all__ = ["app"]

app = MicroASGI()
app.draining.grace = 30.0  # more than any test waits
hub = Hub(os.environ.get("HUB_URL", "memory://"), replay=10)
app.lifespan(hub.lifespan)


@app.websocket("/quiet")
async def quiet(websocket: WebSocket) -> None:
    await hub.serve(websocket, ["a"])


@app.websocket("/guarded")
async def guarded(websocket: WebSocket) -> None:
    async def may_stay(_: WebSocket) -> bool:
        return False

    await hub.serve(websocket, ["a"], revalidate=may_stay, revalidate_every=0.1)


@app.websocket("/sending")
async def sending(websocket: WebSocket) -> None:
    async with hub.connect(websocket, "a", heartbeat=0.5) as member:
        await member.websocket.app.state.never.wait()


@app.websocket("/wall")
class Wall(GroupEndpoint):
    hub = hub
    groups = ("a",)


@app.get("/events")
async def events(request: Request) -> EventStream:
    return hub.stream(request, "a", ping=0.5)


@app.post("/publish/{text}")
async def publish(request: Request) -> dict[str, int]:
    return {"reached": await hub.publish("a", request.path_params["text"])}


@app.get("/ticks")
async def ticks() -> EventStream:
    async def tick() -> AsyncIterator[str]:
        while True:
            yield "tick"
            await asyncio.sleep(0.02)

    return EventStream(tick())


@app.post("/announce/{text}")
async def announce(request: Request) -> dict[str, int]:
    message = {"type": "chat.message", "text": request.path_params["text"]}
    return {"reached": await hub.publish("a", message)}


@app.get("/count")
async def count() -> dict[str, Any]:
    return {"count": await hub.count("a")}


class _Never:
    async def wait(self) -> None:
        import anyio

        await anyio.sleep_forever()


app.state.never = _Never()
