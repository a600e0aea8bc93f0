"""Paths of routes, as a document writes them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from microasgi import Convertor, MicroASGI, register_url_convertor
from microasgi.convertors import CONVERTOR_TYPES


async def answer(request: Any) -> str:
    return "ok"


def path_of(document: dict[str, Any]) -> tuple[str, list[Any]]:
    ((path, item),) = document["paths"].items()
    return path, item["get"].get("parameters", [])


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("/", "/"),
        ("/items/", "/items/"),
        ("/items/{id:int}/{rest:path}", "/items/{id}/{rest}"),
        ("/{a}-{b:int}.json", "/{a}-{b}.json"),
        ("/café/a b#", "/caf%C3%A9/a%20b%23"),
    ],
)
def test_a_template_is_written_without_convertors(ask: Any, template: str, path: str) -> None:
    app = MicroASGI()
    app.get(template)(answer)
    assert path_of(ask(app))[0] == path


@pytest.mark.parametrize(
    ("kind", "schema"),
    [
        ("int", {"type": "integer", "minimum": 0}),
        ("float", {"type": "number", "minimum": 0}),
        ("uuid", {"type": "string", "format": "uuid"}),
        ("str", {"type": "string", "minLength": 1}),
        ("path", {"type": "string"}),
    ],
)
def test_a_convertor_is_a_schema(ask: Any, kind: str, schema: dict[str, Any]) -> None:
    app = MicroASGI()
    app.get(f"/{{value:{kind}}}")(answer)
    assert path_of(ask(app))[1] == [{"name": "value", "in": "path", "required": True, "schema": schema}]


@pytest.mark.parametrize(
    ("regex", "schema"),
    [
        ("[a-z]{2}", {"type": "string", "pattern": "^(?:[a-z]{2})$"}),
        ("a|b", {"type": "string", "pattern": "^(?:a|b)$"}),
        ("(?P<year>[0-9]+)", {"type": "string"}),
        ("(?i:a)", {"type": "string"}),
        (r"\Aa\Z", {"type": "string"}),
        ("a++", {"type": "string"}),
    ],
)
def test_a_convertor_of_ones_own_is_its_pattern_if_others_read_it_as_python_does(
    ask: Any, regex: str, schema: dict[str, Any]
) -> None:
    convertor: Convertor[str] = Convertor()
    convertor.regex = regex
    name = f"own{uuid.uuid4().hex}"
    register_url_convertor(name, convertor)
    app = MicroASGI()
    app.get(f"/{{value:{name}}}")(answer)
    del CONVERTOR_TYPES[name]
    assert path_of(ask(app))[1][0]["schema"] == schema


def test_paths_that_differ_by_names_are_one_path(ask: Any) -> None:
    app = MicroASGI()
    app.get("/items/{item}")(answer)
    app.put("/items/{other:int}", name="change")(answer)
    ((path, item),) = ask(app)["paths"].items()
    assert path == "/items/{item}"
    assert item["put"]["parameters"] == [
        {"name": "item", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
    ]


def test_a_name_that_a_mount_has_too_is_told_apart(ask: Any) -> None:
    inner = MicroASGI()
    inner.get("/{id:int}")(answer)
    app = MicroASGI()
    app.mount("/{id}/{id_2}", inner)
    path, parameters = path_of(ask(app))
    assert path == "/{id_3}/{id_2}/{id}"
    assert [parameter["name"] for parameter in parameters] == ["id_3", "id_2", "id"]
    assert parameters[2]["schema"]["type"] == "integer"
