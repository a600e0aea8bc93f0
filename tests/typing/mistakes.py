"""Wrong uses that both type checkers find: every comment that ignores an error is checked to be needed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import TypedDict

from microasgi import HTTPConnection, HTTPException, MicroASGI, Mount, Request, Response, Route, WebSocket
from microasgi.middleware import AuthCredentials, AuthenticationBackend
from microasgi.testing import TestClient


class MyState(TypedDict):
    """What the lifespan yields."""

    count: int


app = MicroASGI()


async def handler(request: Request[MyState], websocket: WebSocket) -> str:
    _ = request.state["missing"]  # type: ignore[typeddict-item]
    _ = request.state.count  # type: ignore[attr-defined]
    request.body().decode()  # type: ignore[attr-defined]
    request.headers["a"] = "b"  # type: ignore[index]
    _ = request.path_param  # type: ignore[attr-defined]
    await websocket.send_text(b"bytes")  # type: ignore[arg-type]
    await websocket.send_json({}, mode="yaml")  # type: ignore[arg-type]
    return await request.body()  # type: ignore[return-value]


class NoUsers(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, str]:  # type: ignore[override]
        return AuthCredentials(), "Ada"


MicroASGI(max_body_size="16 MiB")  # type: ignore[arg-type]
MicroASGI(title="My app")  # type: ignore[call-arg]
app.get("/", methods=["GET"])  # type: ignore[call-arg]
app.get("/", max_body_size="1")  # type: ignore[arg-type]
app.websocket("/", max_body_size=1)  # type: ignore[call-arg]
app.mount("/", "app")  # type: ignore[arg-type]
app.get("/")("not a function")  # type: ignore[type-var]
app.exception_handler("404")  # type: ignore[arg-type]
app.middleware(3)  # type: ignore[type-var]
app.urlpath_for("home")  # type: ignore[attr-defined]

Route("/")  # type: ignore[call-arg]
Mount("/", routes=["/"])  # type: ignore[list-item]

response = Response("text", "201")  # type: ignore[arg-type]
response.set_cookie("a", "b", samesite="Strict")  # type: ignore[arg-type]
response.status = 201  # type: ignore[attr-defined]
HTTPException("404")  # type: ignore[arg-type]

TestClient(app, backend="curio")  # type: ignore[arg-type]
