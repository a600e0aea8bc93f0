"""RequestIDMiddleware: a name for each request, in the response, in the scope and in every log record."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from logging.config import DictConfigurator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import BackgroundTask, CallNext, MicroASGI, Middleware, PlainTextResponse, Request, Response, WebSocket
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import RequestIDFilter, RequestIDMiddleware
from microasgi.testing import Exchange, RawResponse, TestClient, request, websocket_scope
from microasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

log = logging.getLogger("tests.requestid")


class Records(logging.Handler):
    """Keeps what is logged, as (logger, message, request_id)."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(RequestIDFilter())
        self.rows: list[tuple[str, str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.rows.append((record.name, record.getMessage(), record.request_id))  # type: ignore[attr-defined]


@pytest.fixture
def records() -> Iterator[list[tuple[str, str, str]]]:
    handler = Records()
    root = logging.getLogger()
    root.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler.rows
    root.removeHandler(handler)
    log.setLevel(logging.NOTSET)


async def noting(request: Request, call_next: CallNext) -> Response:
    log.info("function middleware")
    return await call_next(request)


class Raises:
    """An ASGI middleware that fails."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/raises":
            raise RuntimeError("in a middleware")
        await self.app(scope, receive, send)


def site(**options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(RequestIDMiddleware, **options), Raises, noting])

    @app.get("/")
    async def home(request: Request) -> str:
        return str(request.scope["microasgi.request_id"])

    @app.get("/thread")
    def thread() -> str:
        log.info("thread")
        return "thread"

    @app.get("/background")
    async def background() -> Response:
        return PlainTextResponse("sent", background=BackgroundTask(log.info, "background"))

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError("inside")

    @app.get("/own")
    async def own() -> Response:
        return PlainTextResponse("own", headers={"x-request-id": "of the handler"})

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(websocket.scope["microasgi.request_id"])

    return app


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


def id_of(answer: RawResponse, header: bytes = b"x-request-id") -> str:
    (value,) = [value for name, value in answer.headers if name == header]
    return value.decode()


async def test_every_request_gets_an_id_of_its_own_in_response_and_scope() -> None:
    app = site()
    seen = set[str]()
    for _ in range(3):
        answer = await request(app)
        assert answer.body.decode() == id_of(answer)
        seen.add(id_of(answer))
    assert len(seen) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in seen)


@pytest.mark.parametrize("path, status", [("/broken", 500), ("/nothing", 404)])
async def test_errors_have_it_too(path: str, status: int) -> None:
    answer = await request(site(), path=path)
    assert (answer.status, len(id_of(answer))) == (status, 32)


async def test_the_header_can_have_another_name_and_the_id_another_form() -> None:
    answer = await request(site(header="X-Trace", make=lambda: "trace:1"))
    assert id_of(answer, b"x-trace") == "trace:1"


async def test_the_response_has_the_id_that_the_log_has_whatever_the_handler_says() -> None:
    assert len(id_of(await request(site(), path="/own"))) == 32


async def test_a_constant_message_of_an_application_is_not_changed() -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": 204}

    async def constant(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send({"type": "http.response.body"})

    await request(RequestIDMiddleware(constant))
    assert "headers" not in start


# An id that comes with the request


async def test_an_id_that_comes_along_is_not_taken_over_unless_trusted() -> None:
    assert id_of(await request(site(), headers={"x-request-id": "theirs"})) != "theirs"
    assert id_of(await request(site(trust=True), headers={"x-request-id": "theirs"})) == "theirs"
    assert len(id_of(await request(site(trust=True)))) == 32


@pytest.mark.parametrize("given", ["a", "x" * 128, "00-4bf92f3577b34da6-01", "Root=1-67891233:a.b/c+d_e@f="])
async def test_a_trusted_id_may_be_of_any_usual_form(given: str) -> None:
    assert id_of(await request(site(trust=True), headers={"x-request-id": given})) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\nb", "a\n", "<b>", "é", 'a"', "a\x1b[31m", "a,b", "%0a"])
async def test_an_id_that_is_not_well_formed_is_replaced(given: str) -> None:
    answer = await request(site(trust=True), headers=[("x-request-id", given)], lint=False)
    assert re.fullmatch("[0-9a-f]{32}", id_of(answer))


@settings(max_examples=50)
@given(st.text(st.characters(max_codepoint=255), max_size=140))
def test_whatever_comes_the_id_is_well_formed(given: str) -> None:
    async def ask() -> str:
        return id_of(await request(site(trust=True), headers=[("x-request-id", given)], lint=False))

    assert re.fullmatch(r"[A-Za-z0-9._:+/=@-]{1,128}", anyio.run(ask))


# Logs


@pytest.mark.parametrize(
    "path, messages",
    [
        ("/thread", ["function middleware", "thread"]),
        ("/background", ["function middleware", "background"]),
    ],
)
async def test_records_of_middleware_threads_and_background_tasks_have_the_id(
    path: str, messages: list[str], records: list[tuple[str, str, str]]
) -> None:
    one = id_of(await request(site(), path=path))
    assert [row[1:] for row in records if row[0] == log.name] == [(message, one) for message in messages]


async def test_the_frameworks_record_of_an_error_has_the_id(records: list[tuple[str, str, str]]) -> None:
    one = id_of(await request(site(), path="/broken"))
    assert [row[2] for row in records if row[0] == "microasgi"] == [one]


async def test_so_has_the_record_of_an_error_in_a_middleware_inside(records: list[tuple[str, str, str]]) -> None:
    await request(site(make=lambda: "one"), path="/raises")
    assert [row[2] for row in records if row[0] == "microasgi"] == ["one"]


def test_the_filter_can_be_named_in_a_logging_configuration() -> None:
    configurator = DictConfigurator({"version": 1})
    named = configurator.configure_filter({"()": "microasgi.middleware.RequestIDFilter"})
    assert isinstance(named, RequestIDFilter)


async def test_outside_of_requests_the_id_is_a_dash(records: list[tuple[str, str, str]]) -> None:
    answer: list[str] = []

    async def send(message: Any) -> None:
        answer.append(message["type"])

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        log.info("inside")

    log.info("before")
    app = RequestIDMiddleware(inner, make=lambda: "one")
    await app({"type": "http", "headers": []}, nothing, send)  # type: ignore[arg-type]
    log.info("after")
    assert [row[2] for row in records if row[0] == log.name] == ["-", "one", "-"]


def test_an_id_that_the_record_has_already_stays(records: list[tuple[str, str, str]]) -> None:
    log.info("given", extra={"request_id": "mine"})
    assert records[-1][2] == "mine"


async def test_requests_at_the_same_time_keep_their_ids_apart(records: list[tuple[str, str, str]]) -> None:
    app = MicroASGI(middleware=[RequestIDMiddleware])

    @app.get("/")
    async def slow(request: Request) -> None:
        await anyio.sleep(0.01)
        log.info("%s", request.scope["microasgi.request_id"])

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(request, app)
    rows = [row for row in records if row[0] == log.name]
    assert len({row[1] for row in rows}) == 5
    assert all(message == one for _, message, one in rows)


# Sockets and other scopes


def test_a_socket_has_an_id() -> None:
    with TestClient(site(make=lambda: "one")) as client, client.websocket_connect("/ws") as socket:
        assert socket.receive_text() == "one"


async def test_a_refused_handshake_has_the_header() -> None:
    async with Exchange(site(make=lambda: "one"), websocket_scope("/nothing")) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        message = await exchange.receive_output()
    assert dict(message["headers"])[b"x-request-id"] == b"one"


# Set-up


@pytest.mark.parametrize(
    "options, text",
    [
        ({"header": "x request id"}, "the name must be a token"),
        ({"header": 1}, "name and value must be str"),
        ({"make": lambda: "two words"}, "has to return 1 to 128 letters"),
        ({"make": lambda: 7}, "has to return 1 to 128 letters, digits or ._:.* not 7"),
    ],
)
def test_what_cannot_work_is_refused_at_set_up(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        RequestIDMiddleware(nothing, **options)
