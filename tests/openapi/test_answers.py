"""Answers without error, as a document describes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal, NewType, Union

import pydantic
import pytest

from microasgi import (
    HTMLResponse,
    JSONResponse,
    MicroASGI,
    PlainTextResponse,
    RedirectResponse,
    Request,
    Response,
    StreamingResponse,
)
from microasgi.files import FileResponse
from microasgi.testing import TestClient
from microasgi.typed import OffsetPage, Paginated, Query


@dataclass
class Item:
    name: str


@dataclass
class Other:
    size: int


Name = NewType("Name", str)
JSON: Any = {"$ref": "#/components/schemas/Item"}
TEXT: Any = {"type": "string"}
INTEGERS: Any = {"type": "array", "items": {"type": "integer"}}
ONE: Any = {"type": "integer", "enum": [1]}


def answers(describe: Any, annotation: Any, **options: Any) -> dict[str, Any]:
    """Return the media types with their schemas, by status, of handlers with and without typed parameters."""
    found = []
    for typed in (True, False):
        app = MicroASGI()

        async def f(request: Request[Any], q: str = "") -> Any: ...
        async def g(request: Request[Any]) -> Any: ...

        handler = f if typed else g
        if annotation is ...:
            del handler.__annotations__["return"]
        else:
            handler.__annotations__["return"] = annotation
        app.get("/", **options)(handler)
        responses = describe(app)["responses"]
        found.append(
            {
                status: {name: content.get("schema") for name, content in one.get("content", {}).items()}
                for status, one in responses.items()
            }
        )
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (..., {"200": {}}),
        (Any, {"200": {}}),
        (Response, {"200": {}}),
        (FileResponse, {"200": {}}),
        (StreamingResponse, {"200": {}}),
        (None, {"204": {}}),
        (str, {"200": {"text/plain": TEXT}}),
        (bytes, {"200": {"application/octet-stream": {}}}),
        (dict, {"200": {"application/json": {"type": "object"}}}),
        (list, {"200": {"application/json": {"type": "array"}}}),
        (list[int], {"200": {"application/json": {"type": "array", "items": {"type": "integer"}}}}),
        (Item, {"200": {"application/json": JSON}}),
        (Item | None, {"200": {"application/json": JSON}, "204": {}}),
        (str | None, {"200": {"text/plain": TEXT}, "204": {}}),
        (tuple[Item, int], {"200": {"application/json": JSON}}),
        (tuple[Item, int, dict[str, str]], {"200": {"application/json": JSON}}),
        (HTMLResponse, {"200": {"text/html": TEXT}}),
        (JSONResponse, {"200": {"application/json": {}}}),
        (PlainTextResponse, {"200": {"text/plain": TEXT}}),
        (RedirectResponse, {"307": {}}),
        (tuple[Item, Literal[200, 201]], {"200": {"application/json": JSON}}),
        (AsyncIterator[str], {"200": {"text/plain": TEXT}}),
        (Iterator[bytes], {"200": {"text/plain": TEXT}}),
    ],
)
def test_a_result_is_described_by_its_annotation(describe: Any, annotation: Any, expected: Any) -> None:
    assert answers(describe, annotation) == expected


def test_a_response_beside_a_model_keeps_its_media_type(describe: Any) -> None:
    assert answers(describe, Union[Item, HTMLResponse, RedirectResponse]) == {  # noqa: UP007
        "200": {"application/json": JSON, "text/html": TEXT},
        "307": {},
    }


class Kind(StrEnum):
    SOLD = "sold"


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Item | str, "a", {"application/json": JSON, "text/plain": TEXT}),
        (Item | bytes, b"a", {"application/json": JSON, "application/octet-stream": {}}),
        (list[int] | Name, Name("a"), {"application/json": INTEGERS, "text/plain": TEXT}),
        (Literal["a", "b"], "a", {"text/plain": {"type": "string", "enum": ["a", "b"]}}),
        (Literal["a", 1], "a", {"application/json": ONE, "text/plain": {"type": "string", "enum": ["a"]}}),
        (Annotated[str, "of a name"] | int, "a", {"application/json": {"type": "integer"}, "text/plain": TEXT}),
    ],
)
def test_a_text_is_no_json_whatever_stands_beside_it(ask: Any, annotation: Any, value: Any, expected: Any) -> None:
    app = MicroASGI()

    async def f(q: str = "") -> Any:
        return value

    f.__annotations__["return"] = annotation
    app.get("/")(f)
    content = ask(app)["paths"]["/"]["get"]["responses"]["200"]["content"]
    assert {name: one.get("schema", {}) for name, one in content.items()} == expected
    with TestClient(app) as client:
        media_type, _, _ = client.get("/").headers["content-type"].partition(";")
    assert media_type == next(name for name in content if name != "application/json")


def test_what_tells_models_apart_is_kept(ask: Any) -> None:
    cat = pydantic.create_model("Cat", kind=(Literal["cat"], ...))
    dog = pydantic.create_model("Dog", kind=(Literal["dog"], ...))
    app = MicroASGI()

    async def f(q: str = "") -> Any: ...

    f.__annotations__["return"] = Annotated[cat | dog, pydantic.Field(discriminator="kind")]
    app.get("/")(f)
    content = ask(app)["paths"]["/"]["get"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["discriminator"]["propertyName"] == "kind"


def test_a_choice_of_texts_is_json(ask: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(q: str = "") -> Kind:
        return Kind.SOLD

    content = ask(app)["paths"]["/"]["get"]["responses"]["200"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Kind"}}}
    with TestClient(app) as client:
        assert client.get("/").json() == "sold"


def test_a_page_of_a_list_has_links_to_the_others(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f(request: Request, page: Annotated[OffsetPage, Query()]) -> Paginated[Item]: ...

    response = describe(app)["responses"]["200"]
    assert response["content"]["application/json"]["schema"] == {"type": "array", "items": JSON}
    assert [*response["headers"]] == ["link"]
    assert response["headers"]["link"]["schema"] == TEXT


def test_renderers_of_json_replace_the_frameworks(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", renderers={"application/json; version=2": str})
    async def f() -> Item: ...

    content = describe(app)["responses"]["200"]["content"]
    assert {name: one["schema"] for name, one in content.items()} == {"application/json; version=2": JSON}


def test_models_of_a_union_are_alternatives(describe: Any) -> None:
    schema = answers(describe, Item | Other)["200"]["application/json"]
    assert schema == {"anyOf": [JSON, {"$ref": "#/components/schemas/Other"}]}


def test_a_status_of_ones_own_is_the_answers(describe: Any) -> None:
    assert answers(describe, Item, status=201) == {"201": {"application/json": JSON}}
    assert answers(describe, None, status=202) == {"202": {}}
    assert answers(describe, Item | None, status=201) == {"201": {"application/json": JSON}}
    assert answers(describe, RedirectResponse, status=303) == {"303": {}}


def test_headers_are_described_with_their_value(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", headers={"X-Kind": "shop"})
    async def f() -> Item: ...

    described = describe(app)["responses"]["200"]["headers"]
    assert described == {"x-kind": {"schema": {"type": "string"}, "example": "shop"}}


def test_a_redirect_says_where_its_target_is(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f() -> RedirectResponse: ...

    assert describe(app)["responses"]["307"]["headers"]["location"]["required"] is True


def test_a_stream_of_models_is_lines_of_json(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f() -> AsyncIterator[Item]:
        yield Item("a")

    content = describe(app)["responses"]["200"]["content"]
    assert [*content] == ["application/jsonl"]
    assert content["application/jsonl"]["x-itemSchema"] == JSON


def test_renderers_offer_other_media_types(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", renderers={"text/csv": str, "application/cbor": str})
    async def f() -> Item: ...

    content = describe(app)["responses"]["200"]["content"]
    assert {name: one["schema"] for name, one in content.items()} == {
        "application/json": JSON,
        "text/csv": TEXT,
        "application/cbor": {},
    }


@pytest.mark.parametrize("name", ["Response", "HTMLResponse"])
def test_a_class_that_only_type_checkers_import_says_nothing(describe: Any, name: str) -> None:
    app = MicroASGI()

    async def f(request: Request[Any]) -> Any: ...

    f.__annotations__["return"] = f"missing.{name}"
    app.get("/")(f)
    assert describe(app)["responses"] == {"200": {"description": "OK"}}


def test_a_model_inside_of_a_function_is_found(ask: Any) -> None:
    @dataclass
    class Local:
        name: str

    app = MicroASGI()

    @app.get("/")
    async def f() -> Local: ...

    assert [*ask(app)["components"]["schemas"]] == ["Local"]
