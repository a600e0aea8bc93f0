"""Parameters of typed handlers, as a document describes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import pydantic
import pytest

from microasgi import ConfigurationError, MicroASGI, Request
from microasgi.openapi import OpenAPI
from microasgi.typed import Cookie, Depends, Header, Path, Preconditions, Query
from microasgi.typed.conditional import read_tags
from microasgi.typed.idempotency import Idempotency

Key = NewType("Key", str)
Ids = NewType("Ids", list[int])


class Colour(Enum):
    RED = "red"


@dataclass
class Page:
    size: Annotated[int, Query(ge=1)] = 10
    tags: list[str] = field(default_factory=list)


def sole(operation: dict[str, Any]) -> dict[str, Any]:
    (parameter,) = operation["parameters"]
    return dict(parameter)


def test_a_scalar_is_a_query_parameter(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(limit: int) -> str: ...

    assert sole(describe(app)) == {"name": "limit", "in": "query", "required": True, "schema": {"type": "integer"}}


def test_a_default_is_in_the_schema(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(since: date = date(2026, 1, 2), colour: Colour = Colour.RED, mark: str | None = None) -> str: ...

    operation = describe(app)
    assert [one.get("required", False) for one in operation["parameters"]] == [False, False, False]
    assert [one["schema"].get("default") for one in operation["parameters"]] == ["2026-01-02", "red", None]


def test_there_is_no_null_outside_of_json(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(q: int | None = None) -> str: ...

    assert sole(describe(app))["schema"] == {"type": "integer"}


def test_constraints_are_in_the_schema(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(limit: Annotated[int, Query(ge=1, le=100)] = 20) -> str: ...

    assert sole(describe(app))["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}


def test_a_list_is_one_parameter_for_each_item(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(tag: list[str]) -> str: ...

    assert sole(describe(app)) == {
        "name": "tag",
        "in": "query",
        "required": True,
        "style": "form",
        "explode": True,
        "schema": {"type": "array", "minItems": 1, "items": {"type": "string"}},
    }


def test_an_example_that_is_no_json_is_refused_with_its_place() -> None:
    app = MicroASGI()

    async def f(q: Annotated[str, Query(examples=[object()])]) -> str: ...

    app.get("/")(f)
    with pytest.raises(ConfigurationError, match=r"is no JSON: a object") as caught:
        OpenAPI().document(app)
    assert str(caught.value).startswith(f"{__file__}:")


def test_a_default_that_no_client_could_send_is_left_out(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(
        limit: Annotated[int, Query(ge=1)] = 0,
        words: Annotated[list[str], Query(min_length=1)] = [],  # noqa: B006
    ) -> str: ...

    assert ["default" in one["schema"] for one in describe(app)["parameters"]] == [False, False]


def test_names_of_types_are_looked_through(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/{key}")
    async def f(key: Key, prices: list[Annotated[Decimal, Query(ge=1)]], ids: Ids | None = None) -> str: ...

    operation = describe(app)
    _, prices, ids = operation["parameters"]
    assert prices["schema"]["items"] == {"type": "number", "minimum": 1}
    assert ids["schema"] == {"type": "array", "items": {"type": "integer"}}
    assert ids["explode"] is True


def test_texts_are_described_as_they_look(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(
        price: Annotated[Decimal, Query(ge=0)],
        prices: Annotated[list[Decimal] | None, Query()] = None,
        wait: timedelta | None = None,
        least: Decimal = Decimal("1.50"),
        steps: tuple[Decimal, ...] = (Decimal(1), Decimal("0.5")),
        words: Annotated[set[str] | None, Query()] = None,
    ) -> str: ...

    price, prices, wait, least, steps, words = describe(app)["parameters"]
    assert (least["schema"]["default"], steps["schema"]["default"]) == (1.5, [1, 0.5])
    assert words["schema"] == {"type": "array", "items": {"type": "string"}}
    assert price["schema"] == {"type": "number", "minimum": 0}
    assert prices["schema"] == {"type": "array", "items": {"type": "number"}}
    assert wait["schema"]["anyOf"] == [{"type": "string", "format": "duration"}, {"type": "number"}]


def test_headers_and_cookies_have_their_names(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(x_token: Annotated[str, Header()], track: Annotated[str, Cookie(alias="t")] = "") -> str: ...

    found = [(one["name"], one["in"]) for one in describe(app)["parameters"]]
    assert found == [("x-token", "header"), ("t", "cookie")]


def test_a_marker_describes_its_parameter(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(
        q: Annotated[str, Query(title="Search", description="What for.", deprecated=True, examples=["a", "b"])] = "",
        kind: Annotated[str, Query(examples={"one": "x", "two": {"value": "y", "summary": "Y"}})] = "",
        hidden: Annotated[str, Query(include_in_schema=False)] = "",
    ) -> str: ...

    first, second = describe(app)["parameters"]
    assert first["description"] == "What for."
    assert first["deprecated"] is True
    assert first["schema"] == {"type": "string", "title": "Search", "examples": ["a", "b"], "default": ""}
    assert second["examples"] == {"one": {"value": "x"}, "two": {"value": "y", "summary": "Y"}}


def test_a_parameter_of_the_path_joins_its_convertor(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/{number:int}/{key}/{kind}")
    async def f(
        number: Annotated[int, Path(le=9, description="Which.")], key: UUID, kind: Literal["a", "b"]
    ) -> str: ...

    number, key, kind = describe(app)["parameters"]
    assert number["schema"] == {"type": "integer", "minimum": 0, "maximum": 9}
    assert (number["description"], number["required"]) == ("Which.", True)
    assert key["schema"] == {"type": "string", "format": "uuid"}
    assert kind["schema"]["enum"] == ["a", "b"]


def test_what_the_handler_leaves_in_the_path_is_described_too(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/{a}/{b:int}")
    async def f(b: int, q: str = "") -> str: ...

    assert [one["name"] for one in describe(app)["parameters"]] == ["a", "b", "q"]


def test_a_model_of_parameters_is_described_field_by_field(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(page: Annotated[Page, Query()]) -> str: ...

    size, tags = describe(app)["parameters"]
    assert (size["name"], size["in"], size["schema"]["minimum"]) == ("size", "query", 1)
    assert "required" not in size
    assert tags["explode"] is True


class Struct(msgspec.Struct, rename="camel"):
    first_page: int = 3
    tags: list[str] = []


class Typed(pydantic.BaseModel):
    size: Annotated[int, pydantic.Field(ge=1)] = 10
    kinds: list[str] = pydantic.Field(default_factory=list)
    since: date = pydantic.Field(date(2026, 1, 2), alias="from")
    colour: Colour = Colour.RED
    word: str | None = None


@dataclass
class Made:
    at: date = field(default_factory=date.today)
    limit: Annotated[int, Query(ge=1)] = 0
    price: Decimal = Decimal("1.5")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Page, {"size": 10, "tags": []}),
        (Struct, {"firstPage": 3, "tags": []}),
        (Typed, {"size": 10, "kinds": None, "from": "2026-01-02", "colour": "red", "word": None}),
        (Made, {"at": None, "limit": None, "price": 1.5}),
    ],
)
def test_a_model_of_parameters_shows_the_defaults_of_its_fields(describe: Any, model: Any, expected: Any) -> None:
    app = MicroASGI()

    async def f(page: Any) -> str: ...

    f.__annotations__["page"] = Annotated[model, Query()]
    app.get("/")(f)
    shown = describe(app)["parameters"]
    assert {one["name"]: one["schema"].get("default") for one in shown} == expected
    assert not any(one.get("required") for one in shown)


def test_parameters_of_dependencies_belong_to_the_operation(describe: Any) -> None:
    def find(q: str, x_token: Annotated[str, Header()]) -> str:
        return q

    app = MicroASGI()

    @app.get("/")
    async def f(request: Request[Any], found: Annotated[str, Depends(find)], q: str) -> str: ...

    assert [one["name"] for one in describe(app)["parameters"]] == ["q", "x-token"]


def test_an_etag_brings_its_header_along(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", etag=True)
    async def f() -> dict[str, int]: ...

    operation = describe(app)
    assert [one["name"] for one in operation["parameters"]] == ["if-none-match"]
    assert "etag" in operation["responses"]["200"]["headers"]
    assert "content" not in operation["responses"]["304"]


def test_preconditions_bring_their_headers_and_errors_along(describe: Any) -> None:
    app = MicroASGI()

    @app.put("/")
    async def f(preconditions: Annotated[Preconditions, Depends()]) -> None: ...

    operation = describe(app)
    assert [(one["name"], one["in"]) for one in operation["parameters"]] == [
        ("if-match", "header"),
        ("if-none-match", "header"),
    ]
    assert all(one["description"] and "required" not in one for one in operation["parameters"])
    assert [*operation["responses"]] == ["204", "400", "412"]
    pattern = operation["parameters"][0]["schema"]["pattern"]
    for value in ("*", '"a"', 'W/"a", "b" ,"c"', '"a,b"', '""'):
        assert re.search(pattern, value)
        assert read_tags([value]) is not None
    for value in ("", "a", '"a', '"a" "b"', '*, "a"'):
        assert not re.search(pattern, value)
        assert read_tags([value]) is None


def test_headers_of_ones_own_that_have_these_names_are_ones_own(describe: Any) -> None:
    app = MicroASGI()

    @app.put("/")
    async def f(if_match: Annotated[str, Header()] = "") -> None: ...

    assert [*describe(app)["responses"]] == ["204"]


def test_an_idempotent_operation_takes_a_key(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/", idempotent=True)
    async def f() -> dict[str, int]: ...

    operation = describe(app)
    assert sole(operation)["name"] == "idempotency-key"
    pattern = sole(operation)["schema"]["pattern"]
    assert [bool(re.search(pattern, key)) for key in ("a", "a b", '"a"', "", '""', "ä", "a\tb")] == [True] * 3 + [
        False
    ] * 4
    assert "required" not in sole(operation)
    assert {"400", "409", "422"} <= operation["responses"].keys()


def test_a_key_that_has_to_be_there_is_required(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/", idempotent=Idempotency(required=True))
    async def f(idempotency_key: Annotated[str, Header(description="Mine.")] = "") -> None: ...

    assert sole(describe(app))["description"] == "Mine."  # the handler's own word goes first
