"""Sessions beside Django: what Django's own middleware would do, on requests and on websockets."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import SynchronousOnlyOperation
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings

from microasgi import MicroASGI, PlainTextResponse, Request, Response, StreamingResponse, WebSocket
from microasgi.django.database import db
from microasgi.django.sessions import SessionLayer, store_class
from microasgi.django.threads import ThreadsLayer
from microasgi.testing import AsyncTestClient, RawResponse, request
from microasgi.testing.websockets import WebSocketDenialResponse
from microasgi.types import Receive, Scope, Send

ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]
Act = Callable[[Any], None]


def around(app: MicroASGI) -> ThreadsLayer:
    return ThreadsLayer(SessionLayer(app))


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with override_settings(SESSION_FILE_PATH=str(tmp_path)):
        yield
    from django.contrib.sessions.models import Session

    Session.objects.all().delete()


def using(engine: str) -> Any:
    return override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}")


def new_session(**values: Any) -> str:
    session = store_class()()
    session.update(values)
    session.save()
    return str(session.session_key)


def kept(key: str) -> dict[str, Any]:
    return dict(store_class()(key).items())


def cookies(response: RawResponse) -> SimpleCookie:
    jar = SimpleCookie()
    for name, value in response.headers:
        if name == b"set-cookie":
            jar.load(value.decode())
    return jar


def application(act: Act, status: int = 200) -> ThreadsLayer:
    app = MicroASGI()

    def handler(request: Request) -> Response:
        act(request.session)
        return PlainTextResponse("done", status)

    app.add_route("/", handler)
    return around(app)


def ask(app: Any, cookie: str | None = None, **options: Any) -> RawResponse:
    headers = [("host", "testserver")]
    if cookie is not None:
        headers.append(("cookie", cookie))
    return asyncio.run(request(app, headers=headers, **options))


def ask_django(act: Act, cookie: str | None, status: int) -> HttpResponse:
    def view(request: HttpRequest) -> HttpResponse:
        act(request.session)
        return HttpResponse(status=status)

    given = RequestFactory().get("/", headers={} if cookie is None else {"cookie": cookie})
    answer: Any = convert_exception_to_response(SessionMiddleware(view))
    return answer(given)  # type: ignore[no-any-return]


def plain(text: str) -> str:
    """Take away what differs from one response to the next."""
    text = re.sub(r"=([a-z0-9]{32}|[\w-]{8,}:[\w-]+:[\w-]+)(?=;)", "=KEY", text)
    return re.sub(r"expires=[^;]*", "expires=WHEN", text, flags=re.IGNORECASE).lower()


def ours(response: RawResponse) -> tuple[int, str | None, list[str]]:
    vary = response.header(b"vary")
    written = [plain(value.decode()) for name, value in response.headers if name == b"set-cookie"]
    return response.status, vary and vary.decode(), [";".join(sorted(map(str.strip, c.split(";")))) for c in written]


def theirs(response: HttpResponse) -> tuple[int, str | None, list[str]]:
    written = [plain(c.output(header="").strip()) for c in response.cookies.values()]
    sorted_ones = [";".join(sorted(map(str.strip, c.split(";")))) for c in written]
    return response.status_code, response.headers.get("Vary"), sorted_ones


def nothing(session: Any) -> None:
    """Leave it alone."""


def read(session: Any) -> None:
    session.get("x")


def write(session: Any) -> None:
    session["x"] = 2


def flush(session: Any) -> None:
    session.flush()


def clear(session: Any) -> None:
    session.clear()


def cycle(session: Any) -> None:
    session.cycle_key()


def until_closed(session: Any) -> None:
    session["x"] = 2
    session.set_expiry(0)


def for_an_hour(session: Any) -> None:
    session.set_expiry(timedelta(hours=1))


ACTS: list[Act] = [nothing, read, write, flush, clear, cycle, until_closed, for_an_hour]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_a_response_says_what_djangos_own_would_say(engine: str, act: Act) -> None:
    with using(engine):
        for status in (200, 500):
            for cookie in (None, "sessionid=short", "known"):
                first, second = (f"sessionid={new_session(x=1)}" if cookie == "known" else cookie for _ in range(2))
                assert ours(ask(application(act, status), first)) == theirs(ask_django(act, second, status))


@pytest.mark.parametrize(
    "settings",
    [
        {"SESSION_SAVE_EVERY_REQUEST": True},
        {"SESSION_EXPIRE_AT_BROWSER_CLOSE": True},
        {
            "SESSION_COOKIE_NAME": "sid",
            "SESSION_COOKIE_DOMAIN": ".example.com",
            "SESSION_COOKIE_PATH": "/shop",
            "SESSION_COOKIE_SECURE": True,
            "SESSION_COOKIE_HTTPONLY": False,
            "SESSION_COOKIE_SAMESITE": "Strict",
            "SESSION_COOKIE_AGE": 60,
        },
    ],
    ids=["save every request", "expire at close", "cookie"],
)
@pytest.mark.parametrize("act", [nothing, read, write, flush], ids=lambda act: act.__name__)
def test_settings_count_as_for_django(settings: dict[str, Any], act: Act) -> None:
    with override_settings(**settings):
        name = settings.get("SESSION_COOKIE_NAME", "sessionid")
        for given in (None, f"{name}=unknownunknown", "known"):
            first, second = (f"{name}={new_session(x=1)}" if given == "known" else given for _ in range(2))
            assert ours(ask(application(act), first)) == theirs(ask_django(act, second, 200))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_written_is_there_at_the_next_request(engine: str) -> None:
    found: list[Any] = []
    with using(engine):
        first = ask(application(write))
        morsel = cookies(first)["sessionid"]
        ask(application(lambda session: found.append(session["x"])), f"sessionid={morsel.value}")
    assert found == [2]


def test_asynchronous_handlers_use_the_methods_with_an_a() -> None:
    async def handler(request: Request) -> str:
        await request.session.aset("visits", 1 + await request.session.aget("visits", 0))
        return "done"

    app = MicroASGI()
    app.add_route("/", handler)
    key = new_session(visits=1)
    ask(around(app), f"sessionid={key}")
    assert kept(key)["visits"] == 2


def test_a_session_written_by_us_is_read_by_django() -> None:
    found: list[Any] = []
    key = cookies(ask(application(write)))["sessionid"].value
    ask_django(lambda session: found.append(session["x"]), f"sessionid={key}", 200)
    assert found == [2]


def test_a_failed_response_leaves_the_session_as_it_was() -> None:
    key = new_session(x=1)
    response = ask(application(write, 500), f"sessionid={key}")
    assert kept(key) == {"x": 1}
    assert response.header(b"set-cookie") is None


def test_a_session_that_was_deleted_meanwhile_is_answered_with_400() -> None:
    def act(session: Any) -> None:
        session["x"] = 2
        store_class()(session.session_key).delete()

    key = new_session(x=1)
    response = ask(application(act), f"sessionid={key}")
    assert response.status == 400
    assert b"deleted" in response.body
    assert theirs(ask_django(act, f"sessionid={new_session(x=1)}", 200))[0] == 400


def test_a_stream_whose_session_was_deleted_meanwhile_ends() -> None:
    async def handler(request: Request) -> Response:
        await request.session.aset("x", 2)
        await store_class()(request.session.session_key).adelete()

        async def endless() -> Any:
            while True:
                yield b"more"

        return StreamingResponse(endless())

    app = MicroASGI()
    app.add_route("/", handler)
    assert ask(around(app), f"sessionid={new_session(x=1)}").status == 400


def test_the_names_that_vary_are_added_to_those_of_the_response() -> None:
    app = MicroASGI()

    def handler(request: Request) -> Response:
        request.session.get("x")
        return PlainTextResponse("done", headers={"vary": "Accept"})

    app.add_route("/", handler)
    assert ask(around(app)).header(b"vary") == b"Accept, Cookie"


def test_an_untouched_session_asks_neither_database_nor_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgiref.sync.SyncToAsync.__call__", lambda *_: pytest.fail("a hop"))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert not hasattr(scope["session"], "_session_cache")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    response = ask(SessionLayer(app), f"sessionid={'a' * 32}")
    assert response.headers == []


def test_a_query_in_asynchronous_code_is_refused_by_an_error_that_says_what_to_write() -> None:
    async def handler(request: Request) -> str:
        with pytest.raises(SynchronousOnlyOperation, match=r"await request\.session\.aget"):
            request.session["x"]
        with pytest.raises(SynchronousOnlyOperation, match="aflush"):
            request.session.flush()
        return "done"

    app = MicroASGI()
    app.add_route("/", handler)
    assert ask(around(app), f"sessionid={new_session(x=1)}").body == b"done"


def test_a_change_after_the_response_began_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> Any:
            yield b"first"
            await request.session.aset("x", 2)

        return StreamingResponse(body())

    app = MicroASGI()
    app.add_route("/", handler)
    key = new_session(x=1)
    with caplog.at_level(logging.WARNING, "microasgi"):
        ask(around(app), f"sessionid={key}")
    assert "after the response began" in caplog.text
    assert kept(key) == {"x": 1}


def test_a_change_in_a_stream_is_kept_by_saving_it(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        async def body() -> Any:
            yield b"first"
            await request.session.aset("x", 2)
            await request.session.asave()

        return StreamingResponse(body())

    app = MicroASGI()
    app.add_route("/", handler)
    key = new_session(x=1)
    ask(around(app), f"sessionid={key}")
    assert kept(key) == {"x": 2}
    assert not caplog.text


def test_the_class_of_an_engine_of_ones_own_keeps_its_methods() -> None:
    with override_settings(SESSION_ENGINE="tests.django.sessionengine"):
        key = cookies(ask(application(write)))["sessionid"].value
    from django.contrib.sessions.models import Session

    assert Session.objects.get(pk=key).expire_date == datetime(2090, 1, 1, tzinfo=UTC)


def test_of_two_cookies_the_one_counts_that_django_takes() -> None:
    found: list[Any] = []
    cookie = f"sessionid={'a' * 32}; sessionid={new_session(x=1)}"
    ask(application(lambda session: found.append(session.get("x"))), cookie)
    ask_django(lambda session: found.append(session.get("x")), cookie, 200)
    assert found == [1, 1]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "cookie",
    [
        b"sessionid",
        b"sessionid=",
        b"sessionid==;;;=;",
        b'sessionid="',
        b'sessionid="\\"abcdefgh\\073\\000"',
        b"sessionid=../../../../etc/passwd",
        b"sessionid=\xff\xfe\xc3\xa9" + b"\xe9" * 40,
        b"sessionid=" + b"a" * 60_000,
        b"; ".join(b"sessionid=%d" % number for number in range(5_000)),
        b"a=b; " * 10_000 + b"sessionid=" + b"x" * 32,
        b"sessionid=abc def\tghi jkl",
        b"sessionid=eyJh:1abcde:bad-signature",
        b"sessionid=a\x00b" + b"c" * 30,
    ],
    ids=lambda cookie: cookie[:20].decode("latin-1"),
)
def test_a_cookie_that_is_nonsense_is_no_session(engine: str, cookie: bytes) -> None:
    found: list[Any] = []

    def act(session: Any) -> None:
        found.append(session.get("x"))
        session["y"] = 1

    with using(engine):
        headers = [(b"host", b"testserver"), (b"cookie", cookie)]
        response = asyncio.run(request(application(act), headers=headers, lint=False))
    assert (response.status, found) == (200, [None])


def test_other_kinds_of_scopes_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(SessionLayer(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


# Websockets


async def talk(handler: Callable[[WebSocket], Any], key: str | None = None) -> Any:
    app = MicroASGI()
    app.add_websocket_route("/ws", handler)
    headers = {} if key is None else {"cookie": f"sessionid={key}"}
    async with (
        AsyncTestClient(around(app)) as client,
        client.websocket_connect("/ws", headers=headers) as socket,
    ):
        return socket, await socket.receive_text()


@pytest.mark.anyio
async def test_a_change_before_accept_is_saved_and_its_cookie_is_in_the_answer() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.session.aset("x", 2)
        await websocket.accept()
        await websocket.send_text("hello")

    socket, _ = await talk(handler)
    jar = SimpleCookie(dict(socket.extra_headers)[b"set-cookie"].decode())
    assert await db(kept, jar["sessionid"].value) == {"x": 2}


@pytest.mark.anyio
async def test_a_later_change_is_saved_when_told(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.session.aset("x", 2)
        await websocket.session.asave()
        await websocket.send_text("hello")

    key = await db(new_session, x=1)
    await talk(handler, key)
    assert await db(kept, key) == {"x": 2}
    assert not caplog.text


@pytest.mark.anyio
async def test_a_later_change_that_nobody_saves_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.session.aset("x", 2)
        await websocket.send_text("hello")

    await talk(handler, await db(new_session, x=1))
    assert "asave()" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("has_session", [True, False], ids=["of the client", "new"])
async def test_a_cookie_that_the_server_cannot_send_is_named_in_the_log(
    has_session: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.session.aset("x", 2)
        await websocket.accept()
        await websocket.send_text("hello")

    async def old(scope: Scope, receive: Receive, send: Send) -> None:
        await around(app)({**scope, "asgi": {"version": "3.0"}}, receive, send)

    app = MicroASGI()
    app.add_websocket_route("/ws", handler)
    headers = {"cookie": f"sessionid={await db(new_session, x=1)}"} if has_session else {}
    async with AsyncTestClient(old) as client, client.websocket_connect("/ws", headers=headers) as socket:
        assert await socket.receive_text() == "hello"
    assert ("takes no headers" in caplog.text) is not has_session


async def begin_anew(session: Any) -> None:
    await session.acycle_key()
    await session.aset("x", 2)
    await session.asave()


async def save(session: Any) -> None:
    await session.aset("x", 2)
    await session.asave()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("engine", "act", "has_session"),
    [("db", begin_anew, True), ("db", save, False), ("signed_cookies", save, True)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_a_later_change_that_needs_a_cookie_is_named_in_the_log(
    engine: str, act: Callable[[Any], Any], has_session: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await act(websocket.session)
        await websocket.send_text("hello")

    with using(engine):
        await talk(handler, await db(new_session, x=1) if has_session else None)
    assert "no cookie" in caplog.text


@pytest.mark.anyio
async def test_a_session_that_is_flushed_later_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.session.aflush()
        await websocket.send_text("hello")

    key = await db(new_session, x=1)
    await talk(handler, key)
    assert await db(kept, key) == {}
    assert not caplog.text


@pytest.mark.anyio
async def test_a_handshake_whose_session_was_deleted_meanwhile_is_refused() -> None:
    async def handler(websocket: WebSocket) -> None:
        await websocket.session.aset("x", 2)
        await store_class()(websocket.session.session_key).adelete()
        await websocket.accept()

    with pytest.raises(WebSocketDenialResponse):
        await talk(handler, await db(new_session, x=1))
