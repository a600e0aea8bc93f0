"""The lint's rules for sockets: each with an application that breaks it and one that keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from microasgi.testing import ASGIViolation, lint, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

# An application receives for each of these, and sends the others.
RECEIVE: Message = {"type": "(receive)"}
CONNECT: Message = {"type": "websocket.connect"}
TEXT: Message = {"type": "websocket.receive", "text": "hi", "bytes": None}
LEFT: Message = {"type": "websocket.disconnect", "code": 1001, "reason": "bye"}
ACCEPT: Message = {"type": "websocket.accept"}


def sent(kind: str = "send", **keys: Any) -> Message:
    return {"type": f"websocket.{kind}", **keys}


CLOSE = sent("close")
DENY = sent("http.response.start", status=403, headers=[])
DENY_BODY = sent("http.response.body", body=b"no")


def app_of(*steps: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for step in steps:
            if step is RECEIVE:
                await receive()
            else:
                await send(step)

    return app


async def run(
    steps: list[Message],
    *inputs: Message,
    strict: bool = False,
    on_violation: Callable[[ASGIViolation], None] | None = None,
    **scope: Any,
) -> list[Message]:
    queue = list(inputs or (CONNECT, TEXT, LEFT, LEFT))
    output: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0)

    async def send(message: Message) -> None:
        output.append(message)

    checked = lint(app_of(*steps), strict=strict, on_violation=on_violation)
    await checked(websocket_scope(subprotocols=["chat"], **scope), receive, send)
    return output


LEGAL = {
    "accepted, used and closed": [RECEIVE, ACCEPT, RECEIVE, sent(text="x"), sent(bytes=b"x"), CLOSE],
    "both payload keys, one of them None": [RECEIVE, ACCEPT, sent(text="", bytes=None), CLOSE],
    "an empty payload": [RECEIVE, ACCEPT, sent(bytes=b""), CLOSE],
    "an offered subprotocol": [RECEIVE, sent("accept", subprotocol="chat", headers=[(b"a", b"b")]), CLOSE],
    "refused": [RECEIVE, CLOSE],
    "refused before connect is received": [CLOSE],
    "refused, then the connect is received": [CLOSE, RECEIVE],
    "denied": [RECEIVE, DENY, DENY_BODY],
    "denied in parts": [RECEIVE, DENY, {**DENY_BODY, "more_body": True}, DENY_BODY],
    "the client left": [RECEIVE, ACCEPT, RECEIVE, RECEIVE],
    "returned while open": [RECEIVE, ACCEPT],
    "received after its own close": [RECEIVE, ACCEPT, CLOSE, RECEIVE, RECEIVE],
    "a close with a reason": [RECEIVE, ACCEPT, sent("close", code=4999, reason="é" * 61)],
    "a close with an empty reason": [RECEIVE, ACCEPT, sent("close", code=1001, reason="")],
}

ILLEGAL = {
    "nothing": ([], "returned without an answer"),
    "connect only": ([RECEIVE], "returned without an answer: send 'websocket.accept'"),
    "accept before connect": ([ACCEPT], "'websocket.accept' was sent before 'websocket.connect' was received"),
    "accept twice": ([RECEIVE, ACCEPT, ACCEPT], "'websocket.accept' was sent after 'websocket.accept'"),
    "send before accept": ([RECEIVE, sent(text="x")], "'websocket.send' was sent before 'websocket.accept'"),
    "send after close": ([RECEIVE, ACCEPT, CLOSE, sent(text="x")], "was sent after the socket was closed"),
    "close twice": ([RECEIVE, ACCEPT, CLOSE, CLOSE], "'websocket.close' was sent after the socket was closed"),
    "send after the client left": ([RECEIVE, ACCEPT, RECEIVE, RECEIVE, sent(text="x")], "after 'websocket.disconnect'"),
    "close after the client left": ([RECEIVE, ACCEPT, RECEIVE, RECEIVE, CLOSE], "after 'websocket.disconnect'"),
    "receive after the client left": ([RECEIVE, ACCEPT, *[RECEIVE] * 3], "receive\\(\\) was called again"),
    "an unknown message": ([RECEIVE, {"type": "websocket.ping"}], "'websocket.ping' is not a message"),
    "a message without a type": ([RECEIVE, {}], "None is not a message"),
    "no payload": ([RECEIVE, ACCEPT, sent()], "exactly one of text and bytes"),
    "two payloads": ([RECEIVE, ACCEPT, sent(text="", bytes=b"")], "exactly one of text and bytes"),
    "text of bytes": ([RECEIVE, ACCEPT, sent(text=b"x")], "has text b'x', not a str"),
    "bytes of bytearray": ([RECEIVE, ACCEPT, sent(bytes=bytearray())], "has bytes of bytearray"),
    "a subprotocol nobody offered": ([RECEIVE, sent("accept", subprotocol="x")], "'x' is not one the client offered"),
    "the subprotocol as header": (
        [RECEIVE, sent("accept", headers=[(b"sec-websocket-protocol", b"chat")])],
        "belongs to the server",
    ),
    "accept headers in upper case": ([RECEIVE, sent("accept", headers=[(b"X", b"")])], "write b'x'"),
    "a reason too long": ([RECEIVE, ACCEPT, sent("close", reason="é" * 62)], "has 124 bytes, 123 is the limit"),
    "a reason of bytes": ([RECEIVE, ACCEPT, sent("close", reason=b"x")], "must be a str, not bytes"),
    "a denial after accept": ([RECEIVE, ACCEPT, DENY], "was sent after 'websocket.accept'"),
    "a denial's body first": ([RECEIVE, DENY_BODY], "was sent before 'websocket.accept'"),
    "accept after a denial": ([RECEIVE, DENY, ACCEPT], "was sent after the denial response has started"),
    "an unfinished denial": ([RECEIVE, DENY], "without a last 'websocket.http.response.body'"),
    "a denial of too many bytes": (
        [RECEIVE, {**DENY, "headers": [(b"content-length", b"1")]}, DENY_BODY],
        "content-length is 1, but 2 bytes",
    ),
}


@pytest.mark.parametrize("steps", LEGAL.values(), ids=LEGAL.keys())
async def test_a_legal_socket_passes_unchanged(steps: list[Message]) -> None:
    assert await run(steps) == [step for step in steps if step is not RECEIVE]


@pytest.mark.parametrize("steps, rule", ILLEGAL.values(), ids=ILLEGAL.keys())
async def test_an_illegal_socket_is_a_violation(steps: list[Message], rule: str) -> None:
    with pytest.raises(ASGIViolation, match=rule):
        await run(steps)


@pytest.mark.parametrize("steps, rule", ILLEGAL.values(), ids=ILLEGAL.keys())
async def test_a_collector_is_told_of_it_first_and_every_message_passes(steps: list[Message], rule: str) -> None:
    found: list[ASGIViolation] = []
    sent = await run(steps, on_violation=found.append)
    assert re.search(rule, found[0].rule)
    assert sent == [step for step in steps if step is not RECEIVE]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1012, 1014, 3000, 4999])
async def test_a_close_code_that_may_be_sent_passes(code: int) -> None:
    assert await run([RECEIVE, sent("close", code=code)])


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, "1000", True, None])
async def test_any_other_close_code_is_a_violation(code: Any) -> None:
    with pytest.raises(ASGIViolation, match="is not one of 1000-1003, 1007-1014, 3000-4999"):
        await run([RECEIVE, sent("close", code=code)])


@pytest.mark.parametrize(
    "step, version, rule",
    [
        (sent("accept", headers=[(b"a", b"b")]), "2.0", "accept headers need spec_version 2.1"),
        (sent("close", reason="x"), "2.2", "a close reason needs spec_version 2.3"),
        (sent("close", reason="x"), None, "a close reason needs spec_version 2.3"),
    ],
)
async def test_what_a_later_version_brought_is_not_sent_to_an_earlier(
    step: Message, version: str | None, rule: str
) -> None:
    asgi = {"version": "3.0"} if version is None else {"version": "3.0", "spec_version": version}
    with pytest.raises(ASGIViolation, match=rule):
        await run([RECEIVE, step], asgi=asgi)


@pytest.mark.parametrize("steps", [[RECEIVE, DENY, DENY_BODY], [RECEIVE, DENY_BODY]])
async def test_a_denial_response_is_sent_only_where_it_is_offered(steps: list[Message]) -> None:
    with pytest.raises(ASGIViolation, match="does not offer 'websocket.http.response'"):
        await run(steps, extensions={})


@pytest.mark.parametrize(
    "steps, rule",
    [
        ([RECEIVE, ACCEPT], "returned with the socket open"),
        ([CLOSE], "'websocket.close' was sent before 'websocket.connect' was received"),
        ([DENY, DENY_BODY], "was sent before 'websocket.connect' was received"),
        ([RECEIVE, DENY, {**DENY_BODY, "more_body": True}, DENY_BODY], "granian takes one body message"),
    ],
)
async def test_strict_asks_for_what_some_server_needs(steps: list[Message], rule: str) -> None:
    await run(steps)
    with pytest.raises(ASGIViolation, match=rule):
        await run(steps, strict=True)


@pytest.mark.parametrize("steps", [[RECEIVE, ACCEPT, CLOSE], [RECEIVE, DENY, DENY_BODY]])
async def test_strict_passes_what_all_servers_take(steps: list[Message]) -> None:
    assert await run(steps, strict=True)


@pytest.mark.parametrize(
    "inputs, rule",
    [
        ([CONNECT, CONNECT], "the server sent 'websocket.connect' twice"),
        ([TEXT], "the server sent 'websocket.receive' before 'websocket.connect'"),
        ([CONNECT, TEXT], "the server sent 'websocket.receive' before 'websocket.accept'"),
        ([{"type": "http.request"}], "the server sent 'http.request' in a websocket scope"),
        ([{**LEFT, "code": "1000"}], "the code '1000', not an int"),
        ([{**LEFT, "reason": b"x"}], "the reason b'x', not a str"),
    ],
)
async def test_a_server_that_breaks_a_rule_is_told_so(inputs: list[Message], rule: str) -> None:
    with pytest.raises(ASGIViolation, match=rule):
        await run([RECEIVE] * len(inputs), *inputs)
    found: list[ASGIViolation] = []
    await run([RECEIVE] * len(inputs), *inputs, on_violation=found.append)
    assert re.search(rule, found[0].rule)


@pytest.mark.parametrize("frame", [{}, {"text": "", "bytes": b""}, {"text": b""}, {"bytes": ""}])
async def test_a_received_frame_has_one_payload_of_its_type(frame: dict[str, Any]) -> None:
    with pytest.raises(ASGIViolation, match="the server's 'websocket.receive'"):
        await run([RECEIVE, ACCEPT, RECEIVE], CONNECT, {"type": "websocket.receive", **frame})


@pytest.mark.parametrize("keys", [{}, {"code": None}, {"code": 1000, "reason": None}])
async def test_a_disconnect_may_lack_code_and_reason(keys: dict[str, Any]) -> None:
    await run([RECEIVE, RECEIVE], CONNECT, {"type": "websocket.disconnect", **keys})


async def test_after_send_has_raised_no_answer_is_due() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(OSError):
            await send({"type": "websocket.accept", "headers": []})

    async def connect() -> Message:
        return CONNECT

    async def broken(message: Message) -> None:
        raise OSError

    await lint(app)(websocket_scope(), connect, broken)
