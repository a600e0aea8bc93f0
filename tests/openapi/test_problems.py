"""Errors, as a document describes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from microasgi import ConfigurationError, HTTPException, MicroASGI, Request
from microasgi.openapi import OpenAPI
from microasgi.testing import TestClient
from microasgi.typed import Body, Depends, Path, Query, Security
from microasgi.typed.security import HTTPBearer


@dataclass
class Item:
    name: str


class NotFound(HTTPException):
    """There is no such
    item."""

    def __init__(self) -> None:
        super().__init__(404, "no item")


class Taken(HTTPException):
    status_code = 409

    def __init__(self, name: str) -> None:
        super().__init__(409, f"{name} is taken")


class Gone(HTTPException):
    def __init__(self) -> None:
        super().__init__(410, "It is gone.")


def errors(operation: dict[str, Any]) -> dict[str, str]:
    return {status: one["description"] for status, one in operation["responses"].items() if status >= "400"}


def test_errors_are_named_by_the_route(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[403, NotFound, Taken, Gone, HTTPException(418, "No coffee."), HTTPException(418)])
    async def f() -> None: ...

    assert errors(describe(app)) == {
        "403": "Forbidden",
        "404": "There is no such item.",
        "409": "Conflict",
        "410": "It is gone.",
        "418": "No coffee.",
    }


def test_errors_of_one_status_are_one_response(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[HTTPException(409, "Taken."), 409, HTTPException(409, "Locked.")])
    async def f() -> None: ...

    assert errors(describe(app)) == {"409": "Taken.\n\nLocked."}


def test_errors_are_problem_details(ask: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[404])
    async def f(number: int) -> None: ...

    document = ask(app)
    responses = document["paths"]["/"]["get"]["responses"]
    assert responses["404"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    }
    assert responses["422"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ValidationProblem"}}
    }
    assert document["components"]["schemas"]["ValidationProblem"]["required"] == ["type", "title", "status", "errors"]


def test_a_plain_handler_answers_errors_as_text_too(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[404])
    async def f(request: Request[Any]) -> str: ...

    assert [*describe(app)["responses"]["404"]["content"]] == ["application/problem+json", "text/plain"]


def test_a_path_with_parameters_may_lead_nowhere(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/{key}")
    async def f(key: str) -> str: ...

    response = describe(app)["responses"]["404"]
    assert response["description"] == "Not Found"
    assert [*response["content"]] == ["application/problem+json", "text/plain"]


def test_what_a_body_can_do_wrong_is_described(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/")
    async def f(item: Item) -> None: ...

    assert [*errors(describe(app))] == ["400", "413", "415", "422"]


@pytest.mark.parametrize(
    ("annotation", "default", "faulty"),
    [
        (str, "", False),
        (str | None, None, False),
        (str, ..., True),
        (int, 1, True),
        (Annotated[str, Query(min_length=1)], "", True),
        (list[str], [], True),
    ],
)
def test_422_is_there_where_a_parameter_can_be_faulty(
    describe: Any, annotation: Any, default: Any, faulty: bool
) -> None:
    app = MicroASGI()

    async def f(q: Any) -> None: ...

    f.__annotations__["q"] = annotation
    f.__defaults__ = None if default is ... else (default,)
    app.get("/")(f)
    assert ("422" in errors(describe(app))) is faulty


@pytest.mark.parametrize(
    ("template", "annotation", "faulty"),
    [
        ("/{key}", str, False),
        ("/{key:int}", int, False),
        ("/{key}", int, True),
        ("/{key:int}", Annotated[int, Path(le=9)], True),
    ],
)
def test_the_path_is_faulty_where_it_is_read_after_routing(
    describe: Any, template: str, annotation: Any, faulty: bool
) -> None:
    app = MicroASGI()

    async def f(key: Any) -> None: ...

    f.__annotations__["key"] = annotation
    app.get(template)(f)
    assert ("422" in errors(describe(app))) is faulty


def test_a_guarded_operation_answers_401_and_403(describe: Any) -> None:
    bearer = HTTPBearer()
    app = MicroASGI()

    @app.get("/", dependencies=[Security(bearer, scopes=["read"])])
    async def f() -> None: ...

    responses = describe(app)["responses"]
    assert "403" in responses
    assert responses["401"]["headers"]["www-authenticate"]["required"] is True


def test_scopes_are_what_403_is_about(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", dependencies=[Depends(HTTPBearer())])
    async def f() -> None: ...

    assert [*errors(describe(app))] == ["401"]


def test_a_choice_of_media_types_may_have_nothing_for_a_client(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", renderers={"text/csv": str})
    async def f() -> Item: ...

    assert [*errors(describe(app))] == ["406"]


def test_a_422_of_ones_own_need_not_list_faults(describe: Any) -> None:
    app = MicroASGI()

    @app.post("/", raises=[HTTPException(422, "Too many.")])
    async def f(item: Item) -> None: ...

    response = describe(app)["responses"]["422"]
    assert response["description"] == "Parameters are faulty.\n\nToo many."
    assert [*response["content"]["application/problem+json"]["schema"]] == ["anyOf"]


@dataclass
class Failure:
    wrong: list[str]


@pytest.mark.parametrize("errors", [Failure, {"application/json": Failure}])
def test_errors_may_have_a_form_of_the_applications_own(ask: Any, errors: Any) -> None:
    app = MicroASGI()

    @app.put("/{key}", raises=[409], responses={418: "No coffee."})
    async def f(key: str, item: Item, user: Annotated[Any, Depends(HTTPBearer())]) -> None: ...

    @app.get("/plain/{key}")
    async def g(request: Request[Any]) -> str: ...

    document = ask(app, errors=errors)
    for path, method, statuses in (
        ("/{key}", "put", ["400", "401", "404", "409", "413", "415", "422"]),
        ("/plain/{key}", "get", ["404"]),
    ):
        found = {s: one for s, one in document["paths"][path][method]["responses"].items() if "content" in one}
        assert [status for status in found if status >= "400"] == statuses
        for status in statuses:
            assert found[status]["content"] == {
                "application/json": {"schema": {"$ref": "#/components/schemas/Failure"}}
            }
    assert {"Failure", "Item"} == document["components"]["schemas"].keys()


def test_errors_may_have_several_forms(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[404])
    async def f() -> None: ...

    operation = describe(app, errors={"application/vnd.shop+json": Failure, "text/plain": str})
    assert operation["responses"]["404"]["content"] == {
        "application/vnd.shop+json": {"schema": {"$ref": "#/components/schemas/Failure"}},
        "text/plain": {"schema": {"type": "string"}},
    }


def test_a_response_of_a_routes_own_goes_before_the_form_of_all_errors(describe: Any) -> None:
    app = MicroASGI()

    @app.get("/", raises=[404], responses={404: {"model": Item}})
    async def f() -> None: ...

    content = describe(app, errors=Failure)["responses"]["404"]["content"]
    assert content == {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}}


def test_forms_of_errors_go_by_media_type() -> None:
    with pytest.raises(ConfigurationError, match=r"errors has 404: write a model, or models by media type") as caught:
        OpenAPI(errors={404: Failure})
    assert str(caught.value).startswith(f"{__file__}:")


def test_what_is_answered_is_what_is_described(ask: Any) -> None:
    from jsonschema import Draft202012Validator

    app = MicroASGI()

    @app.put("/{number}", raises=[404])
    async def f(number: int, item: Item, limit: Annotated[int, Query(le=5)] = 1, n: Annotated[int, Body()] = 1) -> None:
        raise HTTPException(404, "no such item")

    document = ask(app)
    with TestClient(app) as client:
        answers = [
            client.put("/1", json={"item": {"name": "a"}}),
            client.put("/x?limit=9", json={"item": {"name": 1}, "n": "1"}),
            client.put("/1", content=b"{", headers={"content-type": "application/json"}),
            client.put("/1", content=b"{}", headers={"content-type": "text/plain"}),
        ]
    assert [answer.status_code for answer in answers] == [404, 422, 400, 415]
    responses = document["paths"]["/{number}"]["put"]["responses"]
    for answer in answers:
        content = responses[str(answer.status_code)]["content"][answer.headers["content-type"]]
        Draft202012Validator({**content["schema"], "components": document["components"]}).validate(answer.json())


def test_a_class_that_does_not_tell_its_status_is_refused_with_its_place() -> None:
    class Odd(HTTPException):
        def __init__(self, name: str) -> None:
            super().__init__(409, name)

    app = MicroASGI()
    app.get("/", raises=[Odd])(lambda request: "")
    with pytest.raises(ConfigurationError, match=r"raises has the class Odd") as caught:
        OpenAPI().document(app)
    assert str(caught.value).startswith(f"{__file__}:")


def test_what_is_no_http_error_is_refused_with_its_place() -> None:
    app = MicroASGI()
    app.get("/", raises=[ValueError])(lambda request: "")  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match=r"raises has <class 'ValueError'>") as caught:
        OpenAPI().document(app)
    assert str(caught.value).startswith(f"{__file__}:")
