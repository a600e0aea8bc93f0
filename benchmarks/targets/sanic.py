"""Sanic in its ASGI mode (its own server is not measured here)."""

from itertools import count as numbers
from typing import Any

from cases import DOCUMENT, HELLO, files_directory, item_from, parameter_template, static_template, stream_text
from sanic import Request, Sanic, Websocket, json, text
from sanic.response import HTTPResponse

FRESH_PROCESS = True  # Sanic rewrites its own methods at the first start of a process
SKIP = {
    "upload": "keeps the file in memory, no file object",
    "upload_parts": "no part by part reading",
}
fresh = numbers()


def application() -> Sanic:
    return Sanic(f"benchmark{next(fresh)}", configure_logging=False)


def single(handler: Any, path: str = "/", method: str = "GET") -> Sanic:
    app = application()
    app.add_route(handler, path, methods=[method])
    return app


async def hello(request: Request, **values: Any) -> HTTPResponse:
    return text(HELLO)


def plaintext() -> Sanic:
    return single(hello)


def site() -> Sanic:
    app = single(hello)
    app.add_route(hello, "/items", methods=["GET", "POST"], name="items")
    app.add_route(hello, "/items/<id:int>", name="item")
    return app


def path_query() -> Sanic:
    async def item(request: Request, id: int) -> HTTPResponse:
        return json({"id": id, "page": int(request.args.get("page")), "q": request.args.get("q")})

    return single(item, "/items/<id:int>")


def json_echo() -> Sanic:
    async def echo(request: Request) -> HTTPResponse:
        return json(request.json)

    return single(echo, method="POST")


def json_dataclass() -> Sanic:
    async def total(request: Request) -> HTTPResponse:
        item = item_from(request.json)
        return json({"name": item.name, "total": item.price * item.quantity})

    return single(total, method="POST")


def form() -> Sanic:
    async def submit(request: Request) -> HTTPResponse:
        fields = request.form
        return text(f"{len(fields)} {fields.get('name')} {fields.get('comment')}")

    return single(submit, method="POST")


def cookie() -> Sanic:
    async def theme(request: Request) -> HTTPResponse:
        return text(request.cookies.get("theme", "none"))

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(request: Request, error: Conflict) -> HTTPResponse:
    return text(f"conflict: {error}", 409)


def exception() -> Sanic:
    async def fail(request: Request) -> HTTPResponse:
        raise Conflict("order 7")

    app = single(fail)
    app.error_handler.add(Conflict, on_conflict)
    return app


def static_routes(count: int) -> Sanic:
    app = application()

    def make(number: int) -> Any:
        async def handler(request: Request) -> HTTPResponse:
            return text(f"list {number}")

        return handler

    for number in range(count):
        app.add_route(make(number), static_template(number), name=f"list{number}")
    return app


def parameter_routes(count: int) -> Sanic:
    app = application()

    async def show(request: Request, id: str) -> HTTPResponse:
        return text(id)

    for number in range(count):
        app.add_route(show, parameter_template(number).replace("{id}", "<id>"), name=f"show{number}")
    return app


def middlewares() -> Sanic:
    app = single(hello)

    def make() -> Any:
        async def through(request: Request) -> None:
            return

        return through

    for _ in range(5):
        app.register_middleware(make(), "request")
    return app


async def before(request: Request) -> None:
    return


async def after(request: Request, response: HTTPResponse) -> None:
    response.headers["x-pair"] = "after"


def pair() -> Sanic:
    app = single(hello)
    app.register_middleware(before, "request")
    app.register_middleware(after, "response")
    return app


def stream() -> Sanic:
    async def chunks(request: Request) -> None:
        response = await request.respond(content_type="text/plain; charset=utf-8")
        async for chunk in stream_text():
            await response.send(chunk)
        await response.eof()

    return single(chunks)


def json_large() -> Sanic:
    async def document(request: Request) -> HTTPResponse:
        return json(DOCUMENT)

    return single(document)


def files() -> Sanic:
    app = application()
    app.static("/static", files_directory(), name="files")
    return app


def websocket() -> Sanic:
    app = application()

    @app.websocket("/ws")
    async def echo(request: Request, ws: Websocket) -> None:
        while (message := await ws.recv()) is not None:
            await ws.send(message)

    return app
