"""microasgi, as its documentation writes it: handlers that return values, typed ones, function middlewares."""

from collections.abc import AsyncIterator
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
    stream_text,
    upload_answer,
)

from microasgi import HTTPException, MicroASGI, Request, StreamingResponse, WebSocket
from microasgi.files import StaticFiles
from microasgi.forms import iter_parts
from microasgi.multipart import FormLimits
from microasgi.typed import Cookie, Depends, Header, Query

MIB = 1024 * 1024


async def hello(request: Request) -> str:
    return HELLO


def plaintext() -> MicroASGI:
    app = MicroASGI()
    app.get("/")(hello)
    return app


def site() -> MicroASGI:
    app = plaintext()
    app.route("/items", methods=["GET", "POST"])(hello)
    app.get("/items/{id:int}")(hello)
    return app


def path_query() -> MicroASGI:
    app = MicroASGI()

    @app.get("/items/{id:int}")
    async def item(request: Request) -> dict[str, Any]:
        query = request.query_params
        return {"id": request.path_params["id"], "page": int(query["page"]), "q": query["q"]}

    return app


def json_echo() -> MicroASGI:
    app = MicroASGI()

    @app.post("/")
    async def echo(request: Request) -> Any:
        return await request.json()

    return app


def json_dataclass() -> MicroASGI:
    app = MicroASGI()

    @app.post("/")
    async def total(item: Item) -> dict[str, Any]:
        return {"name": item.name, "total": item.price * item.quantity}

    return app


async def current_user(x_token: Annotated[str, Header()]) -> str:
    if x_token not in USERS:
        raise HTTPException(401)
    return USERS[x_token]


def typed_get() -> MicroASGI:
    app = MicroASGI()

    @app.get("/items/{item_id}")
    async def item(item_id: int, page: int = 1) -> Page:
        return Page(item_id, page)

    return app


def typed_put() -> MicroASGI:
    app = MicroASGI()

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
        return Saved(item_id, limit, q, user_agent, session, user, item)

    return app


def form() -> MicroASGI:
    app = MicroASGI()

    @app.post("/")
    async def submit(request: Request) -> str:
        fields = await request.form()
        return f"{len(fields)} {fields['name']} {fields['comment']}"

    return app


def cookie() -> MicroASGI:
    app = MicroASGI()

    @app.get("/")
    async def theme(request: Request) -> str:
        return request.cookies.get("theme", "none")

    return app


class Conflict(Exception):
    """The application's own error."""


def exception() -> MicroASGI:
    app = MicroASGI()

    @app.exception_handler(Conflict)
    async def on_conflict(request: Request, error: Conflict) -> tuple[str, int]:
        return f"conflict: {error}", 409

    @app.get("/")
    async def fail(request: Request) -> None:
        raise Conflict("order 7")

    return app


def static_routes(count: int) -> MicroASGI:
    app = MicroASGI()

    def make(number: int) -> Any:
        async def handler(request: Request) -> str:
            return f"list {number}"

        return handler

    for number in range(count):
        app.get(static_template(number))(make(number))
    return app


def parameter_routes(count: int) -> MicroASGI:
    app = MicroASGI()

    async def show(request: Request) -> str:
        return request.path_params["id"]

    for number in range(count):
        app.get(parameter_template(number))(show)
    return app


async def through(request: Request, call_next: Any) -> Any:
    return await call_next(request)


async def add_header(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-pair"] = "after"
    return response


def middlewares() -> MicroASGI:
    app = MicroASGI(middleware=[through] * 5)
    app.get("/")(hello)
    return app


def pair() -> MicroASGI:
    app = MicroASGI(middleware=[add_header])
    app.get("/")(hello)
    return app


def stream() -> MicroASGI:
    app = MicroASGI()

    @app.get("/")
    async def chunks(request: Request) -> StreamingResponse:
        return StreamingResponse(stream_text(), media_type="text/plain")

    return app


def json_large() -> MicroASGI:
    app = MicroASGI()

    @app.get("/")
    async def document(request: Request) -> list[dict[str, Any]]:
        return DOCUMENT

    return app


def upload() -> MicroASGI:
    app = MicroASGI(max_body_size=64 * MIB)

    @app.post("/")
    async def save(request: Request) -> str:
        fields = await request.form()
        size, tail = 0, b""
        while piece := await fields["file"].read(MIB):
            size, tail = size + len(piece), piece
        return upload_answer(fields["title"], size, tail)

    return app


def upload_parts() -> MicroASGI:
    app = MicroASGI(max_body_size=64 * MIB)

    def parts(request: Request) -> AsyncIterator[Any]:
        return iter_parts(request.headers["content-type"], request.stream(), FormLimits())

    @app.post("/")
    async def count(request: Request) -> str:
        title, size, tail = "", 0, b""
        async for part in parts(request):
            if part.name == "title":
                title = await part.text()
                continue
            async for piece in part:
                size, tail = size + len(piece), piece
        return upload_answer(title, size, tail)

    return app


def files() -> MicroASGI:
    app = MicroASGI()
    app.mount("/static", StaticFiles(directory=files_directory()), name="static")
    return app


def websocket() -> MicroASGI:
    app = MicroASGI()

    @app.websocket("/ws")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app
