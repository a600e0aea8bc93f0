"""Handlers of every kind, as users write them: decorators keep their types, results of all kinds are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypedDict, assert_type

from microasgi import (
    Address,
    HTTPEndpoint,
    HTTPException,
    JSONResponse,
    MicroASGI,
    Mount,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
    Route,
    Router,
    State,
    StreamingResponse,
    UploadFile,
    URLPath,
    WebSocket,
    WebSocketRoute,
)


@dataclass
class Item:
    name: str
    price: float


class ItemDict(TypedDict):
    name: str


class MyState(TypedDict):
    """What the lifespan yields."""

    items: list[Item]


def on_missing(request: Request, error: HTTPException) -> Response:
    return PlainTextResponse(error.detail, error.status_code)


app = MicroASGI(
    debug=True,
    routes=[],
    middleware=[],
    max_body_size=1024,
    allowed_origins=["https://example.org"],
    exception_handlers={404: on_missing},
)


@app.get("/text", name="text", max_body_size=10)
async def text(request: Request) -> str:
    assert_type(request.state, State)
    return request.method


@app.get("/bytes")
async def raw() -> bytes:
    return b""


@app.post("/dict")
async def mapping(request: Request[MyState]) -> dict[str, int]:
    assert_type(request.state["items"], list[Item])
    return {"size": len(await request.body())}


@app.put("/typed")
async def typed_dict(request: Request) -> ItemDict:
    return {"name": request.headers["x-name"]}


@app.patch("/list")
def blocking(request: Request) -> list[str]:
    return request.query_params.getlist("a")


@app.delete("/item")
async def model() -> Item:
    return Item("bolt", 0.2)


@app.get("/nothing")
async def nothing(request: Request) -> None:
    assert_type(request.client, Address | None)


@app.get("/status")
async def with_status(request: Request) -> tuple[Item, int]:
    return Item("nut", 0.1), 201


@app.get("/headers")
async def with_headers(request: Request) -> tuple[str, int, dict[str, str]]:
    return "created", 201, {"location": request.url_path_for("text")}


@app.get("/stream")
async def stream(request: Request) -> AsyncIterator[str]:
    yield "a"


@app.get("/numbers")
def numbers(request: Request) -> Iterator[bytes]:
    yield b"1"


@app.get("/generator")
def generator() -> Generator[str, None, None]:
    yield "1"


@app.route("/response", methods=["GET", "POST"])
async def response(request: Request) -> Response:
    if request.method == "POST":
        raise HTTPException(405, "no", {"allow": "GET"})
    answer = JSONResponse({"a": [1, None]}, status_code=203, headers={"x": "y"})
    answer.set_cookie("a", "b", samesite="strict")
    return answer


@app.get("/either")
async def either(request: Request) -> RedirectResponse | dict[str, str]:
    return RedirectResponse(request.url_for("text")) if request.cookies else {}


@app.head("/head")
@app.options("/head")
@app.query("/head")
async def several(request: Request) -> StreamingResponse:
    return StreamingResponse(iter(["a", "b"]), media_type="text/plain")


@app.post("/form")
async def form(request: Request) -> str:
    async with request.form(max_files=1) as data:
        assert_type(data.get("file"), str | UploadFile | None)
        for value in data.getlist("file"):
            if isinstance(value, UploadFile):
                assert_type(await value.read(), bytes)
    whole = await request.form()
    assert_type(whole["a"], str | UploadFile)
    async for chunk in request.stream():
        assert_type(chunk, bytes)
    found: dict[str, Any] = await request.json()
    return str(found)


@app.route("/class")
class Endpoint(HTTPEndpoint):
    """A handler as a class."""

    async def get(self, request: Request[MyState]) -> str:
        return request.state["items"][0].name

    def post(self, request: Request) -> Response:
        return Response(status_code=204)


endpoint: type[Endpoint] = Endpoint


async def call_them(request: Request) -> None:
    """Call the decorated functions: they are what they were."""
    assert_type(await text(request), str)
    assert_type(await model(), Item)
    assert_type(blocking(request), list[str])
    assert_type(await with_headers(request), tuple[str, int, dict[str, str]])


users = Router()


@users.get("/{name}")
async def user(request: Request) -> str:
    value: object = request.path_params["name"]
    return str(value)


async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


class Foreign:
    """An ASGI application of any kind."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pass


app.include(users, prefix="/users")
app.mount("/admin", Foreign(), name="admin")
app.host("api.example.org", users)
app.add_route("/later", text, methods=["GET"])
more = MicroASGI(
    routes=[
        Route("/a", text, methods=["GET"], name="a"),
        WebSocketRoute("/ws", socket),
        Mount("/m", users),
        Mount("/n", routes=[Route("/", blocking)], name="n"),
    ]
)
assert_type(app.url_path_for("text"), URLPath)
more.state.anything = 1
