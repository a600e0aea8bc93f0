"""Sockets of both clients: the handshake, messages, and every end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from microasgi.exceptions import WebSocketDisconnect
from microasgi.testing import (
    ASGIViolation,
    AsyncTestClient,
    AsyncWebSocketTestSession,
    TestClient,
    WebSocketDenialResponse,
    WebSocketTestSession,
)
from microasgi.types import ASGIApp, Message, Receive, Scope, Send


def ws(kind: str, **keys: Any) -> Message:
    return {"type": f"websocket.{kind}", **keys}


def app_of(*messages: Message | Exception) -> ASGIApp:
    """Return an application that receives the connect, sends the messages, and raises where one is an exception."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for message in messages:
            if isinstance(message, Exception):
                raise message
            await send(message)

    return app


ACCEPT = ws("accept")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept with what is offered, send every message back, and log the end."""
    await receive()
    await send(ws("accept", subprotocol=next(iter(scope["subprotocols"]), None), headers=[(b"a", b"b")]))
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})
    scope["state"].setdefault("log", []).append(message)


@pytest.fixture(params=["asyncio", "trio"])
def open_client(request: pytest.FixtureRequest) -> Iterator[Any]:
    clients: list[TestClient] = []

    def build(app: ASGIApp, **options: Any) -> TestClient:
        clients.append(TestClient(app, backend=request.param, **options))
        return clients[-1]

    yield build
    for client in clients:
        client.close()


class TestSync:
    def test_messages_of_all_kinds_go_both_ways(self, open_client: Any) -> None:
        with open_client(echo).websocket_connect("/") as socket:
            socket.send_text("héllo")
            assert socket.receive_text() == "héllo"
            socket.send_bytes(b"\x00")
            assert socket.receive_bytes() == b"\x00"
            socket.send_json({"a": ["é"]})
            assert socket.receive() == ws("send", text='{"a":["é"]}')
            socket.send_json([1], mode="binary")
            assert socket.receive_json(mode="binary") == [1]
            socket.send_json([2])
            assert socket.receive_json() == [2]
            socket.send(ws("receive", text="raw"))
            assert socket.receive_text() == "raw"

    def test_the_handshake_is_in_the_scope_and_its_answer_on_the_session(self, open_client: Any) -> None:
        client = open_client(echo, base_url="https://example.org/v1", cookies={"c": "1"})
        with client.websocket_connect("/ws?x=1", ["chat", "other"], headers={"Origin": "https://a"}) as socket:
            assert socket.accepted_subprotocol == "chat"
            assert socket.extra_headers == [(b"a", b"b")]
            scope = socket.exchange.scope
        assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "wss", "/v1/ws")
        assert (scope["query_string"], scope["subprotocols"]) == (b"x=1", ["chat", "other"])
        assert scope["extensions"] == {"websocket.http.response": {}}
        headers = dict(scope["headers"])
        assert (headers[b"origin"], headers[b"cookie"], headers[b"upgrade"]) == (b"https://a", b"c=1", b"websocket")
        assert headers[b"sec-websocket-protocol"] == b"chat, other"

    def test_an_absolute_url_of_a_socket_is_taken_as_it_is(self, open_client: Any) -> None:
        with open_client(echo).websocket_connect("ws://other.org/ws") as socket:
            assert socket.exchange.scope["server"] == ("other.org", 80)
            assert socket.accepted_subprotocol is None

    def test_parameters_are_those_of_a_request(self, open_client: Any) -> None:
        with open_client(echo).websocket_connect("/", params={"a": "b"}, auth=("me", "pass")) as socket:
            assert socket.exchange.scope["query_string"] == b"a=b"
            assert b"authorization" in dict(socket.exchange.scope["headers"])

    def test_leaving_is_a_normal_close(self, open_client: Any) -> None:
        client = open_client(echo)
        client.app_state["log"] = log = list[Any]()
        with client.websocket_connect("/"):
            pass
        assert log == [ws("disconnect", code=1000, reason="")]

    def test_closing_tells_code_and_reason(self, open_client: Any) -> None:
        client = open_client(echo)
        client.app_state["log"] = log = list[Any]()
        with client.websocket_connect("/") as socket:
            socket.close(4001, "bye")
        with client.websocket_connect("/") as socket:
            socket.send(ws("disconnect", code=4002))
        with client.websocket_connect("/") as socket:
            socket.send(ws("disconnect"))
        assert [(message["code"], message["reason"]) for message in log] == [(4001, "bye"), (4002, ""), (1005, "")]

    def test_the_lifespans_state_is_in_the_scope(self, open_client: Any) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "websocket":
                return await echo(scope, receive, send)
            for stage in ("startup", "shutdown"):
                await receive()
                scope["state"]["db"] = "x"
                await send({"type": f"lifespan.{stage}.complete"})
            return None

        with open_client(app) as client, client.websocket_connect("/") as socket:
            assert socket.exchange.scope["state"] == {"db": "x"}


ENDS = {
    "closed by the application": (
        app_of(ACCEPT, ws("close", code=3001, reason="bye")),
        lambda error: isinstance(error, WebSocketDisconnect) and (error.code, error.reason) == (3001, "bye"),
    ),
    "closed without a code": (
        app_of(ACCEPT, ws("close")),
        lambda error: isinstance(error, WebSocketDisconnect) and error.code == 1000,
    ),
    "refused": (
        app_of(ws("close", code=4003)),
        lambda error: isinstance(error, WebSocketDisconnect) and error.code == 4003,
    ),
    "denied": (
        app_of(
            ws("http.response.start", status=401, headers=[(b"a", b"b")]),
            ws("http.response.body", body=b"n", more_body=True),
            ws("http.response.body", body=b"o"),
        ),
        lambda error: (
            isinstance(error, WebSocketDenialResponse)
            and isinstance(error, WebSocketDisconnect)
            and isinstance(error, httpx.Response)
            and (error.status_code, error.headers["a"], error.text) == (401, "b", "no")
        ),
    ),
    "an exception before accept": (app_of(ValueError("mine")), lambda error: isinstance(error, ValueError)),
    "an exception after accept": (app_of(ACCEPT, ValueError("mine")), lambda error: isinstance(error, ValueError)),
    "an exception after close": (
        app_of(ACCEPT, ws("close", code=1011), ValueError("mine")),
        lambda error: isinstance(error, ValueError),
    ),
    "the application returned": (
        app_of(ACCEPT),
        lambda error: isinstance(error, WebSocketDisconnect) and error.code == 1006,
    ),
    "a broken rule": (app_of(ws("send", text="x")), lambda error: isinstance(error, ASGIViolation)),
    "the wrong payload": (
        app_of(ACCEPT, ws("send", bytes=b"x")),
        lambda error: isinstance(error, TypeError) and "call receive_bytes()" in str(error),
    ),
}


def session_error(client: TestClient) -> BaseException:
    with pytest.raises(BaseException) as caught, client.websocket_connect("/") as socket:
        socket.receive_text()
    return caught.value


async def async_session_error(client: AsyncTestClient) -> BaseException:
    with pytest.raises(BaseException) as caught:
        async with client.websocket_connect("/") as socket:
            await socket.receive_text()
    return caught.value


@pytest.mark.parametrize("app, expected", ENDS.values(), ids=ENDS.keys())
def test_every_end_is_told_as_what_it_is(open_client: Any, app: ASGIApp, expected: Any) -> None:
    assert expected(session_error(open_client(app)))


@pytest.mark.anyio
@pytest.mark.parametrize("app, expected", ENDS.values(), ids=ENDS.keys())
async def test_every_end_is_told_to_the_async_client_too(app: ASGIApp, expected: Any) -> None:
    assert expected(await async_session_error(AsyncTestClient(app)))


def reports(*messages: Message, late: bool) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        report = scope.get("microasgi.on_error", lambda exc: None)
        await receive()
        if not late:
            report(KeyError("reported"))
        for message in messages:
            await send(message)
        if late:
            await anyio.sleep(0.01)
            report(KeyError("reported"))

    return app


DENIAL = (ws("http.response.start", status=500, headers=[]), ws("http.response.body", body=b"sorry"))


@pytest.mark.parametrize("late", [True, False])
def test_an_exception_that_was_reported_is_raised(open_client: Any, late: bool) -> None:
    for messages in ((ACCEPT, ws("close", code=1011)), DENIAL):
        error = session_error(open_client(reports(*messages, late=late)))
        assert isinstance(error, KeyError)


def test_without_raising_server_exceptions_the_answer_is_told(open_client: Any) -> None:
    options = {"raise_server_exceptions": False}
    error = session_error(open_client(reports(ACCEPT, ws("close", code=1011), late=True), **options))
    assert isinstance(error, WebSocketDisconnect)
    assert error.code == 1011
    error = session_error(open_client(reports(*DENIAL, late=True), **options))
    assert isinstance(error, WebSocketDenialResponse)
    error = session_error(open_client(app_of(ACCEPT, ValueError()), **options))
    assert isinstance(error, WebSocketDisconnect)
    assert error.code == 1011
    with pytest.raises(ASGIViolation):
        raise session_error(open_client(app_of(ws("send", text="x")), **options))


def test_a_close_1011_of_an_application_that_goes_on_is_just_a_close(open_client: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await app_of(ACCEPT, ws("close", code=1011))(scope, receive, send)
        await anyio.sleep(1.2)

    with open_client(app).websocket_connect("/") as socket:
        assert socket.receive() == ws("close", code=1011)


def test_an_exception_nobody_received_is_raised_when_the_socket_is_left(open_client: Any) -> None:
    with pytest.raises(ValueError, match="mine"):
        with open_client(app_of(ACCEPT, ValueError("mine"))).websocket_connect("/"):
            pass
    with open_client(app_of(ACCEPT, ValueError()), raise_server_exceptions=False).websocket_connect("/"):
        pass


def test_the_tests_own_exception_is_not_replaced(open_client: Any) -> None:
    with pytest.raises(KeyError):
        with open_client(app_of(ACCEPT, ValueError("mine"))).websocket_connect("/"):
            raise KeyError


def test_a_disconnect_raised_out_of_the_application_is_a_normal_end(open_client: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        message = await receive()
        raise WebSocketDisconnect(message["code"])

    with open_client(app).websocket_connect("/"):
        pass


def test_a_receive_that_is_never_answered_times_out(open_client: Any) -> None:
    with open_client(echo, timeout=0.3).websocket_connect("/ws") as socket:
        with pytest.raises(TimeoutError, match="websocket /ws: waited 0.3 s for its next message; .* waits in receive"):
            socket.receive()


def test_a_handshake_that_is_never_answered_times_out(open_client: Any) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    with pytest.raises(TimeoutError, match="waited 0.05 s"):
        open_client(app, timeout=0.05).websocket_connect("/").__enter__()


def test_a_sender_that_nobody_reads_goes_on_for_a_while_and_ends_with_the_socket(open_client: Any) -> None:
    ended: list[type[BaseException]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        try:
            while True:
                await send(ws("send", text="x"))
        except OSError as exc:
            ended.append(type(exc))
            raise

    with open_client(app).websocket_connect("/") as socket:
        assert socket.receive_text() == "x"
    assert ended == [ConnectionResetError]


@pytest.mark.anyio
async def test_the_async_session_has_the_same_methods() -> None:
    names = {name for name in vars(WebSocketTestSession) if not name.startswith("_")}
    assert names <= {*vars(AsyncWebSocketTestSession), "exchange", "accepted_subprotocol", "extra_headers"}
    client = AsyncTestClient(echo)
    client.app_state["log"] = []
    async with client.websocket_connect("/", ["chat"], headers={"a": "b"}) as socket:
        assert socket.accepted_subprotocol == "chat"
        await socket.send_json({"a": 1})
        assert await socket.receive_json() == {"a": 1}
        await socket.send_json([1], mode="binary")
        assert await socket.receive_json(mode="binary") == [1]
        await socket.send_bytes(b"x")
        assert await socket.receive_bytes() == b"x"
        await socket.close(3000, "done")
    assert client.app_state["log"] == [ws("disconnect", code=3000, reason="done")]


@pytest.mark.anyio
async def test_several_async_sockets_are_open_at_a_time() -> None:
    client = AsyncTestClient(echo)
    async with client.websocket_connect("/") as first, client.websocket_connect("/") as second:
        await first.send_text("1")
        await second.send_text("2")
        assert (await second.receive_text(), await first.receive_text()) == ("2", "1")
