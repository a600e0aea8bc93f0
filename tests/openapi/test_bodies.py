"""Request bodies, as a document describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from microasgi import MicroASGI, UploadFile
from microasgi.typed import Body, File, Form, Query


@dataclass
class Item:
    name: str
    price: float = 1.5


def body_of(operation: dict[str, Any]) -> tuple[str, dict[str, Any], bool]:
    body = operation["requestBody"]
    ((media_type, content),) = body["content"].items()
    return media_type, content, body.get("required", False)


def test_a_model_is_a_json_body(ask: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(item: Item) -> str: ...

    document = ask(app)
    media_type, content, required = body_of(document["paths"]["/"]["post"])
    assert (media_type, content["schema"], required) == (
        "application/json",
        {"$ref": "#/components/schemas/Item"},
        True,
    )
    assert document["components"]["schemas"]["Item"]["required"] == ["name"]


def test_an_optional_body_is_not_required(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(item: Item | None = None) -> str: ...

    assert body_of(describe(app))[2] is False


def test_several_bodies_are_members_of_an_object(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(item: Item, count: Annotated[int, Body(ge=1, description="How many.")] = 1) -> str: ...

    schema = body_of(describe(app))[1]["schema"]
    assert schema == {
        "type": "object",
        "properties": {
            "item": {"$ref": "#/components/schemas/Item"},
            "count": {"type": "integer", "minimum": 1, "default": 1, "description": "How many."},
        },
        "required": ["item"],
    }


def test_a_body_has_its_description_and_examples(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(item: Annotated[Item, Body(description="What to add.", examples={"one": Item("a")})]) -> str: ...

    operation = describe(app)
    assert operation["requestBody"]["description"] == "What to add."
    assert body_of(operation)[1]["examples"] == {"one": {"value": {"name": "a", "price": 1.5}}}


def test_bytes_are_a_body_of_any_kind(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(data: Annotated[bytes, Body()]) -> str: ...

    operation = describe(app)
    assert body_of(operation)[0] == "application/octet-stream"
    assert {"400", "415", "422"}.isdisjoint(operation["responses"])


def test_fields_of_a_form_are_urlencoded(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(
        name: Annotated[str, Form(min_length=1, deprecated=True)],
        tags: Annotated[list[str], Form()] = [],  # noqa: B006
        hidden: Annotated[str, Form(include_in_schema=False)] = "",
    ) -> str: ...

    media_type, content, required = body_of(describe(app))
    assert (media_type, required) == ("application/x-www-form-urlencoded", True)
    assert content["schema"]["properties"] == {
        "name": {"type": "string", "minLength": 1, "deprecated": True},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
    }


@pytest.mark.parametrize(
    ("annotation", "repeated"),
    [
        (UploadFile, False),
        (UploadFile | None, False),
        (list[UploadFile], True),
        (list[UploadFile] | None, True),
        (Annotated[bytes, File()], False),
        (Annotated[UploadFile, Form(description="A picture.")], False),
    ],
)
def test_files_make_a_form_multipart(describe: Any, annotation: Any, repeated: bool) -> None:
    app = MicroASGI()

    async def f(file: Any, name: str = "") -> str: ...

    f.__annotations__["file"] = annotation
    app.post("/")(f)
    media_type, content, _ = body_of(describe(app))
    assert media_type == "multipart/form-data"
    schema = content["schema"]["properties"]["file"]
    file = schema["items"] if repeated else schema
    assert (file["type"], file["format"], file["contentMediaType"]) == ("string", "binary", "application/octet-stream")


def test_a_model_of_a_form_is_described_field_by_field(describe: Any) -> None:
    @dataclass
    class Upload:
        title: str
        file: UploadFile
        note: str = ""

    app = MicroASGI()

    @app.post("/")
    async def f(upload: Annotated[Upload, Form()], dry: Annotated[bool, Query()] = False) -> str: ...

    media_type, content, _ = body_of(describe(app))
    assert media_type == "multipart/form-data"
    assert [*content["schema"]["properties"]] == ["title", "file", "note"]
    assert content["schema"]["required"] == ["title", "file"]


def test_the_lengths_of_files_and_of_lists_of_them_are_in_the_schema(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(
        one: Annotated[UploadFile, File(max_length=1000)], many: Annotated[list[UploadFile], File(max_length=3)]
    ) -> None: ...

    _, content, _ = body_of(describe(app))
    one, many = content["schema"]["properties"].values()
    assert (one["maxLength"], many["minItems"], many["maxItems"]) == (1000, 1, 3)
