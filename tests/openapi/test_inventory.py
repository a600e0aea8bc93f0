"""What is in a document, and what is not."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import Host, HTTPEndpoint, MicroASGI, Mount, Request, Response, Route, Router, WebSocket


async def answer(request: Any) -> str:
    return "ok"


def methods(document: dict[str, Any]) -> dict[str, list[str]]:
    return {path: list(item) for path, item in document["paths"].items()}


def test_an_empty_application_has_an_empty_document(ask: Any) -> None:
    assert ask(MicroASGI()) == {"openapi": "3.1.0", "info": {"title": "API", "version": "0.1.0"}, "paths": {}}


def test_each_method_is_an_operation(ask: Any) -> None:
    app = MicroASGI()
    app.route("/", methods=["POST", "GET", "DELETE"])(answer)
    assert methods(ask(app)) == {"/": ["get", "post", "delete"]}


def test_head_is_described_where_get_is_not(ask: Any) -> None:
    app = MicroASGI()
    app.get("/both")(answer)
    app.head("/both", name="other")(answer)
    app.head("/head")(answer)
    app.options("/options")(answer)
    assert methods(ask(app)) == {"/both": ["get"], "/head": ["head"], "/options": ["options"]}


def test_methods_that_openapi_has_no_word_for_are_left_out(ask: Any) -> None:
    app = MicroASGI()
    app.route("/", methods=["QUERY", "PROPFIND"])(answer)
    assert methods(ask(app)) == {}


def test_routes_that_do_not_want_to_be_there_are_left_out(ask: Any) -> None:
    app = MicroASGI()
    app.get("/", include_in_schema=False)(answer)
    assert methods(ask(app)) == {}


def test_websockets_hosts_and_foreign_applications_are_left_out(ask: Any) -> None:
    async def foreign(scope: Any, receive: Any, send: Any) -> None:
        await Response()(scope, receive, send)

    class Foreign:
        routes = (Route("/inner", answer),)

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await Response()(scope, receive, send)

    async def talk(websocket: WebSocket[Any]) -> None:
        await websocket.accept()

    inner = MicroASGI(routes=[Route("/inner", answer)])
    app = MicroASGI(routes=[Mount("/foreign", foreign), Route("/other", Foreign()), Host("a.example", inner)])
    app.mount("/class", Foreign())
    app.websocket("/talk")(talk)
    assert methods(ask(app)) == {}


def test_what_is_mounted_is_described_below_its_prefix(ask: Any) -> None:
    inner = MicroASGI()
    inner.get("/items")(answer)
    router = Router()
    router.get("/")(answer)
    inner.mount("/deep", router)
    app = MicroASGI(routes=[Mount("/v1", inner), Mount("/list", routes=[Route("/x", answer)])])
    app.get("/")(answer)
    assert [*methods(ask(app))] == ["/v1/items", "/v1/deep/", "/list/x", "/"]


def test_applications_that_hold_each_other_have_an_end(ask: Any) -> None:
    one, other = MicroASGI(), MicroASGI()
    one.get("/one")(answer)
    other.get("/other")(answer)
    one.mount("/o", other)
    other.mount("/i", one)
    from microasgi.openapi.inventory import entries_of

    assert len(entries_of(one)) < 5


def test_routers_are_described_with_their_prefix(ask: Any) -> None:
    router = Router()
    router.get("/items")(answer)
    app = MicroASGI()
    app.include(router, prefix="/v1", tags=["v1"])
    document = ask(app)
    assert methods(document) == {"/v1/items": ["get"]}
    assert document["paths"]["/v1/items"]["get"]["tags"] == ["v1"]


def test_a_class_endpoint_has_an_operation_for_each_method(ask: Any) -> None:
    class Items(HTTPEndpoint):
        async def get(self, request: Request[Any]) -> str:
            """List them."""
            return ""

        async def post(self, request: Request[Any]) -> dict[str, int]:
            """Add one."""
            return {}

    app = MicroASGI(routes=[Route("/items", Items)])
    item = ask(app)["paths"]["/items"]
    assert {method: one["summary"] for method, one in item.items()} == {"get": "List them", "post": "Add one"}
    assert {method: one["operationId"] for method, one in item.items()} == {"get": "Items_get", "post": "Items_post"}
    assert [*item["get"]["responses"]["200"]["content"]] == ["text/plain"]


def test_of_routes_that_differ_by_convertors_the_first_is_described(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    app = MicroASGI()
    app.get("/{id:int}", name="by_number")(answer)
    app.get("/{name}", name="by_name")(answer)
    document = ask(app)
    assert document["paths"]["/{id}"]["get"]["operationId"] == "by_number"
    assert len(document["paths"]) == 1
    assert "GET /{name} is not in the OpenAPI document: to it, it is the same as /{id:int}" in caplog.text
    assert __file__ in caplog.text
