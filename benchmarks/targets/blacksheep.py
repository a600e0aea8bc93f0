"""BlackSheep with typed handlers and function middlewares."""

from typing import Any

from blacksheep import (
    Application,
    FromCookie,
    FromHeader,
    FromJSON,
    Request,
    Response,
    Router,
    StreamedContent,
    WebSocket,
    json,
    text,
)
from blacksheep.exceptions import BadRequest, Unauthorized
from blacksheep.server.bindings import Binder, BoundValue
from blacksheep.server.websocket import WebSocketDisconnectError
from cases import (
    DOCUMENT,
    HELLO,
    USERS,
    Item,
    Page,
    Product,
    Saved,
    files_directory,
    parameter_template,
    static_template,
    stream_bytes,
    upload_answer,
)

MIB = 1024 * 1024


def single(handler: Any, path: str = "/", method: str = "GET") -> Application:
    app = Application(router=Router())
    app.router.add(method, path, handler)
    return app


async def hello(request: Request) -> Response:
    return text(HELLO)


def plaintext() -> Application:
    return single(hello)


def site() -> Application:
    app = single(hello)
    app.router.add("GET", "/items", hello)
    app.router.add("POST", "/items", hello)
    app.router.add("GET", "/items/{int:id}", hello)
    return app


def path_query() -> Application:
    async def item(id: int, page: int, q: str) -> Response:
        return json({"id": id, "page": page, "q": q})

    return single(item, "/items/{int:id}")


def json_echo() -> Application:
    async def echo(request: Request) -> Response:
        return json(await request.json())

    return single(echo, method="POST")


def json_dataclass() -> Application:
    async def total(data: FromJSON[Item]) -> Response:
        item = data.value
        return json({"name": item.name, "total": item.price * item.quantity})

    return single(total, method="POST")


class FromAgent(FromHeader[str]):
    name = "user-agent"


class FromSession(FromCookie[str]):
    name = "session"


class CurrentUser(BoundValue[str]):
    """What BlackSheep has in place of an asynchronous dependency: a binder of one's own."""


class CurrentUserBinder(Binder):
    handle = CurrentUser

    async def get_value(self, request: Request) -> str:
        token = request.get_first_header(b"x-token")
        if token is None or token.decode() not in USERS:
            raise Unauthorized
        return USERS[token.decode()]


def typed_get() -> Application:
    async def item(item_id: int, page: int = 1) -> Response:
        return json(Page(item_id, page))

    return single(item, "/items/{int:item_id}")


def typed_put() -> Application:
    async def save(
        item_id: int,
        data: FromJSON[Product],
        user: CurrentUser,
        agent: FromAgent,
        session: FromSession,
        q: str | None = None,
        limit: int = 20,
    ) -> Response:
        if not 1 <= limit <= 100:
            raise BadRequest("limit")
        return json(Saved(item_id, limit, q, agent.value, session.value, user.value, data.value))

    return single(save, "/items/{int:item_id}", "PUT")


def form() -> Application:
    async def submit(request: Request) -> Response:
        fields = await request.form()
        return text(f"{len(fields)} {fields['name']} {fields['comment']}")

    return single(submit, method="POST")


def cookie() -> Application:
    async def theme(request: Request) -> Response:
        return text(request.get_cookie("theme") or "none")

    return single(theme)


class Conflict(Exception):
    """The application's own error."""


async def on_conflict(app: Application, request: Request, error: Conflict) -> Response:
    return text(f"conflict: {error}", 409)


def exception() -> Application:
    async def fail(request: Request) -> Response:
        raise Conflict("order 7")

    app = single(fail)
    app.exceptions_handlers[Conflict] = on_conflict
    return app


def static_routes(count: int) -> Application:
    app = Application(router=Router())

    def make(number: int) -> Any:
        async def handler(request: Request) -> Response:
            return text(f"list {number}")

        return handler

    for number in range(count):
        app.router.add("GET", static_template(number), make(number))
    return app


def parameter_routes(count: int) -> Application:
    app = Application(router=Router())

    async def show(request: Request) -> Response:
        return text(request.route_values["id"])

    for number in range(count):
        app.router.add("GET", parameter_template(number), show)
    return app


async def through(request: Request, handler: Any) -> Response:
    return await handler(request)


async def add_header(request: Request, handler: Any) -> Response:
    response = await handler(request)
    response.headers.add(b"x-pair", b"after")
    return response


def middlewares() -> Application:
    app = single(hello)
    app.middlewares.extend([through] * 5)
    return app


def pair() -> Application:
    app = single(hello)
    app.middlewares.append(add_header)
    return app


def stream() -> Application:
    async def chunks(request: Request) -> Response:
        return Response(200, content=StreamedContent(b"text/plain; charset=utf-8", stream_bytes))

    return single(chunks)


def json_large() -> Application:
    async def document(request: Request) -> Response:
        return json(DOCUMENT)

    return single(document)


def upload() -> Application:
    async def save(request: Request) -> Response:
        fields = {part.name: part for part in await request.multipart()}
        size, tail, file = 0, b"", fields[b"file"].file
        while piece := file.read(MIB):
            size, tail = size + len(piece), piece
        return text(upload_answer(fields[b"title"].data.decode(), size, tail))

    return single(save, method="POST")


def upload_parts() -> Application:
    async def count(request: Request) -> Response:
        title, size, tail = b"", 0, b""
        async for part in request.multipart_stream():
            async for piece in part.stream():
                if part.name == "file":
                    size, tail = size + len(piece), piece
                else:
                    title += piece
        return text(upload_answer(title.decode(), size, tail))

    return single(count, method="POST")


def files() -> Application:
    app = Application(router=Router())
    app.serve_files(files_directory(), root_path="static", extensions={".txt"})
    return app


def websocket() -> Application:
    app = Application(router=Router())

    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(await websocket.receive_text())
        except WebSocketDisconnectError:
            return

    app.router.add_ws("/ws", echo)
    return app
