"""Calls between two browsers: this server only introduces them to each other. Run it with `uvicorn app:app`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from rooms import NoSeat, Rooms

from microasgi import (
    HTTPException,
    MicroASGI,
    Middleware,
    RedirectResponse,
    Request,
    WebSocket,
    WebSocketException,
)
from microasgi.exceptions import ConfigurationError
from microasgi.files import FileResponse, StaticFiles
from microasgi.middleware import SecurityHeadersMiddleware
from microasgi.realtime import Hub

FOLDER = Path(__file__).with_name("static")
NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
}
PERMISSIONS = {"camera": ["self"], "microphone": ["self"]}


def ice_servers() -> list[dict[str, Any]]:
    """Return what WEBRTC_ICE holds: a JSON list of STUN and TURN servers, as RTCPeerConnection takes it."""
    text = os.environ.get("WEBRTC_ICE", "[]")
    try:
        servers = json.loads(text)
    except ValueError:
        servers = None
    if not isinstance(servers, list) or not all(isinstance(one, dict) and "urls" in one for one in servers):
        example = '[{"urls": "stun:stun.example.org"}]'
        raise ConfigurationError(f"WEBRTC_ICE is a JSON list of servers, {example} say, not {text!r:.80}")
    return servers


app = MicroASGI(
    middleware=[
        Middleware(SecurityHeadersMiddleware, content_security_policy=POLICY, permissions_policy=PERMISSIONS),
    ]
)
hub = Hub()
rooms = Rooms(hub)
ice = ice_servers()
app.lifespan(hub.lifespan)
app.mount("/static", StaticFiles(directory=FOLDER))


@app.get("/")
async def home(request: Request) -> FileResponse:
    """Show the page that begins a call."""
    return FileResponse(FOLDER / "home.html")


@app.post("/")
async def begin(request: Request) -> RedirectResponse:
    """Go to a room whose name nobody can guess: who has the link may come in."""
    return RedirectResponse(request.url_path_for("room", name=token_urlsafe(9)), status_code=303)


@app.get("/room/{name}")
async def room(request: Request) -> FileResponse:
    """Show the room's page; it is the same for all rooms."""
    if not NAME.fullmatch(request.path_params["name"]):
        raise HTTPException(404)
    return FileResponse(FOLDER / "room.html")


@app.websocket("/room/{name}/signals", max_message_size=64 * 1024)
async def signals(websocket: WebSocket) -> None:
    """Seat a visitor, and hand on what the two browsers have to tell each other until one of them leaves."""
    name = websocket.path_params["name"]
    if not NAME.fullmatch(name):
        raise HTTPException(404)
    try:
        seat = rooms.take(name)
    except NoSeat as error:
        await websocket.accept()  # a browser tells its page nothing about a handshake that was refused
        return await websocket.close(error.code, error.reason)
    try:
        async with hub.connect(websocket, seat.inbox, overflow="close", rate=(200, 10.0), heartbeat=20.0) as member:
            await hub.publish(seat.inbox, {"type": "welcome", "ice": ice})
            await rooms.arrive(seat)
            async for message in member.iter_json():
                await rooms.relay(seat, read_signal(message))
    finally:
        await rooms.leave(seat)


def read_signal(message: Any) -> dict[str, Any]:
    """Return a signal as it is handed on: a description or a candidate of a call, and nothing else of what came."""
    known = {"description", "candidate"}
    if isinstance(message, dict) and isinstance(message.get("call"), int):
        kinds = known & message.keys()
        if len(kinds) == 1 and isinstance(message[kind := kinds.pop()], dict):
            return {"type": "signal", "call": message["call"], kind: message[kind]}
    raise WebSocketException(1008, "a signal has a call and a description or a candidate")
