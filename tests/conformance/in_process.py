"""Exchanges without a server: the same scripts, played as ASGI messages, with every message held against the lint.

Law: the application is called as a server that keeps to the specification would call it (www 2.5, lifespan 2.0).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio

from microasgi.testing import ASGILint, http_scope, request, websocket_scope
from microasgi.testing import Exchange as Drive
from microasgi.types import ASGIApp, Message, RawHeaders, Scope
from tests.conformance.differences import IN_PROCESS, unfixed_reason
from tests.conformance.records import DeliberateError
from tests.conformance.script import (
    HOST,
    Answer,
    Ask,
    Await,
    Close,
    Exchange,
    Facts,
    Frame,
    Leave,
    Open,
    Part,
    Recorded,
    Say,
    Step,
)

__all__ = ["InProcess"]

PATIENCE = 5.0


class InProcess:
    """Plays exchanges against an application; `state` is what its lifespan left."""

    def __init__(self, app: ASGIApp, state: dict[str, Any], root_path: str = "") -> None:
        self._app = ASGILint(app, strict=True)
        self._state = state
        self._root_path = root_path
        self._played = 0

    async def play(self, exchange: Exchange, expected: Mapping[str, Any]) -> Facts:
        """Play one exchange and return what was seen."""
        self._played += 1
        # What is known to fail shall not take long; if it is fixed, it comes at once.
        self._patience = 1.0 if unfixed_reason(IN_PROCESS, exchange.name) else PATIENCE
        self._token = f"{self._played} {exchange.name}"
        self._expected = expected
        self._facts: Facts = {}
        self._waiting: list[Ask] = []
        self._current: Drive | None = None
        self._answered = False
        try:
            for step in exchange.steps:
                await self._play(step)
        finally:
            await self._close()
        self._facts["unexpected"] = await self._records("unexpected")
        return self._facts

    async def _play(self, step: Step) -> None:
        match step:
            case Ask():
                self._waiting.append(step)
            case Answer(prefix):
                await self._read(prefix, None)
            case Part(size):
                await self._read("", size)
            case Open():
                await self._open(step)
            case Say(data):
                key = "text" if isinstance(data, str) else "bytes"
                await (await self._drive()).send_input({"type": "websocket.receive", key: data})
            case Frame():
                await self._read_frame()
            case Leave():
                await self._leave(1006, "")
            case Close(code, reason):
                await self._leave(code or 1005, reason)
            case Recorded():
                wanted = self._expected.get("recorded")
                self._facts["recorded"] = await self._ask_records(lambda events: events == wanted)
            case Await(event):
                await self._drive()
                await self._ask_records(lambda events: event in events)
            case _:
                raise TypeError(f"{step!r} needs a wire: say so in wire_only")

    def _shared(self, headers: tuple[tuple[str, str], ...]) -> dict[str, Any]:
        return {
            "headers": [("host", HOST), *headers, ("x-exchange", self._token)],
            "state": dict(self._state),
            "root_path": self._root_path,
            "server": (HOST, 80),
        }

    async def _drive(self) -> Drive:
        """Return the application's current scope; of several requests on one connection, the next one starts here."""
        if self._current is None or self._answered:
            await self._close()
            await self._ask(self._waiting.pop(0))
        assert self._current is not None
        return self._current

    async def _start(self, scope: Scope) -> Drive:
        self._current = Drive(self._app, scope, lint=False, timeout=self._patience, grace=self._patience)
        await self._current.open()
        return self._current

    async def _close(self) -> None:
        """Wait until the application has returned; raise what it raised, unless that was its task."""
        current, self._current, answered, self._answered = self._current, None, self._answered, False
        if current is None:
            return
        try:
            if answered:
                await current.wait_until(lambda: current.finished, "its end")
        finally:
            await current.close()
        if not isinstance(current.error, DeliberateError):
            current.raise_error()

    async def _ask(self, ask: Ask) -> None:
        headers = ask.headers
        if ask.body is not None:
            headers = (*headers, ("content-length", str(ask.promised or len(ask.body))))
        scope = http_scope(ask.method, ask.target, http_version=ask.version, **self._shared(headers))
        if ask.bare:
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"host"]
        drive = await self._start(scope)
        for chunk in ask.chunks or (ask.body or b"",):
            await drive.send_input({"type": "http.request", "body": chunk, "more_body": True})
        if ask.promised is None:
            await drive.send_input({"type": "http.request", "body": b"", "more_body": False})

    async def _read(self, prefix: str, at_least: int | None) -> None:
        """Read a response, in part or to its end; what the application does after it goes on."""
        drive = await self._drive()
        facts: Facts = {"body": b"", "end": "cut"}
        while facts["end"] == "cut" and (at_least is None or len(facts["body"]) < at_least):
            message = await drive.advance(feeding=False)
            if message is None:
                break
            _take(facts, message)
        self._answered = at_least is None
        self._facts.update({f"{prefix}{name}": value for name, value in facts.items()})

    async def _open(self, step: Open) -> None:
        self._facts["frames"] = []
        scope = websocket_scope(step.path, subprotocols=step.subprotocols, **self._shared(step.headers))
        drive = await self._start(scope)
        await drive.send_input({"type": "websocket.connect"})
        message = await drive.receive_output(what="the answer to the handshake")
        if message["type"] == "websocket.accept":
            subprotocol = message.get("subprotocol")
            offered = [] if subprotocol is None else [(b"sec-websocket-protocol", subprotocol.encode())]
            self._facts.update(_headers([*message.get("headers", ()), *offered]), handshake=101)
        elif message["type"] == "websocket.close":
            self._facts.update(handshake=403, body=b"")
        else:
            self._facts.update(_headers(message["headers"]), handshake=message["status"], body=b"")
            async for part in drive:
                self._facts["body"] += part["body"]

    async def _read_frame(self) -> None:
        if "close" in self._facts or self._facts["handshake"] != 101:
            return
        drive = await self._drive()
        message = await drive.advance(feeding=False)
        if message is None:
            self._facts["close"] = "eof"
        elif message["type"] == "websocket.close":
            self._facts["close"] = f"{message.get('code', 1000)} {message.get('reason') or ''}".strip()
        else:
            text = message.get("text")
            self._facts["frames"].append(message["bytes"] if text is None else text)

    async def _leave(self, code: int, reason: str) -> None:
        """Disconnect and wait until the application has returned by itself."""
        drive = await self._drive()
        drive.disconnect(code, reason)
        await drive.wait_finished()
        await self._close()

    async def _ask_records(self, enough: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + self._patience
        while True:
            records = await self._records(self._token)
            if enough(records) or time.monotonic() > deadline:
                return records
            await anyio.sleep(0.01)

    async def _records(self, name: str) -> list[str]:
        target = f"/recorded?of={name.replace(' ', '+')}"
        answer = await request(self._app, "GET", target, lint=False, state=dict(self._state))
        records: list[str] = answer.json()
        return records


def _take(facts: Facts, message: Message) -> None:
    if message["type"] == "http.response.start":
        facts.update(_headers(message["headers"]), status=message["status"])
    elif message["type"] == "http.response.body":
        facts["body"] += message.get("body", b"")
        if not message.get("more_body", False):
            facts["end"] = "complete"


def _headers(raw: RawHeaders) -> Facts:
    facts: Facts = {}
    for key, octets in raw:
        name, value = key.decode("latin-1"), octets.decode("latin-1")
        facts[name] = f"{facts[name]} | {value}" if name in facts else value
    return facts
