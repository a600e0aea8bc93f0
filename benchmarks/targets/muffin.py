"""Muffin, as its documentation writes it."""

import itertools
import os
import tempfile
from typing import Any

from cases import (
    DOCUMENT,
    HELLO,
    files_directory,
    item_from,
    parameter_template,
    static_template,
    stream_text,
    upload_answer,
)
from muffin import Application, Request, ResponseJSON, ResponseStream, ResponseText, ResponseWebSocket

SKIP = {"upload_parts": "no part by part reading"}
MIB = 1024 * 1024


def single(handler: Any, path: str = "/", method: str = "GET") -> Application:
    app = Application()
    app.route(path, methods=[method])(handler)
    return app


async def hello(request: Request) -> ResponseText:
    return ResponseText(HELLO)


def plaintext() -> Application:
    return single(hello)


def site() -> Application:
    app = single(hello)
    app.route("/items", methods=["GET", "POST"])(hello)
    app.route("/items/{id:int}", methods=["GET"])(hello)
    return app


def path_query() -> Application:
    async def item(request: Request) -> dict[str, Any]:
        query = request.query
        return {"id": request.path_params["id"], "page": int(query["page"]), "q": query["q"]}

    return single(item, "/items/{id:int}")


def json_echo() -> Application:
    async def echo(request: Request) -> Any:
        return await request.json()

    return single(echo, method="POST")


def json_dataclass() -> Application:
    async def total(request: Request) -> dict[str, Any]:
        item = item_from(await request.json())
        return {"name": item.name, "total": item.price * item.quantity}

    return single(total, method="POST")


def form() -> Application:
    async def submit(request: Request) -> ResponseText:
        fields = await request.form()
        return ResponseText(f"{len(fields)} {fields['name']} {fields['comment']}")

    return single(submit, method="POST")


def cookie() -> Application:
    async def theme(request: Request) -> ResponseText:
        return ResponseText(request.cookies.get("theme", "none"))

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(request: Request, error: BaseException) -> ResponseText:
    return ResponseText(f"conflict: {error}", status_code=409)


def exception() -> Application:
    async def fail(request: Request) -> ResponseText:
        raise Conflict("order 7")

    app = single(fail)
    app.on_error(Conflict)(on_conflict)
    return app


def static_routes(count: int) -> Application:
    app = Application()

    def make(number: int) -> Any:
        async def handler(request: Request) -> ResponseText:
            return ResponseText(f"list {number}")

        return handler

    for number in range(count):
        app.route(static_template(number))(make(number))
    return app


def parameter_routes(count: int) -> Application:
    app = Application()

    async def show(request: Request) -> ResponseText:
        return ResponseText(request.path_params["id"])

    for number in range(count):
        app.route(parameter_template(number))(show)
    return app


def middlewares() -> Application:
    app = single(hello)

    def make() -> Any:
        async def through(handler: Any, request: Request, receive: Any, send: Any) -> Any:
            return await handler(request, receive, send)

        return through

    for _ in range(5):
        app.middleware(make())
    return app


async def add_header(handler: Any, request: Request, receive: Any, send: Any) -> Any:
    response = await handler(request, receive, send)
    response.headers["x-pair"] = "after"
    return response


def pair() -> Application:
    app = single(hello)
    app.middleware(add_header)
    return app


def stream() -> Application:
    async def chunks(request: Request) -> ResponseStream:
        return ResponseStream(stream_text(), content_type="text/plain; charset=utf-8")

    return single(chunks)


def json_large() -> Application:
    async def document(request: Request) -> ResponseJSON:
        return ResponseJSON(DOCUMENT)

    return single(document)


def upload() -> Application:
    folder = tempfile.TemporaryDirectory()
    numbers = itertools.count()

    def upload_to(filename: str) -> str:
        return f"{folder.name}/{next(numbers)}"

    async def save(request: Request) -> ResponseText:
        # Without `upload_to` a file is kept in memory up to `max_size`, which has to be above the body's size.
        fields = await request.form(max_size=64 * MIB, upload_to=upload_to)
        size, tail = 0, b""
        with fields["file"] as file:
            while piece := file.read(MIB):
                size, tail = size + len(piece), piece
        os.unlink(file.name)
        return ResponseText(upload_answer(fields["title"], size, tail))

    return single(save, method="POST")


def files() -> Application:
    return Application(static_folders=[files_directory()], static_url_prefix="/static")


def websocket() -> Application:
    app = Application()

    @app.route("/ws")
    async def echo(request: Request) -> None:
        async with ResponseWebSocket(request) as ws:
            while isinstance(message := await ws.receive(), str):
                await ws.send(message)

    return app
