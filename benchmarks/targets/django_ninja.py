"""Django Ninja's asynchronous operations; what others do by a dependency, its `auth` does."""

from typing import Any

from cases import USERS
from django.http import HttpRequest
from django.urls import path
from targets.django import application

# isort: split
# Django Ninja reads Django's settings when it is imported; they are made in the import above.
from ninja import Cookie, Header, NinjaAPI, Query, Schema
from ninja.security import APIKeyHeader


class Product(Schema):
    name: str
    price: float
    quantity: int
    tags: list[str]
    sold_out: bool = False


class Saved(Schema):
    item_id: int
    limit: int
    q: str | None
    agent: str
    session: str
    user: str
    item: Product


class Page(Schema):
    item_id: int
    page: int


class Total(Schema):
    name: str
    total: float


class Item(Schema):
    name: str
    price: float
    quantity: int
    tags: list[str]


class CurrentUser(APIKeyHeader):
    param_name = "x-token"

    async def authenticate(self, request: HttpRequest, key: str | None) -> str | None:
        return USERS.get(key or "")


def serve(api: NinjaAPI) -> Any:
    return application(path("", api.urls))


def json_dataclass() -> Any:
    api = NinjaAPI(urls_namespace="json_dataclass", docs_url=None)

    @api.post("/", response=Total)
    async def total(request: HttpRequest, item: Item) -> Total:
        return Total(name=item.name, total=item.price * item.quantity)

    return serve(api)


def typed_get() -> Any:
    api = NinjaAPI(urls_namespace="typed_get", docs_url=None)

    @api.get("/items/{item_id}", response=Page)
    async def item(request: HttpRequest, item_id: int, page: int = 1) -> Page:
        return Page(item_id=item_id, page=page)

    return serve(api)


def typed_put() -> Any:
    api = NinjaAPI(urls_namespace="typed_put", docs_url=None)

    @api.put("/items/{item_id}", response=Saved, auth=CurrentUser())
    async def save(
        request: HttpRequest,
        item_id: int,
        item: Product,
        limit: int = Query(20, ge=1, le=100),
        q: str | None = None,
        user_agent: str = Header(""),
        session: str = Cookie(""),
    ) -> Saved:
        values = {"item_id": item_id, "limit": limit, "q": q, "agent": user_agent, "session": session}
        return Saved(**values, user=request.auth, item=item)

    return serve(api)
