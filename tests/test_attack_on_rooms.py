"""What an attack on the rooms has found: each a promise that did not hold where it was tried."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import anyio
import pytest

from microasgi import MicroASGI, Middleware, Request
from microasgi.files import StaticFiles, fingerprints
from microasgi.middleware import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationMiddleware,
    BaseUser,
    CSRFMiddleware,
    SessionMiddleware,
    SimpleUser,
    requires,
)
from microasgi.templates import Jinja2Templates
from microasgi.testing import Exchange, request, websocket_scope
from microasgi.types import Message, Receive, Scope, Send
from tests.test_promises import EVERY_MIDDLEWARE, KEY, each_middleware

pytestmark = pytest.mark.anyio

MiB = 1024 * 1024


# Nothing is shared between requests


@each_middleware
async def test_a_constant_message_of_an_application_is_changed_by_no_middleware(kind: Any) -> None:
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"vary", b"x"), (b"x-a", b"1")]}
    before = deepcopy(start)

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        scope.get("session", {})["user"] = "Ada"
        scope.get("microasgi.csrf_token", str)()
        await send(start)
        await send({"type": "http.response.body", "body": b"hello " * 200})

    app = kind(constant, **EVERY_MIDDLEWARE[kind])
    await request(app, "GET", "/", scheme="https", headers={"origin": "https://a.example", "accept-encoding": "gzip"})
    assert start == before


# Limits are those of the application


async def test_an_asgi_middleware_finds_its_application_in_the_scope() -> None:
    seen: list[Any] = []

    class Looking:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope.get("app"))
            await self.app(scope, receive, send)

    app = MicroASGI(middleware=[Looking])
    await request(app, "GET", "/")
    assert seen == [app]


def upload(token: str, size: int) -> bytes:
    part = "--B\r\ncontent-disposition: form-data; name={}\r\n\r\n{}\r\n"
    parts = part.format('"csrf_token"', token), part.format('"file"; filename="x"', "x" * size), "--B--\r\n"
    return "".join(parts).encode()


async def test_a_form_with_a_token_is_read_under_the_applications_limit() -> None:
    app = MicroASGI(max_body_size=None, middleware=[Middleware(CSRFMiddleware, secret_key=KEY)])

    @app.get("/")
    async def page(request: Request) -> str:
        return str(request.scope["microasgi.csrf_token"]())

    @app.post("/")
    async def take(request: Request) -> str:
        return "taken"

    shown = await request(app, "GET", "/")
    cookie = (shown.header(b"set-cookie") or b"").partition(b";")[0].decode()
    headers = {"cookie": cookie, "content-type": "multipart/form-data; boundary=B"}
    answer = await request(app, "POST", "/", body=upload(shown.body.decode(), 17 * MiB), headers=headers)
    assert answer.body == b"taken"


# Work that a client can ask for


async def test_a_file_is_hashed_once_however_many_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(4 * MiB))
    hashed: list[object] = []
    make = fingerprints.sha256
    monkeypatch.setattr(fingerprints, "sha256", lambda: hashed.append(None) or make())
    files = StaticFiles(directory=tmp_path)
    async with anyio.create_task_group() as clients:
        for number in range(8):
            clients.start_soon(request, files, "HEAD", f"/large.{number:012x}.bin")
    assert len(hashed) == 1


# Rooms that know of each other by the scope


async def test_the_field_of_a_form_has_the_name_that_the_middleware_looks_for(tmp_path: Path) -> None:
    (tmp_path / "form.html").write_text("{{ csrf_input() }}")
    templates = Jinja2Templates(tmp_path)
    app = MicroASGI(middleware=[Middleware(CSRFMiddleware, secret_key=KEY, field_name="proof")])

    @app.get("/")
    async def page(request: Request) -> Any:
        return templates.TemplateResponse(request, "form.html")

    assert b'name="proof"' in (await request(app, "GET", "/")).body


async def test_a_handshake_from_another_site_does_not_reach_a_mounted_application_with_the_session() -> None:
    users: list[Any] = []

    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            users.append(scope["session"].get("user"))
            await send({"type": "websocket.accept"})

    app = MicroASGI(middleware=[Middleware(SessionMiddleware, secret_key=KEY)])
    app.mount("/chat", foreign)
    scope = websocket_scope("/chat", headers={"origin": "https://elsewhere.example"})
    async with Exchange(app, scope) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        await exchange.receive_output()
    assert users == []


# Guards


class Anyone(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> tuple[AuthCredentials, BaseUser]:
        return AuthCredentials(["authenticated"]), SimpleUser("Ada")


async def test_an_object_with_an_async_call_can_be_guarded() -> None:
    class Home:
        async def __call__(self, request: Request) -> str:
            return "home"

    app = MicroASGI(middleware=[Middleware(AuthenticationMiddleware, backend=Anyone())])
    app.add_route("/", requires("authenticated")(Home()), name="home")
    assert (await request(app, "GET", "/")).body == b"home"
