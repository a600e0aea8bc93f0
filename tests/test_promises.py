"""Promises that belong to no single module: linear work, whole answers through every middleware, flat memory."""

from __future__ import annotations

import gc
import gzip
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import microasgi.middleware
from microasgi import MicroASGI, Middleware, Request, Route, StreamingResponse, WebSocket, WebSocketRoute
from microasgi.files.conditions import conditions_of
from microasgi.middleware import (
    AuthenticationBackend,
    AuthenticationMiddleware,
    CompressionMiddleware,
    ConcurrencyLimitMiddleware,
    CORSMiddleware,
    CSRFMiddleware,
    GZipMiddleware,
    HTTPSRedirectMiddleware,
    OriginMiddleware,
    ProxyHeadersMiddleware,
    RateLimitMiddleware,
    RequestIDFilter,
    RequestIDMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
    TimeoutMiddleware,
    TrustedHostMiddleware,
)
from microasgi.templates import Jinja2Templates
from microasgi.testing import Exchange, Faults, TestClient, http_scope, request, websocket_scope
from tests.growth import SHAPES, growth

# A little above four: what is done once weighs less in the larger work, and every shape has some of it.
LINEAR = 4.2
SIZE = 400


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_input_is_at_most_four_times_the_work(shape: str) -> None:
    assert growth(SHAPES[shape], SIZE) <= LINEAR


class Copied(bytes):
    """Bytes that count how many of them are copied when they are joined to others."""

    count = 0

    def __add__(self, other: Any) -> Copied:
        joined = Copied(bytes(self) + other)
        Copied.count += len(joined)
        return joined


def copied(work: Callable[[list[tuple[bytes, bytes]]], object], name: bytes, lines: int) -> int:
    Copied.count = 0
    work([(name, Copied(b'"a"'))] * lines)
    return max(Copied.count, 1)


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def swallow(message: Any) -> None:
    pass


def compress(headers: list[tuple[bytes, bytes]]) -> None:
    compressing = CompressionMiddleware(answer)({**http_scope(), "headers": headers}, swallow, swallow)  # type: ignore[arg-type]
    with pytest.raises(StopIteration):
        compressing.send(None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "work, name", [(conditions_of, b"if-none-match"), (conditions_of, b"range"), (compress, b"accept-encoding")]
)
def test_headers_in_many_lines_are_joined_with_one_copy(work: Any, name: bytes) -> None:
    assert copied(work, name, 400) <= LINEAR * copied(work, name, 100)


# Every middleware


class Nobody(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> None:
        return None


KEY = "0123456789abcdefghijklmnopqrstuvwxyz"
# Each middleware as a request from the same site over https passes it.
EVERY_MIDDLEWARE: dict[type, dict[str, Any]] = {
    AuthenticationMiddleware: {"backend": Nobody()},
    CORSMiddleware: {"allow_origins": ["https://a.example"]},
    CSRFMiddleware: {"secret_key": KEY},
    CompressionMiddleware: {"minimum_size": 1},
    ConcurrencyLimitMiddleware: {"limit": 10},
    GZipMiddleware: {"minimum_size": 1},
    HTTPSRedirectMiddleware: {},
    OriginMiddleware: {},
    ProxyHeadersMiddleware: {},
    RateLimitMiddleware: {"limit": "1000/second"},
    RequestIDMiddleware: {},
    SecurityHeadersMiddleware: {},
    SessionMiddleware: {"secret_key": KEY},
    TimeoutMiddleware: {"seconds": 30},
    TrustedHostMiddleware: {"allowed_hosts": ["testserver"]},
}
each_middleware = pytest.mark.parametrize("kind", EVERY_MIDDLEWARE, ids=lambda kind: kind.__name__)
HEADERS = {"accept-encoding": "gzip", "cookie": "session=x; csrf_token=y"}


def test_every_middleware_is_known_here() -> None:
    names = {name for name in microasgi.middleware.__all__ if name.endswith("Middleware")}
    assert names == {kind.__name__ for kind in EVERY_MIDDLEWARE}


class Site:
    """Handlers that end in every way."""

    def __init__(self) -> None:
        self.cleaned_up = 0

    async def broken(self, request: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"half " * 200
            raise RuntimeError("the stream broke")

        return StreamingResponse(chunks())

    async def endless(self, request: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"more " * 200
                    await anyio.lowlevel.checkpoint()
            finally:
                self.cleaned_up += 1

        return StreamingResponse(chunks())

    async def failing(self, request: Request) -> None:
        raise ZeroDivisionError("the secret of the house")

    async def echo(self, request: Request) -> bytes:
        return await request.body()

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    def app(self, *middleware: Middleware) -> MicroASGI:
        routes = [Route(f"/{one.__name__}", one) for one in (self.broken, self.endless, self.failing)]
        routes += [Route("/echo", self.echo, methods=["POST"]), WebSocketRoute("/socket", self.socket)]
        return MicroASGI(routes=routes, middleware=middleware)


def site_behind(kind: Any) -> tuple[Site, MicroASGI]:
    site = Site()
    return site, site.app(Middleware(kind, **EVERY_MIDDLEWARE[kind]))


@pytest.mark.anyio
@each_middleware
async def test_a_broken_stream_is_not_marked_complete_behind_any_middleware(kind: Any) -> None:
    _, app = site_behind(kind)
    answer = await request(app, "GET", "/broken", headers=HEADERS, scheme="https", raise_errors=False)
    assert isinstance(answer.error, RuntimeError)
    assert answer.messages[-1].get("more_body", False) is True


@pytest.mark.anyio
@each_middleware
async def test_a_generator_is_closed_behind_any_middleware_when_the_client_leaves(kind: Any) -> None:
    site, app = site_behind(kind)
    leaves = Faults(leave_after_bytes=1)
    await request(app, "GET", "/endless", headers=HEADERS, scheme="https", faults=leaves, raise_errors=False)
    assert site.cleaned_up == 1


@pytest.mark.anyio
@each_middleware
async def test_an_error_says_nothing_of_the_inside_behind_any_middleware(kind: Any) -> None:
    _, app = site_behind(kind)
    answer = await request(app, "GET", "/failing", headers={"cookie": HEADERS["cookie"]}, scheme="https")
    assert (answer.status, answer.body) == (500, b"Internal Server Error")


@each_middleware
def test_sockets_and_the_lifespan_pass_any_middleware(kind: Any) -> None:
    _, app = site_behind(kind)
    with TestClient(app, base_url="https://testserver") as client:
        with client.websocket_connect("/socket", headers={"origin": "https://testserver"}) as socket:
            socket.send_text("tea")
            assert socket.receive_text() == "tea"


@pytest.mark.anyio
@each_middleware
async def test_no_middleware_fails_on_headers_of_any_bytes(kind: Any) -> None:
    _, app = site_behind(kind)
    names = (
        *("accept", "accept-encoding", "authorization", "content-length", "content-type", "cookie", "forwarded"),
        *("if-modified-since", "if-none-match", "origin", "range", "referer", "sec-fetch-site", "x-csrf-token"),
        *("access-control-request-headers", "access-control-request-method", "x-forwarded-for", "x-request-id"),
        *("x-forwarded-host", "x-forwarded-proto", "host"),
    )
    values = ("", "\xff\x80", '"', ",;=", "a" * 5000, "%00%ff", "session=\xff; csrf_token=\x80", "null", "::1", "[")
    all_at_once = [[(name, value) for name in names] for value in values]
    each_twice = [[(name, "\xff\x80,")] * 2 for name in names]
    for sent in [*all_at_once, *each_twice]:
        for method in ("GET", "POST", "OPTIONS"):
            answer = await request(app, method, "/echo", headers=sent, scheme="https")
            assert answer.status < 500, (method, sent)


# Memory


@pytest.mark.anyio
async def test_requests_leave_no_objects_behind() -> None:
    site = Site()
    app = site.app(*(Middleware(kind, **options) for kind, options in EVERY_MIDDLEWARE.items()))

    async def ask(times: int) -> int:
        for _ in range(times):
            await request(app, "POST", "/echo", body=b"tea", scheme="https", headers=HEADERS)
            await request(app, "GET", "/failing", scheme="https")
            await request(app, "GET", "/nowhere", scheme="https", headers={"x-forwarded-for": "10.0.0.1"})
        gc.collect()
        return len(gc.get_objects())

    logging.getLogger("microasgi").disabled = True
    try:
        await ask(30)
        before = await ask(30)
        assert abs(await ask(100) - before) < 100
    finally:
        logging.getLogger("microasgi").disabled = False


@pytest.mark.anyio
async def test_sockets_leave_no_objects_behind() -> None:
    site = Site()
    app = site.app(*(Middleware(kind, **options) for kind, options in EVERY_MIDDLEWARE.items()))

    async def talk(times: int) -> int:
        for _ in range(times):
            async with Exchange(app, websocket_scope("/socket", scheme="wss")) as exchange:
                await exchange.send_input({"type": "websocket.connect"})
                assert (await exchange.receive_output())["type"] == "websocket.accept"
                await exchange.send_input({"type": "websocket.receive", "text": "tea"})
                assert (await exchange.receive_output())["text"] == "tea"
        gc.collect()
        return len(gc.get_objects())

    await talk(30)
    before = await talk(30)
    assert abs(await talk(100) - before) < 100


# Templates


@pytest.mark.anyio
@pytest.mark.parametrize("enable_async", [False, True])
@pytest.mark.parametrize("name", ["page.html", "page.txt", "page", "page.svg", "page.html.j2"])
async def test_templates_escape_whatever_they_are_called_and_however_they_are_rendered(
    name: str, enable_async: bool, tmp_path: Path
) -> None:
    (tmp_path / "base").write_text("{% block top %}{% endblock %}")
    macro = "{% macro shown(text) %}<b>{{ text }}</b>{% endmacro %}"
    block = '{% block top %}{{ text }} {{ shown(text) }} <a title="{{ text }}">{{ [text] }}</a>{% endblock %}'
    (tmp_path / name).write_text("{% extends 'base' %}" + macro + block)
    templates = Jinja2Templates(tmp_path, enable_async=enable_async)
    context = {"text": """<img src=x>"'"""}
    app = MicroASGI()

    @app.get("/whole")
    async def whole(request: Request) -> Any:
        return await templates.respond(request, name, context)

    @app.get("/block")
    async def block_alone(request: Request) -> Any:
        return await templates.respond(request, name, context, block="top")

    @app.get("/stream")
    async def stream(request: Request) -> Any:
        return await templates.stream(request, name, context)

    for path in ("/whole", "/block", "/stream"):
        answer = await request(app, "GET", path)
        assert answer.body.count(b"&lt;img src=x&gt;") == 4, path
        assert b"<img" not in answer.body
        assert b'title="&lt;img src=x&gt;&#34;' in answer.body


@pytest.mark.anyio
async def test_a_constant_context_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("{% set who = 'Eve' %}{{ who }}")
    templates = Jinja2Templates(tmp_path, context_processors=[lambda request: {"added": 1}])
    constant = {"who": "Ada"}
    app = MicroASGI()

    @app.get("/")
    async def page(request: Request) -> Any:
        return templates.TemplateResponse(request, "page.html", constant)

    assert (await request(app, "GET", "/")).body == b"Eve"
    assert constant == {"who": "Ada"}


# Limits


@pytest.mark.anyio
async def test_a_slow_peer_holds_back_who_sends_to_it() -> None:
    sent = 0
    app = MicroASGI()

    @app.websocket("/")
    async def chatter(socket: WebSocket) -> None:
        nonlocal sent
        await socket.accept()
        for _ in range(100):
            await socket.send_text("x")
            sent += 1

    async with Exchange(app, websocket_scope("/"), window=2) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        await exchange.receive_output()
        await anyio.wait_all_tasks_blocked()
        assert sent <= 3


@pytest.mark.anyio
@pytest.mark.parametrize("digits, status", [(4_300, 200), (4_301, 400)])
async def test_an_integer_of_json_has_at_most_4300_digits(digits: int, status: int) -> None:
    app = MicroASGI()

    @app.post("/")
    async def count(request: Request) -> str:
        return str(await request.json() % 10)

    assert (await request(app, "POST", "/", body=b"7" * digits)).status == status


@pytest.mark.anyio
@pytest.mark.parametrize("digits, status", [(20, 200), (21, 404)])
async def test_an_int_of_a_path_has_at_most_20_digits(digits: int, status: int) -> None:
    app = MicroASGI()

    @app.get("/{number:int}")
    async def count(request: Request) -> str:
        return str(request.path_params["number"])

    assert (await request(app, "GET", "/" + "7" * digits)).status == status


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/plain%0A", "/5%0A", "/files/a%0A", "/plain%0D%0A"])
async def test_a_line_end_is_not_the_end_of_a_path(path: str) -> None:
    async def found(request: Request) -> str:
        return "found"

    app = MicroASGI(routes=[Route(path, found) for path in ("/plain", "/{number:int}", "/files/{rest:path}")])
    assert (await request(app, "GET", path)).status == 404


@pytest.mark.anyio
async def test_a_compressed_body_is_not_unpacked() -> None:
    packed = gzip.compress(bytes(1_000_000))
    site = Site()
    answer = await request(site.app(), "POST", "/echo", body=packed, headers={"content-encoding": "gzip"})
    assert answer.body == packed


@pytest.mark.anyio
@pytest.mark.parametrize(
    "content_type, one",
    [
        ("application/x-www-form-urlencoded", b"a=%s&"),
        ("multipart/form-data; boundary=B", b'--B\r\ncontent-disposition: form-data; name="a"\r\n\r\n%s\r\n'),
    ],
    ids=["urlencoded", "multipart"],
)
@pytest.mark.parametrize("count, size", [(1_001, 1), (1, 1024 * 1024 + 1), (40, 60_000)], ids=["many", "long", "all"])
async def test_both_kinds_of_form_have_the_same_limits(content_type: str, one: bytes, count: int, size: int) -> None:
    app = MicroASGI()

    @app.post("/")
    async def read(request: Request) -> str:
        return str(len(await request.form()))

    headers = {"content-type": content_type}
    accepted = await request(app, "POST", "/", body=one % b"x" + b"--B--" * (b"B" in one), headers=headers)
    refused = await request(app, "POST", "/", body=one % (b"x" * size) * count, headers=headers)
    assert (accepted.status, refused.status) == (200, 413)


def test_the_log_has_an_error_once_with_the_id_of_its_request(caplog: pytest.LogCaptureFixture) -> None:
    named = RequestIDFilter()
    caplog.handler.addFilter(named)
    site = Site()
    with TestClient(site.app(Middleware(RequestIDMiddleware)), raise_server_exceptions=False) as client:
        response = client.get("/failing")
    caplog.handler.removeFilter(named)
    (record,) = [record for record in caplog.records if record.name == "microasgi"]
    assert record.__dict__["request_id"] == response.headers["x-request-id"]
    assert record.exc_info is not None
    assert "secret" not in response.text
