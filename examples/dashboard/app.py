"""A live dashboard: figures as server-sent events, drawn in the browser. Run it with `uvicorn app:app`."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from feed import GROUP, PAST, make_hub, publish_figures

from microasgi import MicroASGI, Middleware, Request
from microasgi.files import StaticFiles
from microasgi.middleware import SecurityHeadersMiddleware
from microasgi.realtime import EventStream

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
}

app = MicroASGI(middleware=[Middleware(SecurityHeadersMiddleware, content_security_policy=POLICY)])
hub = make_hub()
app.lifespan(hub.lifespan)


@app.lifespan
async def feed() -> AsyncIterator[None]:
    """Publish beside the requests; with Redis feed.py does, once for all processes."""
    async with anyio.create_task_group() as tasks:
        if "DASHBOARD_HUB" not in os.environ:
            tasks.start_soon(publish_figures, hub)
        yield
        tasks.cancel_scope.cancel()


@app.get("/events")
async def events(request: Request) -> EventStream:
    """Send the past minute, or what a page that comes back has missed; then what is new, for as long as it stays."""
    return hub.stream(request, GROUP, replay=PAST, max_queue=2 * PAST, retry=1000)


app.mount("/", StaticFiles(directory=Path(__file__).with_name("static"), html=True))
