"""Whatever comes over the wire, the answer is a status below 500 or a clean close, and nothing is raised or logged."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse as StarletteText
from starlette.routing import Route as StarletteRoute

from microasgi import (
    HTTPException,
    MicroASGI,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
    RouteConflict,
    WebSocket,
    WebSocketException,
)
from microasgi.endpoints import HTTPEndpoint, WebSocketEndpoint
from microasgi.exceptions import ConfigurationError
from microasgi.testing import (
    Exchange,
    Faults,
    RawResponse,
    http_scope,
    lifespan_scope,
    lint,
    request,
    websocket_scope,
)
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

few = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Records(logging.Handler):
    """Keeps what the framework logs as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(self.format(record))


@contextmanager
def records() -> Iterator[list[str]]:
    handler = Records()
    logger = logging.getLogger("microasgi")
    logger.addHandler(handler)
    try:
        yield handler.kept
    finally:
        logger.removeHandler(handler)


@asynccontextmanager
async def served(app: MicroASGI) -> AsyncGenerator[MicroASGI]:
    """Hold the lifespan conversation around the block, as a server does."""
    async with Exchange(app, lifespan_scope()) as life:
        await life.send_input({"type": "lifespan.startup"})
        assert (await life.receive_output())["type"] == "lifespan.startup.complete"
        try:
            yield app
        finally:
            with anyio.CancelScope(shield=True):
                await life.send_input({"type": "lifespan.shutdown"})
                assert (await life.receive_output())["type"] == "lifespan.shutdown.complete"


async def ask(app: MicroASGI, *args: Any, **options: Any) -> RawResponse:
    """Send one request under the strict lint; the application has started by the server's asking."""
    async with served(app):
        return await request(lint(app, strict=True), *args, raise_errors="faults" not in options, **options)


async def lawful(app: MicroASGI, *args: Any, **options: Any) -> RawResponse:
    """Send one request and hold the answer to the law of this file."""
    with records() as logged:
        answer = await ask(app, *args, **options)
    left = "faults" in options
    assert answer.error is None or (left and isinstance(answer.error, OSError))
    assert logged == []
    assert 200 <= answer.status < 500 or (left and answer.status == 0), answer
    return answer


async def talk(app: MicroASGI, scope: Scope, messages: list[Message], *, code: Any = 1001) -> list[Message]:
    """Hold a websocket conversation in which the client says all this and leaves; return what it was told."""
    incoming = [*messages, {"type": "websocket.disconnect", **({} if code is ... else {"code": code})}]
    told: list[Message] = []

    async def receive() -> Message:
        await anyio.lowlevel.checkpoint()
        if incoming:
            return incoming.pop(0)
        raise AssertionError("received after the disconnect")

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        told.append(message)

    with anyio.fail_after(5):
        async with served(app):
            await lint(app, strict=True)(scope, receive, send)
    return told


class Everything(HTTPEndpoint):
    async def get(self, request: Request) -> dict[str, Any]:
        return {"method": request.method}

    async def secret(self, request: Request) -> str:
        raise AssertionError("called by name")


class Echo(WebSocketEndpoint):
    encoding = "json"

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json(data)


class PassOn:
    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


async def look_at_everything(request: Request) -> Response:
    seen = {
        "url": str(request.url),
        "base": str(request.base_url),
        "query": request.query_params.multi_items(),
        "query text": str(request.query_params),
        "cookies": request.cookies,
        "headers": request.headers.items(),
        "client": request.client,
        "params": {name: str(value) for name, value in request.path_params.items()},
        "url for": str(request.url_for("item", number=7)),
        "gone": await request.is_disconnected(),
        "state": len(request.state),
    }
    response = Response(json.dumps(seen), media_type="application/json", headers={"x-one": "1"})
    response.set_cookie("seen", "yes")
    return response


async def echo_path(request: Request) -> dict[str, str]:
    return {name: str(value) for name, value in request.path_params.items()}


async def take_json(request: Request) -> dict[str, Any]:
    return {"value": await request.json()}


async def take_form(request: Request) -> dict[str, Any]:
    form = await request.form()
    return {
        "fields": [[name, value if isinstance(value, str) else value.filename] for name, value in form.multi_items()]
    }


async def take_parts(request: Request) -> list[Any]:
    return [[part.name, part.filename, len(await part.read())] async for part in request.parts()]


async def take_stream(request: Request) -> AsyncIterator[str]:
    total = 0
    async for chunk in request.stream():
        total += len(chunk)

    async def stream() -> AsyncIterator[str]:
        for number in range(3):
            yield str(number)
        yield str(total)

    return stream()


async def go_on(request: Request) -> Response:
    return RedirectResponse(request.query_params.get("to", "/"))


async def texts(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(str(len(text)))


async def binaries(websocket: WebSocket) -> None:
    await websocket.accept()
    async for data in websocket.iter_bytes():
        await websocket.send_bytes(data)


async def values(websocket: WebSocket) -> None:
    await websocket.accept()
    async for value in websocket.iter_json():
        await websocket.send_json(value)


async def anything(websocket: WebSocket) -> None:
    await websocket.accept(websocket.subprotocols[0] if websocket.subprotocols else None)
    while True:
        await websocket.receive()
        await websocket.send_json([str(websocket.url), dict(websocket.cookies)])


async def refuses(websocket: WebSocket) -> None:
    await websocket.receive()
    raise HTTPException(403, "not you")


def make_app(middleware: bool = True) -> MicroASGI:
    """Return an application with one of everything."""
    app = MicroASGI(middleware=[PassOn] if middleware else [], max_body_size=4096, max_message_size=256)

    async def add_header(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["x-seen"] = "1"
        return response

    if middleware:
        app.add_middleware(add_header)

    @app.exception_handler(413)
    def too_large(request: Request, error: Exception) -> tuple[dict[str, str], int]:
        return {"error": "too large"}, 413

    app.add_route("/", look_at_everything)
    app.add_route("/fixed", echo_path)
    app.add_route("/items/{number:int}", echo_path, name="item")
    app.add_route("/items/{name}", echo_path, methods=["PUT"])
    app.add_route("/files/{path:path}", look_at_everything)
    app.add_route("/{a}-{b:float}.json", echo_path)
    app.add_route("/ids/{id:uuid}/", echo_path)
    app.add_route("/json", take_json, methods=["POST", "QUERY"])
    app.add_route("/form", take_form, methods=["POST"])
    app.add_route("/parts", take_parts, methods=["POST"])
    app.add_route("/stream", take_stream, methods=["POST"])
    app.add_route("/go", go_on)
    app.add_route("/class", Everything)
    inner = MicroASGI()
    inner.add_route("/", look_at_everything)
    inner.add_route("/items/{number:int}", look_at_everything, name="item")
    inner.add_route("/json", take_json, methods=["POST"])

    async def starlette_page(request: Any) -> StarletteText:
        return StarletteText(str(request.url.path))

    app.mount("/inner", inner)
    app.mount("/star", Starlette(routes=[StarletteRoute("/{rest:path}", starlette_page)]))
    app.host("api.example.org", inner)
    app.host("{tenant}.example.org", inner)
    for path, handler in {"text": texts, "bytes": binaries, "json": values, "any": anything, "no": refuses}.items():
        app.add_websocket_route(f"/ws/{path}", handler)
    app.add_websocket_route("/ws/class", Echo)
    app.add_websocket_route("/ws/{room:int}", texts)
    return app


APP = make_app()
BARE = make_app(middleware=False)

SEGMENTS = st.sampled_from(
    [
        "",
        "a",
        "1",
        ".",
        "..",
        "...",
        "fixed",
        "items",
        "files",
        "inner",
        "star",
        "ids",
        "json",
        "go",
        "ws",
        "class",
        "\\",
        "\x00",
        "\n",
        "a\n",
        "\x85",
        "\u2028",
        "\ufffd",
        "é",
        "%2e%2e",
        "%",
        "a-1.5.json",
        "-",
        "1" * 30,
        "٣",
        "²",
        "C:",
        "http:",
        "evil.example",
        "a?b",
        "a#b",
        "{x}",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "\U0001f600",
    ]
)
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts)) | st.text(
    st.characters(blacklist_categories=["Cs"]), max_size=20
)
METHODS = st.sampled_from(
    ["GET", "HEAD", "POST", "PUT", "OPTIONS", "QUERY", "get", "SECRET", "__class__", "*", "TRACE"]
)
# What servers let through: no line ends and no NUL.
VALUES = st.binary(max_size=40).map(lambda value: value.translate(None, b"\r\n\x00").strip(b" \t"))
NAMES = st.sampled_from(
    [
        b"host",
        b"cookie",
        b"accept",
        b"origin",
        b"content-type",
        b"content-length",
        b"range",
        b"if-none-match",
        b"x",
        b"x-forwarded-for",
        b"transfer-encoding",
        b"expect",
        b"accept-encoding",
        b"!#$%&'*+-.^_`|~",
    ]
)
TRICKY = st.sampled_from(
    [
        b"evil.example/..?x",
        b"api.example.org",
        b"a.b.example.org:80",
        b"[::1]:80",
        b"[",
        b"a@b",
        b"",
        b"a:99999",
        b"\xff",
        b'a="b; c=d',
        b"=nameless",
        b"a" + b";" * 300,
        b'a="\\377\\"',
        b"__Host-a=1; __host-a=2",
        b"a=1,b=2",
        b"application/json",
        b"application/problem+json;q=0.5, text/html;q=x",
        b"json" * 9,
        b"*/*;q=0",
        b",,;=,",
        b"application/x-www-form-urlencoded",
        b"application/x-www-form-urlencoded; charset=zip",
        b"multipart/form-data; boundary=b",
        b'multipart/form-data; boundary="',
        b"multipart/form-data; charset=utf-16",
        b"http://evil.example",
        b"null",
        b"://",
        b"http://testserver",
        b"-1",
        b"999999999999999999999",
    ]
)
HEADERS = st.lists(st.tuples(NAMES, VALUES | TRICKY), max_size=6)
QUERIES = (
    st.binary(max_size=30).map(lambda query: query.translate(None, b"\r\n\x00 "))
    | st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
    | st.sampled_from(
        [b"&" * 1001, b"a" * 70_000, b"%", b"%ff=%zz", b"to=//evil", b"to=/\\evil%0d%0aset-cookie:a=b", b"a=%00"]
    )
)
OPTIONAL = st.lists(
    st.sampled_from(["extensions", "state", "raw_path", "client", "server", "scheme", "root_path", "http_version"]),
    max_size=8,
)
EXTRA = st.dictionaries(
    st.sampled_from(["client", "server", "scheme", "raw_path", "http.unknown", "path_params", "extensions", "state"]),
    st.none(),
    max_size=2,
) | st.sampled_from(
    [
        {"server": ("testserver", "80")},
        {"server": ("/run/app.sock", None)},
        {"server": ["::1", 80]},
        {"client": ("", "0")},
        {"client": ["1.2.3.4", 5]},
        {"scheme": "https"},
        {"raw_path": b""},
        {"asgi": {}},
        {"extensions": {"http.response.pathsend": {}, "websocket.http.response": {}, "unknown": {}}},
        {"http.unknown": object()},
    ]
)


@few
@given(method=METHODS, path=PATHS, query=QUERIES, headers=HEADERS, omit=OPTIONAL)
async def test_no_target_and_no_header_is_a_500(
    method: str, path: str, query: bytes | str, headers: list[tuple[bytes, bytes]], omit: list[str]
) -> None:
    await lawful(APP, method, quote(path), query_string=query, headers=headers, omit=omit)


@few
@given(path=st.sampled_from(["/", "/files/a/b", "/inner", "/inner/", "/nowhere"]), omit=OPTIONAL, extra=EXTRA)
async def test_no_missing_and_no_unknown_key_of_the_scope_is_a_500(
    path: str, omit: list[str], extra: dict[str, Any]
) -> None:
    await lawful(APP, "GET", path, omit=omit, **{key: value for key, value in extra.items() if key != "state"})


@few
@given(
    root=st.sampled_from(["", "/", "/pre", "/pre/", "pre", "//evil", "/é", "/a b", "/inner", "/?"]),
    path=PATHS,
    raw=VALUES,
)
async def test_no_root_path_is_a_500_and_none_sends_the_client_elsewhere(root: str, path: str, raw: bytes) -> None:
    answer = await lawful(APP, "GET", quote(path), root_path=root, raw_path=raw)
    location = answer.header(b"location") or b""
    assert not location.startswith((b"//", b"/\\"))


@few
@given(path=PATHS, host=VALUES | TRICKY)
async def test_a_slash_redirect_is_a_path_on_the_same_host(path: str, host: bytes) -> None:
    for target in (path, f"{path}/", f"/{path}", f"//{path}/"):
        answer = await lawful(APP, "GET", quote(target), headers=[(b"host", host)])
        if answer.status == 307:
            location = answer.header(b"location") or b""
            assert location.startswith(b"/")
            assert not location.startswith((b"//", b"/\\"))
            assert location.isascii()


@few
@given(path=PATHS, host=VALUES | TRICKY, query=QUERIES)
async def test_host_path_and_query_never_change_places_in_the_url(path: str, host: bytes, query: bytes | str) -> None:
    target = quote("/files/" + path)
    answer = await lawful(APP, "GET", target, headers=[(b"host", host)], query_string=query)
    if answer.status == 200:
        url = answer.json()["url"]
        authority, _, rest = url.removeprefix("http://").partition("/")
        assert not set(authority) & set("?#@\\%/ ")
        assert rest.partition("?")[0].startswith("files/")


JSONISH = st.sampled_from(
    [
        b"",
        b"[" * 3000,
        b"9" * 4000,
        b'"\\ud800"',
        b"NaN",
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"a":1}x',
        b'"\x00"',
        b"1e999",
        b"\xff\xfe{\x00}\x00",
        b'{"a":1,"a":2}',
        b"-" * 50,
        b"[1,]",
        b"null",
        b" ",
    ]
)
MULTIPART = st.lists(
    st.sampled_from(
        [
            b"--b\r\n",
            b"--b--\r\n",
            b"--b",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"-",
            b"x",
            b"\xff",
            b"\x00",
            b'content-disposition: form-data; name="a"\r\n',
            b'content-disposition: form-data; name="f"; filename="../x"\r\n',
            b"content-disposition: form-data\r\n",
            b"content-disposition: form-data; name=a; name=b\r\n",
            b"a: b\r\n",
            b":\r\n",
            b"content-type: text/plain; charset=utf-7\r\n",
            b"content-disposition: form-data; name*=utf-8''%ff\r\n",
            b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nv\r\n--b--\r\n',
            b"x" * 2000,
        ]
    ),
    max_size=8,
).map(b"".join)
TYPES = st.sampled_from(
    [
        b"application/json",
        b"application/x-www-form-urlencoded",
        b"application/x-www-form-urlencoded; charset=latin1",
        b"multipart/form-data; boundary=b",
        b"multipart/form-data; boundary=b; charset=rot13",
        b"multipart/form-data",
        b"text/plain",
        b"\xff",
    ]
)
BODIES = JSONISH | MULTIPART | st.binary(max_size=60) | QUERIES.filter(lambda query: isinstance(query, bytes))


@few
@given(
    path=st.sampled_from(["/json", "/form", "/parts", "/stream", "/inner/json", "/star/x"]),
    body=BODIES,
    kind=TYPES,
    cuts=st.lists(st.integers(0, 5000), max_size=4),
)
async def test_no_body_is_a_500_however_it_is_cut(path: str, body: bytes, kind: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    chunks = [body[start:end] for start, end in pairwise(places)]
    answer = await lawful(APP, "POST", path, headers=[(b"content-type", kind)], chunks=chunks)
    whole = await lawful(APP, "POST", path, headers=[(b"content-type", kind)], body=body)
    assert (answer.status, answer.body) == (whole.status, whole.body)


FAULTS = st.builds(
    Faults,
    leave_after_bytes=st.none() | st.integers(0, 3),
    leave_after_chunks=st.none() | st.integers(0, 3),
    fail_send_after=st.none() | st.integers(0, 3),
)


@few
@given(
    path=st.sampled_from(["/", "/json", "/form", "/parts", "/stream", "/inner/json", "/star/x", "/nowhere"]),
    kind=TYPES,
    faults=FAULTS,
    version=st.sampled_from(["2.0", "2.3", "2.4"]),
)
async def test_a_client_may_leave_at_any_time(path: str, kind: bytes, faults: Faults, version: str) -> None:
    await lawful(
        BARE,
        "POST" if path != "/" else "GET",
        path,
        headers=[(b"content-type", kind)],
        chunks=[b'{"a":', b"1", b"}"],
        faults=faults,
        asgi={"version": "3.0", "spec_version": version},
    )


FRAMES: st.SearchStrategy[Any] = st.builds(
    dict,
    type=st.just("websocket.receive"),
    text=st.text(max_size=5) | st.sampled_from(["{}", "[" * 250, "x" * 257, "é" * 200, "NaN", "1" * 200]),
) | st.builds(
    lambda data, extra: {"type": "websocket.receive", "bytes": data, **extra},
    st.binary(max_size=5) | st.sampled_from([b"x" * 257, b"{}", b"\xff"]),
    st.sampled_from([{}, {"text": None}, {"unknown": 1}]),
)
CLEAN = {1000, 1003, 1007, 1009}


@few
@given(
    path=st.sampled_from(["text", "bytes", "json", "any", "no", "class", "1", "nowhere", "²"]),
    frames=st.lists(FRAMES, max_size=5),
    code=st.sampled_from([..., None, 1000, 1006, 4000]),
    headers=HEADERS.map(lambda pairs: [pair for pair in pairs if pair[0] != b"origin"]),
    offered=st.lists(st.sampled_from(["chat", "v2", ""]), max_size=2),
    omit=st.lists(st.sampled_from(["scheme", "http_version", "extensions", "state", "client", "subprotocols"])),
)
async def test_no_conversation_breaks_a_socket(
    path: str, frames: list[Message], code: Any, headers: list[tuple[bytes, bytes]], offered: list[str], omit: list[str]
) -> None:
    scope = websocket_scope(f"/ws/{quote(path)}", headers=headers, subprotocols=offered, omit=omit)
    with records() as logged:
        told = await talk(APP, scope, [{"type": "websocket.connect"}, *frames], code=code)
    assert logged == []
    assert {message["code"] for message in told if message["type"] == "websocket.close" and "code" in message} <= CLEAN


@few
@given(origin=VALUES | TRICKY, host=VALUES | TRICKY, more=HEADERS)
async def test_no_origin_opens_a_socket_but_the_host_itself(
    origin: bytes, host: bytes, more: list[tuple[bytes, bytes]]
) -> None:
    others = [pair for pair in more if pair[0] not in {b"host", b"origin"}]
    scope = websocket_scope("/ws/text", headers=[(b"host", host), (b"origin", origin), *others])
    told = await talk(APP, scope, [{"type": "websocket.connect"}])
    if told[0]["type"] == "websocket.accept":
        assert origin.lower().partition(b"://")[2].split(b":")[0] == host.lower().split(b":")[0]
    elif b"example.org" not in host:  # there the host's own application answers, with 404
        assert told[0]["status"] in {403, 404}


# Classes of advisories against others.


@pytest.mark.parametrize("method", ["secret", "SECRET", "dispatch", "__init__", "get", "METHODS"])
async def test_a_method_is_never_looked_up_as_an_attribute(method: str) -> None:
    answer = await lawful(APP, method, "/class")
    assert answer.status == 405


@pytest.mark.parametrize("path", ["/inner-secret", "/innersecret/items/1", "/fixed%0A", "/items/1%0A", "/items/%D9%A3"])
async def test_a_prefix_and_a_pattern_end_where_they_say(path: str) -> None:
    assert (await lawful(APP, "GET", path)).status in {404, 405}


@pytest.mark.parametrize("path", ["//evil.example/", "//evil.example", "/%5Cevil.example/", "///evil/..", "/%2Fevil/"])
async def test_what_looks_like_another_host_is_not_redirected_to(path: str) -> None:
    answer = await lawful(APP, "GET", path)
    assert answer.header(b"location") is None


@pytest.mark.parametrize(
    "path", ["/files/../x", "/files/a%5C..%5Cb", "/files/%00", "/files/./a", "/files/..", "/files/a%0Ab"]
)
async def test_paths_that_could_escape_are_not_found(path: str) -> None:
    assert (await lawful(APP, "GET", path)).status == 404


async def test_a_redirect_target_cannot_split_the_header() -> None:
    answer = await lawful(APP, "GET", "/go", query_string=b"to=/a%0d%0aset-cookie:%20evil=1%00%c3%a9%5Cx")
    assert answer.header(b"location") == b"/a%0D%0Aset-cookie:%20evil=1%00%C3%A9%5Cx"
    assert answer.header(b"set-cookie") is None


async def test_a_cookie_without_a_name_shadows_none() -> None:
    answer = await lawful(APP, "GET", "/", headers=[(b"cookie", b"=session=evil; session=good; session=late; evil")])
    assert answer.json()["cookies"] == {"session": "good"}


async def test_many_parts_each_small_are_refused() -> None:
    app = MicroASGI()
    app.add_route("/form", take_form, methods=["POST"])
    part = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n'
    kind = [(b"content-type", b"multipart/form-data; boundary=b")]
    assert (await lawful(app, "POST", "/form", headers=kind, body=part * 1001 + b"--b--\r\n")).status == 413


@pytest.mark.parametrize("charset", ["zip", "rot13", "idna", "unicode_escape", "utf-16", "utf-7", "base64", "x" * 9999])
async def test_no_codec_is_looked_up_by_the_name_a_client_gives(charset: str) -> None:
    kind = [(b"content-type", f"application/x-www-form-urlencoded; charset={charset}".encode())]
    assert (await lawful(APP, "POST", "/form", headers=kind, body=b"a=1")).status == 415


@pytest.mark.parametrize("body", [b"[" * 4000, b"1" * 4301, b'{"a":' * 700, b"\xff\xfe[\x00]\x00"])
async def test_json_that_breaks_parsers_is_a_400(body: bytes) -> None:
    app = MicroASGI()
    app.add_route("/json", take_json, methods=["POST"])
    assert (await lawful(app, "POST", "/json", body=body)).status == 400


async def test_json_nested_beyond_the_stack_is_a_400() -> None:
    app = MicroASGI()
    app.add_route("/json", take_json, methods=["POST"])
    assert (await lawful(app, "POST", "/json", body=b"[" * 2_000_000)).status == 400


async def test_a_content_length_is_counted_and_not_believed() -> None:
    answer = await lawful(APP, "POST", "/stream", headers=[(b"content-length", b"1")], chunks=[b"x" * 3000] * 2)
    assert answer.status == 413


async def test_an_error_tells_the_client_nothing() -> None:
    app = MicroASGI()

    @app.get("/")
    async def fails() -> str:
        raise ValueError("the password is hunter2")

    with records() as logged:
        answer = await ask(app)
    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert len(logged) == 1


async def test_a_group_of_one_error_is_answered_as_that_error() -> None:
    app = MicroASGI()

    @app.get("/")
    async def fails() -> None:
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [HTTPException(409)])])

    assert (await lawful(app)).status == 409


async def test_an_error_handler_that_raises_is_answered_too() -> None:
    app = MicroASGI()

    @app.exception_handler(KeyError)
    async def broken(request: Request, error: Exception) -> str:
        raise ValueError("the handler is broken")

    @app.get("/")
    async def fails() -> None:
        raise KeyError("x")

    with records() as logged:
        answer = await ask(app)
    assert answer.status == 500
    assert len(logged) == 1


@pytest.mark.parametrize(
    "result", [1, 1.5, object(), {1, 2}, ("x", "y"), ("x", 200, {}, 1), (1, 200), ("x", 99), iter([])]
)
async def test_an_odd_result_is_one_500_and_one_record(result: Any) -> None:
    app = MicroASGI()
    app.add_route("/", lambda: result)
    with records() as logged:
        answer = await ask(app)
    assert answer.status == 500
    assert len(logged) == 1


async def test_requests_before_the_start_wait_for_one_lifespan() -> None:
    app = MicroASGI()
    starts: list[int] = []

    @app.lifespan
    async def life() -> AsyncGenerator[dict[str, int]]:
        starts.append(1)
        await anyio.sleep(0.01)
        yield {"number": len(starts)}

    app.add_route("/", lambda request: str(request.state.number))
    answers: list[RawResponse] = []

    async def one() -> None:
        answers.append(await request(app, omit=["state"]))

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one)
    assert {answer.body for answer in answers} == {b"1"}
    assert starts == [1]


# Defects that are known.


async def cancelled(app: MicroASGI, scope: Scope, *messages: Message) -> None:
    """Run the application until it waits, and cancel it there."""
    incoming = list(messages)

    async def receive() -> Message:
        if incoming:
            return incoming.pop(0)
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        await anyio.lowlevel.checkpoint()

    async with served(app), anyio.create_task_group() as group:
        group.start_soon(app, scope, receive, send)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()


async def test_cleanups_run_when_a_handler_is_cancelled() -> None:
    app = MicroASGI()
    cleaned: list[int] = []

    async def clean() -> None:
        cleaned.append(1)

    @app.get("/")
    async def waits(request: Request) -> None:
        request.on_close(clean)
        await anyio.sleep_forever()

    await cancelled(app, http_scope())
    assert cleaned == [1]


def paused_app(log: list[str]) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x"})
        except GeneratorExit:  # thrown away by the garbage collector: clean-up that awaits could not run
            raise
        except BaseException:
            log.append("left")
            raise

    return app


async def test_a_paused_application_is_ended_when_the_middleware_is_cancelled() -> None:
    app = MicroASGI()
    log: list[str] = []
    app.mount("/f", paused_app(log))
    kept: list[Response] = []

    @app.middleware
    async def waits(request: Request, call_next: Callable[..., Any]) -> Response:
        kept.append(await call_next(request))
        await anyio.sleep_forever()
        return kept[0]

    await cancelled(app, http_scope("GET", "/f"))
    assert log == ["left"]


async def test_a_paused_application_is_ended_when_its_start_cannot_be_sent() -> None:
    app = MicroASGI()
    log: list[str] = []
    app.mount("/f", paused_app(log))
    kept: list[Response] = []

    @app.middleware
    async def passes(request: Request, call_next: Callable[..., Any]) -> Response:
        kept.append(await call_next(request))
        return kept[0]

    await ask(app, "GET", "/f", faults=Faults(fail_send_after=0))
    assert log == ["left"]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(HTTPException(400, headers={"x": "a\r\nset-cookie: evil=1"}), id="header"),
        pytest.param(HTTPException(99), id="status"),
        pytest.param(HTTPException(400, "no \ud800"), id="surrogate"),
    ],
)
async def test_an_exception_that_makes_no_response_is_a_500_in_the_log(error: Exception) -> None:
    app = MicroASGI()

    @app.get("/")
    async def fails() -> None:
        raise error

    with records() as logged:
        answer = await ask(app)
    assert answer.status in {400, 500}
    assert len(logged) == (answer.status == 500)


async def test_a_constant_response_keeps_nothing_of_a_request() -> None:
    app = MicroASGI()
    constant = PlainTextResponse("ok")

    @app.middleware
    async def session(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.set_cookie("sid", request.query_params["user"])
        return response

    @app.get("/")
    async def handler() -> Response:
        return constant

    await ask(app, "GET", "/?user=alice")
    answer = await ask(app, "GET", "/?user=bob")
    assert b"alice" not in b"".join(value for _, value in answer.headers)


async def test_a_constant_response_with_a_status_stays_as_it_was() -> None:
    app = MicroASGI()
    constant = PlainTextResponse("ok")
    app.add_route("/", lambda: (constant, 201, {"x-user": "alice"}))
    await ask(app)
    assert (constant.status_code, constant.headers.get("x-user")) == (200, None)


@pytest.mark.parametrize(
    "result",
    [
        pytest.param((None, 700), id="status"),
        pytest.param((b"x", 200, {"content-length": "55"}), id="length"),
        pytest.param((b"x", 200, {"transfer-encoding": "chunked"}), id="encoding"),
    ],
)
async def test_a_tuple_is_checked_as_a_response_is(result: Any) -> None:
    app = MicroASGI()
    app.add_route("/", lambda: result)
    assert (await ask(app)).status == 500


async def test_setting_the_body_of_a_mounted_applications_response_never_sends_another_length() -> None:
    app = MicroASGI()
    app.mount("/f", PlainTextResponse("hello world"))

    @app.middleware
    async def replace(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.body = b"x"
        return response

    answer = await ask(app, "GET", "/f")
    assert answer.status == 500 or answer.body == b"x"


async def test_an_application_and_a_route_at_one_path_conflict() -> None:
    app = MicroASGI()
    app.add_route("/x", PassOn(None))
    with pytest.raises(RouteConflict):
        app.add_route("/x", lambda: "never")


async def test_a_route_without_methods_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        MicroASGI().add_route("/x", lambda: "never", methods=[])


async def test_a_refused_route_leaves_its_other_methods_free() -> None:
    app = MicroASGI()
    app.add_route("/x", lambda: "post", methods=["POST"])
    with pytest.raises(RouteConflict):
        app.add_route("/x", lambda: "both", methods=["DELETE", "POST"])
    app.add_route("/x", lambda: "delete", methods=["DELETE"])
    assert (await lawful(app, "DELETE", "/x")).body == b"delete"


@pytest.mark.parametrize("path", ["/nowhere", "/ws/no", "/ws/text"])
async def test_a_client_may_leave_before_its_handshake_is_refused(path: str) -> None:
    app = MicroASGI()

    @app.websocket("/ws/no")
    async def refuses_at_once(websocket: WebSocket) -> None:
        raise HTTPException(403)

    app.add_websocket_route("/ws/text", texts)
    headers = {"origin": "http://evil.example"} if path == "/ws/text" else {}
    assert await talk(app, websocket_scope(path, headers=headers), []) == []


@pytest.mark.parametrize(
    "text",
    [pytest.param("x" * 200, id="long"), pytest.param("é" * 62, id="bytes"), pytest.param("\ud800", id="surrogate")],
)
async def test_a_reason_that_no_frame_can_hold_still_closes_the_socket(text: str) -> None:
    app = MicroASGI()

    @app.websocket("/")
    async def refuses_what_came(websocket: WebSocket) -> None:
        await websocket.accept()
        raise WebSocketException(1008, "not good: " + json.loads(await websocket.receive_text()))

    frame = {"type": "websocket.receive", "text": json.dumps(text)}
    told = await talk(app, websocket_scope("/"), [{"type": "websocket.connect"}, frame])
    assert told[-1]["type"] == "websocket.close"


async def test_an_unknown_key_does_not_make_a_request_of_a_socket() -> None:
    scope = websocket_scope("/ws/text", method="GET")
    assert (await talk(APP, scope, [{"type": "websocket.connect"}]))[0]["type"] == "websocket.accept"


async def test_a_broken_stream_on_a_scope_without_asgi_says_so_once() -> None:
    app = MicroASGI()

    @app.get("/")
    async def broken() -> AsyncIterator[str]:
        yield "x"
        raise ValueError("broken")

    with records() as logged:
        async with served(app):
            await request(app, omit=["asgi"], lint=False)
    assert len(logged) == 1


async def test_a_lifespan_that_dies_says_nothing_that_was_not_asked() -> None:
    app = MicroASGI()

    async def dies() -> None:
        raise ValueError("dead")

    @app.lifespan
    async def life() -> AsyncGenerator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(dies)
            yield

    told: list[str] = []
    asked: list[Message] = [{"type": "lifespan.startup"}]

    async def receive() -> Message:
        if not asked:
            await anyio.sleep_forever()
        return asked.pop()

    async def send(message: Message) -> None:
        told.append(message["type"])

    with pytest.raises(ExceptionGroup):
        await app(lifespan_scope(), receive, send)
    assert told == ["lifespan.startup.complete"]


async def test_an_error_of_a_mounted_application_that_cannot_cut_the_connection_is_logged() -> None:
    app = MicroASGI()

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("broken")

    app.mount("/f", breaks)
    with records() as logged:
        async with served(app):
            await request(app, "GET", "/f", asgi={"version": "3.0"}, lint=False)
    assert len(logged) == 1


async def test_a_mounted_application_that_answers_nothing_is_a_500() -> None:
    app = MicroASGI()

    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        return

    app.mount("/f", silent)
    assert (await ask(app, "GET", "/f", lint=False)).status == 500


async def test_a_path_with_a_lone_surrogate_is_no_500() -> None:
    app = MicroASGI()
    app.add_route("/u/{name}", lambda: "x")

    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": "/u/\udcff/"} if scope["type"] == "http" else scope, receive, send)

    with records() as logged:
        answer = await request(odd, lint=False)
    assert answer.status < 500
    assert logged == []


async def test_what_a_routes_middleware_changes_is_kept_by_the_applications() -> None:
    app = MicroASGI()

    async def inner(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["x-inner"] = "1"
        response.body = b"another body"
        return response

    async def outer(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["x-outer"] = "1"
        return response

    app.add_middleware(outer)
    app.add_route("/", lambda: PlainTextResponse("x"), middleware=[inner])
    answer = await ask(app)
    assert answer.body == b"another body"
    assert {b"x-inner", b"x-outer"} <= {name for name, _ in answer.headers}


async def test_a_constant_response_keeps_its_body() -> None:
    app = MicroASGI()
    constant = PlainTextResponse("ok")

    @app.middleware
    async def greets(request: Request, call_next: Callable[..., Any]) -> Response:
        response: Response = await call_next(request)
        if "user" in request.query_params:
            response.body = request.query_params["user"].encode()
        return response

    @app.get("/")
    async def handler() -> Response:
        return constant

    assert (await ask(app, "GET", "/?user=alice")).body == b"alice"
    assert (await ask(app)).body == b"ok"


async def test_a_mounted_application_that_returns_because_the_client_left_is_no_error() -> None:
    app = MicroASGI()

    async def polite(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        while (await receive())["type"] != "http.disconnect":
            pass

    app.mount("/f", polite)
    with records() as logged:
        await ask(app, "POST", "/f", chunks=[b"x"], faults=Faults(leave_after_chunks=0))
    assert logged == []


async def test_a_refusal_of_a_handshake_with_a_header_that_cannot_be_sent_is_still_a_refusal() -> None:
    app = MicroASGI()

    @app.websocket("/")
    async def refuses_badly(websocket: WebSocket) -> None:
        raise HTTPException(403, headers={"x": "a\r\nb"})

    told = await talk(app, websocket_scope("/"), [{"type": "websocket.connect"}])
    assert told[0]["type"] in {"websocket.close", "websocket.http.response.start"}


async def test_a_root_path_from_outside_makes_no_link_to_another_host() -> None:
    app = MicroASGI()

    @app.get("/u", name="u")
    async def link(request: Request) -> str:
        return str(request.url_path_for("u"))

    assert not (await lawful(app, "GET", "/u", root_path="//evil.example")).body.startswith(b"//")
