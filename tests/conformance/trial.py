"""A trial: one exchange against one running server, judged by what the client saw and by what the server logged."""

from __future__ import annotations

import time

from tests.conformance.differences import expected_of, unfixed_reason
from tests.conformance.exchanges import BREAKING, HTTP
from tests.conformance.exchanges_body import BODIES
from tests.conformance.exchanges_websocket import ROOT_PATH, WEBSOCKET
from tests.conformance.player import Player
from tests.conformance.script import Exchange, judge
from tests.conformance.servers import Running
from tests.conformance.wire import PATIENCE

__all__ = ["exchanges_for", "read_log", "try_exchange"]

FAULTS = ("Traceback", "Exception in ASGI", "never retrieved", "never awaited", "Task was destroyed")
DELIBERATE = "DeliberateError"


def exchanges_for(root_path: str) -> list[Exchange]:
    """Return what is played on a server with this root path."""
    return ROOT_PATH if root_path else [*HTTP, *BODIES, *WEBSOCKET, *BREAKING]


def try_exchange(running: Running, exchange: Exchange) -> list[str]:
    """Play the exchange and return what is not as it must be."""
    expected = expected_of(running.server.name, exchange.name, exchange.seen)
    expected = {"unexpected": [], "log": "clean", **expected}
    # What is known to fail shall not take long; if it is fixed, it comes at once.
    patience = 1.0 if unfixed_reason(running.server.name, exchange.name) else PATIENCE
    facts = Player(running.port, patience).play(exchange, expected)
    facts["log"] = read_log(running, wait=patience if expected["log"] != "clean" else 0)
    return judge(expected, facts)


def read_log(running: Running, wait: float = 0) -> str:
    """Return "clean", the name of the deliberate error, or the fault in what the server has logged since the last time.

    An error is waited for, up to so many seconds: the server may log it after the client has seen its work.
    """
    deadline = time.monotonic() + wait
    log = running.read_log()
    while DELIBERATE not in log and time.monotonic() < deadline:
        time.sleep(0.01)
        log += running.read_log()
    fault = next((log[log.index(fault) :] for fault in FAULTS if fault in log), "clean")
    return DELIBERATE if DELIBERATE in fault else fault[:3000]
