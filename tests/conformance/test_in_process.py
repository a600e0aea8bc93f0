"""Every exchange that needs no wire, on asyncio and on trio, with every ASGI message held against the strict lint."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from microasgi.testing import Exchange as Drive
from microasgi.testing import lifespan_scope, request
from microasgi.types import ASGIApp
from tests.conformance.app import create_app, create_broken_app
from tests.conformance.differences import IN_PROCESS, expected_of, unfixed_reason
from tests.conformance.in_process import InProcess
from tests.conformance.records import Records
from tests.conformance.script import Exchange, judge
from tests.conformance.trial import exchanges_for


def _cases(root_path: str) -> list[Any]:
    cases: list[Any] = []
    for exchange in exchanges_for(root_path):
        if exchange.wire_only:
            continue
        reason = unfixed_reason(IN_PROCESS, exchange.name)
        marks = [pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)] if reason else []
        cases.append(pytest.param(exchange, id=exchange.name.replace(" ", "_"), marks=marks))
    return cases


@pytest.fixture(scope="module")
async def started(anyio_backend: Any) -> AsyncIterator[tuple[ASGIApp, dict[str, Any]]]:
    """Return the application and the state of its lifespan, which runs as long as the module's tests."""
    records, state = Records(), dict[str, Any]()
    logger = logging.getLogger("microasgi")
    logger.addHandler(records)
    app = create_app(records)
    async with Drive(app, lifespan_scope(state=state)) as life:
        await life.send_input({"type": "lifespan.startup"})
        assert (await life.receive_output())["type"] == "lifespan.startup.complete"
        yield app, state
        await life.send_input({"type": "lifespan.shutdown"})
        assert (await life.receive_output())["type"] == "lifespan.shutdown.complete"
    logger.removeHandler(records)


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", _cases(""))
async def test_the_client_sees_what_it_must(started: tuple[ASGIApp, dict[str, Any]], exchange: Exchange) -> None:
    expected = expected_of(IN_PROCESS, exchange.name, exchange.seen)
    facts = await InProcess(*started).play(exchange, expected)
    assert judge({**expected, "unexpected": [], "log": None}, facts) == []


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", _cases("/pre"))
async def test_below_a_root_path_the_client_sees_what_it_must(
    started: tuple[ASGIApp, dict[str, Any]], exchange: Exchange
) -> None:
    expected = expected_of(IN_PROCESS, exchange.name, exchange.seen)
    facts = await InProcess(*started, root_path="/pre").play(exchange, expected)
    assert judge({**expected, "unexpected": [], "log": None}, facts) == []


@pytest.mark.anyio
async def test_an_empty_path_is_the_root(started: tuple[ASGIApp, dict[str, Any]]) -> None:
    app, state = started
    answer = await request(app, "GET", "", state=dict(state))
    assert (answer.status, answer.body) == (200, b"root")


@pytest.mark.anyio
async def test_a_lifespan_that_fails_is_reported_with_its_reason() -> None:
    async with Drive(create_broken_app(), lifespan_scope()) as life:
        await life.send_input({"type": "lifespan.startup"})
        answer = await life.receive_output()
        with pytest.raises(RuntimeError, match="flooded"):
            await life.wait_finished()
    assert answer["type"] == "lifespan.startup.failed"
    assert "the cellar is flooded" in answer["message"]
