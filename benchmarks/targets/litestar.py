"""Litestar with typed handlers; its documentation pages are switched off."""

from typing import Annotated, Any

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
from clients import PatientClient
from litestar import Litestar, MediaType, Request, Response, WebSocket, get, post, put, route
from litestar import websocket as websocket_route
from litestar.datastructures import UploadFile
from litestar.di import Provide
from litestar.enums import RequestEncodingType
from litestar.exceptions import NotAuthorizedException, WebSocketDisconnect
from litestar.params import Body, Parameter
from litestar.response import Stream
from litestar.static_files import create_static_files_router

CLIENT = PatientClient
SKIP = {"upload_parts": "no part by part reading"}
MIB = 1024 * 1024
TEXT = MediaType.TEXT


def application(*handlers: Any, **options: Any) -> Litestar:
    return Litestar(list(handlers), openapi_config=None, **options)


def hello() -> Any:
    """A new handler: a Litestar handler keeps what the first application resolved for it."""

    @get("/", media_type=TEXT)
    async def handler() -> str:
        return HELLO

    return handler


def plaintext() -> Litestar:
    return application(hello())


def site() -> Litestar:
    @route("/items", http_method=["GET", "POST"], media_type=TEXT, status_code=200)
    async def items() -> str:
        return HELLO

    @get("/items/{item_id:int}", media_type=TEXT)
    async def item(item_id: int) -> str:
        return HELLO

    return application(hello(), items, item)


def path_query() -> Litestar:
    @get("/items/{item_id:int}")
    async def item(item_id: int, page: int, q: str) -> dict[str, Any]:
        return {"id": item_id, "page": page, "q": q}

    return application(item)


def json_echo() -> Litestar:
    @post("/", status_code=200)
    async def echo(data: dict[str, Any]) -> dict[str, Any]:
        return data

    return application(echo)


def json_dataclass() -> Litestar:
    @post("/", status_code=200)
    async def total(data: Item) -> dict[str, Any]:
        return {"name": data.name, "total": data.price * data.quantity}

    return application(total)


async def current_user(x_token: Annotated[str, Parameter(header="x-token")]) -> str:
    if x_token not in USERS:
        raise NotAuthorizedException
    return USERS[x_token]


def typed_get() -> Litestar:
    @get("/items/{item_id:int}")
    async def item(item_id: int, page: int = 1) -> Page:
        return Page(item_id, page)

    return application(item)


def typed_put() -> Litestar:
    @put("/items/{item_id:int}", dependencies={"user": Provide(current_user)})
    async def save(
        item_id: int,
        data: Product,
        user: str,
        limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
        q: str | None = None,
        agent: Annotated[str, Parameter(header="user-agent")] = "",
        session: Annotated[str, Parameter(cookie="session")] = "",
    ) -> Saved:
        return Saved(item_id, limit, q, agent, session, user, data)

    return application(save)


def form() -> Litestar:
    @post("/", status_code=200, media_type=TEXT)
    async def submit(data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]) -> str:
        return f"{len(data)} {data['name']} {data['comment']}"

    return application(submit)


def cookie() -> Litestar:
    @get("/", media_type=TEXT)
    async def show(theme: Annotated[str, Parameter(cookie="theme")]) -> str:
        return theme

    return application(show)


class Conflict(Exception):
    """The application's own error."""


def on_conflict(request: Request, error: Conflict) -> Response[str]:
    return Response(f"conflict: {error}", media_type=TEXT, status_code=409)


def exception() -> Litestar:
    @get("/")
    async def fail() -> str:
        raise Conflict("order 7")

    return application(fail, exception_handlers={Conflict: on_conflict})


def static_routes(count: int) -> Litestar:
    def make(number: int) -> Any:
        @get(static_template(number), media_type=TEXT)
        async def handler() -> str:
            return f"list {number}"

        return handler

    return application(*[make(number) for number in range(count)])


def parameter_routes(count: int) -> Litestar:
    def make(number: int) -> Any:
        @get(parameter_template(number).replace("{id}", "{item_id:str}"), media_type=TEXT)
        async def show(item_id: str) -> str:
            return item_id

        return show

    return application(*[make(number) for number in range(count)])


def through(app: Any) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


def middlewares() -> Litestar:
    return application(hello(), middleware=[through] * 5)


async def before(request: Request) -> None:
    return


async def after(response: Response) -> Response:
    response.headers["x-pair"] = "after"
    return response


def pair() -> Litestar:
    return application(hello(), before_request=before, after_request=after)


def stream() -> Litestar:
    @get("/")
    async def chunks() -> Stream:
        return Stream(stream_bytes, media_type="text/plain")

    return application(chunks)


def json_large() -> Litestar:
    @get("/")
    async def document() -> list[dict[str, Any]]:
        return DOCUMENT

    return application(document)


def upload() -> Litestar:
    @post("/", status_code=200, media_type=TEXT, request_max_body_size=None)
    async def save(data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.MULTI_PART)]) -> str:
        file: UploadFile = data["file"]
        size, tail = 0, b""
        while piece := await file.read(MIB):
            size, tail = size + len(piece), piece
        return upload_answer(data["title"], size, tail)

    return application(save)


def files() -> Litestar:
    return application(create_static_files_router("/static", directories=[files_directory()]))


def websocket() -> Litestar:
    @websocket_route("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_text(await socket.receive_text())
        except WebSocketDisconnect:
            return

    return application(echo)
