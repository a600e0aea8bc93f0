"""Typed handlers: what stands in `Annotated` leaves the parameter's type, decorators leave the function's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Literal, TypedDict, assert_type
from uuid import UUID

from microasgi import BackgroundTasks, HTTPException, MicroASGI, Request, Response, Router, UploadFile, WebSocket
from microasgi import State as WholeState
from microasgi.openapi import OpenAPI
from microasgi.testing import AsyncTestClient, TestClient
from microasgi.typed import (
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    HTTPBearer,
    Path,
    Query,
    Security,
    SecurityScopes,
    State,
)


class Database:
    """What the lifespan opens."""

    async def find(self, number: int) -> Item | None:
        return Item("bolt", Decimal(number))


class Colour(Enum):
    RED = "red"


@dataclass
class Item:
    name: str
    price: Decimal


class Page(TypedDict):
    items: list[Item]
    next: int | None


@dataclass
class Paging:
    limit: int = 10
    offset: int = 0


class NotFound(HTTPException):
    """No item has this number."""

    def __init__(self) -> None:
        super().__init__(404, "no such item")


@asynccontextmanager
async def lifespan(app: MicroASGI) -> AsyncGenerator[dict[str, Database]]:
    yield {"db": Database()}


app = MicroASGI(lifespan=lifespan)
app.include(OpenAPI(title="Shop", version="1.0"))
router = Router()
bearer = HTTPBearer()


async def current_user(token: Annotated[str, Depends(bearer)], scopes: SecurityScopes) -> str:
    assert_type(scopes.scopes, list[str])
    return token


async def connection() -> AsyncIterator[Database]:
    yield Database()


def settings() -> Iterator[dict[str, int]]:
    yield {"limit": 5}


class Counter:
    """A class is a dependency too: its own parameters are read."""

    def __init__(self, start: int = 0) -> None:
        self.start = start


User = Annotated[str, Security(current_user, scopes=["items"])]
Found = Annotated[Database, Depends(connection)]


@app.put("/items/{item_id}", status=200, tags=["items"], raises=[404, NotFound], summary="Put", deprecated=False)
async def put_item(
    item_id: Annotated[int, Path(ge=1)],
    item: Item,
    user: User,
    db: Found,
    q: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    agent: Annotated[str, Header(alias="user-agent")] = "",
    session: Annotated[UUID | None, Cookie()] = None,
    day: date | None = None,
    colours: Annotated[list[Colour], Query(alias="colour", max_length=3)] = [],  # noqa: B006
    order: Literal["name", "price"] = "name",
) -> Item:
    assert_type(item_id, int)
    assert_type(limit, int)
    assert_type(agent, str)
    assert_type(session, UUID | None)
    assert_type(colours, list[Colour])
    assert_type(user, str)
    found = await db.find(item_id)
    if found is None:
        raise NotFound
    return found


@router.get("/items", etag=True, operation_id="items", responses={200: {"description": "A page"}})
async def list_items(paging: Annotated[Paging, Query()], db: State[Database], state: WholeState) -> Page:
    assert_type(db, Database)
    assert_type(paging.limit, int)
    return {"items": [], "next": None}


@app.post("/items", status=201, headers={"x-a": "b"}, idempotent=True, dependencies=[Depends(current_user)])
def add_item(item: Item, weight: Annotated[float, Body(gt=0)], tasks: BackgroundTasks) -> tuple[Item, int]:
    return item, 201


@app.post("/upload")
async def upload(title: Annotated[str, Form()], files: Annotated[list[UploadFile], File(max_length=3)]) -> int:
    return sum([len(await file.read()) for file in files])


@app.get("/lines")
async def lines(request: Request, counter: Annotated[Counter, Depends()]) -> AsyncIterator[Item]:
    for number in range(counter.start):
        yield Item(request.method, Decimal(number))


@app.get("/either")
async def either(settings: Annotated[dict[str, int], Depends(settings)]) -> Item | Response:
    return Response(str(settings["limit"]))


@app.websocket("/ws/{room}")
async def room(websocket: WebSocket, room: str, user: User) -> None:
    await websocket.accept()


app.include(router, prefix="/v1", tags=["v1"], raises=[401], dependencies=[Depends(current_user)])


async def handlers_are_called_as_they_are_written() -> None:
    """Decorators return the function itself."""
    item = Item("nut", Decimal(1))
    assert_type(await put_item(1, item, "ada", Database(), limit=3), Item)
    assert_type(await list_items(Paging(), Database(), state=app.state), Page)
    assert_type(add_item(item, 0.5, BackgroundTasks()), tuple[Item, int])
    assert_type(await upload("a", []), int)
    async for one in lines(Request({"type": "http"}), Counter()):
        assert_type(one, Item)
    assert_type(await current_user("token", SecurityScopes(["a"])), str)


async def overrides_in_tests() -> None:
    async def nobody() -> str:
        return "nobody"

    app.dependency_overrides[current_user] = nobody
    with TestClient(app) as client:
        assert_type(client.get("/items").status_code, int)
    async with AsyncTestClient(app) as client_of_loop:
        assert_type((await client_of_loop.get("/items")).text, str)
