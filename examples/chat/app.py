"""A chat: rooms, who is there, history for who comes back. One process, `uvicorn app:app`, or more behind a Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, TypedDict
from urllib.parse import quote, unquote

import anyio

from microasgi import (
    FormData,
    HTTPConnection,
    HTTPException,
    MicroASGI,
    Middleware,
    RedirectResponse,
    Request,
    Response,
    WebSocket,
    WebSocketException,
)
from microasgi.files import StaticFiles
from microasgi.middleware import OriginMiddleware, RateLimitMiddleware, SecurityHeadersMiddleware
from microasgi.realtime import Delivery, Gap, Hub, HubUnavailable
from microasgi.templates import Jinja2Templates

FOLDER = Path(__file__).parent
ROOMS = {  # a room that anybody could open would be a history that anybody could fill
    "lobby": "Lobby",
    "tea": "Tea kitchen",
    "garden": "Garden",
}
NAME_LENGTH, TEXT_LENGTH = 30, 1000
SHOWN, KEPT = 50, 300  # messages of a room: for who comes, and for who comes back
YEAR = 365 * 24 * 60 * 60
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}


class Shared(TypedDict):
    """What the lifespan opens, and every request and socket finds in its state."""

    hub: Hub
    people: People


@dataclass(frozen=True, order=True)
class Visitor:
    """Somebody with a name; `by` is what tells them from others of that name."""

    name: str
    by: str


class People:
    """Who is in which room, in all processes: read once for all pages of this one, when somebody comes or goes."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._pages = Hub(replay=1)  # it carries lists to this process' pages, so it needs no Redis
        self._shown: dict[str, list[Visitor]] = {}

    async def tell(self) -> None:
        """Tell all processes that somebody has come or gone."""
        with anyio.move_on_after(2, shield=True):  # who leaves is cancelled, and has to be able to say so
            try:
                await self._hub.publish("people", "changed")
            except HubUnavailable:
                pass  # they look by themselves, a little later

    async def watch(self) -> None:
        """Read the lists again when something has changed, and every ten seconds: a process that died told nobody."""
        async with self._hub.subscribe("people") as changes:
            while True:
                for room in ROOMS:
                    await self._read(room)
                with anyio.move_on_after(10):
                    await anext(changes)
                await anyio.sleep(0.1)  # those who come together are shown together
                while changes.queued:
                    await anext(changes)

    async def show(self, websocket: WebSocket[Shared], room: str) -> None:
        """Send a page the list of its room, now and whenever it changes."""
        async with self._pages.subscribe(room, replay=1) as lists:
            async for people in lists:
                await websocket.send_json({"type": "people", "people": people})

    async def _read(self, room: str) -> None:
        try:
            people = sorted({Visitor(**one) for one in await self._hub.members(room)})
        except HubUnavailable:
            return
        if people != self._shown.get(room, []):
            self._shown[room] = people
            await self._pages.publish(room, [asdict(one) for one in people])


templates = Jinja2Templates(directory=FOLDER / "templates", strict=True)
app = MicroASGI(
    middleware=[Middleware(SecurityHeadersMiddleware, content_security_policy=POLICY), OriginMiddleware],
    max_body_size=8 * 1024,
)
app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")


@app.lifespan
async def open_hub() -> AsyncIterator[Shared]:
    """Open the hub: in memory for one process, or over the Redis that CHAT_REDIS names for any number."""
    hub = Hub(os.environ.get("CHAT_REDIS") or "memory://", replay=KEPT, prefix="chat")
    people = People(hub)
    async with hub.lifespan(), anyio.create_task_group() as tasks:
        tasks.start_soon(people.watch)
        yield {"hub": hub, "people": people}
        tasks.cancel_scope.cancel()


@app.get("/")
async def home(request: Request[Shared]) -> Response:
    """Ask for a name and a room."""
    visitor = visitor_of(request)
    return await show_home(request, visitor.name if visitor else "", request.query_params.get("room", ""))


@app.post("/")
async def enter(request: Request[Shared]) -> Response:
    """Remember the name, and lead into the room."""
    async with request.form(max_files=0, max_fields=10) as form:
        name, room = field(form, "name"), field(form, "room")
    if not is_name(name):
        return await show_home(request, name, room, f"Please give a name of at most {NAME_LENGTH} characters.")
    if room not in ROOMS:
        raise HTTPException(400, "There is no such room.")
    response = RedirectResponse(request.url_path_for("room", room=room), 303)
    options: dict[str, Any] = {"max_age": YEAR, "httponly": True, "secure": request.url.is_secure}
    response.set_cookie("name", quote(name), **options)
    response.set_cookie("visitor", request.cookies.get("visitor") or token_urlsafe(16), **options)
    return response


@app.get("/rooms/{room}")
async def room(request: Request[Shared]) -> Response:
    """Show a room; its messages come over the socket."""
    name, visitor = room_of(request), visitor_of(request)
    if visitor is None:
        return RedirectResponse(f"{request.url_path_for('home')}?room={name}", 303)
    context = {"room": name, "rooms": ROOMS, "visitor": visitor, "text_length": TEXT_LENGTH}
    return templates.TemplateResponse(request, "room.html", context, headers={"cache-control": "no-store"})


@app.websocket(
    "/rooms/{room}/live",
    max_message_size=8 * 1024,
    middleware=[Middleware(RateLimitMiddleware, "120/minute")],  # else a new socket would be a new bucket below
)
async def talk(websocket: WebSocket[Shared]) -> None:
    """Send what was said `since` the last message that the page has, then what is said; take what the visitor says."""
    room, visitor = room_of(websocket), visitor_of(websocket)
    if visitor is None:
        raise HTTPException(401, "Say who you are first.")
    hub, people = websocket.state["hub"], websocket.state["people"]
    since = websocket.query_params.get("since")

    async def show(item: Delivery | Gap) -> None:
        if isinstance(item, Gap):
            await websocket.send_json({"type": "gap"})
        else:
            await websocket.send_json({"type": "message", "id": item.id, **item.data})

    member = hub.connect(
        websocket,
        room,
        info=asdict(visitor),
        send=show,
        since=since,
        replay=0 if since else SHOWN,
        max_queue=KEPT + 100,
        overflow="close",  # a page that is too slow comes back, and says what it has
        rate=(20, 10.0),
        heartbeat=20.0,
    )
    try:
        async with member:
            member.start_soon(people.show, websocket, room)
            await people.tell()
            async for said in member.iter_json():
                await hub.publish(room, message(visitor, said))
    finally:
        await people.tell()


def message(visitor: Visitor, said: Any) -> dict[str, str]:
    """Return what a visitor said as all will get it; by the page's `key` it is shown once if it comes twice."""
    match said:
        case {"key": str(key), "text": str(text)} if len(key) <= 40 and 1 <= len(text.strip()) <= TEXT_LENGTH:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            return {**asdict(visitor), "key": well_formed(key), "text": well_formed(text.strip()), "at": now}
        case _:
            raise WebSocketException(1007, f"write a key and a text of at most {TEXT_LENGTH} characters")


def well_formed(text: str) -> str:
    """Return text without halves of characters, which JSON can write down and nothing can carry."""
    return text.encode(errors="replace").decode()


async def show_home(request: Request[Shared], name: str, room: str, error: str = "") -> Response:
    hub = request.state["hub"]
    context = {
        "name": name,
        "room": room if room in ROOMS else next(iter(ROOMS)),
        "rooms": [(key, title, await count(hub, key)) for key, title in ROOMS.items()],
        "name_length": NAME_LENGTH,
        "error": error,
    }
    status = 422 if error else 200
    return templates.TemplateResponse(request, "home.html", context, status, headers={"cache-control": "no-store"})


async def count(hub: Hub, room: str) -> int | None:
    """Return how many are in a room, or None while Redis does not answer."""
    try:
        return len({one["by"] for one in await hub.members(room)})
    except HubUnavailable:
        return None


def room_of(connection: HTTPConnection[Shared]) -> str:
    name: str = connection.path_params["room"]
    if name not in ROOMS:
        raise HTTPException(404, "There is no such room.")
    return name


def visitor_of(connection: HTTPConnection[Shared]) -> Visitor | None:
    """Return who this is. Others never see the cookie, only a hash of it: nobody can take another's place."""
    name, secret = unquote(connection.cookies.get("name", "")), connection.cookies.get("visitor", "")
    if not is_name(name) or not secret:
        return None
    return Visitor(name, sha256(secret.encode(errors="replace")).hexdigest()[:8])


def is_name(name: str) -> bool:
    """Tell whether a name is short and visible: no control characters, nothing that turns the line around."""
    return 1 <= len(name) <= NAME_LENGTH and name.isprintable() and name == " ".join(name.split())


def field(form: FormData, name: str) -> str:
    value = form.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""
