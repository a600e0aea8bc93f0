"""The data of the exchanges: names are names, differences differ, and every one of them says why."""

from __future__ import annotations

import pytest

from tests.conformance.differences import DIFFERENCES, IN_PROCESS, UNFIXED
from tests.conformance.exchanges import BREAKING, HTTP
from tests.conformance.exchanges_body import BODIES
from tests.conformance.exchanges_websocket import ROOT_PATH, WEBSOCKET
from tests.conformance.lives import LIVES
from tests.conformance.script import Continue, Raw
from tests.conformance.servers import SERVERS

EXCHANGES = [*HTTP, *BODIES, *WEBSOCKET, *BREAKING, *ROOT_PATH]
SEEN = {exchange.name: exchange.seen for exchange in EXCHANGES} | {name: seen for name, (_, seen) in LIVES.items()}
PLAYERS = {server.name for server in SERVERS}


def test_no_two_exchanges_have_one_name() -> None:
    assert len(SEEN) == len(EXCHANGES) + len(LIVES)


def test_what_only_a_wire_can_play_says_so() -> None:
    told = [exchange.name for exchange in EXCHANGES if exchange.wire_only]
    assert {
        exchange.name for exchange in EXCHANGES if any(isinstance(step, (Raw, Continue)) for step in exchange.steps)
    } <= set(told)


def test_every_server_of_the_differences_is_one() -> None:
    assert set(DIFFERENCES) <= PLAYERS
    assert {player for players, _ in UNFIXED.values() for player in players} <= {*PLAYERS, IN_PROCESS}


@pytest.mark.parametrize(
    "server, name", [(server, name) for server, differences in DIFFERENCES.items() for name in differences]
)
def test_a_difference_names_an_exchange_differs_and_has_a_reason(server: str, name: str) -> None:
    instead, reason = DIFFERENCES[server][name]
    assert reason
    assert any(SEEN[name].get(fact) != value for fact, value in instead.items())


def test_what_is_not_fixed_names_an_exchange_and_has_a_reason() -> None:
    assert set(UNFIXED) <= set(SEEN)
    assert all(players and reason for players, reason in UNFIXED.values())
