"""Operations: their texts, tags and responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from microasgi import ConfigurationError, MicroASGI
from microasgi.openapi import OpenAPI


@dataclass
class Message:
    text: str


def test_the_docstring_is_summary_and_description(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def f() -> None:
        """Do it,
        at once.

        More of it:

            indented
        """

    operation = describe(app)
    assert operation["summary"] == "Do it, at once"
    assert operation["description"] == "More of it:\n\n    indented"


def test_a_long_first_paragraph_is_a_description(describe: Any) -> None:
    app = MicroASGI()

    async def show_it() -> None: ...

    show_it.__doc__ = "word " * 40
    app.get("/")(show_it)
    operation = describe(app)
    assert operation["summary"] == "Show it"
    assert operation["description"] == ("word " * 40).strip()


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("List them.", "List them"),
        ("List them", "List them"),
        ("List them. The newest first.", "List them. The newest first."),
        ("And so on...", "And so on..."),
        ("Which?", "Which?"),
        (".", ""),
    ],
)
def test_a_summary_of_one_sentence_has_no_full_stop(describe: Any, docstring: str, summary: str) -> None:
    app = MicroASGI()

    async def show_it() -> None: ...

    show_it.__doc__ = docstring
    app.get("/")(show_it)
    assert describe(app)["summary"] == (summary or "Show it")


def test_options_go_before_the_docstring(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", summary="Short", description="\n    Long\n    text", deprecated=True, tags=["a", "b", "a"])
    async def f() -> None:
        """Other."""

    operation = describe(app)
    assert (operation["summary"], operation["description"]) == ("Short", "Long\ntext")
    assert operation["deprecated"] is True
    assert operation["tags"] == ["a", "b"]


def test_without_a_docstring_the_name_is_the_summary(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/")
    async def list_all_items() -> None: ...

    operation = describe(app)
    assert operation["summary"] == "List all items"
    assert "description" not in operation


def test_responses_of_the_route_are_added_to_what_is_known(ask: Any) -> None:
    app = MicroASGI()

    @app.get(
        "/",
        raises=[404],
        responses={
            404: {"description": "Not there."},
            "4XX": {"description": "Others.", "model": Message},
            "default": {"description": "What else."},
            202: {"headers": {"x-a": {"schema": {"type": "string"}}}},
        },
    )
    async def f() -> str: ...

    document = ask(app)
    responses = document["paths"]["/"]["get"]["responses"]
    assert [*responses] == ["200", "202", "404", "4XX", "default"]
    assert responses["404"]["description"] == "Not there."
    assert "application/problem+json" in responses["404"]["content"]
    assert responses["4XX"]["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}
    assert responses["202"]["description"] == "Accepted"


def test_a_response_is_a_text_or_a_type_too(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", responses={404: "Not there.", 409: Message})  # type: ignore[dict-item]
    async def f() -> str: ...

    responses = describe(app)["responses"]
    assert responses["404"] == {"description": "Not there."}
    assert responses["409"]["description"] == "Conflict"


def test_what_is_no_json_is_refused_with_its_place() -> None:
    app = MicroASGI()
    app.get("/", responses={200: {"content": {"text/plain": {"example": b"x"}}}})(lambda request: "")
    with pytest.raises(ConfigurationError, match=r"its part of the OpenAPI document is no JSON: a bytes") as caught:
        OpenAPI().document(app)
    assert str(caught.value).startswith(f"{__file__}:")


@pytest.mark.parametrize("status", ["40", "6XX", "ok", ""])
def test_what_is_no_status_is_refused_with_its_place(status: str) -> None:
    app = MicroASGI()
    app.get("/", responses={status: {"description": ""}})(lambda request: "")
    with pytest.raises(ConfigurationError, match=f"responses has {status!r}") as caught:
        OpenAPI().document(app)
    assert str(caught.value).startswith(f"{__file__}:")
