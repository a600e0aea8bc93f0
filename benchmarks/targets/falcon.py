"""Falcon's ASGI application with resource classes; models by hand with msgspec."""

from typing import Any

import falcon
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
    stream_bytes,
    upload_answer,
)
from falcon.asgi import App

SKIP = {"upload": "no file object, parts are streams"}


def single(resource: Any, path: str = "/", middleware: Any = None) -> App:
    app = App(middleware=middleware)
    app.add_route(path, resource)
    return app


def text(resp: Any, content: str) -> None:
    resp.content_type = falcon.MEDIA_TEXT
    resp.text = content


class Hello:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        text(resp, HELLO)

    on_post = on_get


class ReadOnlyHello:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        text(resp, HELLO)


def plaintext() -> App:
    return single(ReadOnlyHello())


def site() -> App:
    app = plaintext()
    app.add_route("/items", Hello())
    app.add_route("/items/{id:int}", ReadOnlyHello())
    return app


def path_query() -> App:
    class Items:
        async def on_get(self, req: Any, resp: Any, id: int) -> None:
            resp.media = {"id": id, "page": req.get_param_as_int("page"), "q": req.get_param("q")}

    return single(Items(), "/items/{id:int}")


def json_echo() -> App:
    class Echo:
        async def on_post(self, req: Any, resp: Any) -> None:
            resp.media = await req.get_media()

    return single(Echo())


def json_dataclass() -> App:
    class Total:
        async def on_post(self, req: Any, resp: Any) -> None:
            item = item_from(await req.get_media())
            resp.media = {"name": item.name, "total": item.price * item.quantity}

    return single(Total())


async def current_user(req: Any) -> str:
    token = req.get_header("x-token")
    if token not in USERS:
        raise falcon.HTTPUnauthorized
    return USERS[token]


def answer_model(resp: Any, model: Any) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(model)


def typed_get() -> App:
    class Items:
        async def on_get(self, req: Any, resp: Any, item_id: int) -> None:
            answer_model(resp, Page(item_id, req.get_param_as_int("page", default=1)))

    return single(Items(), "/items/{item_id:int}")


def typed_put() -> App:
    decode = msgspec.json.Decoder(Product).decode

    class Items:
        async def on_put(self, req: Any, resp: Any, item_id: int) -> None:
            user = await current_user(req)
            limit = req.get_param_as_int("limit", min_value=1, max_value=100, default=20)
            if not (req.content_type or "").startswith(falcon.MEDIA_JSON):
                raise falcon.HTTPUnsupportedMediaType
            try:
                product = decode(await req.stream.read())
            except msgspec.DecodeError as error:
                raise falcon.HTTPUnprocessableEntity(description=str(error)) from None
            session = req.get_cookie_values("session")
            saved = Saved(
                item_id, limit, req.get_param("q"), req.user_agent or "", session[0] if session else "", user, product
            )
            answer_model(resp, saved)

    return single(Items(), "/items/{item_id:int}")


def form() -> App:
    class Submit:
        async def on_post(self, req: Any, resp: Any) -> None:
            fields = await req.get_media()
            text(resp, f"{len(fields)} {fields['name']} {fields['comment']}")

    return single(Submit())


def cookie() -> App:
    class Theme:
        async def on_get(self, req: Any, resp: Any) -> None:
            text(resp, req.get_cookie_values("theme")[0])

    return single(Theme())


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(req: Any, resp: Any, error: Exception, params: Any) -> None:
    resp.status = 409
    text(resp, f"conflict: {error}")


def exception() -> App:
    class Fail:
        async def on_get(self, req: Any, resp: Any) -> None:
            raise Conflict("order 7")

    app = single(Fail())
    app.add_error_handler(Conflict, on_conflict)
    return app


def static_routes(count: int) -> App:
    class Numbered:
        def __init__(self, number: int) -> None:
            self.number = number

        async def on_get(self, req: Any, resp: Any) -> None:
            text(resp, f"list {self.number}")

    app = App()
    for number in range(count):
        app.add_route(static_template(number), Numbered(number))
    return app


def parameter_routes(count: int) -> App:
    class Show:
        async def on_get(self, req: Any, resp: Any, id: str) -> None:
            text(resp, id)

    app = App()
    for number in range(count):
        app.add_route(parameter_template(number), Show())
    return app


class Through:
    """A middleware that does nothing: the one hook Falcon calls for it."""

    async def process_request(self, req: Any, resp: Any) -> None:
        return


class Pair:
    async def process_request(self, req: Any, resp: Any) -> None:
        return

    async def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header("x-pair", "after")


def middlewares() -> App:
    return single(ReadOnlyHello(), middleware=[Through() for _ in range(5)])


def pair() -> App:
    return single(ReadOnlyHello(), middleware=[Pair()])


def stream() -> App:
    class Chunks:
        async def on_get(self, req: Any, resp: Any) -> None:
            resp.content_type = falcon.MEDIA_TEXT
            resp.stream = stream_bytes()

    return single(Chunks())


def json_large() -> App:
    class Document:
        async def on_get(self, req: Any, resp: Any) -> None:
            resp.media = DOCUMENT

    return single(Document())


def upload_parts() -> App:
    class Count:
        async def on_post(self, req: Any, resp: Any) -> None:
            title, size, tail = "", 0, b""
            async for part in await req.get_media():
                if part.name == "title":
                    title = await part.text
                    continue
                while piece := await part.stream.read(64 * 1024):
                    size, tail = size + len(piece), piece
            text(resp, upload_answer(title, size, tail))

    return single(Count())


def files() -> App:
    app = App()
    app.add_static_route("/static", files_directory())
    return app


def websocket() -> App:
    class Echo:
        async def on_websocket(self, req: Any, ws: Any) -> None:
            await ws.accept()
            try:
                while True:
                    await ws.send_text(await ws.receive_text())
            except falcon.WebSocketDisconnected:
                return

    return single(Echo(), "/ws")
