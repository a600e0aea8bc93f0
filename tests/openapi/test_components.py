"""Schemas that operations share, and their names."""

from __future__ import annotations

import re
from dataclasses import dataclass, make_dataclass
from typing import Any

import pytest

from microasgi import ConfigurationError, HTTPException, MicroASGI, Router
from microasgi.openapi import OpenAPI, components
from microasgi.openapi.components import Schemas


def reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


class Engine:
    """Stands for the engines of models: an answer for each mode."""

    def __init__(self, read: dict[str, Any], written: dict[str, Any]) -> None:
        self._answers = {False: read, True: written}
        self.asked: list[tuple[bool, list[Any]]] = []

    def __call__(self, annotations: Any, *, serialization: bool, among: Any = ()) -> Any:
        self.asked.append((serialization, [annotation for annotation, _ in annotations]))
        if ValueError in self.asked[-1][1]:
            raise ConfigurationError("ValueError is no model")
        found = [reference(annotation) if isinstance(annotation, str) else {} for annotation, _ in annotations]
        return found, dict(self._answers[serialization])


def resolve(
    monkeypatch: pytest.MonkeyPatch, read: dict[str, Any], written: dict[str, Any]
) -> tuple[Any, Any, dict[str, Any]]:
    """Return the schemas of A as it is read and as it is written, and the components."""
    monkeypatch.setattr(components, "json_schemas", Engine(read, written))
    schemas = Schemas()
    into, out = schemas.of("A", "here"), schemas.of("A", "here", serialization=True)
    return into, out, schemas.resolve()


def test_the_engine_is_asked_once_for_each_way(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine({}, {})
    monkeypatch.setattr(components, "json_schemas", engine)
    schemas = Schemas()
    for name in ("A", "B"):
        schemas.of(name, "here")
        schemas.of(name, "here", serialization=True)
    schemas.resolve()
    assert engine.asked == [(False, ["A", "B"]), (True, ["A", "B"])]


def test_a_model_that_is_written_as_it_is_read_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    into, out, found = resolve(monkeypatch, {"A": {"type": "object"}}, {"A": {"type": "object"}})
    assert (into, out) == (reference("A"), reference("A"))
    assert [*found] == ["A"]


def test_a_model_that_is_written_otherwise_has_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    into, out, found = resolve(monkeypatch, {"A": {"type": "object"}}, {"A": {"type": "string"}})
    assert (into, out) == (reference("A-Input"), reference("A-Output"))
    assert found == {"A-Input": {"type": "object"}, "A-Output": {"type": "string"}}


def test_what_refers_to_such_a_model_has_two_names_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(kind: str) -> dict[str, Any]:
        return {
            "A": {"properties": {"$ref": {"type": "string"}, "b": reference("B"), "default": reference("B")}},
            "B": {"anyOf": [reference("C"), reference("D")], "default": reference("C")},
            "C": {"type": kind, "discriminator": {"propertyName": "t", "mapping": {"d": reference("D")["$ref"]}}},
            "D": {"type": "null"},
        }

    into, out, found = resolve(monkeypatch, answer("object"), answer("array"))
    assert sorted(found) == ["A-Input", "A-Output", "B-Input", "B-Output", "C-Input", "C-Output", "D"]
    assert (into, out) == (reference("A-Input"), reference("A-Output"))
    assert found["A-Input"]["properties"]["b"] == reference("B-Input")
    assert found["A-Output"]["properties"]["default"] == reference("B-Output")
    assert found["B-Output"]["anyOf"] == [reference("C-Output"), reference("D")]
    assert found["B-Output"]["default"] == reference("C")  # a value, that is
    assert found["C-Input"]["discriminator"]["mapping"] == {"d": "#/components/schemas/D"}


def test_the_names_for_both_ways_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    read = {"A": {"type": "object"}, "A-Input": {"type": "integer"}}
    into, _, found = resolve(monkeypatch, read, {"A": {"type": "string"}})
    assert into == reference("A-InputDetails")
    assert found["A-Input"] == {"type": "integer"}


def test_a_model_of_the_users_keeps_its_name(ask: Any) -> None:
    @dataclass
    class Problem:
        cause: str

    app = MicroASGI()

    @app.get("/", raises=[404])
    async def f() -> Problem: ...

    document = ask(app)
    schemas = document["components"]["schemas"]
    assert [*schemas["Problem"]["properties"]] == ["cause"]
    content = document["paths"]["/"]["get"]["responses"]["404"]["content"]["application/problem+json"]
    assert content["schema"] == reference("ProblemDetails")


def test_models_of_one_name_are_told_apart(ask: Any) -> None:
    app = MicroASGI()
    for name, model in (
        ("a", make_dataclass("Item", [("value", int)])),
        ("b", make_dataclass("Item", [("value", str)])),
    ):

        async def f() -> Any: ...

        f.__annotations__["return"] = model
        app.get(f"/{name}", name=name)(f)
    document = ask(app)
    found = []
    for path in ("/a", "/b"):
        content = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        name = content["schema"]["$ref"].rpartition("/")[2]
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        found.append(document["components"]["schemas"][name]["properties"]["value"]["type"])
    assert found == ["integer", "string"]


def test_a_model_has_one_name_whether_it_is_read_or_written(ask: Any) -> None:
    pydantic = pytest.importorskip("pydantic")
    one, other = make_dataclass("Item", [("value", int)]), pydantic.create_model("Item", value=(str, "a"))
    one.__module__, other.__module__, other.__qualname__ = "shop.models", "shop.blog", "Item"
    app = MicroASGI()

    async def read(item: Any) -> None: ...
    async def write(item: Any) -> Any: ...

    read.__annotations__["item"] = one
    write.__annotations__.update({"item": other, "return": list[one]})  # type: ignore[valid-type]
    app.post("/read")(read)
    app.post("/write")(write)
    document = ask(app)
    assert document["components"]["schemas"].keys() == {"models.Item", "blog.Item", "Problem", "ValidationProblem"}
    content = document["paths"]["/write"]["post"]["responses"]["200"]["content"]["application/json"]
    assert content["schema"]["items"] == reference("models.Item")


def test_a_model_inside_of_another_engines_is_one_component(ask: Any) -> None:
    pydantic = pytest.importorskip("pydantic")
    app = MicroASGI()

    @dataclass
    class Part:
        size: int

    async def f(whole: Any) -> Any: ...

    f.__annotations__.update({"whole": pydantic.create_model("Whole", part=(Part, ...)), "return": Part})
    app.post("/")(f)
    assert ask(app)["components"]["schemas"].keys() == {"Part", "Problem", "ValidationProblem", "Whole"}


def test_a_computed_field_is_written_and_not_read(ask: Any) -> None:
    pydantic = pytest.importorskip("pydantic")

    class Box(pydantic.BaseModel):  # type: ignore[name-defined, misc]
        size: int

        @pydantic.computed_field  # type: ignore[untyped-decorator]
        @property
        def volume(self) -> int:
            return int(self.size**3)

    app = MicroASGI()

    async def f(box: Any) -> Any: ...

    f.__annotations__.update(box=Box, **{"return": list[Box]})
    app.post("/")(f)
    document = ask(app)
    operation = document["paths"]["/"]["post"]
    assert operation["requestBody"]["content"]["application/json"]["schema"] == reference("Box-Input")
    answered = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert answered["items"] == reference("Box-Output")
    assert "volume" in document["components"]["schemas"]["Box-Output"]["properties"]


def test_a_type_that_nobody_can_describe_is_refused_with_the_routes_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "json_schemas", Engine({}, {}))
    schemas = Schemas()
    schemas.of("A", "here.py:1")
    schemas.of(ValueError, "there.py:2")
    with pytest.raises(ConfigurationError, match=r"^there\.py:2: ValueError is no model$"):
        schemas.resolve()


def test_a_mistake_in_a_mounted_application_names_its_line() -> None:
    router = Router()
    router.get("/x", raises=[HTTPException(404), int])(lambda request: "")  # type: ignore[list-item]
    app = MicroASGI()
    app.mount("/m", router)
    with pytest.raises(ConfigurationError, match=re.escape(__file__)):
        OpenAPI().document(app)
