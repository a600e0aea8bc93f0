"""One request, one answer, and the faults of clients and servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from microasgi.testing import Faults, http_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]}


def sends(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


def body(data: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a list of what was received."""
    seen: list[str] = []
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
        seen.append(message["type"] if message["type"] != "http.request" else repr(message["body"]))
    scope["state"]["seen"] = seen
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send(body(f"[{','.join(seen)}]".encode()))


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**START, "headers": []})
    while True:
        await send(body(b"1234", more=True))


async def test_an_answer_is_taken_apart() -> None:
    answer = await request(sends(START, body(b"[1,", more=True), body(b"2]")))
    assert (answer.status, answer.body, answer.json()) == (200, b"[1,2]", [1, 2])
    assert (answer.header(b"a"), answer.header(b"c")) == (b"1", None)
    assert [message["type"] for message in answer.messages] == ["http.response.start"] + ["http.response.body"] * 2
    assert answer.error is None


async def test_extension_messages_are_taken_apart() -> None:
    app = sends(
        {"type": "http.response.debug", "info": {"x": 1}},
        {"type": "http.response.early_hint", "links": [b"<a>"]},
        {**START, "trailers": True},
        {"type": "http.response.push", "path": "/x", "headers": []},
        body(b""),
        {"type": "http.response.trailers", "headers": [(b"t", b"1")]},
    )
    names = ("debug", "early_hint", "trailers", "push")
    answer = await request(app, extensions={f"http.response.{name}": {} for name in names})
    assert answer.debug == {"x": 1}
    assert answer.early_hints == [b"<a>"]
    assert answer.trailers == [(b"t", b"1")]


async def test_a_body_is_one_message() -> None:
    assert (await request(reads, "POST", body=b"abc")).body == b"[b'abc']"
    assert (await request(reads)).body == b"[b'']"


async def test_chunks_are_asked_for_one_by_one() -> None:
    made: list[int] = []

    def chunks() -> Iterator[bytes]:
        for number in range(1000):
            made.append(number)
            yield b"%d" % number

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            await receive()
        await send(START)
        await send(body(b"enough"))

    assert (await request(app, "POST", chunks=chunks())).body == b"enough"
    assert made == [0, 1]


async def test_the_last_of_several_chunks_is_empty() -> None:
    assert (await request(reads, "POST", chunks=[b"a", b"b"])).body == b"[b'a',b'b',b'']"


async def test_the_applications_exception_is_raised_or_kept() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await request(app)
    answer = await request(app, raise_errors=False)
    assert answer.status == 200
    assert isinstance(answer.error, ValueError)


async def test_no_answer_has_the_status_0() -> None:
    assert (await request(sends(), lint=False)).status == 0


async def test_an_application_that_never_answers_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    with pytest.raises(TimeoutError, match="http GET /: waited 0.2 s for its next message; .* waits in receive"):
        await request(app, timeout=0.2)


class TestFaults:
    @pytest.mark.parametrize("limit, arrived", [(0, b""), (1, b"1234"), (4, b"1234"), (5, b"12341234")])
    async def test_the_client_leaves_after_some_bytes(self, limit: int, arrived: bytes) -> None:
        asgi = {"version": "3.0", "spec_version": "2.4"}
        assert (await request(endless, faults=Faults(leave_after_bytes=limit), asgi=asgi)).body == arrived

    @pytest.mark.parametrize("limit, seen", [(0, ["http.disconnect"]), (1, ["b'a'", "http.disconnect"])])
    async def test_the_client_leaves_in_the_middle_of_its_upload(self, limit: int, seen: list[str]) -> None:
        state: dict[str, list[str]] = {}
        faults = Faults(leave_after_chunks=limit)
        assert (await request(reads, "POST", chunks=[b"a", b"b"], faults=faults, state=state)).status == 0
        assert state["seen"] == seen

    async def test_an_upload_shorter_than_that_is_whole(self) -> None:
        answer = await request(reads, "POST", chunks=[b"a"], faults=Faults(leave_after_chunks=5))
        assert answer.body == b"[b'a',b'']"

    @pytest.mark.parametrize("limit", [0, 1, 3])
    async def test_send_raises_after_some_messages(self, limit: int) -> None:
        error = BrokenPipeError("cut")
        answer = await request(endless, faults=Faults(fail_send_after=limit, send_error=error))
        assert len(answer.messages) == limit
        assert answer.error is error

    async def test_the_reader_is_slow(self) -> None:
        answer = await request(sends(START, body(b"x")), faults=Faults(read_delay=0.001))
        assert answer.body == b"x"


class TestScopes:
    async def test_a_target_is_split_and_decoded(self) -> None:
        scope = http_scope("GET", "/a%20b/%C3%A9?x=%20&y")
        assert scope["path"] == "/a b/é"
        assert scope["raw_path"] == b"/a%20b/%C3%A9"
        assert scope["query_string"] == b"x=%20&y"

    async def test_headers_come_as_mapping_or_pairs_of_text_or_bytes(self) -> None:
        assert http_scope(headers={"X-A": "ü"})["headers"] == [(b"host", b"testserver"), (b"x-a", b"\xfc")]
        assert http_scope(headers=[(b"Host", b"h"), ("A", "b")])["headers"] == [(b"host", b"h"), (b"a", b"b")]

    async def test_any_key_can_be_changed_or_left_out(self) -> None:
        scope = http_scope(omit=["state", "extensions", "nothing"], client=None, http_version="2", xy=1)
        assert not {"state", "extensions"} & scope.keys()
        assert (scope["client"], scope["http_version"], scope["xy"]) == (None, "2", 1)

    async def test_a_request_takes_the_same(self) -> None:
        scopes: list[Scope] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scopes.append(scope)
            await sends(START, body(b""))(scope, receive, send)

        await request(app, "PUT", "/x", headers={"a": "b"}, http_version="1.0", omit=["state"], scheme="https")
        (scope,) = scopes
        assert (scope["method"], scope["path"], scope["http_version"], scope["scheme"]) == ("PUT", "/x", "1.0", "https")
        assert (b"a", b"b") in scope["headers"]
        assert "state" not in scope

    async def test_a_socket_offers_subprotocols_and_the_denial_response(self) -> None:
        scope = websocket_scope("/ws", subprotocols=["a", "b"])
        assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "ws", ["a", "b"])
        assert scope["extensions"] == {"websocket.http.response": {}}
