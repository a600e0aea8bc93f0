"""A guestbook: pages with a form and pictures, new entries live, a JSON API. Run it with `uvicorn app:app`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict
from urllib.parse import quote, unquote, urlsplit

import anyio
from anyio.abc import ObjectReceiveStream
from book import Book, Entry
from draft import PICTURE_SIZE, Draft, read_draft
from live import Live
from pages import picture_path, show_book, show_entry, show_error

from microasgi import (
    BackgroundTask,
    CallNext,
    HTTPConnection,
    HTTPException,
    MicroASGI,
    RedirectResponse,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from microasgi.concurrency import run_in_threadpool

PAGE = 20
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
FRIENDLY = {
    404: ("There is no such page", "It may have moved, or it never existed."),
    413: ("That was too much", f"A picture has at most {PICTURE_SIZE >> 20} MB."),
}
STATIC_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = {path.name: path for path in Path(__file__).with_name("static").iterdir() if path.suffix in STATIC_TYPES}


class Shared(TypedDict):
    """What the lifespan opens, and every request finds in its state."""

    book: Book
    live: Live


app = MicroASGI(max_body_size=64 * 1024)


@app.lifespan
async def open_book() -> AsyncIterator[Shared]:
    """Keep the book in the folder GUESTBOOK_FOLDER, or in one that is gone when the server stops."""
    with TemporaryDirectory(prefix="guestbook-") as temporary:
        folder = Path(os.environ.get("GUESTBOOK_FOLDER", temporary))
        with closing(await run_in_threadpool(Book, folder)) as book:
            yield {"book": book, "live": Live()}


@app.middleware
async def refuse_other_sites(request: Request[Shared], call_next: CallNext) -> Response:
    """Refuse forms that a page of another site sends here; what has neither of these headers is no browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None and origin is not None:
        site = "same-origin" if urlsplit(origin).netloc == request.headers.get("host") else "cross-site"
    if request.method not in {"GET", "HEAD", "OPTIONS"} and site not in {None, "same-origin", "none"}:
        raise HTTPException(403, "This was sent from a page of another site.")
    return await call_next(request)


@app.middleware
async def add_headers(request: Request[Shared], call_next: CallNext) -> Response:
    """Tell browsers what pages of this site may do, and how long the answer took; around the one above."""
    started = time.perf_counter()
    response = await call_next(request)
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("cache-control", "private, no-cache")
    response.headers["server-timing"] = f"app;dur={(time.perf_counter() - started) * 1000:.2f}"
    return response


@app.exception_handler(HTTPException)
async def show_problem(request: HTTPConnection[Shared], error: HTTPException) -> Response:
    """Show an error as a page to who reads HTML; for everybody else the framework's own answer does."""
    if "text/html" not in request.headers.get("accept", ""):
        raise error
    title, detail = FRIENDLY.get(error.status_code, ("That did not work", error.detail))
    return show_error(request, error.status_code, title, detail)


@app.get("/")
async def home(request: Request[Shared]) -> Response:
    """Show the entries and the form, with the name that the visitor gave last time."""
    return await show_home(request, Draft(name=unquote(request.cookies.get("name", ""))))


async def show_home(request: Request[Shared], draft: Draft, status: int = 200) -> Response:
    before = read_number(request, "before")
    entries = await run_in_threadpool(request.state["book"].newest, PAGE + 1, before)
    older = len(entries) > PAGE
    return show_book(request, draft, entries[:PAGE], newest=before is None, older=older, status=status)


@app.post("/", max_body_size=PICTURE_SIZE + 64 * 1024)
async def write(request: Request[Shared]) -> Response:
    """Add an entry and go back to the page, or show the form again with what is wrong."""
    book, live = request.state["book"], request.state["live"]
    async with request.form(max_files=1, max_fields=10) as form:
        draft = await read_draft(form)
        if draft.errors:
            return await show_home(request, draft, 422)
        file = draft.picture.file if draft.picture else None
        entry = await run_in_threadpool(book.add, draft.name, draft.text, file, draft.picture_type)
    live.tell(entry)
    url = f"{request.url_path_for('home')}#entry-{entry.id}"
    response = RedirectResponse(url, status_code=303, background=BackgroundTask(book.log, entry))
    year = 365 * 24 * 60 * 60
    response.set_cookie("name", quote(entry.name), max_age=year, httponly=True, secure=request.url.is_secure)
    return response


@app.get("/pictures/{number:int}")
def picture(request: Request[Shared]) -> Response:
    """Send a picture. A plain function runs in a worker thread: it may wait for the disk."""
    found = request.state["book"].picture(request.path_params["number"])
    if found is None:
        raise HTTPException(404)
    content, media_type = found
    return Response(content, media_type=media_type, headers={"cache-control": "private, max-age=86400, immutable"})


@app.get("/static/{name}")
def static(request: Request[Shared]) -> Response:
    """Send the style sheet, the script or the icon."""
    path = STATIC.get(request.path_params["name"])
    if path is None:
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type=STATIC_TYPES[path.suffix])


@app.get("/api/entries")
async def list_entries(request: Request[Shared]) -> dict[str, Any]:
    """List entries as JSON, the newest first: `limit` of them, those `before` an id."""
    limit = read_number(request, "limit", most=100) or PAGE
    entries = await run_in_threadpool(request.state["book"].newest, limit, read_number(request, "before"))
    more = len(entries) == limit
    return {
        "entries": [asdict(entry) | {"picture": picture_path(request, entry)} for entry in entries],
        "next": f"{request.url.path}?limit={limit}&before={entries[-1].id}" if more else None,
    }


def read_number(connection: HTTPConnection[Shared], name: str, most: int = 2**63 - 1) -> int | None:
    """Return a number from 1 to `most` out of the query, or None if it is not there."""
    text = connection.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise HTTPException(400, f"{name} is a number from 1 to {most}, not {text!r}.")
    return int(text)


@app.websocket("/live")
async def live_entries(websocket: WebSocket[Shared]) -> None:
    """Send what was written `after` the newest entry of the page, then what is new, until the page is closed."""
    seen = read_number(websocket, "after")
    await websocket.accept()
    with websocket.state["live"].listen() as news:
        if seen is not None:
            for entry in await run_in_threadpool(websocket.state["book"].after, seen, 100):
                await send_entry(websocket, entry)
        async with anyio.create_task_group() as group:
            group.start_soon(send_news, websocket, news)
            async for _ in websocket.iter_text():
                pass  # the page says nothing: this waits until it leaves
            group.cancel_scope.cancel()


async def send_news(websocket: WebSocket[Shared], news: ObjectReceiveStream[Entry]) -> None:
    """Send what is new; a page that was cut off since it was too slow is closed, and will connect again."""
    try:
        async for entry in news:
            await send_entry(websocket, entry)
        await websocket.close(1013, "too slow")
    except (OSError, WebSocketDisconnect):
        pass  # the page left while something was sent to it


async def send_entry(websocket: WebSocket[Shared], entry: Entry) -> None:
    await websocket.send_json({"id": entry.id, "name": entry.name, "html": show_entry(websocket, entry)})
