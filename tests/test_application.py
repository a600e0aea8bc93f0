"""The application as a whole: what handlers return, errors, middleware around everything, lifespan, sockets."""

from __future__ import annotations

import contextvars
import dataclasses
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask as StarletteTask
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.responses import StreamingResponse as StarletteStream
from starlette.routing import Route as StarletteRoute

from microasgi import (
    BackgroundTask,
    ClientDisconnect,
    ConfigurationError,
    HTTPEndpoint,
    HTTPException,
    JSONResponse,
    MicroASGI,
    Middleware,
    Mount,
    PlainTextResponse,
    Request,
    Response,
    Route,
    Router,
    StreamingResponse,
    WebSocket,
    WebSocketDisconnect,
    WebSocketEndpoint,
    WebSocketException,
    WebSocketRoute,
)
from microasgi.endpoints import describe
from microasgi.errors import answer_error
from microasgi.testing import Exchange, Faults, http_scope, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send
from tests.strict_server import StrictServer

pytestmark = pytest.mark.anyio
Next = Callable[[Request], Awaitable[Response]]


def returning(value: Any) -> MicroASGI:
    async def handler(request: Request) -> Any:
        return value() if inspect.isroutine(value) else value

    return MicroASGI(routes=[Route("/", handler, methods=["GET", "POST"])])


def raising(error: Exception, **options: Any) -> MicroASGI:
    async def handler(request: Request) -> None:
        raise error

    return MicroASGI(routes=[Route("/", handler)], **options)


# --- what handlers return


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Text(str):
    pass


class Document(dict[str, int]):
    pass


async def numbers() -> AsyncIterator[str]:
    for number in range(3):
        yield str(number)


def letters() -> Iterator[bytes]:
    yield b"a"
    yield b"b"


@pytest.mark.parametrize(
    ("value", "status", "content_type", "body"),
    [
        ("hé", 200, b"text/plain; charset=utf-8", "hé".encode()),
        (Text("sub"), 200, b"text/plain; charset=utf-8", b"sub"),
        (b"raw", 200, b"application/octet-stream", b"raw"),
        (bytearray(b"raw"), 200, b"application/octet-stream", b"raw"),
        ({"a": [1, None]}, 200, b"application/json", b'{"a":[1,null]}'),
        (Document(a=1), 200, b"application/json", b'{"a":1}'),
        ([1, "é"], 200, b"application/json", '[1,"é"]'.encode()),
        (Point(1, 2), 200, b"application/json", b'{"x":1,"y":2}'),
        (None, 204, None, b""),
        (("made", 201), 201, b"text/plain; charset=utf-8", b"made"),
        ((Point(1, 2), 201), 201, b"application/json", b'{"x":1,"y":2}'),
        (({"a": 1}, 202, {"x-a": "b"}), 202, b"application/json", b'{"a":1}'),
        ((b"x", 202, {"x-a": "b"}), 202, b"application/octet-stream", b"x"),
        ((b"x", 204), 204, b"application/octet-stream", b""),
        (("", 304), 304, None, b""),
        (PlainTextResponse("made", 201), 201, b"text/plain; charset=utf-8", b"made"),
        (numbers, 200, b"text/plain; charset=utf-8", b"012"),
        (letters, 200, b"text/plain; charset=utf-8", b"ab"),
        ("x" * 5000, 200, b"text/plain; charset=utf-8", b"x" * 5000),
    ],
)
async def test_a_result_becomes_a_response(value: Any, status: int, content_type: bytes | None, body: bytes) -> None:
    answer = await request(returning(value))
    assert (answer.status, answer.header(b"content-type"), answer.body) == (status, content_type, body)


@pytest.mark.parametrize("value", [7, object(), ("a", "b"), (1, 2, 3, 4), {1, 2}])
async def test_another_result_is_an_error_that_names_the_handler(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert (await request(returning(value))).status == 500
    assert "handler (" in str(caplog.records[0].exc_info)
    assert "test_application.py" in str(caplog.records[0].exc_info)


async def test_a_plain_result_to_head_has_no_body() -> None:
    for value in ("hello", PlainTextResponse("hello")):
        answer = await request(returning(value), "HEAD")
        assert (answer.body, answer.header(b"content-length")) == (b"", b"5")


# --- handlers


async def test_handlers_of_all_kinds_are_called() -> None:
    app = MicroASGI()

    class Callable1:
        async def __call__(self, request: Request) -> str:
            return "object"

    class SyncCallable:
        def __call__(self, request: Request) -> str:
            return "sync object"

    async def keyed(request: Request, word: str = "default") -> str:
        return word

    async def streamed(request: Request) -> AsyncIterator[str]:
        yield "1"
        yield "2"

    def sync_streamed() -> Iterator[str]:
        yield "3"
        yield "4"

    cases: dict[str, Any] = {
        "object": Callable1(),
        "sync object": SyncCallable(),
        "default": keyed,
        "bound": partial(keyed, word="bound"),
        "12": streamed,
        "34": sync_streamed,
    }
    for number, handler in enumerate(cases.values()):
        app.add_route(f"/{number}", handler)
    app.get("/none")(lambda: "no parameter")
    app.get("/nothing")(partial(keyed, None))  # type: ignore[arg-type]
    for number, text in enumerate(cases):
        assert (await request(app, "GET", f"/{number}")).body.decode() == text
    assert (await request(app, "GET", "/none")).body == b"no parameter"


async def test_an_async_handler_without_a_parameter_is_called_with_none() -> None:
    app = MicroASGI()

    @app.get("/")
    async def ping() -> str:
        return "pong"

    assert (await request(app)).body == b"pong"


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (lambda request, other: None, "nobody can fill other"),
        (lambda *, word: None, "nobody can fill word"),
    ],
)
def test_a_handler_that_wants_more_is_refused_at_registration(handler: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        Route("/", handler)


def test_a_websocket_handler_has_to_be_async() -> None:
    with pytest.raises(ConfigurationError, match="has to be `async def`"):
        MicroASGI().websocket("/")(lambda websocket: None)


def test_a_builtin_without_a_signature_is_taken_for_a_handler() -> None:
    assert Route("/", dict).methods == {"GET", "HEAD"}
    assert describe(7) == "7"


async def test_a_class_endpoint_called_outside_of_a_router_refuses_unknown_methods() -> None:
    class Only(HTTPEndpoint):
        async def post(self, request: Request) -> str:
            return "posted"

    app = MicroASGI(routes=[Route("/", Only, methods=["GET", "POST"])])
    answer = await request(app, "GET")
    assert (answer.status, answer.header(b"allow")) == (405, b"POST")


# --- errors


async def test_an_http_exception_is_its_status() -> None:
    answer = await request(raising(HTTPException(418, headers={"x-tea": "pot"})))
    assert (answer.status, answer.body, answer.header(b"x-tea")) == (418, b"I'm a Teapot", b"pot")


@pytest.mark.parametrize(
    "accept", [b"application/json", b"application/problem+json", b"text/html;q=0.1, application/json"]
)
async def test_a_client_that_prefers_json_gets_problem_details(accept: bytes) -> None:
    answer = await request(raising(HTTPException(404, "no such order")), headers=[(b"accept", accept)])
    assert answer.header(b"content-type") == b"application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "no such order"}


@pytest.mark.parametrize(("path", "method", "status"), [("/nothing", "GET", 404), ("/", "DELETE", 405)])
async def test_refusals_are_problem_details_too(path: str, method: str, status: int) -> None:
    for accept, kind in ((b"application/json", b"application/problem+json"), (b"*/*", b"text/plain; charset=utf-8")):
        answer = await request(returning("x"), method, path, headers=[(b"accept", accept)])
        assert (answer.status, answer.header(b"content-type")) == (status, kind)


async def test_handlers_are_found_by_status_then_along_the_class() -> None:
    class Base(Exception): ...

    class Special(Base): ...

    class Teapot(HTTPException): ...

    def answer(text: str) -> Any:
        return lambda request, error: (text, 400)

    errors: dict[Any, Any] = {
        Base: answer("base"),
        Teapot: answer("teapot"),
        404: answer("404"),
        HTTPException: answer("http"),
        500: answer("500"),
    }
    for error, text in [
        (Special(), b"base"),
        (Teapot(404), b"404"),
        (Teapot(418), b"teapot"),
        (HTTPException(403), b"http"),
        (ValueError(), b"500"),
    ]:
        assert (await request(raising(error, exception_handlers=errors))).body == text
    assert (await request(raising(ValueError(), exception_handlers=errors), path="/nothing")).body == b"404"
    assert (await request(raising(ValueError(), exception_handlers=errors), "POST")).body == b"http"


async def test_an_exception_handler_may_be_async_and_return_a_response() -> None:
    app = raising(LookupError("gone"))

    @app.exception_handler(LookupError)
    async def gone(request: Request, error: LookupError) -> Response:
        return JSONResponse({"error": str(error)}, 410)

    answer = await request(app)
    assert (answer.status, answer.json()) == (410, {"error": "gone"})


@pytest.mark.parametrize(("second", "status"), [(HTTPException(409), 409), (ValueError(), 500)])
async def test_an_error_in_an_exception_handler_is_answered_too(
    second: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(request: Request, error: Exception) -> None:
        raise second

    assert (await request(raising(LookupError(), exception_handlers={LookupError: fail}))).status == status
    assert len(caplog.records) == (status == 500)


async def test_an_unhandled_error_is_500_without_detail_and_one_record(caplog: pytest.LogCaptureFixture) -> None:
    answer = await request(raising(ValueError("secret")))
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    [record] = caplog.records
    assert (record.name, record.levelno) == ("microasgi", logging.ERROR)
    assert record.getMessage().startswith("ValueError in GET '/' at ")
    assert "test_application.py" in record.getMessage()


@pytest.mark.parametrize("key", [500, Exception])
async def test_a_handler_of_last_resort_answers_and_the_log_has_the_error(
    key: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = raising(ValueError(), exception_handlers={key: lambda request, error: ("sorry", 500)})
    assert (await request(app)).body == b"sorry"
    assert len(caplog.records) == 1


async def test_an_expected_error_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    await request(raising(HTTPException(404)))
    await request(raising(ClientDisconnect()))
    await request(raising(ValueError(), exception_handlers={ValueError: lambda request, error: "fine"}))
    assert not caplog.records


async def test_a_test_client_hears_of_unhandled_errors() -> None:
    heard: list[Exception] = []
    error = ValueError()
    await request(raising(error), **{"microasgi.on_error": heard.append})
    assert heard == [error]


async def test_debug_shows_the_traceback_escaped() -> None:
    app = raising(ValueError("<script>"), debug=True)
    assert app.debug
    page = await request(app, headers=[(b"accept", b"text/html"), (b"host", b"<b>")], path="/")
    assert page.header(b"content-type") == b"text/html; charset=utf-8"
    assert b"&lt;script&gt;" in page.body
    assert b"<script>" not in page.body
    assert b"raise error" in (await request(app)).body


async def test_an_error_without_a_line_of_the_user_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = MicroASGI()
    app.errors.add(ValueError, lambda request, error: "fine")
    answer = await app.errors.respond(Request(http_scope()), KeyError("bare"))
    assert answer.status_code == 500
    assert caplog.records[0].getMessage() == "KeyError in GET '/'"


@pytest.mark.parametrize("value", ["{", "", "[1,]", "NaN", "\ufffe", "[" * 200_000, "9" * 5000])
async def test_broken_json_is_400(value: str) -> None:
    app = MicroASGI()

    @app.post("/")
    async def echo(request: Request) -> Any:
        return await request.json()

    assert (await request(app, "POST", body=value.encode())).status == 400


async def test_a_body_above_the_limit_is_413_by_the_route_or_the_application() -> None:
    async def read(request: Request) -> int | str:
        return str(len(await request.body()))

    routes = [Route("/app", read, methods=["POST"]), Route("/route", read, methods=["POST"], max_body_size=5)]
    app = MicroASGI(routes=routes, max_body_size=10)
    for path, size, status in [("/app", 10, 200), ("/app", 11, 413), ("/route", 5, 200), ("/route", 6, 413)]:
        assert (await request(app, "POST", path, chunks=[b"x"] * size)).status == status


async def test_an_error_after_the_start_ends_the_connection_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"1"
        raise ValueError("middle")

    answer = await request(returning(broken), raise_errors=False)
    assert answer.body == b"1"
    assert answer.messages[-1]["more_body"] is True
    assert isinstance(answer.error, ValueError)
    assert len(caplog.records) == 1


# --- middleware


def tagging(name: str) -> Any:
    async def tag(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers["x-tags"] = f"{response.headers.get('x-tags', '')}{name}"
        return response

    return tag


class ClassTag:
    """A pure ASGI middleware."""

    def __init__(self, app: ASGIApp, name: str = "C") -> None:
        self.app, self.name = app, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                old = dict(headers).get(b"x-tags", b"")
                headers = [pair for pair in headers if pair[0] != b"x-tags"] + [(b"x-tags", old + self.name.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, tagged)


@pytest.mark.parametrize("path", ["/", "/nothing", "/error"])
@pytest.mark.parametrize(
    ("stack", "tags"),
    [
        (["a"], b"a"),
        (["a", "b", "c"], b"cba"),
        ([ClassTag], b"C"),
        ([ClassTag, "a"], b"aC"),
        (["a", ClassTag], b"Ca"),
        (["a", "b", ClassTag, "c", Middleware(ClassTag, name="D"), "d"], b"dDcCba"),
    ],
)
async def test_middleware_of_both_kinds_goes_around_every_answer(stack: list[Any], tags: bytes, path: str) -> None:
    app = MicroASGI(middleware=[tagging(item) if isinstance(item, str) else item for item in stack])
    app.get("/")(lambda: "ok")

    @app.get("/error")
    async def fail(request: Request) -> None:
        raise ValueError

    answer = await request(app, "GET", path)
    assert answer.header(b"x-tags") == tags
    assert answer.status == {"/": 200, "/nothing": 404, "/error": 500}[path]


async def test_middleware_added_later_goes_around_what_was_added_before() -> None:
    app = returning("ok")
    app.middleware(tagging("1"))
    app.add_middleware(ClassTag, name="2")
    app.add_middleware(Middleware(tagging("3")))
    assert (await request(app)).header(b"x-tags") == b"123"


async def test_middleware_is_refused_after_the_start() -> None:
    app = returning("ok")
    await request(app)
    with pytest.raises(ConfigurationError, match=r"test_application\.py:\d+: middleware has to be added before"):
        app.add_middleware(ClassTag)
    with pytest.raises(ConfigurationError, match="before the application starts"):
        app.lifespan(asynccontextmanager(lambda: numbers()))


async def test_what_a_middleware_raises_crosses_the_ones_around_it_as_a_response() -> None:
    async def refuse(request: Request, call_next: Next) -> Response:
        raise HTTPException(401)

    for stack in ([tagging("a"), tagging("b"), refuse], [ClassTag, refuse], [tagging("a"), ClassTag, refuse]):
        answer = await request(MicroASGI(middleware=stack))
        assert answer.status == 401
        assert answer.header(b"x-tags")


@pytest.mark.parametrize("late", [False, True])
async def test_an_asgi_middleware_that_fails_is_answered_unless_the_response_has_started(late: bool) -> None:
    class Fails(ClassTag):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and late:
                await self.app(scope, receive, send)
            raise ValueError

    app = MicroASGI(middleware=[Fails], routes=[Route("/", lambda: "ok")])
    answer = await request(app, raise_errors=False)
    assert (answer.status, isinstance(answer.error, ValueError)) == ((200, True) if late else (500, False))


async def test_a_middleware_may_return_what_a_handler_may() -> None:
    async def text(request: Request, call_next: Next) -> Any:
        return "from the middleware"

    assert (await request(MicroASGI(middleware=[text]))).body == b"from the middleware"
    answer = await request(MicroASGI(middleware=[tagging("a"), text]))
    assert (answer.body, answer.header(b"x-tags")) == (b"from the middleware", b"a")


async def test_middleware_and_handler_read_the_same_body() -> None:
    async def read(request: Request, call_next: Next) -> Response:
        assert await request.body() == b"abc"
        return await call_next(request)

    app = MicroASGI(middleware=[read])

    @app.post("/")
    async def echo(request: Request) -> bytes:
        return await request.body()

    assert (await request(app, "POST", chunks=[b"a", b"bc"])).body == b"abc"


inside: contextvars.ContextVar[str] = contextvars.ContextVar("inside", default="unset")


async def foreign_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Any ASGI application: echoes the body in two chunks, with a variable that was set outside."""
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan")
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    outside = inside.get()
    inside.set("set by the application")
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-app", outside.encode())]})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await anyio.lowlevel.checkpoint()
    await send({"type": "http.response.body", "body": b"!"})


@pytest.mark.parametrize("read_first", [False, True])
async def test_function_middleware_goes_around_a_foreign_application(read_first: bool) -> None:
    seen: dict[str, Any] = {}

    async def look(request: Request, call_next: Next) -> Response:
        if read_first:
            seen["body"] = await request.body()
        inside.set("set by the middleware")
        response = await call_next(request)
        seen["status"], seen["variable"] = response.status_code, inside.get()
        response.headers["x-middleware"] = "yes"
        return response

    app = MicroASGI(routes=[Mount("/f", foreign_app)], middleware=[look])
    answer = await request(app, "POST", "/f/", chunks=[b"a", b"b"])
    assert (answer.status, answer.body) == (201, b"ab!")
    assert answer.header(b"x-app") == b"set by the middleware"
    assert answer.header(b"x-middleware") == b"yes"
    assert seen == {"status": 201, "variable": "set by the application"} | ({"body": b"ab"} if read_first else {})


async def test_a_foreign_stream_passes_function_middleware_chunk_by_chunk() -> None:
    app = MicroASGI(routes=[Mount("/f", foreign_app)], middleware=[tagging("a")])
    async with Exchange(app, http_scope("GET", "/f/"), window=0) as exchange:
        await exchange.send_input({"type": "http.request", "body": b"x"})
        assert (await exchange.receive_output())["type"] == "http.response.start"
        assert (await exchange.receive_output())["body"] == b"x"
        assert not exchange.finished
        assert (await exchange.receive_output())["body"] == b"!"


async def test_a_file_that_a_foreign_application_names_is_read_for_a_middleware(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"contents")
    path = str(tmp_path / "file")

    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
        await send({"type": "http.response.pathsend", "path": path})

    async def look(request: Request, call_next: Next) -> Response:
        response: Any = await call_next(request)
        if request.url.query != "read":
            return response
        return Response(b"".join([chunk async for chunk in response.body_iterator]))

    offers: dict[str, Any] = {"http.response.early_hint": {}, "http.response.pathsend": {}}
    app = MicroASGI(routes=[Mount("/f", foreign)], middleware=[look])
    assert (await request(app, "GET", "/f?read", extensions=offers)).body == b"contents"
    async with Exchange(app, http_scope("GET", "/f", extensions=offers)) as exchange:
        kinds = [(await exchange.receive_output())["type"] for _ in range(3)]
    assert kinds == ["http.response.early_hint", "http.response.start", "http.response.pathsend"]


async def test_a_body_before_its_start_is_an_error_that_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.body", "body": b""})

    app = MicroASGI(routes=[Mount("/f", foreign)], middleware=[tagging("a")])
    assert (await request(app, "GET", "/f")).status == 500
    assert "sent http.response.body before http.response.start" in caplog.text


@pytest.mark.parametrize("where", ["application", "inner", "route", "behind a class"])
async def test_a_middleware_that_forgets_to_return_is_an_error_that_names_it(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def forgets(request: Request, call_next: Next) -> None:
        await call_next(request)

    async def home(request: Request) -> str:
        return "home"

    stack: dict[str, list[Any]] = {
        "application": [forgets],
        "inner": [tagging("a"), forgets],
        "route": [],
        "behind a class": [ClassTag, forgets],
    }
    own = [forgets] if where == "route" else []
    app = MicroASGI(routes=[Route("/", home, middleware=own)], middleware=stack[where])
    assert (await request(app)).status == 500
    assert "forgets (" in caplog.text
    assert "returned None: return what `await call_next(request)` gave it" in caplog.text


async def test_the_log_names_the_users_line_not_the_standard_librarys(caplog: pytest.LogCaptureFixture) -> None:
    async def home(request: Request) -> str:
        return json.loads("{", object_hook=dict)

    await request(MicroASGI(routes=[Route("/", home)]))
    assert f"at {__file__}:" in caplog.messages[0]


async def test_the_log_names_the_handler_of_what_no_json_holds(caplog: pytest.LogCaptureFixture) -> None:
    async def home(request: Request) -> Any:
        return {"value": object()}

    await request(MicroASGI(routes=[Route("/", home)]))
    assert ".home (" in caplog.messages[0]
    assert __file__ in caplog.messages[0]


def test_an_application_cannot_be_mounted_in_itself() -> None:
    app = MicroASGI()
    with pytest.raises(ConfigurationError, match="cannot be mounted in itself"):
        app.mount("/again", app)


async def test_an_error_that_is_raised_for_every_request_does_not_grow() -> None:
    forbidden = HTTPException(403)

    async def home(request: Request) -> str:
        raise forbidden

    app = MicroASGI(routes=[Route("/", home)])
    for _ in range(3):
        assert (await request(app)).status == 403
    assert forbidden.__traceback__ is None


async def test_an_asgi_middleware_may_refuse_as_the_exception_handlers_say() -> None:
    class Refuse:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await answer_error(scope, receive, send, HTTPException(429, "slowly", {"retry-after": "1"}))

    app = MicroASGI(middleware=[tagging("a"), Middleware(Refuse)])
    answer = await request(app)
    assert (answer.status, answer.body, answer.header(b"retry-after"), answer.header(b"x-tags")) == (
        *(429, b"slowly", b"1"),
        b"a",
    )

    async def handler(request: Request, error: HTTPException) -> tuple[str, int]:
        return f"own page: {error.detail}", error.status_code

    for middleware in ([Middleware(Refuse)], [tagging("a"), Middleware(Refuse)]):
        app = MicroASGI(middleware=middleware, exception_handlers={429: handler})
        assert (await request(app)).body == b"own page: slowly"
    assert (await request(Refuse(app))).body == b"slowly"


@pytest.mark.parametrize("where", ["application", "route"])
async def test_an_error_of_an_asgi_middleware_is_a_response_to_the_ones_around_it(where: str) -> None:
    class Fails:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                raise HTTPException(418, "broken")
            await self.app(scope, receive, send)

    async def home(request: Request) -> None: ...

    stack = [ClassTag, ClassTag, Fails]
    own = stack if where == "route" else []
    app = MicroASGI(routes=[Route("/", home, middleware=own)], middleware=[] if own else stack)
    answer = await request(app)
    assert (answer.status, answer.body, answer.header(b"x-tags")) == (418, b"broken", b"CC")


async def test_an_error_while_sending_through_asgi_middleware_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    class FailsAtSending:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def failing(message: Message) -> None:
                raise error

            await self.app(scope, receive, failing if scope["type"] == "http" else send)

    error = ValueError("the cookie is too large")
    app = MicroASGI(routes=[Route("/", returning_home)], middleware=[FailsAtSending])
    for requests in (1, 2):
        assert (await request(app)).status == 500
        assert len(caplog.records) == requests


async def returning_home(request: Request) -> str:
    return "home"


@pytest.mark.parametrize("where", ["application", "route"])
async def test_functions_around_an_asgi_middleware_around_functions_around_a_foreign_application(where: str) -> None:
    stack: list[Any] = [tagging("a"), ClassTag, tagging("b"), ClassTag, tagging("c")]
    own = stack if where == "route" else []
    app = MicroASGI(routes=[Mount("/f", foreign_app, middleware=own)], middleware=[] if own else stack)
    answer = await request(app, "POST", "/f/", body=b"abc")
    assert (answer.body, answer.header(b"x-tags")) == (b"abc!", b"cCbCa")


async def test_middleware_around_a_mount_sees_the_route_inside_of_it() -> None:
    seen: list[Any] = []

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            seen.append(getattr(scope.get("endpoint"), "__name__", None))

    async def page(request: Request) -> str:
        return "page"

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    routes = [Route("/p/{x}", page), WebSocketRoute("/s", socket)]
    inner = MicroASGI(routes=[Mount("/in", routes=routes)])
    app = MicroASGI(routes=[Mount("/out", inner)], middleware=[Watch])
    await request(app, path="/out/in/p/1")
    await talk(app, path="/out/in/s")
    assert [name for name in seen if name] == ["page", "socket"]


@pytest.mark.parametrize("stack", [[], [tagging("a")], [ClassTag]])
async def test_a_mounted_starlette_application_may_ask_for_the_client_before_its_body_comes(stack: list[Any]) -> None:
    async def upload(request: StarletteRequest) -> StarletteResponse:
        await request.is_disconnected()
        return StarletteResponse(await request.body())

    inner = Starlette(routes=[StarletteRoute("/x", upload, methods=["POST"])])
    app = MicroASGI(routes=[Mount("/m", inner)], middleware=stack)
    async with Exchange(app, http_scope("POST", "/m/x")) as exchange:
        await anyio.sleep(0.01)
        await exchange.send_input({"type": "http.request", "body": b"a", "more_body": True})
        await exchange.send_input({"type": "http.request", "body": b"b", "more_body": False})
        assert (await exchange.receive_output())["status"] == 200
        assert (await exchange.receive_output())["body"] == b"ab"


async def test_a_request_of_an_asgi_middleware_stops_looking_out_with_the_answer() -> None:
    class Asks:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await Request(scope, receive, send).is_disconnected()
                assert server.receiving
                raise ZeroDivisionError
            await self.app(scope, receive, send)

    async def handler(request: Request, error: Exception) -> AsyncIterator[str]:
        await anyio.sleep(0.01)
        yield "streamed"

    server = StrictServer()
    app = MicroASGI(middleware=[Asks], exception_handlers={ZeroDivisionError: handler})
    await app(http_scope("POST", "/", asgi={"version": "3.0", "spec_version": "2.3"}), server.receive, server.send)
    assert server.body == b"streamed"
    assert not server.receiving


async def test_a_middleware_may_rewrite_a_foreign_body() -> None:
    async def shout(request: Request, call_next: Next) -> Response:
        response: Any = await call_next(request)

        async def upper() -> AsyncIterator[bytes]:
            async for chunk in response.body_iterator:
                yield chunk.upper()

        return StreamingResponse(upper(), response.status_code)

    app = MicroASGI(routes=[Mount("/f", foreign_app)], middleware=[shout])
    answer = await request(app, "POST", "/f/", body=b"abc")
    assert (answer.status, answer.body) == (201, b"ABC!")


async def test_what_a_foreign_task_sends_while_the_middleware_works_is_not_lost(
    anyio_backend_name: str,
) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("on trio a response that starts in a task of the application's own is refused, see below")

    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        async def body() -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            await send({"type": "http.response.body", "body": b"2"})

        async with anyio.create_task_group() as group:
            group.start_soon(body)

    async def slow(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        await anyio.sleep(0.01)
        return response

    app = MicroASGI(routes=[Route("/", AnyApp(split))], middleware=[slow])
    assert (await request(app)).body == b"12"


@pytest.mark.parametrize("replaced", [False, True])
async def test_two_foreign_tasks_that_send_at_once_are_both_heard(replaced: bool, anyio_backend_name: str) -> None:
    if anyio_backend_name == "trio":
        pytest.skip("on trio a response that starts in a task of the application's own is refused, see below")

    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        async def body() -> None:
            await anyio.sleep(0.005)
            await send({"type": "http.response.body", "body": b"1", "more_body": True})

        async with anyio.create_task_group() as group:
            group.start_soon(send, {"type": "http.response.start", "status": 200, "headers": []})
            group.start_soon(body)
        await send({"type": "http.response.body", "body": b"2"})

    async def slow(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        await anyio.sleep(0.02)
        return PlainTextResponse("replaced") if replaced else response

    app = MicroASGI(routes=[Route("/", AnyApp(split))], middleware=[slow])
    assert (await request(app)).body == (b"replaced" if replaced else b"12")


async def test_on_trio_a_response_that_starts_in_a_foreign_task_says_what_to_do(
    anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    if anyio_backend_name == "asyncio":
        pytest.skip("asyncio can wait for two things at once without a task")

    async def split(scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(send, {"type": "http.response.start", "status": 200, "headers": []})

    app = MicroASGI(routes=[Route("/", AnyApp(split))], middleware=[tagging("a")])
    assert (await request(app)).status == 500
    assert "write the middleware as an ASGI class" in str(caplog.records[0].exc_info)


async def test_a_foreign_response_that_is_replaced_ends_as_if_the_client_had_left() -> None:
    ended: list[str] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            ended.append((await receive())["type"])
            raise

    async def replace(request: Request, call_next: Next) -> Response:
        await call_next(request)
        return PlainTextResponse("replaced", background=BackgroundTask(lambda: ended.append("background")))

    app = MicroASGI(routes=[Mount("/f", endless)], middleware=[replace])
    assert (await request(app, "GET", "/f/")).body == b"replaced"
    assert ended == ["background", "http.disconnect"]


async def test_a_background_task_of_a_middleware_runs_after_a_foreign_response() -> None:
    ran: list[int] = []

    async def later(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.background = BackgroundTask(ran.append, 1)
        return response

    app = MicroASGI(routes=[Mount("/f", foreign_app)], middleware=[later])
    await request(app, "GET", "/f/")
    assert ran == [1]


@pytest.mark.parametrize("with_middleware", [False, True])
async def test_a_foreign_application_that_fails_or_does_not_answer_is_500(with_middleware: bool) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    stack = [tagging("a")] if with_middleware else []
    app = MicroASGI(routes=[Mount("/fails", fails), Mount("/silent", silent)], middleware=stack)
    answer = await request(app, "GET", "/fails", raise_errors=False)
    assert answer.status == 500
    if with_middleware:
        assert (await request(app, "GET", "/silent")).status == 500
        assert answer.header(b"x-tags") == b"a"


async def test_messages_beside_the_response_pass_a_stepped_application() -> None:
    async def hints(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await PlainTextResponse("x")(scope, receive, send)

    app = MicroASGI(routes=[Mount("/", hints)], middleware=[tagging("a")])
    answer = await request(app, extensions={"http.response.early_hint": {}})
    assert (answer.early_hints, answer.body) == ([b"</a.css>; rel=preload"], b"x")


async def test_middleware_around_a_starlette_application() -> None:
    ran: list[str] = []

    async def stream(request: StarletteRequest) -> StarletteStream:
        async def chunks() -> AsyncIterator[str]:
            yield (await request.body()).decode()
            await anyio.sleep(0.001)
            yield "."

        return StarletteStream(chunks(), background=StarletteTask(ran.append, "background"))

    inner = Starlette(routes=[StarletteRoute("/s", stream, methods=["POST"])])
    app = MicroASGI(routes=[Mount("/m", inner)], middleware=[tagging("a"), ClassTag, tagging("b")])
    answer = await request(app, "POST", "/m/s", body=b"x", asgi={"version": "3.0", "spec_version": "2.4"})
    assert (answer.body, answer.header(b"x-tags"), ran) == (b"x.", b"bCa", ["background"])


async def test_background_tasks_run_after_the_response() -> None:
    order: list[str] = []

    async def handler(request: Request) -> Response:
        return PlainTextResponse("x", background=BackgroundTask(order.append, "background"))

    app = MicroASGI(routes=[Route("/", handler)])

    async def spy(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            order.append(message["type"])
            await send(message)

        await app(scope, receive, noted)

    await request(spy)
    assert order == ["http.response.start", "http.response.body", "background"]


async def test_nothing_is_shared_between_answers() -> None:
    constant = PlainTextResponse("x")

    async def add(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        response.headers.append("x-seen", "1")
        return response

    refused = MicroASGI(middleware=[add])
    for _ in range(2):
        answer = await request(refused)
        assert [name for name, _ in answer.headers].count(b"x-seen") == 1
    plain = returning(constant)
    for _ in range(2):
        answer = await request(plain)
        answer.messages[0]["headers"].append((b"x", b"y"))
    assert len(constant.raw_headers) == 2


# --- scopes


async def test_an_unknown_scope_is_an_error() -> None:
    app = MicroASGI()
    for _ in range(2):
        with pytest.raises(ValueError, match="'foo'"):
            await app({"type": "foo"}, None, None)  # type: ignore[arg-type]


async def test_a_websocket_passes_asgi_middleware_and_not_functions() -> None:
    app = MicroASGI(middleware=[tagging("a"), ClassTag, tagging("b")])

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hi")

    async with Exchange(app, websocket_scope()) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        assert (await exchange.receive_output())["type"] == "websocket.accept"
        assert (await exchange.receive_output())["text"] == "hi"
        assert (await exchange.receive_output())["code"] == 1000


async def test_the_files_of_a_form_are_closed_when_the_request_ends() -> None:
    app = MicroASGI()
    files: list[Any] = []

    @app.post("/")
    async def upload(request: Request) -> str:
        form = await request.form()
        files.append(form["f"])
        return "ok"

    body = b'--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n--x--\r\n'
    await request(app, "POST", body=body, headers=[(b"content-type", b"multipart/form-data; boundary=x")])
    assert files[0].file.closed


# --- sockets


async def talk(app: ASGIApp, *messages: Message, path: str = "/", **scope: Any) -> list[Message]:
    """Open a socket, send messages, and return what came back until the end."""
    out: list[Message] = []
    async with Exchange(app, websocket_scope(path, **scope)) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        for message in messages:
            await exchange.send_input(message)
        async for message in exchange:
            out.append(message)
    exchange.raise_error()
    return out


async def test_a_socket_has_the_parameters_of_its_path() -> None:
    async def greet(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"{websocket.path_params['room']}")

    app = MicroASGI()
    app.add_websocket_route("/rooms/{room:int}", greet, "room")
    assert (await talk(app, path="/rooms/7"))[1]["text"] == "7"
    assert app.url_path_for("room", room=8).protocol == "websocket"


def socket_app(handler: Any, **options: Any) -> MicroASGI:
    app = MicroASGI(**options)
    app.websocket("/")(handler)
    return app


def after_accept(error: Exception | None) -> Any:
    async def handler(websocket: WebSocket) -> None:
        await websocket.accept()
        if error is not None:
            raise error

    return handler


@pytest.mark.parametrize(
    ("error", "code", "logged"),
    [
        (None, 1000, 0),
        (ValueError("secret"), 1011, 1),
        (WebSocketException(3001, "why"), 3001, 0),
        (WebSocketDisconnect(), 1000, 0),
        (HTTPException(404), 1008, 0),
        (HTTPException(503), 1011, 0),
        (OSError("disk"), 1011, 1),
    ],
)
async def test_how_a_handler_ends_is_how_its_socket_ends(
    error: Exception | None, code: int, logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    out = await talk(socket_app(after_accept(error)))
    assert [message["type"] for message in out] == ["websocket.accept", "websocket.close"]
    assert out[-1]["code"] == code
    assert "secret" not in out[-1].get("reason", "")
    assert len(caplog.records) == logged


async def test_a_peer_that_leaves_a_group_of_tasks_is_a_normal_end(caplog: pytest.LogCaptureFixture) -> None:
    async def both(websocket: WebSocket) -> None:
        async def read() -> None:
            while True:
                await websocket.receive_text()

        await websocket.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(read)

    await talk(socket_app(both), {"type": "websocket.disconnect", "code": 1001})
    assert not caplog.records


async def test_an_error_alone_in_a_group_is_answered_as_itself() -> None:
    async def handler(request: Request) -> None:
        async with anyio.create_task_group():
            raise HTTPException(418)

    assert (await request(MicroASGI(routes=[Route("/", handler)]))).status == 418


@pytest.mark.parametrize(
    ("error", "first"),
    [
        (None, "websocket.close"),
        (ValueError(), "websocket.close"),
        (HTTPException(401), "websocket.http.response.start"),
    ],
)
async def test_a_handler_that_ends_before_accept_refuses_the_handshake(error: Exception | None, first: str) -> None:
    async def handler(websocket: WebSocket) -> None:
        if error is not None:
            raise error

    out = await talk(socket_app(handler))
    assert out[0]["type"] == first
    if error is not None and first.endswith("start"):
        assert out[0]["status"] == 401


@pytest.mark.parametrize("offered", [True, False])
async def test_an_unknown_path_is_404_or_403(offered: bool) -> None:
    extensions = {"websocket.http.response": {}} if offered else None
    out = await talk(MicroASGI(), path="/nothing", extensions=extensions)
    if offered:
        assert [message["type"] for message in out] == ["websocket.http.response.start", "websocket.http.response.body"]
        assert out[0]["status"] == 404
    else:
        assert [message["type"] for message in out] == ["websocket.close"]


@pytest.mark.parametrize(
    ("origin", "options", "accepted"),
    [
        (None, {}, True),
        (b"http://here.example", {}, True),
        (b"https://HERE.example", {}, True),
        (b"https://here.example:444", {}, False),
        (b"https://evil.example", {}, False),
        (b"null", {}, False),
        (b"garbage", {}, False),
        (b"https://evil.example", {"allowed_origins": ["https://evil.example"]}, True),
        (b"https://evil.example", {"allowed_origins": ["*"]}, True),
        (b"https://here.example.evil", {"allowed_origins": ["https://here.example"]}, False),
    ],
)
async def test_a_handshake_from_another_origin_is_refused(origin: bytes | None, options: Any, accepted: bool) -> None:
    headers = [(b"host", b"here.example")] + ([(b"origin", origin)] if origin else [])
    out = await talk(socket_app(after_accept(None), **options), headers=headers)
    assert out[0]["type"] == ("websocket.accept" if accepted else "websocket.http.response.start")
    assert out[0].get("status") == (None if accepted else 403)


@pytest.mark.parametrize(("host", "origin"), [(b"h:443", b"https://h"), (b"h:80", b"http://h")])
async def test_a_default_port_is_the_same_origin(host: bytes, origin: bytes) -> None:
    out = await talk(socket_app(after_accept(None)), headers=[(b"host", host), (b"origin", origin)])
    assert out[0]["type"] == "websocket.accept"


async def test_an_origin_without_a_host_to_compare_it_with_is_refused() -> None:
    out = await talk(socket_app(after_accept(None)), headers=[(b"origin", b"https://h")])
    assert out[0]["status"] == 403


async def test_a_route_has_allowed_origins_of_its_own() -> None:
    app = MicroASGI(allowed_origins=["https://a.example"])
    app.websocket("/", allowed_origins=["https://b.example"])(after_accept(None))
    for origin, kind in [
        (b"https://b.example", "websocket.accept"),
        (b"https://a.example", "websocket.http.response.start"),
    ]:
        assert (await talk(app, headers=[(b"host", b"h"), (b"origin", origin)]))[0]["type"] == kind


async def test_a_middleware_may_answer_for_an_origin() -> None:
    app = socket_app(after_accept(None))

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "microasgi.origin_allowed": True}, receive, send)

    headers = [(b"host", b"h"), (b"origin", b"https://partner.example")]
    assert (await talk(answering, headers=headers))[0]["type"] == "websocket.accept"
    assert (await talk(app, headers=headers))[0]["status"] == 403


async def test_an_exception_handler_answers_for_a_socket() -> None:
    async def explain(websocket: WebSocket, error: Exception) -> None:
        await websocket.close(3000, "explained")

    app = socket_app(after_accept(LookupError()), exception_handlers={LookupError: explain})
    assert (await talk(app))[-1]["code"] == 3000


async def test_an_exception_handler_of_last_resort_for_a_socket_leaves_the_log_and_the_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = socket_app(after_accept(LookupError()), exception_handlers={Exception: lambda websocket, error: None})
    assert (await talk(app))[-1]["code"] == 1011
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("second", "code"), [(ValueError(), 1011), (WebSocketDisconnect(), 1000)])
async def test_an_exception_handler_that_fails_for_a_socket_is_an_error_itself(second: Exception, code: int) -> None:
    async def fail(websocket: WebSocket, error: Exception) -> None:
        raise second

    app = socket_app(after_accept(LookupError()), exception_handlers={LookupError: fail})
    assert (await talk(app))[-1]["code"] == code


@pytest.mark.parametrize("error", [LookupError(), HTTPException(404)])
async def test_what_an_exception_handler_returns_denies_the_handshake(error: Exception) -> None:
    async def fail(websocket: WebSocket) -> None:
        raise error

    app = socket_app(fail, exception_handlers={type(error): lambda websocket, error: ("pay first", 402)})
    out = await talk(app)
    assert (out[0]["status"], out[1]["body"]) == (402, b"pay first")


async def test_a_server_that_says_by_an_oserror_that_the_peer_left_ends_the_socket_quietly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def chatter(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            await websocket.send_text("x")
            await anyio.lowlevel.checkpoint()

    scope = websocket_scope(asgi={"version": "3.0", "spec_version": "2.4"})
    async with Exchange(socket_app(chatter), scope) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        await exchange.receive_output()
        await exchange.receive_output()
        exchange.disconnect(1006)
        await exchange.wait_finished()
    assert exchange.error is None
    assert not caplog.records


async def test_a_websocket_endpoint_as_class() -> None:
    log: list[Any] = []

    class Echo(WebSocketEndpoint):
        encoding = "text"

        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            if data == "boom":
                raise ValueError
            if data == "leave":
                raise WebSocketDisconnect(3003)
            await websocket.send_text(data)

        async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
            log.append(close_code)

    app = socket_app(Echo)
    out = await talk(app, {"type": "websocket.receive", "text": "a"}, {"type": "websocket.disconnect", "code": 4001})
    assert [message["type"] for message in out] == ["websocket.accept", "websocket.send"]
    await talk(app, {"type": "websocket.disconnect"})
    out = await talk(app, {"type": "websocket.receive", "text": "boom"})
    assert out[-1]["code"] == 1011
    await talk(app, {"type": "websocket.receive", "text": "leave"})
    assert log == [4001, 1005, 1011, 3003]


@pytest.mark.parametrize(
    ("encoding", "message", "data"),
    [
        (None, {"text": "a"}, "a"),
        (None, {"bytes": b"a"}, b"a"),
        ("text", {"text": ""}, ""),
        ("bytes", {"bytes": b"a"}, b"a"),
        ("json", {"text": "[1]"}, [1]),
        ("json", {"bytes": b"[1]"}, [1]),
        ("text", {"bytes": b"a"}, 1003),
        ("bytes", {"text": "a"}, 1003),
        ("json", {"text": "{"}, 1007),
        ("json", {"text": "\ud800"}, 1007),
    ],
)
async def test_a_websocket_endpoint_decodes(encoding: Any, message: Any, data: Any) -> None:
    got: list[Any] = []

    class Take(WebSocketEndpoint):
        async def on_receive(self, websocket: WebSocket, data: Any) -> None:
            got.append(data)
            await websocket.close()

    Take.encoding = encoding
    out = await talk(socket_app(Take), {"type": "websocket.receive", **message}, {"type": "websocket.disconnect"})
    if isinstance(data, int):
        assert out[-1]["code"] == data
    else:
        assert got == [data]


async def test_a_websocket_endpoint_that_does_nothing_takes_messages() -> None:
    out = await talk(
        socket_app(WebSocketEndpoint), {"type": "websocket.receive", "text": "a"}, {"type": "websocket.disconnect"}
    )
    assert [message["type"] for message in out] == ["websocket.accept"]


# --- lifespan


@asynccontextmanager
async def lifespan(app: ASGIApp, *, state: Mapping[str, Any] | None = None) -> AsyncIterator[Exchange]:
    """Run an application's lifespan as a server does."""
    scope = lifespan_scope()
    async with Exchange(app, scope) as exchange:
        await exchange.send_input({"type": "lifespan.startup"})
        message = await exchange.receive_output()
        assert message["type"] == "lifespan.startup.complete", message
        yield exchange
        await exchange.send_input({"type": "lifespan.shutdown"})
        assert (await exchange.receive_output())["type"] == "lifespan.shutdown.complete"
        await exchange.wait_finished()


def noting(log: list[str], name: str) -> Any:
    @asynccontextmanager
    async def run() -> AsyncIterator[dict[str, str]]:
        log.append(f"{name} up")
        yield {name: name}
        log.append(f"{name} down")

    return run


async def test_lifespans_are_entered_in_order_and_left_in_reverse() -> None:
    log: list[str] = []
    app = MicroASGI(lifespan=noting(log, "a"))
    app.lifespan(noting(log, "b"))
    router = Router(lifespan=noting(log, "router"))
    app.include(router)
    app.mount("/in", MicroASGI(lifespan=noting(log, "mounted")))
    app.mount("/rejects", foreign_app)
    app.mount("/misunderstands", PlainTextResponse("a response to every scope"))
    async with lifespan(app) as exchange:
        assert exchange.scope["state"] == {"a": "a", "b": "b", "router": "router", "mounted": "mounted"}
    up = ["a up", "b up", "router up", "mounted up"]
    assert log == [*up, *(name.replace("up", "down") for name in reversed(up))]


async def test_a_lifespan_may_be_an_async_generator_function_of_the_application() -> None:
    app = returning("ok")

    @app.lifespan
    async def run(app: MicroASGI) -> AsyncIterator[None]:
        app.state.ready = True
        yield

    async with lifespan(app):
        assert app.state.ready
        assert (await request(app)).body == b"ok"


async def test_a_lifespan_that_fails_is_reported() -> None:
    app = MicroASGI()

    @app.lifespan
    async def run() -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    with pytest.raises(ValueError, match="no database"):
        async with Exchange(app, lifespan_scope()) as exchange:
            await exchange.send_input({"type": "lifespan.startup"})
            message = await exchange.receive_output()
            assert message == {"type": "lifespan.startup.failed", "message": "ValueError: no database"}
            await exchange.wait_finished()


async def test_without_a_servers_lifespan_it_starts_before_the_first_answer_and_once() -> None:
    log: list[str] = []
    app = returning("ok")
    app.lifespan(noting(log, "a"))

    @app.get("/state")
    async def state(request: Request) -> str:
        return request.state.a

    answers: list[bytes] = []

    async def ask() -> None:
        answers.append((await request(app, "GET", "/state", omit=["state"])).body)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    assert answers == [b"a"] * 3
    assert log == ["a up"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_an_application_that_cannot_start_lazily_answers_503_and_tries_again(kind: str) -> None:
    app = returning("ok")
    tries: list[int] = []

    @app.lifespan
    async def run() -> AsyncIterator[None]:
        tries.append(1)
        await anyio.sleep(0.001)
        if len(tries) == 1:
            raise ValueError("not yet")
        yield

    async def expect_503() -> None:
        assert (await request(app)).status == 503

    if kind == "http":
        async with anyio.create_task_group() as group:  # they wait for the same start
            for _ in range(2):
                group.start_soon(expect_503)
    else:
        assert (await talk(app))[0]["status"] == 503
    assert (await request(app)).body == b"ok"
    assert len(tries) == 2


async def test_tasks_run_beside_requests_and_end_with_the_application() -> None:
    app = MicroASGI()
    log: list[str] = []
    go = anyio.Event()

    async def work(name: str) -> None:
        await go.wait()
        log.append(name)

    @app.get("/")
    async def start(request: Request) -> str:
        app.tasks.start_soon(work, "job")
        return "started"

    async with lifespan(app):
        await request(app)
        go.set()
    assert log == ["job"]


async def test_routes_added_while_the_servers_lifespan_runs_leave_it_running() -> None:
    log: list[str] = []
    app = returning("ok")
    app.lifespan(noting(log, "a"))
    async with lifespan(app):
        await request(app)
        app.get("/b")(lambda: "b")
        assert (await request(app, "GET", "/b")).body == b"b"
    assert log == ["a up", "a down"]
    assert app.router is app


async def test_a_server_that_starts_the_lifespan_after_a_request_gets_its_answer() -> None:
    app = returning("ok")
    async with lifespan(app):
        pass
    assert (await request(app)).body == b"ok"
    async with lifespan(app):
        assert (await request(app)).body == b"ok"
    assert (await request(app)).body == b"ok"


async def test_a_client_that_leaves_in_the_middle_of_its_body_leaves_no_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = MicroASGI()

    @app.post("/")
    async def read(request: Request) -> bytes:
        return await request.body()

    await request(app, "POST", chunks=[b"a", b"b"], faults=Faults(leave_after_chunks=1), raise_errors=False)
    assert not caplog.records


async def test_a_foreign_application_that_fails_in_the_middle_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        raise ValueError("middle")

    app = MicroASGI(routes=[Route("/", AnyApp(fails))])
    answer = await request(app, raise_errors=False)
    assert (answer.status, answer.body, type(answer.error)) == (200, b"1", ValueError)
    assert not caplog.records


class AnyApp:
    """An ASGI application as an object."""

    def __init__(self, function: ASGIApp) -> None:
        self.function = function

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.function(scope, receive, send)


@pytest.mark.parametrize("value", ["plain", PlainTextResponse("response")])
@pytest.mark.parametrize("after", [0, 1])
async def test_a_server_that_says_by_an_oserror_that_the_client_left_leaves_no_record(
    value: Any, after: int, caplog: pytest.LogCaptureFixture
) -> None:
    await request(returning(value), faults=Faults(fail_send_after=after))
    assert not caplog.records


async def test_an_error_while_streaming_that_is_no_ones_fault_leaves_no_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"1"
        raise ClientDisconnect

    await request(returning(cut), raise_errors=False)
    assert not caplog.records


async def test_a_websocket_middleware_gets_sockets_before_the_lifespan_has_run() -> None:
    app = MicroASGI(middleware=[ClassTag])
    app.websocket("/")(WebSocketEndpoint)
    assert (await talk(app, {"type": "websocket.disconnect"}))[0]["type"] == "websocket.accept"


async def test_a_stepped_application_may_skip_empty_chunks_and_say_more_after_its_body() -> None:
    async def chatty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body"})

    async def read(request: Request, call_next: Next) -> Response:
        response: Any = await call_next(request)
        await response.begin()
        return PlainTextResponse(b"".join([chunk async for chunk in response.body_iterator]))

    app = MicroASGI(routes=[Route("/", AnyApp(chatty))], middleware=[read])
    assert (await request(app)).body == b"x"


async def test_a_function_middleware_around_an_asgi_class_sees_its_response() -> None:
    app = MicroASGI(middleware=[tagging("a"), ClassTag], routes=[Route("/", AnyApp(foreign_app))])
    answer = await request(app, "POST", body=b"x")
    assert (answer.body, answer.header(b"x-tags")) == (b"x!", b"Ca")


def test_a_bare_registry_has_no_lifespan_and_makes_no_routers() -> None:
    from microasgi.registry import Registry

    app = MicroASGI()
    app.include(Registry([Route("/a", lambda: "a")]), "/b")
    assert app.url_path_for("<lambda>") == "/b/a"
    with pytest.raises(NotImplementedError):
        Registry([Mount("/a", routes=[])])


async def test_a_parent_that_leaves_the_root_path_out_of_the_path_is_understood() -> None:
    answer = await request(returning("ok"), path="/", root_path="/x", **{"microasgi.root_path": ""})
    assert answer.body == b"ok"


async def test_a_field_that_the_client_left_out_is_400_and_says_which() -> None:
    app = MicroASGI()

    @app.post("/")
    async def read(request: Request) -> str:
        form = await request.form()
        return f"{form['text']} {request.query_params['page']}"

    answer = await request(app, "POST", "/?page=1")
    assert (answer.status, answer.body) == (400, b"the form has no 'text'")
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    answer = await request(app, "POST", "/", body=b"text=x", headers=form)
    assert (answer.status, answer.body) == (400, b"the query has no 'page'")


@pytest.mark.parametrize(
    ("path", "limit"), [("/m/router/", 3), ("/m/own/", 4), ("/router/", 3), ("/included/", 3), ("/mounted/x/", 5)]
)
async def test_a_mount_or_a_router_limits_the_bodies_of_its_routes(path: str, limit: int) -> None:
    async def read(request: Request) -> bytes:
        return await request.body()

    routes = [Route("/", read, methods=["POST"])]
    router = Router(routes, max_body_size=3)
    inner = Router([Mount("/x", routes=routes)])
    app = MicroASGI(
        routes=[
            Mount("/m/own", routes=routes, max_body_size=4),
            Mount("/m/router", router),
            Mount("/router", router, max_body_size=3),
            Mount("/mounted", inner, max_body_size=5),
        ]
    )
    app.include(router, "/included")
    for size, status in ((limit, 200), (limit + 1, 413)):
        assert (await request(app, "POST", path, body=b"x" * size)).status == status


async def test_without_a_limit_every_body_is_read() -> None:
    app = MicroASGI(max_body_size=None)

    @app.post("/")
    async def read(request: Request) -> str:
        return str(len(await request.body()))

    assert (await request(app, "POST", body=b"x" * (17 * 1024 * 1024))).body == b"17825792"


async def test_a_foreign_application_that_takes_no_notice_of_its_client_ends_too() -> None:
    refused: list[int] = []

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        await send_stubbornly(send, {"type": "http.response.start", "status": 200, "headers": []})
        await send_stubbornly(send, {"type": "http.response.body", "body": b"x"})

    async def send_stubbornly(send: Send, message: Message) -> None:
        try:
            await send(message)
        except OSError:
            refused.append(1)

    async def replace(request: Request, call_next: Next) -> Response:
        await call_next(request)
        return PlainTextResponse("replaced")

    app = MicroASGI(routes=[Route("/", AnyApp(stubborn))], middleware=[replace])
    assert (await request(app)).body == b"replaced"
    assert refused == [1, 1]


@pytest.mark.parametrize("code", [99, 1005])
async def test_a_close_code_that_may_not_be_sent_is_an_error_in_the_log(
    code: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await talk(socket_app(after_accept(WebSocketException(code)))))[-1]["code"] == 1011
    assert len(caplog.records) == 1


async def test_the_body_of_a_mounted_application_cannot_be_read_or_set() -> None:
    async def meddle(request: Request, call_next: Next) -> Response:
        response = await call_next(request)
        for meddling in (lambda: response.body, lambda: setattr(response, "body", b"")):
            with pytest.raises(RuntimeError, match="return a new Response"):
                meddling()
        return response

    app = MicroASGI(routes=[Route("/", AnyApp(foreign_app))], middleware=[meddle])
    assert (await request(app, "POST", body=b"x")).body == b"x!"
