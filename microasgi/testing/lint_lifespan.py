"""The `lifespan` scope as a state machine: startup, one answer; shutdown, one answer."""

from __future__ import annotations

from enum import Enum

from microasgi.testing.rules import Checker, Report
from microasgi.types import Message, Scope

__all__ = ["LifespanChecker"]

_STARTUP = "ASGI Lifespan, Startup"
_SHUTDOWN = "ASGI Lifespan, Shutdown"


class _State(Enum):
    NEW = "before 'lifespan.startup' was received"
    STARTING = "while starting up"
    RUNNING = "between startup and shutdown"
    STOPPING = "while shutting down"
    ENDED = "after the last answer"


_EXPECTED = {_State.STARTING: "lifespan.startup", _State.STOPPING: "lifespan.shutdown"}


class LifespanChecker(Checker):
    """One application's start and stop."""

    def __init__(self, scope: Scope, report: Report, strict: bool) -> None:
        super().__init__(scope, report, strict)
        self._state = _State.NEW

    def receiving(self) -> None:
        waiting = self._state in (_State.NEW, _State.RUNNING)
        self.require(waiting, f"receive() was called {self._state.value}: answer first, then return", _SHUTDOWN)

    def received(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "lifespan.startup":
            self.require(self._state is _State.NEW, f"the server sent 'lifespan.startup' {self._state.value}", _STARTUP)
            self._state = _State.STARTING
        elif kind == "lifespan.shutdown":
            self.require(
                self._state is _State.RUNNING, f"the server sent 'lifespan.shutdown' {self._state.value}", _SHUTDOWN
            )
            self._state = _State.STOPPING
        else:
            self.fail(f"the server sent {kind!r} in a lifespan scope", _STARTUP)

    def sending(self, message: Message) -> None:
        kind = message.get("type")
        if kind not in (
            "lifespan.startup.complete",
            "lifespan.startup.failed",
            "lifespan.shutdown.complete",
            "lifespan.shutdown.failed",
        ):
            self.fail(f"{kind!r} is not a message a lifespan application may send", _STARTUP)
            return
        stage, outcome = str(kind).rsplit(".", 1)
        section = _STARTUP if stage == "lifespan.startup" else _SHUTDOWN
        self.require(_EXPECTED.get(self._state) == stage, f"{kind!r} was sent {self._state.value}", section)
        text = message.get("message", "")
        self.require(isinstance(text, str), f"message must be a str, not {type(text).__name__}", section)
        running = stage == "lifespan.startup" and outcome == "complete"
        self._state = _State.RUNNING if running else _State.ENDED

    def returned(self) -> None:
        if self._state is _State.ENDED:
            return
        if self._state is _State.RUNNING:
            self.fail("the application returned before 'lifespan.shutdown'", _SHUTDOWN)
        elif self._state is _State.STOPPING:
            self.fail("the application returned without an answer to 'lifespan.shutdown'", _SHUTDOWN)
        else:
            self.fail(
                "the application returned without an answer to 'lifespan.startup': "
                "raise if it does not support lifespan",
                _STARTUP,
            )
