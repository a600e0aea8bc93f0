"""Wrong uses of typed handlers that both type checkers find; each comment that ignores an error is needed."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from microasgi import MicroASGI
from microasgi.openapi import OpenAPI
from microasgi.typed import Depends, Header, Path, Query, Security, State

app = MicroASGI()


@dataclass
class Item:
    name: str


class Database:
    """What the lifespan opens."""


@app.get("/items/{item_id}")
async def item(item_id: Annotated[int, Path()], db: State[Database], limit: Annotated[int, Query()] = 20) -> Item:
    _ = db.find()  # type: ignore[attr-defined]
    _ = item_id.upper()  # type: ignore[attr-defined]
    return limit  # type: ignore[return-value]


async def calls() -> None:
    await item("1", Database())  # type: ignore[arg-type]
    await item(1)  # type: ignore[call-arg]
    _ = (await item(1, Database())).price  # type: ignore[attr-defined]


app.get("/", status="201")  # type: ignore[arg-type]
app.get("/", statuscode=201)  # type: ignore[call-arg]
app.get("/", raises=404)  # type: ignore[arg-type]
app.get("/", raises=[ValueError])  # type: ignore[list-item]
app.get("/", json=1)  # type: ignore[arg-type]

Query(5)  # type: ignore[arg-type]
Query(min_length="1")  # type: ignore[arg-type]
Query(default=20)  # type: ignore[call-arg]
Header(convert_underscores="no")  # type: ignore[arg-type]
Depends(scope="app")  # type: ignore[arg-type]
Security(scopes=1)  # type: ignore[arg-type]
OpenAPI(titel="Shop")  # type: ignore[call-arg]
