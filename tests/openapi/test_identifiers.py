"""Operation ids: unique, and the same tomorrow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import ConfigurationError, MicroASGI, Router
from microasgi.openapi import OpenAPI


async def answer(request: Any) -> str:
    return "ok"


def identifiers(document: dict[str, Any]) -> dict[str, str]:
    return {
        f"{method} {path}": operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_the_name_of_the_route_is_the_id(ask: Any) -> None:
    app = MicroASGI()
    app.get("/a")(answer)
    app.get("/b", name="list of b")(answer)
    app.get("/c", name="<lambda>")(answer)
    app.get("/d", name="é")(answer)
    assert [*identifiers(ask(app)).values()] == ["answer", "list_of_b", "lambda", "operation"]


def test_an_id_of_ones_own_wins(ask: Any) -> None:
    app = MicroASGI()
    app.get("/a")(answer)
    app.get("/b", operation_id="answer")(answer)
    assert identifiers(ask(app)) == {"get /a": "answer_a", "get /b": "answer"}


def test_several_methods_of_a_route_have_ids_of_their_own(ask: Any) -> None:
    app = MicroASGI()
    app.route("/a", methods=["PUT", "PATCH"])(answer)
    app.route("/b", methods=["PUT", "PATCH"], operation_id="write")(answer)
    assert [*identifiers(ask(app)).values()] == ["answer_put", "answer_patch", "write_put", "write_patch"]


def test_routes_of_one_name_are_told_apart_by_their_path(ask: Any) -> None:
    app = MicroASGI()
    app.get("/items/{id:int}/parts")(answer)
    app.get("/")(answer)
    assert [*identifiers(ask(app)).values()] == ["answer_items_id_parts", "answer_root"]


def test_routes_of_one_name_and_path_are_told_apart_by_their_method(ask: Any) -> None:
    app = MicroASGI()
    app.get("/items", name="items")(answer)
    app.post("/items", name="items")(answer)
    assert [*identifiers(ask(app)).values()] == ["items_items_get", "items_items_post"]


def test_ids_do_not_depend_on_the_order_of_routes(ask: Any) -> None:
    found = []
    for paths in (["/a", "/b", "/c"], ["/c", "/b", "/a"]):
        app = MicroASGI()
        for path in paths:
            app.get(path)(answer)
        found.append(identifiers(ask(app)))
    assert found[0] == found[1]


def test_an_id_that_is_given_twice_is_refused_with_both_places() -> None:
    app = MicroASGI()
    app.get("/a", operation_id="same")(answer)
    app.get("/b", operation_id="same")(answer)
    with pytest.raises(ConfigurationError) as caught:
        OpenAPI().document(app)
    text = str(caught.value)
    assert text.count(__file__) == 2
    assert "operation_id='same' of GET /b belongs to GET /a at" in text


def test_a_router_that_is_included_twice_has_two_of_each(ask: Any) -> None:
    router = Router()
    router.get("/items")(answer)
    app = MicroASGI()
    app.include(router, prefix="/v1")
    app.include(router, prefix="/v2")
    assert [*identifiers(ask(app)).values()] == ["answer_v1_items", "answer_v2_items"]


@given(
    st.lists(st.tuples(st.sampled_from("ab_"), st.sampled_from(["", "a", "a_b"]), st.sampled_from("a_")), max_size=8)
)
def test_ids_are_unique_however_odd_the_names(parts: list[tuple[str, str, str]]) -> None:
    app = MicroASGI()
    for number, (name, path, end) in enumerate(parts):
        app.get(f"/{path}/{'x' * (number % 3)}{end * number}", name=f"{name}{path}{end}")(answer)
    found = [*identifiers(OpenAPI().document(app)).values()]
    assert len({*found}) == len(found) == len(parts)
