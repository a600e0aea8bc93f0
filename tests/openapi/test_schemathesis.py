"""Schemathesis finds no answer that the document does not say: schema and validation agree.

Every request is derived from the document, right ones and wrong ones; with `pytest -s` their number is shown.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from microasgi.testing import request
from tests.openapi.fuzzing import Findings, call, fuzz

pytest.importorskip("schemathesis")
pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
PASSWORD = "correct horse"
CHEAP = {"n": 16, "r": 8, "p": 1}  # of a hash: tests need not wait


def report(name: str, findings: Findings) -> None:
    """Print the figures, and fail with all that is wrong."""
    requests, checks = findings.cases.total(), findings.checks.total()
    print(f"\n{name}: {requests} requests {dict(findings.cases)}, {checks} checks, {dict(findings.statuses)}")
    assert not findings.failures, findings.text
    assert not findings.errors, findings.text


def document_of(app: Any) -> dict[str, Any]:
    async def ask() -> dict[str, Any]:
        answer: dict[str, Any] = (await request(app, path="/openapi.json")).json()
        return answer

    return anyio.run(ask)


def validate(app: Any) -> None:
    """Let somebody else say whether the document is one."""
    validator = pytest.importorskip("openapi_spec_validator")
    errors = validator.OpenAPIV31SpecValidator(document_of(app)).iter_errors()
    assert [str(error) for error in errors] == []


class TestEverything:
    """An application with parameters of every kind."""

    @pytest.fixture
    def app(self) -> Any:
        from tests.openapi.everything import app

        return app

    def test_its_document_is_valid(self, app: Any) -> None:
        validate(app)

    def test_it_does_what_its_document_says(self, app: Any) -> None:
        from tests.openapi.everything import AUTH

        report("everything", fuzz(app, examples=12, auth={"openapi": AUTH}))

    def test_a_document_that_promises_too_much_would_be_found(self, app: Any) -> None:
        document = document_of(app)
        parameters = document["paths"]["/pages"]["get"]["parameters"]
        next(one for one in parameters if one["name"] == "limit")["schema"]["maximum"] = 5
        document["paths"] = {"/pages": document["paths"]["/pages"]}

        async def with_false_document(scope: Any, receive: Any, send: Any) -> None:
            if scope.get("path") != "/false.json":
                await app(scope, receive, send)
                return
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": json.dumps(document).encode()})

        findings = fuzz(with_false_document, "/false.json", examples=5)
        assert {check for check, _, _ in findings.failures} == {"negative_data_rejection"}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Import modules of an example; they are forgotten afterwards, for others have the same names."""
    known = set(sys.modules)

    def load(folder: str, *names: str) -> Any:
        monkeypatch.syspath_prepend(EXAMPLES / folder)
        return SimpleNamespace(**{name: importlib.import_module(name) for name in names})

    monkeypatch.setenv("DATABASE", str(tmp_path / "conduit.sqlite3"))
    monkeypatch.setenv("JWT_SECRET", "a secret that is long enough to sign with")
    monkeypatch.setenv("TODO_DATABASE", str(tmp_path / "todos.sqlite3"))
    yield load
    for name in set(sys.modules) - known:
        if str(EXAMPLES) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_todo_example_does_what_its_document_says(
    example: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = example("todo_api", "app", "accounts")
    monkeypatch.setattr(modules.accounts, "COST", CHEAP)
    monkeypatch.setattr(modules.accounts, "NOBODY", modules.accounts.hash_password("nobody"))
    app = modules.app.app
    validate(app)

    def log_in() -> str:
        form = {"grant_type": "password", "username": "ada", "password": PASSWORD}
        return str(call(app, "POST", "/tokens", data=form)["access_token"])

    call(app, "POST", "/users", json={"name": "ada", "password": PASSWORD})
    call(app, "POST", "/todos", json={"title": "Buy milk"}, headers={"authorization": f"Bearer {log_in()}"})
    findings = fuzz(app, examples=8, log_in=log_in, operations=[REFUSES_FITTING, ASKS_WHAT_IS_THERE])
    report("examples/todo_api", findings)


# What fits the schema and is refused all the same: a cursor that nobody gave out, a key that was sent with another
# body, a file of another kind.
REFUSES_FITTING = {
    "include-name": ["GET /todos", "POST /todos", "POST /todos/{todo_id}/attachments"],
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 415, 422]}},
}


# Its preconditions hold for what is there, which no schema knows.
ASKS_WHAT_IS_THERE = {
    "include-name": [f"{method} /todos/{{todo_id}}" for method in ("PUT", "PATCH", "DELETE")],
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", 404, 409, 412]}},
}


def test_the_realworld_example_does_what_its_document_says(
    example: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jwt")
    modules = example("realworld", "app", "security")
    monkeypatch.setattr(modules.security, "COST", CHEAP)
    app = modules.app.app
    validate(app)
    user = {"username": "ada", "email": "ada@example.org", "password": PASSWORD}
    token = str(call(app, "POST", "/api/users", json={"user": user})["user"]["token"])
    article = {"title": "One", "description": "First", "body": "Text", "tagList": ["a"]}
    call(app, "POST", "/api/articles", json={"article": article}, headers={"authorization": f"Bearer {token}"})
    report("examples/realworld", fuzz(app, examples=5, log_in=lambda: token))
