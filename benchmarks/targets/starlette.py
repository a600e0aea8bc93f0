"""Starlette, as its documentation writes it; pass-through middlewares are pure ASGI, its cheapest kind.

Its "typed" handlers are written by hand with msgspec.
"""

from typing import Any

import msgspec
from cases import (
    DOCUMENT,
    HELLO,
    USERS,
    Page,
    Product,
    Saved,
    files_directory,
    item_from,
    parameter_template,
    static_template,
    stream_text,
    upload_answer,
)
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

SKIP = {"upload_parts": "no part by part reading"}
MIB = 1024 * 1024


def single(endpoint: Any, path: str = "/", method: str = "GET", **options: Any) -> Starlette:
    return Starlette(routes=[Route(path, endpoint, methods=[method])], **options)


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(HELLO)


def plaintext() -> Starlette:
    return single(hello)


def site() -> Starlette:
    return Starlette(
        routes=[
            Route("/", hello),
            Route("/items", hello, methods=["GET", "POST"]),
            Route("/items/{id:int}", hello),
        ]
    )


def path_query() -> Starlette:
    async def item(request: Request) -> JSONResponse:
        query = request.query_params
        return JSONResponse({"id": request.path_params["id"], "page": int(query["page"]), "q": query["q"]})

    return single(item, "/items/{id:int}")


def json_echo() -> Starlette:
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(await request.json())

    return single(echo, method="POST")


def json_dataclass() -> Starlette:
    async def total(request: Request) -> JSONResponse:
        item = item_from(await request.json())
        return JSONResponse({"name": item.name, "total": item.price * item.quantity})

    return single(total, method="POST")


async def current_user(request: Request) -> str:
    token = request.headers.get("x-token")
    if token not in USERS:
        raise HTTPException(401)
    return USERS[token]


def integer(request: Request, name: str, default: int) -> int:
    try:
        return int(request.query_params.get(name, default))
    except ValueError:
        raise HTTPException(422, f"{name} is a number") from None


def answer_model(model: Any) -> Response:
    return Response(msgspec.json.encode(model), media_type="application/json")


def typed_get() -> Starlette:
    async def item(request: Request) -> Response:
        return answer_model(Page(request.path_params["item_id"], integer(request, "page", 1)))

    return single(item, "/items/{item_id:int}")


def typed_put() -> Starlette:
    decode = msgspec.json.Decoder(Product).decode

    async def save(request: Request) -> Response:
        user, limit = await current_user(request), integer(request, "limit", 20)
        if not 1 <= limit <= 100:
            raise HTTPException(422, "limit is a number from 1 to 100")
        if not request.headers.get("content-type", "").startswith("application/json"):
            raise HTTPException(415)
        try:
            product = decode(await request.body())
        except msgspec.DecodeError as error:
            raise HTTPException(422, str(error)) from None
        agent, session = request.headers.get("user-agent", ""), request.cookies.get("session", "")
        q, item_id = request.query_params.get("q"), request.path_params["item_id"]
        return answer_model(Saved(item_id, limit, q, agent, session, user, product))

    return single(save, "/items/{item_id:int}", "PUT")


def form() -> Starlette:
    async def submit(request: Request) -> PlainTextResponse:
        fields = await request.form()
        return PlainTextResponse(f"{len(fields)} {fields['name']} {fields['comment']}")

    return single(submit, method="POST")


def cookie() -> Starlette:
    async def theme(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.cookies.get("theme", "none"))

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(request: Request, error: Exception) -> PlainTextResponse:
    return PlainTextResponse(f"conflict: {error}", 409)


def exception() -> Starlette:
    async def fail(request: Request) -> PlainTextResponse:
        raise Conflict("order 7")

    return single(fail, exception_handlers={Conflict: on_conflict})


def static_routes(count: int) -> Starlette:
    def make(number: int) -> Route:
        async def handler(request: Request) -> PlainTextResponse:
            return PlainTextResponse(f"list {number}")

        return Route(static_template(number), handler)

    return Starlette(routes=[make(number) for number in range(count)])


def parameter_routes(count: int) -> Starlette:
    async def show(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.path_params["id"])

    return Starlette(routes=[Route(parameter_template(number), show) for number in range(count)])


class Through:
    """A middleware that does nothing."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def middlewares() -> Starlette:
    return single(hello, middleware=[Middleware(Through) for _ in range(5)])


async def add_header(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-pair"] = "after"
    return response


def pair() -> Starlette:
    return single(hello, middleware=[Middleware(BaseHTTPMiddleware, dispatch=add_header)])


def stream() -> Starlette:
    async def chunks(request: Request) -> StreamingResponse:
        return StreamingResponse(stream_text(), media_type="text/plain")

    return single(chunks)


def json_large() -> Starlette:
    async def document(request: Request) -> JSONResponse:
        return JSONResponse(DOCUMENT)

    return single(document)


def upload() -> Starlette:
    async def save(request: Request) -> PlainTextResponse:
        async with request.form() as fields:
            size, tail = 0, b""
            while piece := await fields["file"].read(MIB):
                size, tail = size + len(piece), piece
            return PlainTextResponse(upload_answer(fields["title"], size, tail))

    return single(save, method="POST")


def files() -> Starlette:
    return Starlette(routes=[Mount("/static", StaticFiles(directory=files_directory()))])


def websocket() -> Starlette:
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return Starlette(routes=[WebSocketRoute("/ws", echo)])
