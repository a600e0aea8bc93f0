"""The microasgi application of the comparison in docs/wrong-requests.md."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated
from uuid import UUID

import msgspec

from microasgi import MicroASGI, UploadFile
from microasgi.typed import Cookie, File, Form, Header, Path, Query


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Size:
    width: int
    height: int


@dataclass
class Item:
    name: str
    price: Decimal
    size: Size
    tags: list[str] = field(default_factory=list[str])


class Sealed(msgspec.Struct, forbid_unknown_fields=True):
    a: int


def make_app() -> MicroASGI:
    app = MicroASGI()

    @app.get("/items/{item_id}")
    async def find(
        item_id: Annotated[int, Path(ge=1)],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        q: Annotated[str, Query(max_length=5)] = "",
        colour: Colour | None = None,
        day: date | None = None,
        key: UUID | None = None,
        price: Decimal | None = None,
        tags: Annotated[list[int] | None, Query()] = None,
    ) -> str:
        return "found"

    @app.get("/visits")
    async def count(q: str, x_count: Annotated[int, Header()], visits: Annotated[int, Cookie()]) -> str:
        return "counted"

    @app.post("/items")
    async def add(item: Item) -> str:
        return "added"

    @app.post("/sealed")
    async def seal(sealed: Sealed) -> str:
        return "sealed"

    @app.post("/upload")
    async def save(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> str:
        return "saved"

    return app
