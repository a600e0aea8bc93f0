"""The lint's rules for requests and responses: each with an application that breaks it and one that keeps it."""

from __future__ import annotations

import re
import tempfile
from typing import Any

import pytest

from microasgi.testing import ASGIViolation, http_scope, lint
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b"hello"}
END: Message = {"type": "http.response.body", "body": b""}
PART: Message = {"type": "http.response.body", "body": b"part", "more_body": True}
FILE = tempfile.gettempdir() + "/file"


def start(status: Any = 200, *headers: Any, **keys: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers), **keys}


def ext(name: str, **keys: Any) -> Message:
    return {"type": f"http.response.{name}", **keys}


def sends(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def run(
    app: ASGIApp, *inputs: Message, method: str = "GET", offers: tuple[str, ...] = (), **options: Any
) -> list[Message]:
    """Play a server that does as it is told, and return what the application sent."""
    queue = list(inputs)
    sent: list[Message] = []

    async def receive() -> Message:
        return queue.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = http_scope(method, extensions={f"http.response.{name}": {} for name in offers})
    await lint(app, **options)(scope, receive, send)
    return sent


ILLEGAL = {
    "no message at all": ([], "returned without a response"),
    "no last body message": ([START, PART], "returned without a last 'http.response.body'"),
    "start only": ([START], "returned without a last"),
    "two starts": ([START, START], "'http.response.start' was sent twice"),
    "a body before start": ([BODY], "'http.response.body' was sent before 'http.response.start'"),
    "a body after the last": ([START, BODY, BODY], "was sent after the last body message"),
    "an unknown message": ([{"type": "http.response.strat"}], "'http.response.strat' is not a message"),
    "a message of another protocol": ([{"type": "websocket.accept"}], "'websocket.accept' is not a message"),
    "a message without a type": ([{}], "None is not a message"),
    "a missing status": ([{"type": "http.response.start", "headers": []}], "status must be an int .* not None"),
    "a status as text": ([start("200")], "status must be an int"),
    "a status as bool": ([start(True)], "status must be an int"),
    "a status out of range": ([start(600)], "from 100 to 599, not 600"),
    "headers as a dict": ([{**START, "headers": {}}], "headers must be a list .* not dict"),
    "headers as a generator": ([{**START, "headers": iter([])}], "headers must be a list"),
    "headers of None": ([{**START, "headers": None}], "headers must be a list .* not None"),
    "a header of three": ([start(200, (b"a", b"b", b"c"))], "must be a \\(name, value\\) pair"),
    "a header as text": ([start(200, ("a", b"b"))], "must be bytes, not str and bytes"),
    "a header value as bytearray": ([start(200, (b"a", bytearray(b"b")))], "must be bytes, not bytes and bytearray"),
    "a header name in upper case": ([start(200, (b"Content-Type", b"x"))], "write b'content-type'"),
    "a header name with a space": ([start(200, (b"a b", b"x"))], "is not a header name"),
    "an empty header name": ([start(200, (b"", b"x"))], "is not a header name"),
    "a pseudo header": ([start(200, (b":status", b"200"))], "is a pseudo header"),
    "transfer-encoding": (
        [start(200, (b"transfer-encoding", b"chunked"))],
        "b'transfer-encoding' belongs to the server",
    ),
    "CR in a value": ([start(200, (b"a", b"x\ry"))], "holds CR, LF or NUL"),
    "LF in a value": ([start(200, (b"a", b"x\ny"))], "holds CR, LF or NUL"),
    "NUL in a value": ([start(200, (b"a", b"x\x00y"))], "holds CR, LF or NUL"),
    "a body too long for content-length": ([start(200, (b"content-length", b"4")), BODY], "5 bytes were sent"),
    "a body too short": ([start(200, (b"content-length", b"6")), BODY], "the body ended after 5 bytes"),
    "content-length of letters": ([start(200, (b"content-length", b"x"))], "must be one header of digits"),
    "two content-lengths": ([start(200, *[(b"content-length", b"5")] * 2)], "must be one header of digits"),
    "a huge content-length": ([start(200, (b"content-length", b"9" * 5000))], "must be one header of digits"),
    "a body of a 204": ([start(204), BODY], "a 204 response to GET has no body, 5 bytes were sent"),
    "a body of a 304": ([start(304), BODY], "a 304 response to GET has no body"),
    "a body of a 100": ([start(100), BODY], "a 100 response to GET has no body"),
    "a body as bytearray": ([START, {**BODY, "body": bytearray(b"x")}], "body must be bytes, not bytearray"),
    "a body as text": ([START, {**BODY, "body": "x"}], "body must be bytes, not str"),
    "more_body as int": ([START, {**BODY, "more_body": 1}], "more_body must be a bool, not 1"),
    "trailers as text in start": ([start(trailers="yes")], "trailers must be a bool"),
    "an object in a message": ([{**START, "extra": object()}], "message\\['extra'\\] is object"),
    "a memoryview in a message": ([{**START, "extra": [memoryview(b"")]}], "message\\['extra'\\]\\[0\\] is memoryview"),
    "an int of 65 bits": ([{**START, "extra": 2**63}], "does not fit in 64 bits"),
    "an infinite float": ([{**START, "extra": float("inf")}], "not a finite number"),
    "a dict key that is no str": ([{**START, "extra": {1: 2}}], "has the key 1"),
}

LEGAL = {
    "one body": [START, BODY],
    "several bodies": [START, PART, PART, END],
    "a body message without body": [START, {"type": "http.response.body"}],
    "no headers key": [{"type": "http.response.start", "status": 200}, BODY],
    "headers as lists": [start(200, [b"a", b"b"]), BODY],
    "a repeated header": [start(200, (b"set-cookie", b"a"), (b"set-cookie", b"b")), BODY],
    "an exact content-length": [start(200, (b"content-length", b"5")), BODY],
    "an exact content-length in parts": [start(200, (b"content-length", b"8")), PART, PART, END],
    "a 204": [start(204), END],
    "a 304 with the length of what was not sent": [start(304, (b"content-length", b"5")), END],
    "plain data of all kinds": [{**START, "extra": [1, 1.5, True, None, "x", b"x", {"k": (1,)}]}, BODY],
}

EXTENSIONS_ILLEGAL = {
    "early hints not offered": ([ext("early_hint", links=[])], (), "does not offer 'http.response.early_hint'"),
    "trailers not offered": ([start(trailers=True)], (), "does not offer 'http.response.trailers'"),
    "pathsend not offered": ([START, ext("pathsend", path=FILE)], (), "does not offer 'http.response.pathsend'"),
    "zerocopysend not offered": ([START, ext("zerocopysend", file=1)], (), "does not offer 'http.response.zero"),
    "push not offered": ([START, ext("push", path="/", headers=[])], (), "does not offer 'http.response.push'"),
    "debug not offered": ([ext("debug", info={})], (), "does not offer 'http.response.debug'"),
    "an early hint of text": ([ext("early_hint", links=["x"])], ("early_hint",), "needs a list of bytes"),
    "an early hint of nothing": ([ext("early_hint")], ("early_hint",), "needs a list of bytes"),
    "an early hint at the end": ([START, BODY, ext("early_hint", links=[])], ("early_hint",), "after the last body"),
    "unannounced trailers": ([START, BODY, ext("trailers", headers=[])], ("trailers",), "did not say trailers True"),
    "trailers too early": ([start(trailers=True), PART, ext("trailers")], ("trailers",), "before the last body"),
    "trailers twice": ([start(trailers=True), BODY, *[ext("trailers")] * 2], ("trailers",), "after the last ones"),
    "trailers forgotten": ([start(trailers=True), BODY], ("trailers",), "announced trailers and returned without"),
    "trailers in upper case": (
        [start(trailers=True), BODY, ext("trailers", headers=[(b"X", b"y")])],
        ("trailers",),
        "write b'x'",
    ),
    "a relative path": ([START, ext("pathsend", path="file")], ("pathsend",), "needs an absolute path"),
    "a path of bytes": ([START, ext("pathsend", path=b"/file")], ("pathsend",), "needs an absolute path"),
    "pathsend before start": ([ext("pathsend", path=FILE)], ("pathsend",), "sent before 'http.response.start'"),
    "pathsend twice": ([START, *[ext("pathsend", path=FILE)] * 2], ("pathsend",), "after the last body message"),
    "pathsend after a body": ([START, PART, ext("pathsend", path=FILE)], ("pathsend",), "mixed with"),
    "zerocopysend without a file": ([START, ext("zerocopysend")], ("zerocopysend",), "an int as file, not None"),
    "zerocopysend with a bad offset": (
        [START, ext("zerocopysend", file=1, offset="0")],
        ("zerocopysend",),
        "an int as offset",
    ),
    "zerocopysend after the end": ([START, BODY, ext("zerocopysend", file=1)], ("zerocopysend",), "after the last"),
    "push before start": ([ext("push", path="/", headers=[])], ("push",), "sent before 'http.response.start'"),
    "push without a path": ([START, ext("push", headers=[])], ("push",), "needs a path"),
    "push with bad headers": ([START, ext("push", path="/", headers=[1])], ("push",), "pair, not 1"),
    "debug twice": ([ext("debug", info={}), ext("debug", info={})], ("debug",), "was sent twice"),
    "debug after start": ([START, ext("debug", info={})], ("debug",), "was sent after start"),
    "debug without info": ([ext("debug")], ("debug",), "needs a dict as info"),
}

EXTENSIONS_LEGAL = {
    "early hints": ([ext("early_hint", links=[b"<a>"]), START, BODY], ("early_hint",)),
    "trailers": ([start(trailers=True), BODY, ext("trailers", headers=[(b"a", b"b")])], ("trailers",)),
    "trailers in two messages": (
        [start(trailers=True), BODY, ext("trailers", more_trailers=True), ext("trailers")],
        ("trailers",),
    ),
    "pathsend": ([start(200, (b"content-length", b"99")), ext("pathsend", path=FILE)], ("pathsend",)),
    "zerocopysend in parts": (
        [START, PART, ext("zerocopysend", file=1, offset=0, count=9, more_body=True), ext("zerocopysend", file=1)],
        ("zerocopysend",),
    ),
    "push": ([START, ext("push", path="/", headers=[(b"a", b"b")]), BODY], ("push",)),
    "debug with any object": ([ext("debug", info={"x": object()}), START, BODY], ("debug",)),
}


@pytest.mark.parametrize("messages, rule", ILLEGAL.values(), ids=ILLEGAL.keys())
async def test_an_illegal_response_is_a_violation(messages: list[Message], rule: str) -> None:
    with pytest.raises(ASGIViolation, match=rule):
        await run(sends(*messages))


@pytest.mark.parametrize("messages, rule", ILLEGAL.values(), ids=ILLEGAL.keys())
async def test_a_collector_is_told_of_it_first_and_every_message_passes(messages: list[Message], rule: str) -> None:
    found: list[ASGIViolation] = []
    assert await run(sends(*messages), on_violation=found.append) == messages
    assert re.search(rule, found[0].rule)


@pytest.mark.parametrize("messages", LEGAL.values(), ids=LEGAL.keys())
async def test_a_legal_response_passes_unchanged(messages: list[Message]) -> None:
    assert await run(sends(*messages)) == messages


@pytest.mark.parametrize("messages, offers, rule", EXTENSIONS_ILLEGAL.values(), ids=EXTENSIONS_ILLEGAL.keys())
async def test_an_illegal_extension_message_is_a_violation(
    messages: list[Message], offers: tuple[str, ...], rule: str
) -> None:
    with pytest.raises(ASGIViolation, match=rule):
        await run(sends(*messages), offers=offers)


@pytest.mark.parametrize("messages, offers", EXTENSIONS_LEGAL.values(), ids=EXTENSIONS_LEGAL.keys())
async def test_a_legal_extension_message_passes(messages: list[Message], offers: tuple[str, ...]) -> None:
    assert await run(sends(*messages), offers=offers) == messages


async def test_pathsend_and_a_body_are_not_mixed() -> None:
    with pytest.raises(ASGIViolation, match="was mixed with 'http.response.pathsend'"):
        await run(sends(START, ext("pathsend", path=FILE), BODY), offers=("pathsend",))


async def test_head_takes_no_body() -> None:
    with pytest.raises(ASGIViolation, match="a 200 response to HEAD has no body"):
        await run(sends(START, BODY), method="HEAD")


async def test_head_tells_the_length_of_what_get_would_send() -> None:
    messages = [start(200, (b"content-length", b"5")), END]
    assert await run(sends(*messages), method="HEAD") == messages


@pytest.mark.parametrize(
    "messages, rule",
    [
        ([{"type": "http.response.start", "status": 200}, BODY], "headers is missing"),
        ([start(204, (b"content-length", b"0")), END], "a 204 response carries no content-length"),
    ],
)
async def test_strict_asks_for_what_some_server_needs(messages: list[Message], rule: str) -> None:
    await run(sends(*messages))
    with pytest.raises(ASGIViolation, match=rule):
        await run(sends(*messages), strict=True)


async def test_strict_passes_a_plain_response() -> None:
    assert await run(sends(start(200, (b"content-length", b"5")), BODY), strict=True)


async def test_receive_after_disconnect_is_a_violation() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    with pytest.raises(ASGIViolation, match="called again after 'http.disconnect'"):
        await run(app, {"type": "http.disconnect"}, {"type": "http.disconnect"})


async def test_after_a_disconnect_no_response_is_due() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await receive()

    assert await run(app, {"type": "http.disconnect"}) == [START]


async def test_after_send_has_raised_no_response_is_due() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with pytest.raises(OSError, match="gone"):
            await send(START)

    async def never() -> Message:
        raise AssertionError

    async def broken(message: Message) -> None:
        raise OSError("gone")

    await lint(app)(http_scope(), never, broken)


@pytest.mark.parametrize(
    "inputs, rule",
    [
        ([{"type": "http.requets"}], "the server sent 'http.requets'"),
        ([{"type": "websocket.receive"}], "the server sent 'websocket.receive' in an http scope"),
        ([{"type": "http.request", "body": "x"}], "the server sent a body of str"),
        ([{"type": "http.request", "body": bytearray()}], "the server sent a body of bytearray"),
        ([{"type": "http.request", "more_body": 1}], "the server sent more_body 1"),
        ([{"type": "http.request"}, {"type": "http.request"}], "after the last one"),
    ],
)
async def test_a_server_that_breaks_a_rule_is_told_so(inputs: list[Message], rule: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in inputs:
            await receive()

    with pytest.raises(ASGIViolation, match=rule):
        await run(app, *inputs)
    found: list[ASGIViolation] = []
    await run(app, *inputs, on_violation=found.append)
    assert re.search(rule, found[0].rule)


async def test_a_request_in_chunks_and_its_disconnect_pass() -> None:
    inputs: list[Message] = [
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "unknown": 1},
        {"type": "http.disconnect"},
    ]
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in inputs:
            seen.append(await receive())

    await run(app, *inputs)
    assert seen == inputs
