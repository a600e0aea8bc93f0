"""Quart, as its documentation writes it. Its only middleware kind that costs nothing else is an ASGI wrapper."""

from typing import Any

from cases import (
    DOCUMENT,
    HELLO,
    files_directory,
    item_from,
    parameter_template,
    static_template,
    stream_bytes,
    upload_answer,
)
from clients import PatientClient
from quart import Quart, Response, jsonify, request
from quart import websocket as socket

CLIENT = PatientClient
SKIP = {"upload_parts": "no part by part reading"}
MIB = 1024 * 1024
TEXT = {"content-type": "text/plain; charset=utf-8"}


def single(handler: Any, path: str = "/", method: str = "GET") -> Quart:
    app = Quart("benchmark")
    app.add_url_rule(path, "single", handler, methods=[method])
    return app


async def hello(**values: Any) -> Any:
    return HELLO, TEXT


def plaintext() -> Quart:
    return single(hello)


def site() -> Quart:
    app = single(hello)
    app.add_url_rule("/items", "items", hello, methods=["GET", "POST"])
    app.add_url_rule("/items/<int:id>", "item", hello)
    return app


def path_query() -> Quart:
    async def item(id: int) -> Any:
        return {"id": id, "page": request.args.get("page", type=int), "q": request.args["q"]}

    return single(item, "/items/<int:id>")


def json_echo() -> Quart:
    async def echo() -> Any:
        return await request.get_json()

    return single(echo, method="POST")


def json_dataclass() -> Quart:
    async def total() -> Any:
        item = item_from(await request.get_json())
        return {"name": item.name, "total": item.price * item.quantity}

    return single(total, method="POST")


def form() -> Quart:
    async def submit() -> Any:
        fields = await request.form
        return f"{len(fields)} {fields['name']} {fields['comment']}", TEXT

    return single(submit, method="POST")


def cookie() -> Quart:
    async def theme() -> Any:
        return request.cookies.get("theme", "none"), TEXT

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(error: Conflict) -> Any:
    return f"conflict: {error}", 409, TEXT


def exception() -> Quart:
    async def fail() -> Any:
        raise Conflict("order 7")

    app = single(fail)
    app.register_error_handler(Conflict, on_conflict)
    return app


def static_routes(count: int) -> Quart:
    app = Quart("benchmark")

    def make(number: int) -> Any:
        async def handler() -> Any:
            return f"list {number}", TEXT

        return handler

    for number in range(count):
        app.add_url_rule(static_template(number), f"list{number}", make(number))
    return app


def parameter_routes(count: int) -> Quart:
    app = Quart("benchmark")

    async def show(id: str) -> Any:
        return id, TEXT

    for number in range(count):
        app.add_url_rule(parameter_template(number).replace("{id}", "<id>"), f"show{number}", show)
    return app


def through(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


def middlewares() -> Quart:
    app = single(hello)
    for _ in range(5):
        app.asgi_app = through(app.asgi_app)
    return app


async def before() -> None:
    return


async def after(response: Response) -> Response:
    response.headers["x-pair"] = "after"
    return response


def pair() -> Quart:
    app = single(hello)
    app.before_request(before)
    app.after_request(after)
    return app


def stream() -> Quart:
    async def chunks() -> Any:
        return stream_bytes(), TEXT

    return single(chunks)


def json_large() -> Quart:
    async def document() -> Any:
        return jsonify(DOCUMENT)

    return single(document)


def upload() -> Quart:
    async def save() -> Any:
        fields, files = await request.form, await request.files
        size, tail = 0, b""
        while piece := files["file"].read(MIB):
            size, tail = size + len(piece), piece
        return upload_answer(fields["title"], size, tail), TEXT

    app = single(save, method="POST")
    app.config["MAX_CONTENT_LENGTH"] = 64 * MIB
    return app


def files() -> Quart:
    return Quart("benchmark", static_folder=files_directory(), static_url_path="/static")


def websocket() -> Quart:
    app = Quart("benchmark")

    @app.websocket("/ws")
    async def echo() -> None:
        while True:
            await socket.send(await socket.receive())

    return app
