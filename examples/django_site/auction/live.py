"""What is live: every lot that changes, for everybody who looks, by websocket or as server-sent events."""

import logging
from collections.abc import AsyncIterator

import anyio
from django.conf import settings
from django.db import DatabaseError

from auction.hub import LOTS, hub, notices_of
from auction.sale import close_due
from microasgi import MicroASGI, Request, WebSocket
from microasgi.django import db, revalidate
from microasgi.realtime import EventStream

logger = logging.getLogger("auction")

app = MicroASGI()
app.lifespan(hub.lifespan)


@app.lifespan
async def auctioneer() -> AsyncIterator[None]:
    """Sell what is due, beside the requests."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sell)
        yield
        tasks.cancel_scope.cancel()


async def sell() -> None:
    """Look once in a second. Any number of processes may do so: a lot is sold by one of them."""
    while True:
        await anyio.sleep(1)
        try:
            await db(close_due)
        except DatabaseError:
            logger.exception("what is due could not be sold; the next second may do better")


@app.websocket("/socket", max_message_size=1024)
async def socket(websocket: WebSocket) -> None:
    """Tell lots that change; users also that they were outbid, for as long as they are logged in."""
    user = await websocket.user()
    groups = [LOTS, notices_of(user.pk)] if user.is_authenticated else [LOTS]
    every = settings.REVALIDATE_EVERY
    await hub.serve(websocket, groups, heartbeat=20.0, revalidate=revalidate, revalidate_every=every)


@app.get("/events")
async def events(request: Request) -> EventStream:
    """Tell lots that change. A stream is not asked again whose it is: it has only what everybody may know."""
    return hub.stream(request, LOTS, retry=1000)
