"""What a Starlette user would expect and microasgi does not do yet: code that runs there, and what is proposed here.

Each entry is expected to fail on microasgi. One that passes fails the test, so that it is taken out of the list.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GAPS", "PRELUDE", "Gap"]


class Gap(NamedTuple):
    """A name, the code that should run, and the proposal."""

    name: str
    snippet: str
    proposal: str


PRELUDE = """
from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.datastructures import State
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

GAPS = [
    Gap(
        "none-is-the-default",
        """
Starlette(routes=None, middleware=None)
Router(None)
BackgroundTasks(None)
""",
        "take None for routes, middleware and tasks",
    ),
    Gap(
        "router-positional",
        """
Router([], False, None, None)
""",
        "Router(routes, redirect_slashes, default, lifespan) positional",
    ),
    Gap(
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
        "properties client_state and application_state over the one state",
    ),
    Gap(
        "early-hints",
        """
async def hinting(request):
    await request.send_early_hints("</a.css>; rel=preload", "</b.css>; rel=preload")
    return PlainTextResponse("ok")

TestClient(Starlette(routes=[Route("/", hinting)])).get("/")
""",
        "send_early_hints(link, *links); a single text is taken for its characters now",
    ),
    Gap(
        "a-connection-with-receive",
        """
HTTPConnection({"type": "http", "headers": []}, None)
""",
        "HTTPConnection(scope, receive=None)",
    ),
    Gap(
        "state-forgets",
        """
state = State({"a": 1, "b": 2})
del state.a
del state["b"]
assert not list(state)
""",
        "State.__delattr__ and __delitem__",
    ),
    Gap(
        "charset-of-a-subclass",
        """
class Latin(PlainTextResponse):
    charset = "latin-1"

assert Latin("é").body == "é".encode("latin-1")
""",
        "render text in the class' charset: the header says latin-1 and the body is UTF-8 now",
    ),
    Gap(
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
        "raise a subclass of HTTPException and of json.JSONDecodeError (a ValueError)",
    ),
    Gap(
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
        "a response that an exception handler returns before accept is the denial response",
    ),
    Gap(
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
        "the same for HTTPException, whose handlers are not asked for a websocket",
    ),
    Gap(
        "the-endpoint-is-in-the-scope",
        """
seen = []
async def look(request):
    seen.append(request.scope["endpoint"])
    return PlainTextResponse("ok")

TestClient(Starlette(routes=[Route("/", look)])).get("/")
assert seen == [look]
""",
        "scope['endpoint'], which tracing middleware reads (scope['route'].endpoint has it)",
    ),
    Gap(
        "routes-added-to-the-list",
        """
app = Starlette()
app.routes.append(Route("/", page))
assert TestClient(app).get("/").status_code == 200
""",
        "app.routes is a copy, so append is lost in silence: return a tuple, whose error says so",
    ),
    Gap(
        "names-by-position",
        """
app = Starlette()
app.add_route("/", page, ["GET"], "page", False)
app.router.add_websocket_route("/ws", page, "socket")
""",
        "name and include_in_schema as positional parameters of add_route and add_websocket_route",
    ),
    Gap(
        "limits-of-mounts-and-routers",
        """
Router([], max_body_size=10)
Mount("/a", Router([]), max_body_size=10)
""",
        "max_body_size of Router and Mount, for the routes in them",
    ),
    Gap(
        "a-client-nobody-keeps",
        """
async def socket(websocket):
    await websocket.accept()
    await websocket.send_text("hi")

with TestClient(Starlette(routes=[WebSocketRoute("/", socket)])).websocket_connect("/") as session:
    assert session.receive_text() == "hi"
""",
        "a websocket session has to keep its client alive, whose thread ends with it now",
    ),
    Gap(
        "a-path-without-the-root-path",
        """
assert TestClient(Starlette(routes=[Route("/", page)]), root_path="/root").get("/").text == "page"
""",
        "local_path writes scope['path'] in place, which its own lint refuses",
    ),
    Gap(
        "the-scope-of-a-session",
        """
async def socket(websocket):
    await websocket.accept()

client = TestClient(Starlette(routes=[WebSocketRoute("/", socket)]))
with client.websocket_connect("/") as session:
    assert session.scope["path"] == "/"
""",
        "WebSocketTestSession.scope, beside exchange.scope",
    ),
    Gap(
        "order-of-path-parameters",
        """
async def order(request):
    return JSONResponse(list(request.path_params))

assert TestClient(Starlette(routes=[Route("/{a}-{b}", order)])).get("/1-2").json() == ["a", "b"]
""",
        "path_params in the order of the template: Pattern.read fills it from the right",
    ),
]
