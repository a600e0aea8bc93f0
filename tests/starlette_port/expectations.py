"""Small things that users of Starlette expect: code that runs there, and has to run here.

Where it does not yet, `missing` says what is proposed. Then it is expected to fail, and fails the test if it passes.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["EXPECTATIONS", "PRELUDE", "Expectation"]


class Expectation(NamedTuple):
    """A name, the code that should run, and what is missing for it."""

    name: str
    snippet: str
    missing: str | None = None


PRELUDE = """
import json
from functools import partial
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.datastructures import URL, FormData, Headers, MutableHeaders, QueryParams, State, URLPath
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketState

async def page(request):
    return PlainTextResponse("page")
"""

EXPECTATIONS = [
    Expectation(
        "mount-of-routes",
        """
mount = Mount("/a", routes=[Route("/", page), Mount("/b", routes=[Route("/", page)])], name="a")
assert TestClient(Starlette(routes=[mount])).get("/a/b/").text == "page"
Mount("/a", Router([]), None, "a")
""",
    ),
    Expectation(
        "none-is-the-default",
        """
Starlette(routes=None, middleware=None)
Router(None)
BackgroundTasks(None)
""",
    ),
    Expectation(
        "router-positional",
        """
Router([], False, None, None)
""",
    ),
    Expectation(
        "states-of-both-sides",
        """
seen = []
async def socket(websocket):
    seen.append((websocket.client_state, websocket.application_state))
    await websocket.accept()
    seen.append((websocket.client_state, websocket.application_state))
    await websocket.close()
    seen.append(websocket.application_state)

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)]))
with client.websocket_connect("/") as session:
    session.receive()
CONNECTING, CONNECTED = WebSocketState.CONNECTING, WebSocketState.CONNECTED
assert seen == [(CONNECTING, CONNECTING), (CONNECTED, CONNECTED), WebSocketState.DISCONNECTED]
""",
    ),
    Expectation(
        "early-hints",
        """
async def hinting(request):
    await request.send_early_hints("</a.css>; rel=preload", "</b.css>; rel=preload")
    return PlainTextResponse("ok")

TestClient(Starlette(routes=[Route("/", hinting)])).get("/")
""",
    ),
    Expectation(
        "a-connection-with-receive",
        """
HTTPConnection({"type": "http", "headers": []}, None)
""",
    ),
    Expectation(
        "state-forgets",
        """
state = State({"a": 1, "b": 2})
del state.a
del state["b"]
assert not list(state)
""",
    ),
    Expectation(
        "charset-of-a-subclass",
        """
try:
    class Latin(PlainTextResponse):
        charset = "latin-1"
except Exception as error:  # never sent in another one without a word
    assert "UTF-8" in str(error)
else:
    assert Latin("é").body == "é".encode("latin-1")
assert Response.charset == "utf-8"
""",
    ),
    Expectation(
        "bad-json-is-a-value-error",
        """
async def lenient(request):
    try:
        return JSONResponse(await request.json())
    except ValueError:
        return PlainTextResponse("caught", 422)

client = TestClient(Starlette(routes=[Route("/", lenient, methods=["POST"])]))
assert client.post("/", content=b"{").text == "caught"
""",
    ),
    Expectation(
        "handlers-answer-handshakes",
        """
class Unpaid(Exception):
    pass

def on_unpaid(connection, error):
    return PlainTextResponse("pay first", 402)

async def socket(websocket):
    raise Unpaid

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)], exception_handlers={Unpaid: on_unpaid}))
try:
    with client.websocket_connect("/"):
        pass
except WebSocketDenialResponse as denied:
    assert denied.status_code == 402
else:
    raise AssertionError
""",
    ),
    Expectation(
        "handlers-of-http-exceptions-answer-handshakes",
        """
def on_error(connection, error):
    return JSONResponse({"error": error.detail}, error.status_code)

async def socket(websocket):
    raise HTTPException(402, "pay first")

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)], exception_handlers={HTTPException: on_error}))
try:
    with client.websocket_connect("/"):
        pass
except WebSocketDenialResponse as denied:
    assert denied.json() == {"error": "pay first"}
else:
    raise AssertionError
""",
    ),
    Expectation(
        "the-endpoint-is-in-the-scope",
        """
seen = []
async def look(request):
    seen.append(request.scope["endpoint"])
    return PlainTextResponse("ok")

TestClient(Starlette(routes=[Route("/", look)])).get("/")
assert seen == [look]
""",
    ),
    Expectation(
        "routes-added-to-the-list",
        """
app = Starlette()
try:
    app.routes.append(Route("/", page))
except AttributeError:  # never lost in silence
    app.add_route("/", page)
assert TestClient(app).get("/").status_code == 200
""",
    ),
    Expectation(
        "names-by-position",
        """
app = Starlette()
app.add_route("/", page, ["GET"], "page", False)
app.router.add_websocket_route("/ws", page, "socket")
""",
    ),
    Expectation(
        "limits-of-mounts-and-routers",
        """
Router([], max_body_size=10)
Mount("/a", Router([]), max_body_size=10)
""",
    ),
    Expectation(
        "a-client-nobody-keeps",
        """
async def socket(websocket):
    await websocket.accept()
    await websocket.send_text("hi")

with TestClient(Starlette(routes=[WebSocketRoute("/", socket)])).websocket_connect("/") as session:
    assert session.receive_text() == "hi"
""",
    ),
    Expectation(
        "a-path-without-the-root-path",
        """
assert TestClient(Starlette(routes=[Route("/", page)]), root_path="/root").get("/").text == "page"
""",
    ),
    Expectation(
        "the-scope-of-a-session",
        """
async def socket(websocket):
    await websocket.accept()

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)]))
with client.websocket_connect("/") as session:
    assert session.scope["path"] == "/"
""",
    ),
    Expectation(
        "order-of-path-parameters",
        """
async def order(request):
    return JSONResponse(list(request.path_params))

assert TestClient(Starlette(routes=[Route("/{a}-{b}", order)])).get("/1-2").json() == ["a", "b"]
""",
    ),
    Expectation(
        "endpoints-of-all-kinds",
        """
class Pages:
    async def bound(self, request):
        return PlainTextResponse("bound")

    def blocking(self, request):
        return PlainTextResponse("blocking")

async def partly(request, *, word):
    return PlainTextResponse(word)

class Mixin:
    async def get(self, request):
        return PlainTextResponse("mixin")

class Mixed(Mixin, HTTPEndpoint):
    pass

pages = Pages()
unnamed = lambda request: PlainTextResponse("lambda")
endpoints = [pages.bound, pages.blocking, partial(partly, word="partial"), unnamed, Mixed]
app = Starlette(routes=[Route(f"/{number}", endpoint) for number, endpoint in enumerate(endpoints)])
client = TestClient(app)
found = [client.get(f"/{number}").text for number in range(5)]
assert found == ["bound", "blocking", "partial", "lambda", "mixin"]
""",
    ),
    Expectation(
        "urls-below-mounts",
        """
async def inner(request):
    urls = [str(request.url_for("a:b:inner", x=2)), str(request.url_for("page"))]
    return PlainTextResponse(" ".join([*urls, request.scope["root_path"]]))

below = Mount("/b", name="b", app=Router([Route("/{x}", inner, name="inner")]))
app = Starlette(routes=[Route("/page", page, name="page"), Mount("/a", name="a", app=Router([below]))])
assert TestClient(app).get("/a/b/1").text == "http://testserver/a/b/2 http://testserver/page /a/b"
""",
    ),
    Expectation(
        "mounts-at-the-root-and-with-parameters",
        """
async def params(request):
    return JSONResponse(request.path_params)

app = Starlette(routes=[
    Route("/page", page),
    Mount("/users/{id:int}", app=Router([Route("/{tab}", params)])),
    Mount("/", app=Router([Route("/rest", page)])),
])
client = TestClient(app)
assert client.get("/users/3/posts").json() == {"id": 3, "tab": "posts"}
assert client.get("/rest").text == client.get("/page").text == "page"
assert client.get("/users/x/posts").status_code == 404
""",
    ),
    Expectation(
        "every-part-is-an-application",
        """
assert TestClient(Router([Route("/", page)])).get("/").text == "page"
assert TestClient(PlainTextResponse("response")).get("/").text == "response"
""",
    ),
    Expectation(
        "a-subclass-of-the-application",
        """
class App(Starlette):
    def __init__(self):
        super().__init__(routes=[Route("/", page)])

assert TestClient(App()).get("/").text == "page"
""",
    ),
    Expectation(
        "a-renderer-of-ones-own",
        """
class Pretty(JSONResponse):
    def render(self, content):
        return json.dumps(content, indent=2).encode()

assert Pretty({"a": 1}).body.count(b"\\n") == 2
assert JSONResponse(None).body == b"null"
""",
    ),
    Expectation(
        "exceptions",
        """
class Conflict(HTTPException):
    pass

def enum(request):
    raise HTTPException(HTTPStatus.CONFLICT)

def detailed(request):
    raise Conflict(409, detail={"field": "name"})

def elsewhere(request):
    raise HTTPException(303, headers={"Location": "/enum"})

def answer(request, error):
    return JSONResponse({"detail": error.detail}, error.status_code)

routes = [Route("/enum", enum), Route("/detailed", detailed), Route("/elsewhere", elsewhere)]
client = TestClient(Starlette(routes=routes, exception_handlers={Conflict: answer}))
assert (client.get("/enum").status_code, client.get("/enum").text) == (409, "Conflict")
assert client.get("/detailed").json() == {"detail": {"field": "name"}}
assert client.get("/elsewhere", follow_redirects=False).headers["location"] == "/enum"
error = HTTPException(404)
assert (error.detail, error.headers, str(error)) == ("Not Found", None, "404: Not Found")
""",
    ),
    Expectation(
        "the-body-is-read-again",
        """
async def both(request):
    body, form = await request.body(), await request.form()
    return JSONResponse([body.decode(), form["a"], await request.form() is form])

client = TestClient(Starlette(routes=[Route("/", both, methods=["POST"])]))
assert client.post("/", data={"a": "1"}).json() == ["a=1", "1", True]
""",
    ),
    Expectation(
        "a-middleware-that-replays-the-body",
        """
class Reader:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        body = await Request(scope, receive).body()
        Request(scope).state.size = len(body)

        async def again():
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, again, send)

async def show(request):
    return JSONResponse([request.state.size, (await request.body()).decode()])

app = Starlette(routes=[Route("/", show, methods=["POST"])])
app.add_middleware(Reader)
assert TestClient(app).post("/", content=b"body").json() == [4, "body"]
""",
    ),
    Expectation(
        "headers",
        """
headers = Headers({"A": "1"})
assert headers["a"] == "1" and "A" in headers and headers.raw == [(b"a", b"1")] and dict(headers) == {"a": "1"}
changed = MutableHeaders({"a": "1"})
changed["b"] = "2"
changed.update({"c": "3"})
changed |= {"d": "4"}
changed.setdefault("e", "5")
changed.append("a", "6")
changed.add_vary_header("X")
assert changed.getlist("a") == ["1", "6"] and changed["vary"] == "X"
""",
    ),
    Expectation(
        "queries-and-urls",
        """
assert str(QueryParams([("a", "1"), ("a", "2")])) == "a=1&a=2"
assert QueryParams("a=1&a=2").getlist("a") == ["1", "2"]
assert QueryParams({"a": 1})["a"] == "1"
assert FormData([("a", "b")]).getlist("a") == ["b"]
url = URL("http://u:p@a.example:81/b?c=1#d")
assert (url.hostname, url.port, url.path, url.query) == ("a.example", 81, "/b", "c=1")
assert (url.fragment, url.username, url.password) == ("d", "u", "p")
assert "p@" not in repr(url)
assert str(url.include_query_params(c=2, e=3)) == "http://u:p@a.example:81/b?c=2&e=3#d"
assert URL("http://a/b") == "http://a/b" == URL(scheme="http", netloc="a", path="/b")
assert URLPath("/a", protocol="websocket", host="h").make_absolute_url(base_url="https://x/") == "wss://h/a"
""",
    ),
    Expectation(
        "a-state-is-a-mapping-and-has-attributes",
        """
state = State({"a": 1})
state.b = 2
assert (state.a, state["b"], list(state), "a" in state) == (1, 2, ["a", "b"], True)
try:
    state.c
except AttributeError:
    pass
else:
    raise AssertionError
""",
    ),
    Expectation(
        "wrong-calls-on-a-socket-are-runtime-errors",
        """
seen = []
async def socket(websocket):
    try:
        await websocket.receive_text()
    except RuntimeError:
        seen.append("before accept")
    await websocket.accept()
    await websocket.close()
    try:
        await websocket.send_text("late")
    except RuntimeError:
        seen.append("after close")

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)]))
with client.websocket_connect("/") as session:
    session.receive()
assert seen == ["before accept", "after close"]
""",
    ),
    Expectation(
        "a-handler-closes-the-socket",
        """
class Unpaid(Exception):
    pass

async def on_unpaid(websocket, error):
    await websocket.close(4402)

async def socket(websocket):
    await websocket.accept()
    raise Unpaid

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)], exception_handlers={Unpaid: on_unpaid}))
with client.websocket_connect("/") as session:
    assert session.receive()["code"] == 4402
""",
    ),
    Expectation(
        "added-middleware-is-outermost-and-comes-before-the-start",
        """
order = []
def named(name):
    class Named:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            order.append(name) if scope["type"] == "http" else None
            await self.app(scope, receive, send)

    return Named

app = Starlette(routes=[Route("/", page)])
app.add_middleware(named("first"))
app.add_middleware(named("second"))
client = TestClient(app)
client.get("/")
assert order == ["second", "first"]
""",
    ),
    Expectation(
        "middleware-after-the-start-is-a-runtime-error",
        """
app = Starlette(routes=[Route("/", page)])
TestClient(app).get("/")
try:
    app.add_middleware(lambda app: app)
except RuntimeError:
    pass
else:
    raise AssertionError
""",
    ),
    Expectation(
        "unlimited-bodies",
        """
async def size(request):
    return PlainTextResponse(str(len(await request.body())))

client = TestClient(Starlette(routes=[Route("/", size, methods=["POST"])], max_body_size=None))
assert client.post("/", content=bytes(17 * 1024 * 1024)).status_code == 200
""",
    ),
]
