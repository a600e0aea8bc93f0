"""Every exchange on every server; a known difference has to be there, and what is not fixed has to fail."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.differences import expected_of, unfixed_reason
from tests.conformance.lives import LIVES
from tests.conformance.script import Exchange, judge
from tests.conformance.servers import SERVERS, Running, Server
from tests.conformance.trial import exchanges_for, read_log, try_exchange

pytestmark = pytest.mark.server


def _name(value: Any) -> str:
    return str(value.name)


def _require(server: Server) -> None:
    if server.installed:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {server.package} is not installed", pytrace=False)
    pytest.skip(f"{server.package} is not installed")


def _expect_failure_if_unfixed(request: pytest.FixtureRequest, server: Server, name: str) -> None:
    reason = unfixed_reason(server.name, name)
    if reason:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))


def _started(server: Server, directory: Path, root_path: str) -> Iterator[Running]:
    _require(server)
    process = Running(server, directory, root_path=root_path)
    try:
        process.wait_until_listening()
        yield process
    finally:
        process.stop()
    assert read_log(process) == "clean"


@pytest.fixture(scope="module", params=SERVERS, ids=_name)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server that runs the application."""
    yield from _started(request.param, tmp_path_factory.mktemp("server"), "")


@pytest.fixture(scope="module", params=SERVERS, ids=_name)
def running_below(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Return a server that runs the application with the root path /pre."""
    yield from _started(request.param, tmp_path_factory.mktemp("server"), "/pre")


@pytest.mark.parametrize("exchange", exchanges_for(""), ids=_name)
def test_the_client_sees_what_it_must(running: Running, exchange: Exchange, request: pytest.FixtureRequest) -> None:
    _expect_failure_if_unfixed(request, running.server, exchange.name)
    assert try_exchange(running, exchange) == []


@pytest.mark.parametrize("exchange", exchanges_for("/pre"), ids=_name)
def test_below_a_root_path_the_client_sees_what_it_must(
    running_below: Running, exchange: Exchange, request: pytest.FixtureRequest
) -> None:
    _expect_failure_if_unfixed(request, running_below.server, exchange.name)
    assert try_exchange(running_below, exchange) == []


@pytest.mark.parametrize("server", SERVERS, ids=_name)
@pytest.mark.parametrize("name", LIVES)
def test_the_server_starts_and_ends_as_it_must(
    server: Server, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    _require(server)
    _expect_failure_if_unfixed(request, server, name)
    live, seen = LIVES[name]
    assert judge(expected_of(server.name, name, seen), live(server, tmp_path)) == []
