"""An application with a parameter of every kind, each given back: its document and its checks have to agree."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NewType, NotRequired, TypedDict
from uuid import UUID

import msgspec

from microasgi import HTTPException, MicroASGI, UploadFile
from microasgi.openapi import OpenAPI
from microasgi.typed import (
    APIKeyHeader,
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
    Path,
    Query,
    Security,
)

Positive = Annotated[int, Query(ge=1, le=1_000_000)]
UserId = NewType("UserId", int)
TOKEN = "right"
AUTH = {
    "HTTPBearer": {"bearer": TOKEN},
    "HTTPBasic": {"username": "ada", "password": TOKEN},
    "APIKeyHeader": {"api_key": TOKEN},
}
"""What a caller needs to be let in, by security scheme."""


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Size:
    width: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    height: int


@dataclass
class Item:
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=20)]
    price: Decimal
    size: Size | None = None
    colour: Colour = Colour.RED
    tags: list[str] = field(default_factory=list[str])
    weights: dict[str, float] = field(default_factory=dict[str, float])


class Point(TypedDict):
    x: float
    y: float
    label: NotRequired[str]


class Cat(msgspec.Struct, tag=True):
    lives: Annotated[int, msgspec.Meta(ge=0, le=9)]


class Dog(msgspec.Struct, tag=True):
    name: str


class Tree(msgspec.Struct):
    name: str
    branches: list["Tree"] = []


class Sealed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    first_name: str
    born_on: date
    awake: time | None = None
    seen_at: datetime | None = None
    key: UUID | None = None
    level: Level = Level.LOW
    kind: Literal["a", "b"] = "a"


@dataclass
class Filter:
    limit: Annotated[int, Query(ge=1, le=100)] = 20
    order: Literal["name", "price"] = "name"
    tag: list[str] = field(default_factory=list[str])


@dataclass
class Contact:
    email: Annotated[str, Form(min_length=3, max_length=50)]
    age: int | None = None
    topics: list[str] = field(default_factory=list[str])


app = MicroASGI()
app.include(OpenAPI(title="Everything", version="1.0"))

bearer, basic, key = HTTPBearer(), HTTPBasic(), APIKeyHeader("x-key")


@app.get("/scalars/{number}")
async def scalars(
    number: Annotated[int, Path(ge=1, le=1_000_000)],
    flag: bool,
    ratio: Annotated[float, Query(gt=0, lt=10)],
    word: Annotated[str, Query(min_length=2, max_length=8, pattern="^[a-z]+$")],
    even: Annotated[int, Query(multiple_of=2)] = 0,
    maybe: int | None = None,
    text: str | None = None,
    either: int | Literal["all"] = "all",
    user: UserId = UserId(1),
) -> dict[str, Any]:
    return {"number": number, "flag": flag, "ratio": ratio, "word": word, "even": even, "either": either}


@app.get("/times")
async def times(
    day: date | None = None,
    at: time | None = None,
    moment: datetime | None = None,
    wait: timedelta | None = None,
) -> dict[str, str]:
    return {"day": str(day), "at": str(at), "moment": str(moment), "wait": str(wait)}


@app.get("/texts/{key}")
async def texts(
    key: UUID,
    colour: Colour,
    level: Level = Level.LOW,
    price: Annotated[Decimal, Query(ge=0, le=100)] = Decimal(1),
    kind: Literal["a", "b", 3] = "a",
) -> dict[str, str]:
    return {"key": str(key), "colour": colour.value, "level": str(level), "price": str(price), "kind": str(kind)}


@app.get("/names/{name}")
async def named(name: Annotated[str, Path(min_length=2, max_length=10)]) -> str:
    return name


@app.get("/files/{rest:path}")
async def rest_of_path(rest: str) -> str:
    return rest


@app.get("/levels/{level}/{colour}")
async def enums(level: Level, colour: Colour) -> list[str]:
    return [str(level.value), colour.value]


@app.get("/lists")
async def lists(
    numbers: Annotated[list[int], Query(min_length=1, max_length=4)],
    words: Annotated[set[str] | None, Query()] = None,
    pages: list[Positive] | None = None,
    colours: Annotated[tuple[Colour, ...], Query(alias="colour")] = (),
) -> dict[str, Any]:
    return {"numbers": numbers, "words": sorted(words or ()), "pages": pages, "colours": [c.value for c in colours]}


@app.get("/filtered")
async def filtered(chosen: Annotated[Filter, Query()]) -> Filter:
    return chosen


@app.get("/headers")
async def headers(
    x_count: Annotated[int, Header(ge=0)],
    x_name: Annotated[str | None, Header(max_length=10)] = None,
    seen: Annotated[bool, Cookie()] = False,
    visits: Annotated[int | None, Cookie(le=9)] = None,
) -> dict[str, int | bool | str | None]:
    return {"x_count": x_count, "x_name": x_name, "seen": seen, "visits": visits}


@app.post("/items", status=201)
async def add(item: Item) -> Item:
    return item


@app.put("/points/{number}")
async def move(number: int, point: Point) -> Point:
    return point


@app.post("/pets")
async def adopt(pet: Cat | Dog) -> str:
    return type(pet).__name__


@app.post("/trees")
async def plant(tree: Tree) -> int:
    return 1 + len(tree.branches)


@app.post("/sealed")
async def seal(sealed: Sealed) -> Sealed:
    return sealed


@app.post("/many")
async def add_many(items: Annotated[list[Item], Body(min_length=1, max_length=3)]) -> list[Item]:
    return items


@app.post("/sums")
async def add_up(sums: Annotated[dict[str, int], Body()]) -> int:
    return sum(sums.values())


@app.post("/pairs")
async def pair(left: Point, right: Point, weight: Annotated[float, Body(ge=0, le=1)] = 0.5) -> list[Point]:
    return [left, right]


@app.post("/embedded")
async def embedded(size: Annotated[Size, Body(embed=True)]) -> Size:
    return size


@app.patch("/maybe")
async def maybe(point: Point | None = None) -> Point | None:
    return point


@app.post("/anything")
async def anything(value: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    return value


@app.post("/contact")
async def contact(sent: Annotated[Contact, Form()]) -> Contact:
    return sent


@app.post("/fields")
async def fields(
    name: Annotated[str, Form(min_length=1)],
    count: Annotated[int, Form(ge=0)] = 0,
    colour: Annotated[Colour | None, Form()] = None,
) -> dict[str, Any]:
    return {"name": name, "count": count, "colour": colour}


@app.post("/upload")
async def upload(title: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, int]:
    return {"title": len(title), "file": len(await file.read())}


@app.post("/uploads")
async def uploads(files: Annotated[list[UploadFile], File(max_length=3)]) -> int:
    return len(files)


async def page(limit: Annotated[int, Query(ge=1, le=50)] = 10, offset: Annotated[int, Query(ge=0)] = 0) -> range:
    return range(offset, offset + limit)


async def known(given: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    if given.credentials != TOKEN:
        raise bearer.invalid_token()
    return "ada"


async def known_by_name(given: Annotated[HTTPBasicCredentials, Depends(basic)]) -> str:
    if not given.matches("ada", TOKEN):
        raise basic.unauthorized()
    return given.username


async def known_by_key(given: Annotated[str, Depends(key)]) -> str:
    if given != TOKEN:
        raise key.unauthorized()
    return given


@app.get("/pages")
async def paged(shown: Annotated[range, Depends(page)]) -> list[int]:
    return list(shown)[:3]


@app.get("/mine", raises=[401])
async def mine(user: Annotated[str, Security(known, scopes=["read"])]) -> str:
    return user


@app.get("/basic")
async def with_basic(user: Annotated[str, Depends(known_by_name)]) -> str:
    return user


@app.delete("/keyed/{number}", dependencies=[Depends(known_by_key)], raises=[404])
async def with_key(number: int) -> None:
    if number % 2:
        raise HTTPException(404)


@app.get("/lines")
async def lines(count: Annotated[int, Query(ge=0, le=3)] = 2) -> AsyncIterator[Size]:
    for number in range(count):
        yield Size(number, number)
