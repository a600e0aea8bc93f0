"""A websocket says nothing that its state or a server forbids, and ends the same way on every server."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

import microasgi.socketconnection
from microasgi.errors import Errors
from microasgi.exceptions import WebSocketDisconnect, WebSocketStateError
from microasgi.responses import PlainTextResponse
from microasgi.sockets import socket_app
from microasgi.streaming import StreamingResponse
from microasgi.testing import lint
from microasgi.types import Message, Receive, Scope, Send
from microasgi.websockets import WebSocket, WebSocketState
from tests.strict_server import StrictServer, websocket_scope

pytestmark = pytest.mark.anyio

CONNECT: Message = {"type": "websocket.connect"}
OFFERS_DENIAL = {"websocket.http.response": {}}
LATEST = {"version": "3.0", "spec_version": "2.5"}


def text(data: str) -> Message:
    return {"type": "websocket.receive", "text": data}


def binary(data: bytes) -> Message:
    return {"type": "websocket.receive", "bytes": data}


def left(code: int | None = 1001, reason: str = "") -> Message:
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def socket_of(*messages: Message, **keys: Any) -> tuple[WebSocket, StrictServer]:
    server = StrictServer(CONNECT, *messages)
    keys = {"asgi": LATEST, "extensions": OFFERS_DENIAL, **keys}
    return WebSocket(websocket_scope(**keys), server.receive, server.send), server


async def open_socket(*messages: Message, **keys: Any) -> tuple[WebSocket, StrictServer]:
    websocket, server = socket_of(*messages, **keys)
    await websocket.accept()
    server.sent.clear()
    return websocket, server


class Holder:
    def __init__(self, max_message_size: int | None) -> None:
        self.max_message_size = max_message_size


# Every call in every state.

START: Message = {"type": "websocket.http.response.start", "status": 401, "headers": []}
BODY: Message = {"type": "websocket.http.response.body", "body": b""}
MORE: Message = {"type": "websocket.http.response.body", "body": b"", "more_body": True}

CALLS: dict[str, Callable[[WebSocket], Awaitable[Any]]] = {
    "accept": lambda ws: ws.accept(),
    "close": lambda ws: ws.close(),
    "send_denial_response": lambda ws: ws.send_denial_response(PlainTextResponse("", 401)),
    "send_text": lambda ws: ws.send_text("a"),
    "send_bytes": lambda ws: ws.send_bytes(b"a"),
    "send_json": lambda ws: ws.send_json(1),
    "send of accept": lambda ws: ws.send({"type": "websocket.accept"}),
    "send of close": lambda ws: ws.send({"type": "websocket.close"}),
    "send of text": lambda ws: ws.send({"type": "websocket.send", "text": "a"}),
    "send of bytes": lambda ws: ws.send({"type": "websocket.send", "bytes": b"a"}),
    "send of a denial": lambda ws: ws.send(START),
    "send of more denial": lambda ws: ws.send(MORE),
    "send of a denial's end": lambda ws: ws.send(BODY),
    "receive": lambda ws: ws.receive(),
    "receive_text": lambda ws: ws.receive_text(),
    "receive_bytes": lambda ws: ws.receive_bytes(),
    "receive_json": lambda ws: ws.receive_json(),
    "iter_text": lambda ws: anext(ws.iter_text(), "end"),
    "iter_bytes": lambda ws: anext(ws.iter_bytes(), "end"),
    "iter_json": lambda ws: anext(ws.iter_json(), "end"),
}
OK, QUIET, STATE, GONE = "does it", "does nothing", WebSocketStateError, WebSocketDisconnect
# In which state (connecting, connected, being denied, denied, closed, disconnected) what comes of it.
OUTCOMES: dict[str, tuple[Any, Any, Any, Any, Any, Any]] = {
    "accept": (OK, STATE, STATE, STATE, STATE, GONE),
    "close": (OK, OK, QUIET, QUIET, QUIET, QUIET),
    "send_denial_response": (OK, STATE, STATE, STATE, STATE, QUIET),
    "send_text": (STATE, OK, STATE, STATE, STATE, GONE),
    "send_bytes": (STATE, OK, STATE, STATE, STATE, GONE),
    "send_json": (STATE, OK, STATE, STATE, STATE, GONE),
    "send of accept": (OK, STATE, STATE, STATE, STATE, GONE),
    "send of close": (OK, OK, QUIET, QUIET, QUIET, QUIET),
    "send of text": (STATE, OK, STATE, STATE, STATE, GONE),
    "send of bytes": (STATE, OK, STATE, STATE, STATE, GONE),
    "send of a denial": (OK, STATE, STATE, STATE, STATE, GONE),
    "send of more denial": (STATE, STATE, OK, STATE, STATE, GONE),
    "send of a denial's end": (STATE, STATE, OK, STATE, STATE, GONE),
    "receive": (OK, OK, STATE, STATE, GONE, GONE),
    "receive_text": (STATE, OK, STATE, STATE, GONE, GONE),
    "receive_bytes": (STATE, OK, STATE, STATE, GONE, GONE),
    "receive_json": (STATE, OK, STATE, STATE, GONE, GONE),
    "iter_text": (STATE, OK, STATE, STATE, QUIET, QUIET),
    "iter_bytes": (STATE, OK, STATE, STATE, QUIET, QUIET),
    "iter_json": (STATE, OK, STATE, STATE, QUIET, QUIET),
}
LISTENING = ("receive", "receive_text", "receive_json", "iter_text", "iter_json")


async def socket_in(state: WebSocketState, call: str) -> tuple[WebSocket, StrictServer]:
    if state is WebSocketState.DISCONNECTED:
        websocket, server = await open_socket(left(4000, "bye"))
        await websocket.receive()
    else:
        websocket, server = socket_of(text("1") if call in LISTENING else binary(b"1"))
    if state is WebSocketState.CONNECTED or state is WebSocketState.CLOSED:
        await websocket.accept()
    if state is WebSocketState.CLOSED:
        await websocket.close(3000, "done")
    if state is WebSocketState.DENYING or state is WebSocketState.DENIED:
        await websocket.send(START)
    if state is WebSocketState.DENIED:
        await websocket.send(BODY)
    assert websocket.socket_state is state
    server.sent.clear()
    return websocket, server


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("state", WebSocketState, ids=lambda state: state.value)
async def test_a_call_does_what_the_table_says(state: WebSocketState, call: str) -> None:
    websocket, server = await socket_in(state, call)
    expected, heard = OUTCOMES[call][list(WebSocketState).index(state)], server.calls
    if expected is OK:
        await CALLS[call](websocket)
        assert server.sent or server.calls > heard
        return
    if expected is QUIET:
        assert await CALLS[call](websocket) in (None, "end")
    else:
        with pytest.raises(expected) as caught:
            await CALLS[call](websocket)
        if expected is GONE:
            assert caught.value.code == (4000 if state is WebSocketState.DISCONNECTED else 3000)
        else:
            assert f"on a websocket that is {state.value}: " in str(caught.value)
    assert (server.sent, server.calls) == ([], heard)
    assert websocket.socket_state is state


def test_the_table_is_whole() -> None:
    assert OUTCOMES.keys() == CALLS.keys()
    assert len(set(map(len, OUTCOMES.values())) | {len(WebSocketState)}) == 1


# The handshake.


def test_it_is_made_of_a_websocket_scope_only() -> None:
    with pytest.raises(ValueError, match="needs a websocket scope, this one is 'http'"):
        WebSocket({"type": "http"}, StrictServer().receive, StrictServer().send)


async def test_accept_waits_for_the_handshake_and_answers_it() -> None:
    websocket, server = socket_of()
    await websocket.accept()
    assert server.sent == [{"type": "websocket.accept", "subprotocol": None, "headers": []}]
    assert server.calls == 1


async def test_the_handshake_can_be_received_first_as_in_the_specification() -> None:
    websocket, server = socket_of(text("a"))
    assert await websocket.receive() == CONNECT
    with pytest.raises(WebSocketStateError, match=r"call `await websocket.accept\(\)` first"):
        await websocket.receive()
    await websocket.accept()
    assert await websocket.receive() == text("a")
    assert server.calls == 2


async def test_a_peer_that_leaves_before_the_handshake_is_heard_once() -> None:
    server = StrictServer(left(1006))
    websocket = WebSocket(websocket_scope(), server.receive, server.send)
    for call in (websocket.accept, websocket.accept, websocket.receive):
        with pytest.raises(WebSocketDisconnect) as caught:
            await call()
        assert caught.value.code == 1006
    await websocket.close()
    assert server.sent == []


@pytest.mark.parametrize("call", ["close", "send_denial_response"])
@pytest.mark.parametrize("extensions", [{}, OFFERS_DENIAL])
async def test_refusing_is_quiet_when_the_peer_has_left(call: str, extensions: Any) -> None:
    server = StrictServer(left())
    await CALLS[call](WebSocket(websocket_scope(extensions=extensions), server.receive, server.send))
    assert server.sent == []


@pytest.mark.parametrize("fails_after", [0, 1])
async def test_a_denial_is_quiet_when_the_peer_leaves_during_it(fails_after: int) -> None:
    websocket, server = socket_of()
    server.send_fails_after = fails_after
    await websocket.send_denial_response(PlainTextResponse("no"))
    assert websocket.socket_state is WebSocketState.DISCONNECTED


@pytest.mark.parametrize("message", [{"type": "websocket.receive", "text": "a"}, {"type": "http.request"}, {}])
async def test_anything_else_in_place_of_the_handshake_is_an_error(message: Message) -> None:
    server = StrictServer(message)
    with pytest.raises(RuntimeError, match="before the handshake"):
        await WebSocket(websocket_scope(), server.receive, server.send).accept()


@pytest.mark.parametrize("offered", [None, [], ["a", "b"], ("a",)])
def test_the_offered_subprotocols_are_a_list(offered: Any) -> None:
    websocket, _ = socket_of(subprotocols=offered)
    assert websocket.subprotocols == list(offered or [])


async def test_an_offered_subprotocol_is_accepted() -> None:
    websocket, server = socket_of(subprotocols=["a", "b"])
    await websocket.accept("b")
    assert server.sent[0]["subprotocol"] == "b"


async def test_a_subprotocol_that_was_not_offered_is_refused() -> None:
    websocket, server = socket_of(subprotocols=["a"])
    with pytest.raises(ValueError, match=r"'b' was not offered; the client offers \['a'\]"):
        await websocket.accept("b")
    assert server.sent == []
    await websocket.accept("a")


@pytest.mark.parametrize("headers", [{"X-A": "b"}, [(b"X-A", b"b")], [("x-a", "b")], ((b"X-a", b"b"),)])
async def test_headers_are_sent_with_the_acceptance(headers: Any) -> None:
    websocket, server = socket_of()
    await websocket.accept(headers=headers)
    assert server.sent[0]["headers"] == [(b"x-a", b"b")]


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"a b": "c"}, "token"),
        ({"a": "b\r\nc: d"}, "control character"),
        ([(b"a", b"b\0")], "control character"),
        ({"Sec-WebSocket-Protocol": "a"}, r"accept\(subprotocol=...\)"),
    ],
)
async def test_headers_that_may_not_be_sent_are_refused_and_the_handshake_stays_open(
    headers: Any, problem: str
) -> None:
    websocket, server = socket_of()
    with pytest.raises(ValueError, match=problem):
        await websocket.accept(headers=headers)
    assert server.sent == []
    await websocket.accept()


@pytest.mark.parametrize(
    ("asgi", "understood"),
    [
        ({"spec_version": "2.1"}, True),
        ({"spec_version": "2.10"}, True),
        ({"spec_version": "3.0"}, True),
        ({"spec_version": "2.0"}, False),
        ({"spec_version": "new"}, False),
        ({"spec_version": ""}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_headers_are_kept_from_servers_that_do_not_know_them(asgi: Any, understood: bool) -> None:
    websocket, server = socket_of(asgi=asgi)
    await websocket.accept(headers={"x-a": "b"})
    assert bool(server.sent[0]["headers"]) is understood


async def test_both_sides_have_a_state() -> None:
    websocket, _ = socket_of(left())
    states = [(websocket.client_state, websocket.application_state)]
    await websocket.receive()
    states.append((websocket.client_state, websocket.application_state))
    await websocket.accept()
    states.append((websocket.client_state, websocket.application_state))
    await websocket.receive()
    states.append((websocket.client_state, websocket.application_state))
    connecting, connected, gone = WebSocketState.CONNECTING, WebSocketState.CONNECTED, WebSocketState.DISCONNECTED
    assert states == [(connecting, connecting), (connected, connecting), (connected, connected), (gone, gone)]


async def test_a_closed_socket_is_left_by_this_side_only() -> None:
    websocket, _ = await open_socket()
    await websocket.close()
    assert websocket.client_state is WebSocketState.CONNECTED
    assert websocket.application_state is WebSocketState.DISCONNECTED


# Refusing it.


async def test_a_refusal_answers_the_handshake() -> None:
    websocket, server = socket_of()
    await websocket.close(1008)
    assert server.sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]
    assert server.calls == 1


@pytest.mark.parametrize(("kind", "content"), [(PlainTextResponse, "no"), (StreamingResponse, ["n", "o"])])
async def test_a_refusal_may_be_a_response_in_one_message(kind: Any, content: Any) -> None:
    websocket, server = socket_of()
    await websocket.send_denial_response(kind(content, 401))
    assert [message["type"] for message in server.sent] == [START["type"], BODY["type"]]
    assert server.sent[0]["status"] == 401
    assert server.body == b"no"
    assert websocket.socket_state is WebSocketState.DENIED


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
async def test_where_the_server_takes_no_response_the_refusal_is_a_403(extensions: Any) -> None:
    websocket, server = socket_of(extensions=extensions)
    await websocket.send_denial_response(PlainTextResponse("no", 401))
    assert server.kinds == ["websocket.close"]
    for message in (START, BODY):
        with pytest.raises(ValueError, match="not offered by the server"):
            await websocket.send(message)


# Receiving.


@pytest.mark.parametrize("data", ["a", "", "é" * 100, "\U0001f600"])
async def test_text_is_received_even_if_there_is_none(data: str) -> None:
    websocket, _ = await open_socket(text(data), {**text(data), "bytes": None})
    assert [await websocket.receive_text(), await websocket.receive_text()] == [data, data]


@pytest.mark.parametrize("data", [b"a", b""])
async def test_bytes_are_received_even_if_there_are_none(data: bytes) -> None:
    websocket, _ = await open_socket(binary(data), {**binary(data), "text": None})
    assert [await websocket.receive_bytes(), await websocket.receive_bytes()] == [data, data]


@pytest.mark.parametrize("mode", ["text", "binary"])
async def test_json_is_received_in_both_modes(mode: Any) -> None:
    websocket, _ = await open_socket(text('{"a":["é"]}') if mode == "text" else binary('{"a":["é"]}'.encode()))
    assert await websocket.receive_json(mode) == {"a": ["é"]}


@pytest.mark.parametrize("message", [text("a"), text(""), binary(b"a"), {**text("a"), "bytes": None, "x": 1}])
async def test_a_message_is_received_as_it_came(message: Message) -> None:
    websocket, _ = await open_socket(message)
    assert await websocket.receive() == message


@pytest.mark.parametrize(("call", "message"), [("receive_text", binary(b"")), ("receive_bytes", text(""))])
async def test_a_message_of_the_wrong_type_closes_with_1003(call: str, message: Message) -> None:
    websocket, server = await open_socket(message)
    with pytest.raises(WebSocketDisconnect, match="expected") as caught:
        await getattr(websocket, call)()
    assert caught.value.code == server.sent[0]["code"] == 1003
    assert websocket.socket_state is WebSocketState.CLOSED


@pytest.mark.parametrize("message", [text("{"), text(""), text("NaN"), text("\ud800"), text("[" * 10_000)])
async def test_what_is_no_json_closes_with_1007(message: Message) -> None:
    websocket, server = await open_socket(message)
    with pytest.raises(WebSocketDisconnect, match="not JSON"):
        await websocket.receive_json()
    assert server.sent == [{"type": "websocket.close", "code": 1007, "reason": "not JSON"}]


async def test_binary_that_is_no_json_closes_with_1007() -> None:
    websocket, server = await open_socket(binary(b"\xff"))
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_json("binary")
    assert server.sent[0]["code"] == 1007


@pytest.mark.parametrize(
    ("message", "size"), [(text("é" * 10), 20), (text("a" * 20), 20), (binary(b"a" * 20), 20), (text("\U0001f600"), 4)]
)
@pytest.mark.parametrize("raw", [True, False])
async def test_a_message_is_measured_in_bytes(message: Message, size: int, raw: bool) -> None:
    call = "receive" if raw else "receive_text" if "text" in message else "receive_bytes"
    websocket, _ = await open_socket(message, route=Holder(size))
    assert await getattr(websocket, call)()
    websocket, server = await open_socket(message, route=Holder(size - 1))
    with pytest.raises(WebSocketDisconnect) as caught:
        await getattr(websocket, call)()
    assert caught.value.code == server.sent[0]["code"] == 1009
    assert caught.value.reason == f"messages have at most {size - 1} bytes"


@pytest.mark.parametrize(
    ("route", "app", "limit"),
    [
        (None, None, 1024 * 1024),
        (Holder(5), Holder(6), 5),
        (Holder(None), Holder(6), 6),
        (Holder(None), Holder(None), 1024 * 1024),
        (object(), object(), 1024 * 1024),
    ],
)
async def test_the_limit_is_that_of_the_route_else_of_the_application(route: Any, app: Any, limit: int) -> None:
    websocket, _ = await open_socket(text("x" * limit), text("x" * (limit + 1)), route=route, app=app)
    assert len(await websocket.receive_text()) == limit
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.receive"},
        {"type": "websocket.receive", "text": None, "bytes": None},
        {"type": "websocket.receive", "text": b"a"},
        {"type": "websocket.receive", "text": 5, "bytes": b"a"},
        {"type": "websocket.receive", "bytes": "a"},
        {"type": "websocket.receive", "text": 5},
        {"type": "websocket.send", "text": "a"},
        {"type": "http.request", "body": b""},
        {"text": "a"},
        {},
    ],
)
@pytest.mark.parametrize("call", ["receive", "receive_text", "receive_bytes", "receive_json"])
async def test_what_the_server_may_not_send_is_an_error(message: Message, call: str) -> None:
    websocket, _ = await open_socket(text("first"), message)
    await websocket.receive_text()
    with pytest.raises(RuntimeError, match="no message of an open websocket"):
        await getattr(websocket, call)()


# The peer leaves.


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (left(1001, "bye"), 1001, "bye"),
        ({"type": "websocket.disconnect"}, 1005, ""),
        ({"type": "websocket.disconnect", "code": None, "reason": None}, 1005, ""),
        ({"type": "websocket.disconnect", "code": 0}, 0, ""),
    ],
)
@pytest.mark.parametrize("call", ["receive_text", "receive_bytes", "receive_json"])
async def test_a_disconnect_is_raised_with_its_code_now_and_later(
    message: Message, code: int, reason: str, call: str
) -> None:
    websocket, server = await open_socket(message)
    for again in (call, call, "receive"):
        with pytest.raises(WebSocketDisconnect) as caught:
            await getattr(websocket, again)()
        assert (caught.value.code, caught.value.reason) == (code, reason)
    assert server.calls == 2


async def test_receive_gives_the_disconnect_once() -> None:
    websocket, _ = await open_socket(left(4000))
    assert await websocket.receive() == left(4000)
    with pytest.raises(WebSocketDisconnect, match="4000"):
        await websocket.receive()


@pytest.mark.parametrize("call", ["send_text", "send_bytes", "send_json", "send of text", "send of bytes"])
async def test_an_oserror_out_of_send_says_that_the_peer_has_left(call: str) -> None:
    websocket, server = await open_socket()
    server.send_fails_after = 0
    for _ in range(2):
        with pytest.raises(WebSocketDisconnect) as caught:
            await CALLS[call](websocket)
        assert caught.value.code == 1006
    heard = server.calls
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()
    assert server.calls == heard
    await websocket.close()
    assert websocket.socket_state is WebSocketState.DISCONNECTED


@pytest.mark.parametrize("call", ["accept", "send of a denial"])
async def test_an_oserror_while_answering_the_handshake_says_so_too(call: str) -> None:
    websocket, server = socket_of()
    server.send_fails_after = 0
    with pytest.raises(WebSocketDisconnect):
        await CALLS[call](websocket)


async def test_closing_a_socket_that_the_peer_has_left_is_quiet() -> None:
    websocket, server = await open_socket()
    server.send_fails_after = 0
    await websocket.close()
    assert websocket.socket_state is WebSocketState.DISCONNECTED


# Sending.


async def test_messages_are_sent_as_they_are_given() -> None:
    websocket, server = await open_socket()
    await websocket.send_text("é")
    await websocket.send_text("")
    await websocket.send_bytes(b"\xff")
    await websocket.send_bytes(bytearray(b"a"))
    await websocket.send_bytes(memoryview(b"b"))
    await websocket.send_json({"a": "é"})
    await websocket.send_json([1], "binary")
    await websocket.send_message({"type": "websocket.send", "text": "c", "bytes": None})
    assert [message.get("text", message.get("bytes")) for message in server.sent] == [
        *("é", "", b"\xff", b"a", b"b", '{"a":"é"}', b"[1]", "c"),
    ]
    assert all(type(message.get("bytes", b"")) is bytes for message in server.sent)
    assert {message["type"] for message in server.sent} == {"websocket.send"}


@pytest.mark.parametrize("data", [b"a", 5, None, {"a": 1}])
async def test_text_is_text(data: Any) -> None:
    websocket, server = await open_socket()
    with pytest.raises(TypeError, match="send_text takes a str, not"):
        await websocket.send_text(data)
    assert server.sent == []


@pytest.mark.parametrize("data", ["a", 5, None, [1]])
async def test_bytes_are_bytes(data: Any) -> None:
    websocket, server = await open_socket()
    with pytest.raises(TypeError):
        await websocket.send_bytes(data)
    assert server.sent == []


async def test_text_that_utf_8_cannot_hold_does_not_reach_the_server() -> None:
    websocket, server = await open_socket()
    with pytest.raises(ValueError, match="surrogates not allowed"):
        await websocket.send_text("\ud800")
    assert server.sent == []


@pytest.mark.parametrize(
    "message",
    [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": None, "bytes": None},
        {"type": "websocket.send", "text": "a", "bytes": b"a"},
        {"type": "websocket.receive", "text": "a"},
        {"type": "http.response.start"},
    ],
)
async def test_a_message_that_may_not_be_sent_is_refused(message: Message) -> None:
    websocket, server = await open_socket()
    with pytest.raises(ValueError, match="text or bytes|cannot be sent"):
        await websocket.send(message)
    assert server.sent == []


# Closing.


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 4999])
async def test_a_legal_code_is_sent(code: int) -> None:
    websocket, server = await open_socket()
    await websocket.close(code, "why")
    assert server.sent == [{"type": "websocket.close", "code": code, "reason": "why"}]
    await websocket.close(1000)
    assert len(server.sent) == 1


@pytest.mark.parametrize("code", [0, -1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 1000.0, "1000", None, True])
async def test_a_code_that_may_not_be_sent_is_refused(code: Any) -> None:
    websocket, server = await open_socket()
    with pytest.raises(ValueError, match="may not be sent"):
        await websocket.close(code)
    assert server.sent == []
    assert websocket.socket_state is WebSocketState.CONNECTED


@pytest.mark.parametrize(
    ("reason", "legal"), [("x" * 123, True), ("x" * 124, False), ("é" * 62, False), ("\ud800", False)]
)
async def test_a_reason_has_at_most_123_bytes(reason: str, legal: bool) -> None:
    websocket, server = await open_socket()
    if legal:
        await websocket.close(1000, reason)
        assert server.sent[0]["reason"] == reason
        return
    with pytest.raises(ValueError, match="123 bytes|surrogates"):
        await websocket.close(1000, reason)
    assert server.sent == []


@pytest.mark.parametrize("version", ["2.0", "2.2", None])
async def test_a_reason_is_kept_from_servers_that_do_not_know_it(version: str | None) -> None:
    websocket, server = await open_socket(asgi={"spec_version": version} if version else {})
    await websocket.close(1001, "why")
    assert server.sent == [{"type": "websocket.close", "code": 1001, "reason": ""}]
    with pytest.raises(WebSocketDisconnect, match="why"):
        await websocket.receive_text()


class Choosy(StrictServer):
    """A server that, as Daphne, refuses most close codes by an error."""

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.close" and not (message["code"] == 1000 or message["code"] >= 3000):
            raise LookupError("invalid close code")
        await super().send(message)


async def test_a_code_that_the_server_refuses_is_said_in_the_private_range() -> None:
    server = Choosy(CONNECT)
    websocket = WebSocket(websocket_scope(), server.receive, server.send)
    await websocket.accept()
    await websocket.close(1011)
    assert server.sent[-1]["code"] == 4011


async def test_another_error_of_the_server_while_closing_is_let_through() -> None:
    async def send(message: Message) -> None:
        if message["type"] == "websocket.close":
            raise LookupError

    websocket, _ = socket_of()
    websocket = WebSocket(websocket.scope, StrictServer(CONNECT).receive, send)
    await websocket.accept()
    with pytest.raises(LookupError):
        await websocket.close(3000)


# Iterating.


@pytest.mark.parametrize(
    ("call", "messages", "values"),
    [
        ("iter_text", [text("a"), text(""), left()], ["a", ""]),
        ("iter_bytes", [binary(b"a"), binary(b""), left()], [b"a", b""]),
        ("iter_json", [text("1"), text("null"), left()], [1, None]),
        ("iter_text", [text("a"), binary(b"b")], ["a"]),
        ("iter_bytes", [binary(b"a"), text("b")], [b"a"]),
        ("iter_json", [text("1"), text("{")], [1]),
        ("iter_text", [text("a"), text("x" * 2_000_000)], ["a"]),
    ],
)
async def test_an_iteration_ends_with_the_socket(call: str, messages: list[Message], values: list[Any]) -> None:
    websocket, _ = await open_socket(*messages)
    assert [value async for value in getattr(websocket, call)()] == values
    assert [value async for value in getattr(websocket, call)()] == []


async def test_json_is_iterated_over_in_binary_too() -> None:
    websocket, _ = await open_socket(binary(b"[1]"), left())
    assert [value async for value in websocket.iter_json("binary")] == [[1]]


@pytest.mark.parametrize("call", ["iter_text", "iter_bytes", "iter_json"])
async def test_an_iteration_may_be_left_early(call: str) -> None:
    websocket, _ = await open_socket(text("1") if call != "iter_bytes" else binary(b"1"))
    async for _ in getattr(websocket, call)():
        break
    gc.collect()
    assert websocket.socket_state is WebSocketState.CONNECTED


async def test_a_disconnect_while_sending_leaves_the_loop_that_iterates() -> None:
    websocket, server = await open_socket(text("a"))
    server.send_fails_after = 0
    with pytest.raises(WebSocketDisconnect):
        async for message in websocket.iter_text():
            await websocket.send_text(message)


# A handler that only sends.


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microasgi.socketconnection, "_INTERVAL", 0.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["send_text", "send_bytes", "send_json"])
async def test_a_handler_that_only_sends_hears_that_the_peer_has_left(call: str) -> None:
    websocket, _ = await open_socket(left(4000))
    with pytest.raises(WebSocketDisconnect, match="4000"):
        for _ in range(5):
            await CALLS[call](websocket)


@pytest.mark.usefixtures("impatient")
async def test_it_keeps_the_messages_that_came_before_for_whoever_receives() -> None:
    websocket, _ = await open_socket(text("a"), binary(b"b"), text("3"), text("d"))
    for _ in range(5):
        await websocket.send_text("x")
    assert await websocket.receive() == text("a")
    assert await websocket.receive_bytes() == b"b"
    assert await websocket.receive_json() == 3
    assert await anext(websocket.iter_text()) == "d"


@pytest.mark.usefixtures("impatient")
async def test_it_keeps_what_came_before_the_peer_left() -> None:
    websocket, _ = await open_socket(text("a"), left(4000))
    with pytest.raises(WebSocketDisconnect, match="4000"):
        for _ in range(5):
            await websocket.send_text("x")
    assert await websocket.receive_text() == "a"
    with pytest.raises(WebSocketDisconnect, match="4000"):
        await websocket.receive_text()


@pytest.mark.usefixtures("impatient")
async def test_nothing_is_lost_when_who_receives_during_a_look_is_cancelled() -> None:
    websocket, server = await open_socket()
    for _ in range(5):
        await websocket.send_text("x")
    with anyio.move_on_after(0.01):
        await websocket.receive_text()
    server.push(text("a"), text("b"))
    assert [await websocket.receive_text(), await websocket.receive_text()] == ["a", "b"]
    assert websocket._aside is None


@pytest.mark.usefixtures("impatient")
async def test_after_a_close_nothing_is_received_that_was_put_aside() -> None:
    websocket, _ = await open_socket(text("a"))
    for _ in range(5):
        await websocket.send_text("x")
    await websocket.close()
    with pytest.raises(WebSocketDisconnect):
        await websocket.receive_text()


@pytest.mark.usefixtures("impatient")
async def test_what_the_server_raises_at_a_look_reaches_the_handler() -> None:
    async def receive() -> Message:
        if not messages:
            raise ZeroDivisionError
        return messages.pop()

    messages: list[Message] = [CONNECT]
    websocket: WebSocket[Any] = WebSocket(websocket_scope(), receive, StrictServer().send)
    await websocket.accept()
    for call in (websocket.send_text, websocket.send_text, websocket.send_bytes):
        with contextlib.suppress(ZeroDivisionError):
            for _ in range(5):
                await call(b"x" if call == websocket.send_bytes else "x")  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        await websocket.receive_text()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["return", "close", "raise"])
async def test_a_socket_closes_while_a_look_goes_on(how: str) -> None:
    async def handler(websocket: WebSocket[Any]) -> None:
        await websocket.accept()
        for _ in range(5):
            await websocket.send_text("x")
        assert server.receiving
        if how == "close":
            await websocket.close(4001)
            with pytest.raises(WebSocketDisconnect, match="4001"):
                await websocket.receive_text()
        if how == "raise":
            raise ValueError

    server = StrictServer(CONNECT)
    await socket_app(handler, Errors(), None)(websocket_scope(headers=[]), server.receive, server.send)
    assert server.sent[-1]["code"] == {"return": 1000, "close": 4001, "raise": 1011}[how]


@pytest.mark.usefixtures("impatient")
async def test_no_look_goes_on_when_the_handler_has_returned() -> None:
    server = StrictServer(CONNECT)

    async def handler(websocket: WebSocket[Any]) -> None:
        await websocket.accept()
        for _ in range(5):
            await websocket.send_text("x")
        assert server.receiving

    await socket_app(handler, Errors(), None)(websocket_scope(headers=[]), server.receive, server.send)
    await anyio.sleep(0.01)
    assert not server.receiving


@pytest.mark.usefixtures("impatient")
async def test_it_looks_behind_messages_that_nobody_receives() -> None:
    websocket, server = await open_socket(text("a"))
    for _ in range(5):
        await websocket.send_text("x")
    server.push(text("b"), left())
    with pytest.raises(WebSocketDisconnect):
        for _ in range(5):
            await websocket.send_text("x")


@pytest.mark.usefixtures("impatient")
async def test_it_holds_no_more_than_about_1_mib() -> None:
    websocket, server = await open_socket(*[text("x" * 300_000) for _ in range(10)])
    for _ in range(5):
        await websocket.send_text("x")
    assert len(server.inbox) == 6
    for _ in range(10):
        assert len(await websocket.receive_text()) == 300_000
    assert websocket._held == 0


async def test_it_looks_once_in_a_while_only() -> None:
    websocket, server = await open_socket()
    for _ in range(5):
        await websocket.send_text("x")
    assert server.calls == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["receive_text", "receive", "iter_text"])
async def test_one_task_may_receive_while_another_sends(call: str) -> None:
    websocket, server = await open_socket()
    received: list[Any] = []

    async def listen() -> None:
        received.append(await CALLS[call](websocket))

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        await anyio.sleep(0.01)
        for _ in range(5):
            await websocket.send_text("x")
        server.push(text("a"))
    assert received in ([text("a")], ["a"])


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("first", [None, text("a")])
async def test_who_begins_to_receive_during_a_look_waits_for_it(first: Message | None) -> None:
    websocket, server = await open_socket(*[first] if first else [])
    received: list[Message] = []

    async def send() -> None:
        for _ in range(20):
            await websocket.send_text("x")

    async def listen() -> None:
        while not received:
            if websocket._ahead is not None:
                received.append(await websocket.receive())
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        group.start_soon(send)
        group.start_soon(send)
        await anyio.sleep(0.02)
        if first is None:
            server.push(text("a"))
    assert received == [text("a")]


# Whatever comes, whatever is called.

SCOPES = st.fixed_dictionaries(
    {},
    optional={
        "asgi": st.none()
        | st.fixed_dictionaries({}, optional={"spec_version": st.sampled_from(["2.0", "2.5", "x", ""])}),
        "extensions": st.just(OFFERS_DENIAL) | st.none() | st.just({}),
        "subprotocols": st.none() | st.just(["a"]),
        "route": st.none() | st.builds(Holder, st.none() | st.integers(0, 4)),
    },
)
MESSAGES = st.one_of(
    st.just(CONNECT),
    st.builds(text, st.text(max_size=6)),
    st.builds(binary, st.binary(max_size=6)),
    st.builds(left, st.none() | st.integers(0, 5000), st.text(max_size=4)),
    st.fixed_dictionaries(
        {}, optional={"type": st.sampled_from(["websocket.receive", "x"]), "text": st.integers(), "bytes": st.none()}
    ),
)
ARGUMENTS = st.sampled_from(["a", b"a", None, 1000, 1005, "\ud800"])


@given(
    keys=SCOPES,
    handshake=st.booleans(),
    messages=st.lists(MESSAGES, max_size=5),
    calls=st.lists(
        st.sampled_from(sorted(CALLS)) | st.tuples(st.sampled_from(["close", "accept", "send_text"]), ARGUMENTS)
    ),
    fails_after=st.none() | st.integers(0, 4),
)
async def test_whatever_comes_only_the_documented_errors_come_out_and_only_legal_messages_go(
    keys: dict[str, Any], handshake: bool, messages: list[Message], calls: list[Any], fails_after: int | None
) -> None:
    server = StrictServer(*[CONNECT] * handshake, *messages, left())
    server.send_fails_after = fails_after
    violations: list[str] = []
    errors: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        for call in calls:
            try:
                await (CALLS[call](websocket) if isinstance(call, str) else getattr(websocket, call[0])(call[1]))
            except (WebSocketDisconnect, WebSocketStateError, ValueError, TypeError):
                continue
            except RuntimeError as error:
                errors.append(str(error))
                return

    scope = {**websocket_scope(), "asgi": {}, **keys}
    scope["asgi"] = {} if scope["asgi"] in ({"spec_version": "x"}, {"spec_version": ""}) else scope["asgi"]
    await lint(app, on_violation=lambda violation: violations.append(violation.rule))(
        scope, server.receive, server.send
    )
    ours = [rule for rule in violations if "the server" not in rule and "the application returned" not in rule]
    assert ours == []
    assert all("the server sent" in error for error in errors)
