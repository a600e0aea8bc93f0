"""FastAPI with typed parameters, as its documentation writes it."""

from typing import Annotated, Any

from cases import (
    DOCUMENT,
    HELLO,
    USERS,
    Item,
    files_directory,
    parameter_template,
    static_template,
    stream_text,
    upload_answer,
)
from fastapi import Cookie, Depends, FastAPI, Form, Header, HTTPException, Query, Request, UploadFile, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

SKIP = {"upload_parts": "no part by part reading"}
MIB = 1024 * 1024


async def hello() -> str:
    return HELLO


def plaintext() -> FastAPI:
    app = FastAPI()
    app.get("/", response_class=PlainTextResponse)(hello)
    return app


def site() -> FastAPI:
    app = plaintext()
    app.api_route("/items", methods=["GET", "POST"], response_class=PlainTextResponse)(hello)

    @app.get("/items/{id}", response_class=PlainTextResponse)
    async def item(id: int) -> str:
        return HELLO

    return app


def path_query() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{id}")
    async def item(id: int, page: int, q: str) -> dict[str, Any]:
        return {"id": id, "page": page, "q": q}

    return app


def json_echo() -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def echo(order: dict[str, Any]) -> dict[str, Any]:
        return order

    return app


def json_dataclass() -> FastAPI:
    app = FastAPI()

    @app.post("/")
    async def total(item: Item) -> dict[str, Any]:
        return {"name": item.name, "total": item.price * item.quantity}

    return app


class Product(BaseModel):
    name: str
    price: float
    quantity: int
    tags: list[str]
    sold_out: bool = False


class Saved(BaseModel):
    item_id: int
    limit: int
    q: str | None
    agent: str
    session: str
    user: str
    item: Product


class Page(BaseModel):
    item_id: int
    page: int


async def current_user(x_token: Annotated[str, Header()]) -> str:
    if x_token not in USERS:
        raise HTTPException(401)
    return USERS[x_token]


def typed_get() -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def item(item_id: int, page: int = 1) -> Page:
        return Page(item_id=item_id, page=page)

    return app


def typed_put() -> FastAPI:
    app = FastAPI()

    @app.put("/items/{item_id}")
    async def save(
        item_id: int,
        item: Product,
        user: Annotated[str, Depends(current_user)],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        q: str | None = None,
        user_agent: Annotated[str, Header()] = "",
        session: Annotated[str, Cookie()] = "",
    ) -> Saved:
        return Saved(item_id=item_id, limit=limit, q=q, agent=user_agent, session=session, user=user, item=item)

    return app


def form() -> FastAPI:
    app = FastAPI()

    @app.post("/", response_class=PlainTextResponse)
    async def submit(request: Request) -> str:
        fields = await request.form()
        return f"{len(fields)} {fields['name']} {fields['comment']}"

    return app


def cookie() -> FastAPI:
    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    async def show(theme: Annotated[str, Cookie()]) -> str:
        return theme

    return app


class Conflict(Exception):
    """The application's own error."""


def exception() -> FastAPI:
    app = FastAPI()

    @app.exception_handler(Conflict)
    async def on_conflict(request: Request, error: Conflict) -> PlainTextResponse:
        return PlainTextResponse(f"conflict: {error}", 409)

    @app.get("/")
    async def fail() -> None:
        raise Conflict("order 7")

    return app


def static_routes(count: int) -> FastAPI:
    app = FastAPI()

    def make(number: int) -> Any:
        async def handler() -> str:
            return f"list {number}"

        return handler

    for number in range(count):
        app.get(static_template(number), response_class=PlainTextResponse)(make(number))
    return app


def parameter_routes(count: int) -> FastAPI:
    app = FastAPI()

    async def show(id: str) -> str:
        return id

    for number in range(count):
        app.get(parameter_template(number), response_class=PlainTextResponse)(show)
    return app


class Through:
    """A middleware that does nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def middlewares() -> FastAPI:
    app = plaintext()
    for _ in range(5):
        app.add_middleware(Through)
    return app


def pair() -> FastAPI:
    app = plaintext()

    @app.middleware("http")
    async def add_header(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-pair"] = "after"
        return response

    return app


def stream() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def chunks() -> StreamingResponse:
        return StreamingResponse(stream_text(), media_type="text/plain")

    return app


def json_large() -> FastAPI:
    app = FastAPI()

    @app.get("/")
    async def document() -> JSONResponse:
        return JSONResponse(DOCUMENT)  # the faster way: a returned list would be validated and copied first

    return app


def upload() -> FastAPI:
    app = FastAPI()

    @app.post("/", response_class=PlainTextResponse)
    async def save(title: Annotated[str, Form()], file: UploadFile) -> str:
        size, tail = 0, b""
        while piece := await file.read(MIB):
            size, tail = size + len(piece), piece
        return upload_answer(title, size, tail)

    return app


def files() -> FastAPI:
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=files_directory()))
    return app


def websocket() -> FastAPI:
    app = FastAPI()

    @app.websocket("/ws")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app
