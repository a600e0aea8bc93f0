"""The lint: a pure ASGI wrapper that checks every message both ways, whatever the application and the server are.

Law: it passes every message on unchanged and in the same call; it never answers in the application's place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from microasgi.testing.lint_http import HTTPChecker
from microasgi.testing.lint_lifespan import LifespanChecker
from microasgi.testing.lint_websocket import WebSocketChecker
from microasgi.testing.rules import ASGIViolation, Checker, Report, value_fault
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ASGILint", "lint"]

_CHECKERS: dict[object, type[Checker]] = {
    "http": HTTPChecker,
    "websocket": WebSocketChecker,
    "lifespan": LifespanChecker,
}
# What the server wrote and the application only reads. Keys that an application adds are its own affair.
_SERVER_KEYS = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "headers"),
    *("client", "server", "subprotocols", "extensions"),
)
# Starlette's mounts write this one in place, and no server reads it afterwards.
_STRICT_SERVER_KEYS = ("root_path",)
_MISSING = object()


def lint(app: ASGIApp, *, on_violation: Report | None = None, strict: bool = False) -> ASGIApp:
    """Return the application with every message checked both ways; see `ASGILint`."""
    return ASGILint(app, on_violation=on_violation, strict=strict)


class ASGILint:
    """Wrap an ASGI application and check every message against ASGI 3.0 (www 2.5, lifespan 2.0).

    `on_violation` is called with each `ASGIViolation`. By default it is raised out of the application's own
    `send` or `receive`, and once more when the scope ends in case the application swallowed it.
    `strict` adds what the specification lets pass and some server does not.
    """

    def __init__(self, app: ASGIApp, *, on_violation: Report | None = None, strict: bool = False) -> None:
        self.app = app
        self.strict = strict
        self._on_violation = on_violation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        talk = _Conversation(scope, receive, send, self._on_violation, self.strict)
        try:
            result = await _call(self.app, scope, talk.receive, talk.send)
        except Exception as exc:
            talk.raise_swallowed(exc)
            raise
        finally:
            talk.ended = True
        talk.raise_swallowed(None)
        talk.check_end(result)


class _Conversation:
    """One call of the application: its checker, and what was found."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, on_violation: Report | None, strict: bool) -> None:
        self.ended = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._on_violation = on_violation
        self._violations: list[ASGIViolation] = []
        self._checker = _CHECKERS.get(scope.get("type"), Checker)(scope, self._report, strict)
        self._watched = (*_SERVER_KEYS, *_STRICT_SERVER_KEYS) if strict else _SERVER_KEYS
        self._before = {key: _frozen(scope.get(key, _MISSING)) for key in self._watched}
        self._state: object = scope.get("state", _MISSING)

    async def receive(self) -> Message:
        self._check_alive("receive")
        self._checker.receiving()
        message = await self._receive()
        self._checker.received(message)
        return message

    async def send(self, message: Message) -> None:
        self._check_alive("send")
        found = len(self._violations)
        self._checker.sending(message)
        # The debug message goes to a test client and may carry any object.
        if len(self._violations) == found and message.get("type") != "http.response.debug":
            fault = value_fault(dict(message), "message")
            self._checker.require(fault is None, fault or "", "ASGI, Events")
        try:
            await self._send(message)
        except Exception:
            self._checker.send_failed()
            raise

    def check_end(self, result: object) -> None:
        """Check the end of the scope: the answer is whole, None was returned, the scope is as it was."""
        self._checker.returned()
        self._checker.require(
            result is None, f"the application returned {result!r}: it must return None", "ASGI, Applications"
        )
        for key in self._watched:
            self._checker.require(
                _frozen(self._scope.get(key, _MISSING)) == self._before[key],
                f"the application changed scope[{key!r}]: copy the scope before you change it",
                "ASGI, Middleware",
            )
        self._checker.require(
            self._scope.get("state", _MISSING) is self._state or self._state is _MISSING,
            "the application replaced scope['state']: put things into it instead",
            "ASGI Lifespan, Lifespan State",
        )

    def raise_swallowed(self, error: Exception | None) -> None:
        """Raise the first violation, unless it is on its way already or somebody else collects them."""
        if self._on_violation is None and self._violations and error is not self._violations[0]:
            raise self._violations[0] from error

    def _report(self, violation: ASGIViolation) -> None:
        self._violations.append(violation)
        if self._on_violation is None:
            raise violation
        self._on_violation(violation)

    def _check_alive(self, call: str) -> None:
        self._checker.require(
            not self.ended, f"{call}() was called after the application had returned", "ASGI, Applications"
        )


async def _call(app: Callable[..., Any], scope: Scope, receive: Receive, send: Send) -> object:
    """Call the application and return what it returned, which its type says is nothing."""
    return cast(object, await app(scope, receive, send))


def _frozen(value: Any) -> object:
    """Return a copy that later changes in place do not reach."""
    if isinstance(value, (list, tuple)):
        return [_frozen(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in cast("dict[object, object]", value).items()}
    return cast(object, value)
