"""The async client: the same behaviour on the test's own loop, and several requests at a time."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from microasgi.testing import ASGIViolation, AsyncTestClient, LifespanFailed
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sends(*messages: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            scope["state"]["log"].append("left")
            return
        more = message["more_body"]
        await send(body(message["body"], more=more))


async def lasts(scope: Scope, receive: Receive, send: Send) -> None:
    """Send one chunk, and end when the client leaves; has a lifespan."""
    if scope["type"] == "lifespan":
        scope["state"]["log"] = log = []
        for stage in ("startup", "shutdown"):
            await receive()
            log.append(stage)
            await send({"type": f"lifespan.{stage}.complete"})
        return
    await receive()
    await send(START)
    await send(body(b"x", more=True))
    scope["state"].setdefault("log", []).append((await receive())["type"])


async def test_a_request_without_lifespan() -> None:
    client = AsyncTestClient(echo)
    response = await client.post("/", content=b"hello")
    assert (response.status_code, response.content) == (200, b"hello")
    await client.aclose()


async def test_with_runs_the_lifespan_and_leaves_open_streams_before_it_stops() -> None:
    async with AsyncTestClient(lasts) as client:
        request = client.build_request("GET", "/")
        response = await client.send(request, stream=True)
        assert await anext(response.aiter_raw()) == b"x"
        log = client.app_state["log"]
        assert log == ["startup"]
    await response.aclose()
    assert log == ["startup", "http.disconnect", "shutdown"]


async def test_responses_may_be_closed_in_any_order() -> None:
    async with AsyncTestClient(lasts) as client:
        first, second = [await client.send(client.build_request("GET", "/"), stream=True) for _ in range(2)]
        await first.aclose()
        await second.aclose()
        assert client.app_state["log"] == ["startup", "http.disconnect", "http.disconnect"]


async def test_requests_run_side_by_side() -> None:
    met = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/first":
            await met.wait()
        met.set()
        await sends(START, body(scope["path"].encode()))(scope, receive, send)

    client = AsyncTestClient(app)
    async with anyio.create_task_group() as group:
        group.start_soon(client.get, "/first")
        group.start_soon(client.get, "/second")
    assert met.is_set()


async def test_an_upload_is_streamed_and_so_is_the_response() -> None:
    asked: list[bytes] = []

    async def upload() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b"):
            asked.append(letter)
            yield letter

    client = AsyncTestClient(echo)
    client.app_state["log"] = log = list[Any]()
    async with client.stream("POST", "/", content=upload()) as response:
        chunks = response.aiter_raw()
        assert (await anext(chunks), asked) == (b"a", [b"a"])
        assert (await anext(chunks), asked) == (b"b", [b"a", b"b"])
    assert log == ["left"]


@pytest.mark.parametrize("method", ["aiter_raw", "aiter_bytes", "aiter_text", "aiter_lines"])
async def test_a_body_may_be_read_in_part_in_every_way(method: str) -> None:
    async def lines(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for _ in range(3):
            await send(body(b"line\n", more=True))
        while (await receive())["type"] != "http.disconnect":
            pass

    client = AsyncTestClient(lines)
    async with client.stream("GET", "/") as response:
        async for piece in getattr(response, method)():
            assert piece in (b"line\n", "line\n", "line")
            break
    gc.collect()


@pytest.mark.parametrize("method", ["aiter_raw", "aiter_bytes", "aiter_text", "aiter_lines"])
async def test_a_body_may_be_read_to_its_end_in_every_way(method: str) -> None:
    app = sends(START, body(b"line\n", more=True), body(b"line\n"))
    async with AsyncTestClient(app).stream("GET", "/") as response:
        assert len([piece async for piece in getattr(response, method)()]) == 2
    with pytest.raises(httpx.StreamConsumed):
        await anext(response.aiter_raw())


async def test_a_body_that_was_read_may_be_iterated_again() -> None:
    response = await AsyncTestClient(sends(START, body(b"x"))).get("/")
    assert [piece async for piece in response.aiter_bytes()] == [b"x"]


async def test_leaving_a_stream_is_a_disconnect() -> None:
    client = AsyncTestClient(lasts)
    client.app_state["log"] = []
    async with client.stream("GET", "/") as response:
        assert response.status_code == 200
    assert client.app_state["log"] == ["http.disconnect"]


async def test_a_cancelled_request_ends_the_application() -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        ended.append((await receive())["type"])

    async with anyio.create_task_group() as group:
        group.start_soon(AsyncTestClient(app).get, "/")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert ended == ["http.disconnect"]


async def test_what_the_application_raises_is_raised() -> None:
    error = ValueError("mine")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    with pytest.raises(ValueError) as caught:
        await AsyncTestClient(app).get("/")
    assert caught.value is error
    assert (await AsyncTestClient(app, raise_server_exceptions=False).get("/")).status_code == 500


async def test_a_broken_rule_is_raised() -> None:
    with pytest.raises(ASGIViolation):
        await AsyncTestClient(sends(START)).get("/")


async def test_an_application_that_never_answers_times_out() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()

    with pytest.raises(httpx.ReadTimeout, match="http GET /: waited 0.02 s"):
        await AsyncTestClient(app, timeout=0.02).get("/")


async def test_a_client_can_be_entered_again_but_not_twice() -> None:
    client = AsyncTestClient(lasts)
    for _ in range(2):
        async with client:
            with pytest.raises(RuntimeError, match="already entered"):
                await client.__aenter__()
    assert client.app_state["log"] == ["startup", "shutdown"]
    await client.aclose()
    with pytest.raises(RuntimeError, match="has been closed"):
        await client.get("/")


async def test_a_startup_that_fails_is_told_and_leaves_nothing_behind() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    client = AsyncTestClient(app)
    for _ in range(2):
        with pytest.raises(LifespanFailed, match="no database"):
            await client.__aenter__()


async def test_the_tests_own_exception_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with AsyncTestClient(lasts) as client:
            await client.send(client.build_request("GET", "/"), stream=True)
            raise KeyError
    assert client.app_state["log"] == ["startup", "http.disconnect", "shutdown"]


async def test_a_cancelled_test_stops_the_lifespan() -> None:
    with anyio.CancelScope() as scope:
        async with AsyncTestClient(lasts) as client:
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert client.app_state["log"] == ["startup", "shutdown"]
