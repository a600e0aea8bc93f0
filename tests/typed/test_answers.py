"""Answers of typed handlers: status, headers, encoding and streams, as the route and the return annotation say."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from microasgi import JSONResponse, MicroASGI, PlainTextResponse, Request, Response
from microasgi.testing import TestClient


@dataclass
class User:
    name: str


@dataclass
class UserWithPassword(User):
    password: str


def test_the_status_and_the_headers_are_those_of_the_route() -> None:
    app = MicroASGI()

    @app.post("/", status=201, headers={"x-kind": "new"})
    async def create(request: Request) -> dict[str, int]:
        return {"id": 1}

    answered = TestClient(app).post("/")
    assert (answered.status_code, answered.headers["x-kind"], answered.json()) == (201, "new", {"id": 1})


def test_what_the_handler_says_itself_comes_first() -> None:
    app = MicroASGI()

    @app.post("/{kind}", status=201, headers={"x-kind": "route"})
    async def create(kind: str) -> Any:
        if kind == "pair":
            return User("a"), 202
        if kind == "triple":
            return {"a": 1}, 203, {"x-kind": "handler"}
        return PlainTextResponse("own", 207)

    client = TestClient(app)
    assert client.post("/pair").status_code == 202
    assert client.post("/triple").headers["x-kind"] == "handler"
    own = client.post("/own")
    assert own.status_code == 207
    assert "x-kind" not in own.headers


@pytest.mark.parametrize(("status", "expected"), [(None, 204), (202, 202)])
def test_none_has_no_content(status: int | None, expected: int) -> None:
    app = MicroASGI()
    options: Any = {} if status is None else {"status": status}

    @app.delete("/{n}", **options)
    async def delete(n: int) -> None: ...

    answered = TestClient(app).delete("/1")
    assert (answered.status_code, answered.content) == (expected, b"")


def test_a_subclass_is_cut_to_the_annotated_model_so_that_nothing_leaks() -> None:
    app = MicroASGI()

    @app.get("/one")
    async def one(request: Request) -> User:
        return UserWithPassword("a", "secret")

    @app.get("/many")
    async def many(n: int = 2) -> list[User]:
        return [UserWithPassword("a", "secret")] * n

    client = TestClient(app)
    assert client.get("/one").json() == {"name": "a"}
    assert client.get("/many").json() == [{"name": "a"}, {"name": "a"}]


def test_a_text_is_a_text_whatever_else_the_annotation_allows() -> None:
    app = MicroASGI()

    @app.get("/{kind}")
    async def show(kind: str) -> User | str | None:
        return {"user": User("a"), "text": "text"}.get(kind)

    client = TestClient(app)
    assert client.get("/user").json() == {"name": "a"}
    assert client.get("/text").text == "text"
    assert client.get("/text").headers["content-type"].startswith("text/plain")
    assert client.get("/none").status_code == 204


def test_an_encoder_of_ones_own_is_used() -> None:
    app = MicroASGI()

    @app.get("/", json=lambda value: json.dumps(value, indent=1, default=vars))
    async def show(request: Request) -> Any:
        return {"user": User("a")}

    assert TestClient(app).get("/").text == '{\n "user": {\n  "name": "a"\n }\n}'


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_generator_of_models_streams_lines_of_json(kind: str) -> None:
    app = MicroASGI()

    @app.get("/async")
    async def of_loop(n: int = 2) -> AsyncIterator[User]:
        for number in range(n):
            yield UserWithPassword(str(number), "secret")

    @app.get("/sync")
    def of_thread(n: int = 2) -> Iterator[User]:
        for number in range(n):
            yield User(str(number))

    answered = TestClient(app).get(f"/{kind}")
    assert answered.headers["content-type"] == "application/jsonl"
    assert answered.text == '{"name":"0"}\n{"name":"1"}\n'


def test_a_generator_of_texts_streams_them_as_they_are() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: int = 2) -> AsyncIterator[str]:
        for number in range(n):
            yield str(number)

    assert TestClient(app).get("/").text == "01"


def test_a_response_class_as_annotation_changes_nothing() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: int = 2) -> Response:
        return JSONResponse(n, headers={"x-own": "1"})

    answered = TestClient(app).get("/")
    assert (answered.json(), answered.headers["x-own"]) == (2, "1")


def test_head_answers_as_get_without_its_body() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(n: int = 2) -> User:
        return User("a")

    answered = TestClient(app).head("/")
    assert (answered.content, answered.headers["content-length"]) == (b"", "12")


def test_what_a_handler_gives_to_its_response_counts_for_what_the_route_opts_in_to() -> None:
    app = MicroASGI()
    calls: list[str] = []

    @app.get("/", etag=True)
    async def show(response: Response) -> dict[str, int]:
        response.headers["etag"] = '"own"'
        return {"a": 1}

    @app.post("/", idempotent=True)
    async def create(response: Response) -> dict[str, int]:
        calls.append("called")
        response.status_code = 201
        response.headers["location"] = "/1"
        return {"a": 1}

    client = TestClient(app)
    assert client.get("/", headers={"if-none-match": '"own"'}).status_code == 304
    for _ in range(2):
        answered = client.post("/", headers={"idempotency-key": "k"})
        assert (answered.status_code, answered.headers["location"]) == (201, "/1")
    assert calls == ["called"]
