"""The typed cases written by hand on our own `Request`, with msgspec: the measure of our typed handlers."""

from typing import Any

import msgspec
from cases import USERS, Item, Page, Product, Saved

from microasgi import HTTPException, MicroASGI, Request, Response


def answer_model(model: Any) -> Response:
    return Response(msgspec.json.encode(model), media_type="application/json")


def integer(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise HTTPException(422, f"{name} is a number") from None


async def body_of(request: Request, decode: Any) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise HTTPException(415)
    try:
        return decode(await request.body())
    except msgspec.DecodeError as error:
        raise HTTPException(422, str(error)) from None


async def current_user(request: Request) -> str:
    token = request.headers.get("x-token")
    if token not in USERS:
        raise HTTPException(401)
    return USERS[token]


def json_dataclass() -> MicroASGI:
    app, decode = MicroASGI(), msgspec.json.Decoder(Item).decode

    @app.post("/")
    async def total(request: Request) -> Response:
        item = await body_of(request, decode)
        return answer_model({"name": item.name, "total": item.price * item.quantity})

    return app


def typed_get() -> MicroASGI:
    app = MicroASGI()

    @app.get("/items/{item_id:int}")
    async def item(request: Request) -> Response:
        return answer_model(Page(request.path_params["item_id"], integer(request, "page", 1)))

    return app


def typed_put() -> MicroASGI:
    app, decode = MicroASGI(), msgspec.json.Decoder(Product).decode

    @app.put("/items/{item_id:int}")
    async def save(request: Request) -> Response:
        user, limit = await current_user(request), integer(request, "limit", 20)
        if not 1 <= limit <= 100:
            raise HTTPException(422, "limit is a number from 1 to 100")
        product = await body_of(request, decode)
        agent, session = request.headers.get("user-agent", ""), request.cookies.get("session", "")
        q, item_id = request.query_params.get("q"), request.path_params["item_id"]
        return answer_model(Saved(item_id, limit, q, agent, session, user, product))

    return app
