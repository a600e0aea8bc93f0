"""A lending library for tools, written for Starlette, as one file of ordinary size.

It is never imported: the test executes its text twice, as it stands and with its import lines exchanged.
"""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, TypedDict

from starlette.applications import Starlette
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import URL, Headers, MutableHeaders, UploadFile
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

# ---------------------------------------------------------------------------------------------- the shop behind it


@dataclass
class Shed:
    """Everything that the application remembers."""

    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    photos: dict[int, bytes] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)

    def add(self, name: str, price: float) -> dict[str, Any]:
        tool = {"id": len(self.tools) + 1, "name": name, "price": price}
        self.tools[tool["id"]] = tool
        return tool


class OutOfStock(Exception):
    def __init__(self, tool: str) -> None:
        self.tool = tool


class Broken(OutOfStock):
    pass


class DayConvertor(Convertor[date]):
    regex = "[0-9]{4}-[0-9]{2}-[0-9]{2}"

    def convert(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_string(self, value: date) -> str:
        return value.isoformat()


register_url_convertor("day", DayConvertor())


class SharedState(TypedDict):
    shed: Shed
    motto: str


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[SharedState]:
    shed = Shed()
    shed.add("drill", 4.5)
    shed.add("ladder", 7.0)
    app.state.opened = True
    app.state.journal.append("opened")
    yield {"shed": shed, "motto": "lend, mend, return"}
    app.state.journal.append("closed")


# ------------------------------------------------------------------------------------------------------ middleware


class Stamp:
    """Adds a header to every response, and remembers what passed in the scope's state."""

    def __init__(self, app: ASGIApp, name: str, value: str = "yes") -> None:
        self.app = app
        self.name = name
        self.value = value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})["stamps"] = [*scope.get("state", {}).get("stamps", []), self.name]

        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append(self.name, self.value)
                headers.add_vary_header("X-Stamp")
            await send(message)

        await self.app(scope, receive, stamped)


class StaffOnly:
    """Lets nobody in without the right key."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self.app = app
        self.key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Headers(scope=scope).get("x-key") != self.key:
            response = PlainTextResponse("staff only", status_code=401, headers={"WWW-Authenticate": "Key"})
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Maintenance:
    """Answers by itself while a header asks for it, without the application."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and Request(scope).headers.get("x-maintenance") == "on":
            request = Request(scope, receive, send)
            response = JSONResponse({"closed": True, "path": request.url.path}, status_code=503)
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


# ------------------------------------------------------------------------------------------------ pages and answers


async def home(request: Request[SharedState]) -> HTMLResponse:
    links = "".join(
        f'<li><a href="{request.url_for("tool", tool_id=number)}">{tool["name"]}</a></li>'
        for number, tool in request.state["shed"].tools.items()
    )
    return HTMLResponse(f"<h1>{request.state['motto']}</h1><ul>{links}</ul>")


def plain(request: Request) -> PlainTextResponse:
    return PlainTextResponse("café", headers={"X-Kind": "sync"})


async def inspect_request(request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "method": request.method,
            "url": str(request.url),
            "path": request.url.path,
            "scheme": request.url.scheme,
            "hostname": request.url.hostname,
            "base": str(request.base_url),
            "query": request.query_params.multi_items(),
            "last": request.query_params.get("a"),
            "all": request.query_params.getlist("a"),
            "agent": request.headers["User-Agent"],
            "missing": request.headers.get("x-missing", "none"),
            "cookies": request.cookies,
            "client": [request.client.host, request.client.port] if request.client else None,
            "params": request.path_params,
            "opened": request.app.state.opened,
            "motto": request.state.motto,
            "stamps": request.state.stamps,
        }
    )


async def calendar(request: Request) -> JSONResponse:
    day = request.path_params["day"]
    following = date.fromordinal(day.toordinal() + 1)
    return JSONResponse({"year": day.year, "next": str(request.url_for("calendar", day=following))})


async def convert(request: Request) -> JSONResponse:
    values = {name: [type(value).__name__, str(value)] for name, value in request.path_params.items()}
    return JSONResponse(values)


async def paths(request: Request) -> JSONResponse:
    app = request.app
    token = uuid.UUID(int=7)
    return JSONResponse(
        {
            "home": app.url_path_for("home"),
            "tool": app.url_path_for("tool", tool_id=5),
            "file": app.url_path_for("files", path="deep/down.txt"),
            "token": app.url_path_for("token", token=token),
            "admin": app.url_path_for("admin:report", year=2030),
            "below": app.url_path_for("static", path="/css/site.css"),
            "socket": str(app.url_path_for("echo").make_absolute_url("https://example.org/")),
            "member": str(app.url_path_for("members:profile", name="ada").make_absolute_url("http://testserver")),
            "branch": str(app.url_path_for("branches:front", branch="north").make_absolute_url("http://testserver")),
            "absolute": str(request.url_for("admin:report", year=1)),
            "edited": str(request.url_for("home").include_query_params(page=2, q="a b")),
            "urls": [str(URL("http://a.example/x?y=1").replace(path="/z")), URL("https://a.example").is_secure],
        }
    )


class Tools(HTTPEndpoint):
    async def get(self, request: Request) -> JSONResponse:
        wanted = request.query_params.get("q", "")
        tools = [tool for tool in request.state.shed.tools.values() if wanted in tool["name"]]
        return JSONResponse(tools, headers={"X-Total": str(len(tools))})

    async def post(self, request: Request) -> JSONResponse:
        data = await request.json()
        if "name" not in data:
            raise HTTPException(422, detail="a tool has a name", headers={"X-Field": "name"})
        tool = request.state.shed.add(data["name"], data.get("price", 0))
        location = request.url_for("tool", tool_id=tool["id"])
        return JSONResponse(tool, status_code=201, headers={"Location": str(location)})


class Tool(HTTPEndpoint):
    def get(self, request: Request) -> Response:
        return JSONResponse(self._find(request))

    async def patch(self, request: Request) -> Response:
        tool = self._find(request)
        tool.update(await request.json())
        return JSONResponse(tool)

    async def delete(self, request: Request) -> Response:
        del request.state.shed.tools[self._find(request)["id"]]
        return Response(status_code=204)

    def _find(self, request: Request) -> dict[str, Any]:
        try:
            found: dict[str, Any] = request.state.shed.tools[request.path_params["tool_id"]]
        except KeyError:
            raise HTTPException(status_code=404) from None
        return found


async def lend(request: Request) -> Response:
    name = request.path_params["name"]
    if name == "saw":
        raise Broken(name)
    raise OutOfStock(name)


# ------------------------------------------------------------------------------------------- forms, uploads, bodies


async def join(request: Request) -> Response:
    async with request.form() as form:
        name = form.get("name") or "nobody"
        topics = form.getlist("topic")
    response = RedirectResponse(request.url_for("me"), status_code=303)
    response.set_cookie("member", f"{name}", max_age=3600, httponly=True, samesite="strict")
    response.set_cookie("topics", "-".join(str(topic) for topic in topics), path="/", secure=False)
    return response


async def me(request: Request) -> JSONResponse:
    return JSONResponse({"member": request.cookies.get("member"), "topics": request.cookies.get("topics")})


async def leave(request: Request) -> Response:
    response = RedirectResponse(url="/me?left=1")
    response.delete_cookie("member", httponly=True, samesite="strict")
    return response


async def upload(request: Request) -> JSONResponse:
    form = await request.form(max_files=3, max_fields=5)
    described = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            head = await value.read(4)
            await value.seek(0)
            whole = await value.read()
            described.append([name, value.filename, value.content_type, value.size, head.decode("latin-1"), len(whole)])
            request.state.shed.photos[request.path_params["tool_id"]] = whole
        else:
            described.append([name, value])
    await form.close()
    return JSONResponse(described)


async def photo(request: Request) -> Response:
    data = request.state.shed.photos.get(request.path_params["tool_id"])
    if data is None:
        raise HTTPException(404, "no photo yet")
    return Response(data, media_type="image/png")


async def weigh(request: Request) -> PlainTextResponse:
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
    except ClientDisconnect:
        raise HTTPException(400) from None
    return PlainTextResponse(f"{size} bytes")


async def twice(request: Request) -> JSONResponse:
    body = await request.body()
    again = await request.body()
    return JSONResponse({"same": body == again, "json": await request.json(), "gone": await request.is_disconnected()})


# ------------------------------------------------------------------------------------- streams, tasks, raw answers


async def export(request: Request) -> StreamingResponse:
    async def rows() -> AsyncIterator[str]:
        for tool in request.state.shed.tools.values():
            line = io.StringIO()
            csv.writer(line).writerow([tool["id"], tool["name"]])
            yield line.getvalue()

    return StreamingResponse(rows(), media_type="text/csv", headers={"Content-Disposition": "attachment"})


def countdown(request: Request) -> StreamingResponse:
    def numbers() -> Iterator[bytes]:
        for number in range(3, 0, -1):
            yield b"%d " % number

    return StreamingResponse(numbers(), status_code=203)


async def remind(request: Request) -> JSONResponse:
    events = request.state.shed.events

    async def note(text: str, *, mark: str = "") -> None:
        events.append(f"{mark}{text}")

    tasks = BackgroundTasks([BackgroundTask(note, "mail", mark="#")])
    tasks.add_task(events.append, "log")
    return JSONResponse({"before": list(events)}, background=tasks)


async def reminded(request: Request) -> JSONResponse:
    return JSONResponse(request.state.shed.events, background=BackgroundTask(request.state.shed.events.clear))


async def in_thread(request: Request) -> PlainTextResponse:
    total = await run_in_threadpool(sum, [1, 2, 3])
    return PlainTextResponse(str(total))


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"raw {scope['path']}".encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b" done"})


class Greeter:
    """An ASGI application as an object, to stand behind a route."""

    def __init__(self, word: str) -> None:
        self.word = word

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = PlainTextResponse(f"{self.word}, {request.path_params['who']} ({request.method})")
        await response(scope, receive, send)


async def repeat(request: Request, times: int) -> PlainTextResponse:
    return PlainTextResponse("again " * times)


class CSVResponse(Response):
    media_type = "text/csv"

    def render(self, content: Any) -> bytes:
        return "\r\n".join(",".join(row) for row in content).encode(self.charset)


async def table(request: Request) -> CSVResponse:
    response = CSVResponse([["a", "b"], ["c", "d"]])
    response.headers["X-Rows"] = "2"
    del response.headers["X-Nothing"]
    return response


async def fail(request: Request) -> Response:
    raise RuntimeError("the shed is on fire")


async def teapot(request: Request) -> Response:
    raise HTTPException(status_code=418, detail="short and stout", headers={"X-Spout": "left"})


async def trust(request: Request) -> Response:
    return PlainTextResponse("ok", headers={"X-Said": request.query_params["value"]})


async def shadow(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"shadow of {request.path_params['name']}")


async def exact(request: Request) -> PlainTextResponse:
    return PlainTextResponse("exact")


# ------------------------------------------------------------------------------------------------------- websockets


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{text}!")


async def negotiate(websocket: WebSocket) -> None:
    chosen = "tools.v2" if "tools.v2" in websocket.scope["subprotocols"] else None
    await websocket.accept(subprotocol=chosen, headers=[(b"x-shed", b"open")])
    await websocket.send_json(
        {
            "url": str(websocket.url),
            "room": websocket.path_params["room"],
            "key": websocket.query_params.get("key"),
            "motto": websocket.state.motto,
            "home": str(websocket.url_for("home")),
            "stamps": websocket.state.stamps,
        }
    )
    data = await websocket.receive_json()
    await websocket.send_json({"got": data}, mode="binary")
    await websocket.send_bytes(await websocket.receive_bytes())
    await websocket.close(code=4001, reason="enough")


async def guarded(websocket: WebSocket) -> None:
    if websocket.query_params.get("token") != "abc":
        raise WebSocketException(code=1008, reason="no token")
    await websocket.accept()
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as left:
        websocket.app.state.journal.append(f"left {left.code}")
    websocket.app.state.journal.append("guarded")


async def broken(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("so far so good")
    raise RuntimeError("the line is down")


async def refuse(websocket: WebSocket) -> None:
    await websocket.send_denial_response(JSONResponse({"reason": "full"}, status_code=409))


class Counter(WebSocketEndpoint):
    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.total = 0

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        self.total += data["add"]
        await websocket.send_json({"total": self.total})

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        websocket.app.state.journal.append(f"counted {self.total}, closed {close_code}")


# ------------------------------------------------------------------------------------------- errors, and the whole


async def on_missing(request: Request, exc: HTTPException) -> Response:
    return JSONResponse({"missing": request.url.path, "detail": exc.detail}, status_code=exc.status_code)


def on_out_of_stock(request: Request, exc: OutOfStock) -> Response:
    return JSONResponse({"tool": exc.tool, "kind": type(exc).__name__}, status_code=409)


async def on_server_error(request: Request, exc: Exception) -> Response:
    return PlainTextResponse(f"sorry: {type(exc).__name__}", status_code=500)


async def report(request: Request) -> JSONResponse:
    return JSONResponse(
        {
            "year": request.path_params["year"],
            "root": request.scope["root_path"],
            "home": str(request.url_for("home")),
            "self": str(request.url_for("admin:report", year=2000)),
        }
    )


async def profile(request: Request) -> JSONResponse:
    return JSONResponse({"member": request.path_params["name"], "host": request.url.hostname})


async def front(request: Request) -> JSONResponse:
    return JSONResponse({"branch": request.path_params["branch"], "path": request.url.path})


async def mounted_home(request: Request) -> JSONResponse:
    return JSONResponse({"root": request.scope["root_path"], "app": request.app is api})


api = Starlette(
    routes=[Route("/", mounted_home), Route("/lend/{name}", lend), Route("/fail", fail)],
    exception_handlers={OutOfStock: lambda request, exc: PlainTextResponse("api: none left", 410)},
)

routes = [
    Route("/", home, name="home"),
    Route("/plain", plain),
    Route("/inspect/{anything}", inspect_request, methods=["GET", "PUT"]),
    Route("/calendar/{day:day}", calendar),
    Route("/convert/{number:int}/{share:float}/{rest:path}", convert),
    Route("/token/{token:uuid}", convert, name="token"),
    Route("/files/{path:path}", convert, name="files"),
    Route("/between/{first}-{second}.html", convert),
    Route("/paths", paths),
    Route("/tools", Tools),
    Route("/tools/{tool_id:int}", Tool, name="tool"),
    Route("/tools/{tool_id:int}/photo", upload, methods=["POST"]),
    Route("/tools/{tool_id:int}/photo", photo),
    Route("/lend/{name}", lend),
    Route("/join", join, methods=["POST"]),
    Route("/me", me),
    Route("/leave", leave),
    Route("/weigh", weigh, methods=["PUT", "POST"]),
    Route("/twice", twice, methods=["POST"]),
    Route("/export.csv", export),
    Route("/countdown", countdown),
    Route("/remind", remind, methods=["POST"]),
    Route("/reminded", reminded),
    Route("/thread", in_thread),
    Route("/greet/{who}", Greeter("hello"), methods=["GET", "POST"]),
    Route("/repeat", partial(repeat, times=2), name="repeat"),
    Route("/table", table, middleware=[Middleware(Stamp, name="X-Route")]),
    Route("/fail", fail),
    Route("/teapot", teapot),
    Route("/trust", trust),
    Route("/shadow/{name}", shadow),
    Route("/shadow/exact", exact),
    WebSocketRoute("/ws/echo", echo, name="echo"),
    WebSocketRoute("/ws/rooms/{room:int}", negotiate),
    WebSocketRoute("/ws/guarded", guarded),
    WebSocketRoute("/ws/refuse", refuse),
    WebSocketRoute("/ws/broken", broken),
    WebSocketRoute("/ws/count", Counter),
    Mount(
        "/admin",
        routes=[Route("/report/{year:int}", report, name="report")],
        name="admin",
        middleware=[Middleware(StaffOnly, key="k3y")],
    ),
    Mount("/api", app=api, name="api"),
    Mount("/raw", raw, name="static"),
    Host("members.example.org", Router([Route("/{name}", profile)]), name="members"),
    Host("{branch}.branches.example.org", Router(routes=[Route("/", front)]), name="branches"),
]

app = Starlette(
    debug=False,
    routes=routes,
    middleware=[Middleware(Stamp, name="X-Outer", value="1"), Middleware(Stamp, "X-Inner")],
    exception_handlers={404: on_missing, OutOfStock: on_out_of_stock, 500: on_server_error},
    lifespan=lifespan,
)
app.state.journal = []
app.add_middleware(Maintenance)
