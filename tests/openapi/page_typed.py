"""A shop of typed handlers with the document that is made of them: the page's tests drive it below a mount."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Annotated

from microasgi import MicroASGI, UploadFile
from microasgi.openapi import OpenAPI
from microasgi.typed import Cookie, Depends, File, Header, HTTPAuthorizationCredentials, HTTPBearer, Query

shop = MicroASGI()
shop.include(OpenAPI(title="Typed shop", version="2.0", description="Made of its handlers."), prefix="/help")
bearer = HTTPBearer()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Item:
    """A thing to buy."""

    name: str
    price: Decimal
    colours: list[Colour] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)


@dataclass
class Bought:
    item: Item
    shelf: int
    count: int
    by: str
    agent: str | None
    seen: str | None


@shop.put("/shelves/{shelf}/items", tags=["items"], raises=[404])
async def buy(
    shelf: int,
    item: Item,
    token: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    count: Annotated[int, Query(ge=1, le=9)] = 1,
    x_agent: Annotated[str | None, Header()] = None,
    seen: Annotated[str | None, Cookie()] = None,
) -> Bought:
    """Buy an item.

    It is taken from the `shelf`.
    """
    return Bought(item, shelf, count, token.credentials, x_agent, seen)


@shop.post("/pictures", tags=["pictures"], status=201)
async def show(picture: Annotated[UploadFile, File()], sizes: Annotated[list[int], Query()]) -> dict[str, object]:
    """Show a picture."""
    return {"name": picture.filename, "size": len(await picture.read()), "sizes": sizes}


@shop.get("/prices", tags=["items"])
async def prices(count: int = 3) -> AsyncIterator[Item]:
    """Follow the prices."""
    for number in range(count):
        yield Item(f"item {number}", Decimal(number))
