"""One request, one answer, at ASGI level: the shortest way to drive an `http` scope, with faults on request."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio

from microasgi.testing.exchange import Exchange
from microasgi.testing.scopes import HeaderInput, http_scope
from microasgi.types import ASGIApp, Message, RawHeaders

__all__ = ["Faults", "RawResponse", "request"]


@dataclass(frozen=True, slots=True)
class Faults:
    """What the client and the server do wrong in one request.

    `leave_after_bytes`: the client leaves once that much of the body has arrived (0: when the response starts).
    `leave_after_chunks`: it leaves after sending so many chunks of its own body. `fail_send_after`: from then on, in
    messages, the server's `send` raises `send_error`. `read_delay`: seconds the client takes to read each message.
    """

    leave_after_bytes: int | None = None
    leave_after_chunks: int | None = None
    fail_send_after: int | None = None
    send_error: Exception = field(default_factory=lambda: ConnectionResetError("the peer has left"))
    read_delay: float = 0.0


@dataclass(slots=True)
class RawResponse:
    """What an application answered: `status` is 0 when it started no response, `error` what it raised."""

    status: int = 0
    headers: RawHeaders = field(default_factory=list[tuple[bytes, bytes]])
    body: bytes = b""
    messages: list[Message] = field(default_factory=list[Message])
    trailers: RawHeaders = field(default_factory=list[tuple[bytes, bytes]])
    early_hints: list[bytes] = field(default_factory=list[bytes])
    debug: dict[str, Any] | None = None
    error: BaseException | None = None

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the first header of that name (in lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        return json.loads(self.body)

    def add(self, message: Message) -> None:
        """Take in one message of the application."""
        self.messages.append(message)
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                self.headers = [(name, value) for name, value in message.get("headers", ())]
            case "http.response.body":
                self.body += message.get("body", b"")
            case "http.response.trailers":
                self.trailers += [(name, value) for name, value in message.get("headers", ())]
            case "http.response.early_hint":
                self.early_hints += message["links"]
            case "http.response.debug":
                self.debug = message["info"]
            case _:
                pass


async def request(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    *,
    headers: HeaderInput = (),
    body: bytes = b"",
    chunks: Iterable[bytes] | None = None,
    http_version: str = "1.1",
    faults: Faults | None = None,
    lint: bool = True,
    timeout: float | None = 10.0,
    raise_errors: bool = True,
    omit: Iterable[str] = (),
    **overrides: Any,
) -> RawResponse:
    """Send one request to an ASGI application and return its whole answer, when it has returned.

    `chunks` (instead of `body`) are handed over one by one, each when the application asks for it. `omit` and
    further keywords shape the scope, see `http_scope`. What the application raises is raised here, or kept in
    `error` with `raise_errors=False`.
    """
    scope = http_scope(method, path, headers=headers, http_version=http_version, omit=omit, **overrides)
    plan = faults or Faults()
    answer = RawResponse()
    exchange = Exchange(app, scope, lint=lint, window=0, timeout=timeout)
    pieces = iter([_body_message(body, more=False)]) if chunks is None else _uploads(chunks, plan.leave_after_chunks)
    await exchange.open()
    try:
        await _converse(exchange, answer, pieces, plan)
    finally:
        await exchange.close()
    answer.error = exchange.error
    if raise_errors:
        exchange.raise_error()
    return answer


async def _converse(exchange: Exchange, answer: RawResponse, pieces: Iterator[Message], plan: Faults) -> None:
    if plan.fail_send_after == 0:
        exchange.fail_send(plan.send_error)
    feeding = True
    while (message := await exchange.advance(feeding=feeding)) is not None or not exchange.finished:
        if message is not None:
            await anyio.sleep(plan.read_delay)
            answer.add(message)
            _disturb(exchange, answer, plan)
        elif (piece := next(pieces, None)) is not None:
            await exchange.send_input(piece)
            feeding = piece["more_body"]
        else:
            exchange.disconnect()
        if exchange.peer_left:
            return


def _disturb(exchange: Exchange, answer: RawResponse, plan: Faults) -> None:
    if plan.fail_send_after is not None and len(answer.messages) >= plan.fail_send_after:
        exchange.fail_send(plan.send_error)
    if plan.leave_after_bytes is not None and answer.status and len(answer.body) >= plan.leave_after_bytes:
        exchange.disconnect()


def _uploads(chunks: Iterable[bytes], limit: int | None) -> Iterator[Message]:
    """Yield the body's messages and an empty last one, as most servers do; or none after `limit` chunks."""
    for number, chunk in enumerate(chunks):
        if number == limit:
            return
        yield _body_message(chunk, more=True)
    yield _body_message(b"", more=False)


def _body_message(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}
