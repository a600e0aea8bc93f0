"""The document as a whole: what it says besides its operations."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from microasgi import ConfigurationError, MicroASGI, Route, Router
from microasgi.openapi import OpenAPI


@dataclass
class Order:
    number: int


async def answer(request: Any) -> str:
    return "ok"


def test_information_is_where_it_belongs(ask: Any) -> None:
    document = ask(
        MicroASGI(),
        title="Shop",
        version="1.0",
        summary="Short.",
        description="Long.",
        terms_of_service="https://example.org/terms",
        contact={"name": "Ada", "email": "ada@example.org"},
        license={"name": "MIT", "identifier": "MIT"},
        servers=["https://api.example.org", {"url": "/v1", "description": "Here."}],
        external_docs="https://example.org/docs",
    )
    assert document["info"] == {
        "title": "Shop",
        "summary": "Short.",
        "description": "Long.",
        "termsOfService": "https://example.org/terms",
        "contact": {"name": "Ada", "email": "ada@example.org"},
        "license": {"name": "MIT", "identifier": "MIT"},
        "version": "1.0",
    }
    assert document["servers"] == [{"url": "https://api.example.org"}, {"url": "/v1", "description": "Here."}]
    assert document["externalDocs"] == {"url": "https://example.org/docs"}


def test_texts_stand_for_objects_that_have_little_more(ask: Any) -> None:
    document = ask(MicroASGI(), license="MIT", external_docs={"url": "https://a.example", "description": "More."})
    assert document["info"]["license"] == {"name": "MIT"}
    assert document["externalDocs"]["description"] == "More."


def test_tags_come_in_the_order_given_then_as_they_are_met(ask: Any) -> None:
    app = MicroASGI()
    app.get("/a", tags=["late", "known"])(answer)
    app.get("/b", tags=["last", "late"])(answer)
    document = ask(app, tags=["first", {"name": "known", "description": "Known."}])
    assert document["tags"] == [
        {"name": "first"},
        {"name": "known", "description": "Known."},
        {"name": "late"},
        {"name": "last"},
    ]


def test_a_router_of_webhooks_is_described(ask: Any) -> None:
    hooks = Router()

    @hooks.post("/new-order", summary="An order came in.")
    async def new_order(order: Order) -> None: ...

    document = ask(MicroASGI(), webhooks=hooks)
    operation = document["webhooks"]["new-order"]["post"]
    assert operation["operationId"] == "new_order"
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Order"}


def test_webhooks_are_routes_by_name(ask: Any) -> None:
    async def order(order: Order) -> None: ...

    document = ask(MicroASGI(), webhooks={"new": Route("/", order, methods=["POST"])})
    assert [*document["webhooks"]["new"]] == ["post"]
    with pytest.raises(ConfigurationError, match=r"webhooks has 'new'"):
        ask(MicroASGI(), webhooks={"new": order})


def test_operation_ids_are_unique_in_webhooks_too(ask: Any) -> None:
    app = MicroASGI()
    app.get("/a", name="order")(answer)
    document = ask(app, webhooks={"new": Route("/hook", answer, methods=["POST"], name="order")})
    assert document["paths"]["/a"]["get"]["operationId"] == "order_a"
    assert document["webhooks"]["new"]["post"]["operationId"] == "order_hook"


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"servers": "https://a.example"}, "servers is a list, write servers="),
        ({"servers": [{"description": "x"}]}, "lacks its 'url'"),
        ({"tags": [{"description": "x"}]}, "lacks its 'name'"),
        ({"tags": "a"}, "tags is a list, write tags="),
    ],
)
def test_what_cannot_be_part_of_a_document_is_refused_at_once(told: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        OpenAPI(**told)
    assert str(caught.value).startswith(f"{__file__}:")


def test_plain_handlers_need_no_package_for_their_document() -> None:
    code = """
import sys
sys.modules["msgspec"] = sys.modules["pydantic"] = None
from microasgi import MicroASGI
from microasgi.openapi import OpenAPI
app = MicroASGI()
app.get("/{id:int}", raises=[404])(lambda request: "")
assert "/{id}" in OpenAPI().document(app)["paths"]
"""
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
