"""Wrong requests are answered with a 4xx that lists every fault, as docs/wrong-requests.md says."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import pytest

from tests.typed.wrong_microasgi import make_app
from tests.typed.wrong_requests import PAGE, WRONG, Wrong, ask, rows

pytestmark = pytest.mark.anyio

TABLE = rows(PAGE.read_text(encoding="utf-8"))
NUMBERED = list(enumerate(WRONG))
NAMES = [wrong.title for wrong in WRONG]


@pytest.fixture(scope="module")
def app() -> Any:
    return make_app()


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The FastAPI application, where the page was written with what is installed."""
    pytest.importorskip("fastapi")
    page = PAGE.read_text(encoding="utf-8")
    for package in ("fastapi", "pydantic", "starlette"):
        if version(package) not in page:
            pytest.skip(f"the page was written with another {package}")
    if f"Python {sys.version_info[0]}.{sys.version_info[1]}" not in page:
        pytest.skip("the page was written on another Python")
    from tests.typed.wrong_fastapi import make_app

    return make_app()


def listed(problem: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the place of each fault, and its name or, in a body, its pointer."""
    return [(fault["in"], fault["pointer" if fault["in"] == "body" else "name"]) for fault in problem.get("errors", ())]


@pytest.mark.parametrize("wrong", WRONG, ids=NAMES)
async def test_a_wrong_request_is_answered_with_its_status_and_every_fault(app: Any, wrong: Wrong) -> None:
    answer = await ask(app, wrong)
    if wrong.status == 200:
        assert answer.status == 200
        return
    assert (answer.status, answer.media_type) == (wrong.status, "application/problem+json")
    problem = json.loads(answer.body)
    assert problem["status"] == wrong.status
    assert sorted(listed(problem)) == sorted(wrong.faults)


@pytest.mark.parametrize("wrong", WRONG, ids=NAMES)
async def test_every_fault_has_a_reason_that_does_not_quote_what_was_sent(app: Any, wrong: Wrong) -> None:
    answer = await ask(app, wrong)
    problem = json.loads(answer.body) if answer.status >= 400 else {"title": "OK"}
    assert problem["title"]
    assert all(fault["detail"] for fault in problem.get("errors", ()))
    assert len(json.dumps(problem)) < 1000


@pytest.mark.parametrize(("number", "wrong"), NUMBERED, ids=NAMES)
async def test_the_page_says_what_microasgi_answers(app: Any, number: int, wrong: Wrong) -> None:
    assert TABLE[number][1:3] == [f"{wrong.title}: `{wrong.shown}`", (await ask(app, wrong)).cell]


def test_the_page_has_a_row_for_each_request() -> None:
    assert [cells[0] for cells in TABLE] == [str(number) for number in range(1, len(WRONG) + 1)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
@pytest.mark.parametrize(("number", "wrong"), NUMBERED, ids=NAMES)
async def test_the_page_says_what_fastapi_answers(
    theirs: Any, anyio_backend_name: str, number: int, wrong: Wrong
) -> None:
    if anyio_backend_name != "asyncio":
        pytest.skip("the page was written on asyncio")
    assert TABLE[number][3] == (await ask(theirs, wrong)).cell
