"""What servers run in the tests and measurements of connections: one row read, in a sync and in an async endpoint.

`app` has Django's threads; `bare` is the same without them.
"""

from __future__ import annotations

import os
import threading
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.project.settings")

from microasgi import MicroASGI, Request, WebSocket
from microasgi.django.threads import ThreadsLayer
from tests.django.loaded import Note

__all__ = ["app", "bare"]


def sync_read(request: Request) -> dict[str, Any]:
    """Read in a worker thread."""
    return {"count": Note.objects.count(), "thread": threading.current_thread().name}


async def async_read(request: Request) -> dict[str, Any]:
    """Read with the async ORM, several operations long."""
    count = await Note.objects.acount()
    found = [note.text async for note in Note.objects.order_by("id")[:20].aiterator(chunk_size=5)]
    return {"count": count, "found": len(found)}


async def socket(socket: WebSocket) -> None:
    """Answer each message with the number of rows."""
    await socket.accept()
    async for _ in socket.iter_text():
        await socket.send_text(str(await Note.objects.acount()))


def build(*middleware: Any) -> MicroASGI:
    """Make the application."""
    made = MicroASGI(middleware=list(middleware))
    made.get("/sync")(sync_read)
    made.get("/async")(async_read)
    made.websocket("/socket")(socket)
    return made


app = build(ThreadsLayer)
bare = build()
