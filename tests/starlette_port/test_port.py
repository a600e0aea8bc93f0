"""An application written for Starlette runs on microasgi with other import lines, and answers the same.

Its text is executed twice, once as it stands. Where the answers differ, the difference and its reason are data.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx2", reason="Starlette's test client warns without it")

from tests.starlette_port.exchanges import EXCHANGES, Answer, Ask, Talk
from tests.starlette_port.expectations import EXPECTATIONS, PRELUDE, Expectation
from tests.starlette_port.imports import IMPORTS, port

HERE = Path(__file__).parent
FRAMEWORKS = ("starlette", "microasgi")
each_framework = pytest.mark.parametrize("framework", FRAMEWORKS)


def read(name: str, framework: str) -> str:
    source = (HERE / name).read_text(encoding="utf-8")
    return source if framework == "starlette" else port(source)


@pytest.fixture
def modules() -> Iterator[list[str]]:
    """Collect the names of the modules that were executed, to forget them."""
    names: list[str] = []
    yield names
    for name in names:
        del sys.modules[name]


def execute(text: str, name: str, modules: list[str]) -> Any:
    module = ModuleType(name)
    sys.modules[name] = module
    modules.append(name)
    exec(compile(text, name, "exec", dont_inherit=True), vars(module))
    return module


class Visitor:
    """Asks one of the applications, through the test client that comes with it."""

    def __init__(self, framework: str, modules: list[str]) -> None:
        self.app = execute(read("lending.py", framework), f"lending_on_{framework}", modules).app
        names: dict[str, Any] = {}
        imports = "from starlette.testclient import TestClient, WebSocketDenialResponse\n"
        imports += "from starlette.websockets import WebSocketDisconnect\n"
        exec(imports if framework == "starlette" else port(imports), names)
        self.client = names["TestClient"](self.app, raise_server_exceptions=False)
        self.disconnect, self.denial = names["WebSocketDisconnect"], names["WebSocketDenialResponse"]

    def visit(self, exchange: Ask | Talk) -> Answer:
        return self.ask(exchange) if isinstance(exchange, Ask) else self.talk(exchange)

    def ask(self, exchange: Ask) -> Answer:
        response = self.client.request(exchange.method, exchange.url, **exchange.options)
        answer: Answer = {name: response.headers.get_list(name) for name in (*exchange.headers, "set-cookie")}
        if "allow" in answer:  # Starlette keeps the methods in a set
            answer["allow"] = [", ".join(sorted(value.split(", "))) for value in answer["allow"]]
        answer["set-cookie"] = [re.sub("expires=[^;]*", "expires=", cookie) for cookie in answer["set-cookie"]]
        is_json = "json" in response.headers.get("content-type", "")
        body = response.json() if is_json and response.content else response.content
        if isinstance(body, bytes) and not body.startswith(b"\x89"):
            body = body.decode()
        return {"status": response.status_code, "body": body, **answer}

    def talk(self, exchange: Talk) -> Answer:
        answer: Answer = {"accepted": None, "received": [], "end": ("left",)}
        try:
            with self.client.websocket_connect(exchange.url, **exchange.options) as session:
                answer["accepted"] = (session.accepted_subprotocol, list(session.extra_headers))
                for call, *arguments in exchange.script:
                    result = getattr(session, call)(*arguments)
                    answer["received"] += [result] if result is not None else []
        except self.denial as denied:
            answer["end"] = ("denied", denied.status_code, denied.text)
        except self.disconnect as closed:
            answer["end"] = ("closed", closed.code, closed.reason)
        except RuntimeError as error:
            answer["end"] = (type(error).__name__, str(error))
        return answer


@pytest.fixture(scope="module")
def answers() -> dict[str, list[Answer]]:
    """Return the answers of both applications to every exchange, in order."""
    found: dict[str, list[Answer]] = {}
    names: list[str] = []
    logging.getLogger("microasgi").disabled = True
    for framework in FRAMEWORKS:
        visitor = Visitor(framework, names)
        with visitor.client:
            found[framework] = [visitor.visit(exchange) for exchange in EXCHANGES]
        found[framework].append({"journal": visitor.app.state.journal})
    logging.getLogger("microasgi").disabled = False
    for name in names:
        del sys.modules[name]
    return found


def flatten(answer: Answer) -> Answer:
    """Return the answer with the members of a JSON body beside it, so that a difference can name one of them."""
    body = answer.get("body")
    return {**answer, **({f"body.{key}": value for key, value in body.items()} if isinstance(body, dict) else {})}


@pytest.mark.parametrize("index", range(len(EXCHANGES)), ids=[f"{n}-{one}" for n, one in enumerate(EXCHANGES)])
def test_the_answer_is_the_same_or_differs_as_documented(index: int, answers: dict[str, list[Answer]]) -> None:
    theirs, ours = answers["starlette"][index], answers["microasgi"][index]
    differs = EXCHANGES[index].differs
    if differs is None:
        assert ours == theirs
        return
    for answer, expected in ((theirs, differs.starlette), (ours, differs.microasgi)):
        flat = flatten(answer)
        assert {key: flat[key] for key in expected if expected[key] is not ...} == {
            key: value for key, value in expected.items() if value is not ...
        }
    changed = {key.partition(".")[0] for key in (*differs.starlette, *differs.microasgi)}
    assert {key: value for key, value in ours.items() if key not in changed} == {
        key: value for key, value in theirs.items() if key not in changed
    }


def test_both_applications_went_through_the_same(answers: dict[str, list[Answer]]) -> None:
    assert answers["microasgi"][-1] == answers["starlette"][-1]


def test_nothing_but_import_lines_is_exchanged() -> None:
    source = read("lending.py", "starlette")
    both = zip(source.splitlines(), port(source).splitlines(), strict=True)
    changed = [line for line, other in both if line != other]
    assert changed
    assert all(line.startswith("from starlette") for line in changed)
    assert "from starlette" not in port(source)


def test_the_table_of_imports_is_in_the_documentation() -> None:
    page = (HERE.parents[1] / "docs" / "coming-from-starlette.md").read_text(encoding="utf-8")
    missing = [old for old in IMPORTS if old.split()[1] not in page]
    assert not missing


CHECKS = re.findall(r"^def (check_\w+)", read("checks.py", "starlette"), re.MULTILINE)


@each_framework
@pytest.mark.parametrize("check", CHECKS)
def test_a_test_written_for_starlette_passes(check: str, framework: str, modules: list[str]) -> None:
    app = execute(read("lending.py", framework), f"lending_on_{framework}", modules).app
    getattr(execute(read("checks.py", framework), f"checks_on_{framework}", modules), check)(app)


@each_framework
@pytest.mark.parametrize("expected", EXPECTATIONS, ids=lambda expected: expected.name)
def test_what_users_of_starlette_expect(
    expected: Expectation, framework: str, modules: list[str], request: pytest.FixtureRequest
) -> None:
    if framework == "microasgi" and expected.missing:
        request.applymarker(pytest.mark.xfail(reason=expected.missing, strict=True))
    text = PRELUDE + expected.snippet
    execute(text if framework == "starlette" else port(text), "expected", modules)
