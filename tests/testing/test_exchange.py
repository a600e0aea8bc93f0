"""One scope driven by hand: feeding, reading, leaving, and every way an application can end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from microasgi.testing import ASGIViolation, Exchange, http_scope, lifespan_scope, websocket_scope
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"end"}


def part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}


def chunk(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(END)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Send every chunk back as it comes."""
    await send(START)
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more = message["more_body"]
        await send({"type": "http.response.body", "body": message["body"], "more_body": more})


async def counts(scope: Scope, receive: Receive, send: Send) -> None:
    """Send numbers for ever; look at nothing else."""
    await send(START)
    number = 0
    while True:
        number += 1
        scope["state"]["sent"] = number
        await send(part(b"%d" % number))


async def sleeps(scope: Scope, receive: Receive, send: Send) -> None:
    await anyio.sleep_forever()


def raises(error: BaseException, *before: Message) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        raise error

    return app


async def test_chunks_are_fed_and_answers_read_one_by_one() -> None:
    async with Exchange(echo, http_scope("POST")) as exchange:
        assert await exchange.receive_output() == START
        for body in (b"one", b"two"):
            await exchange.send_input(chunk(body))
            assert (await exchange.receive_output())["body"] == body
        await exchange.send_input(chunk(b"", more=False))
        assert (await exchange.receive_output())["more_body"] is False
        await exchange.wait_finished()
    assert [message["type"] for message in exchange.messages] == ["http.response.start"] + ["http.response.body"] * 3


async def test_iteration_gives_every_message_and_ends_with_the_application() -> None:
    async with Exchange(hello, http_scope()) as exchange:
        assert [message async for message in exchange] == [START, END]


async def test_iteration_ends_with_the_applications_exception() -> None:
    async with Exchange(raises(ValueError("mine"), START), http_scope()) as exchange:
        with pytest.raises(ValueError, match="mine"):
            async for message in exchange:
                assert message == START


async def test_messages_are_checked_by_the_lint_unless_told_otherwise() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(END)

    async with Exchange(app, http_scope(), lint=False) as exchange:
        assert await exchange.receive_output() == END
    with pytest.raises(ASGIViolation, match="before 'http.response.start'"):
        async with Exchange(app, http_scope()):
            pass


async def test_leaving_in_the_middle_of_an_upload_is_a_disconnect_after_what_was_sent() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while "http.disconnect" not in seen:
            seen.append((await receive())["type"])

    async with Exchange(app, http_scope("POST")) as exchange:
        await exchange.send_input(chunk(b"x"))
        exchange.disconnect()
        await exchange.wait_finished()
    assert seen == ["http.request", "http.disconnect"]


async def test_a_disconnect_is_repeated_to_who_asks_again() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            seen.append((await receive())["type"])

    async with Exchange(app, http_scope(), lint=False):
        pass
    assert seen == ["http.disconnect"] * 2


async def test_after_the_whole_response_receive_gives_a_disconnect() -> None:
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        seen.append(await receive())

    async with Exchange(app, http_scope()) as exchange:
        await exchange.wait_finished()
        exchange.disconnect()
    assert seen == [{"type": "http.disconnect"}]


@pytest.mark.parametrize("window", [0, 3])
async def test_send_waits_for_a_slow_reader_beyond_the_window(window: int) -> None:
    scope = http_scope(state={})
    async with Exchange(counts, scope, window=window, grace=0.01) as exchange:
        assert await exchange.receive_output() == START
        for read in range(3):
            await anyio.wait_all_tasks_blocked()
            # As much as the window holds, and one more that waits; the start took a place, and the reading freed it.
            assert scope["state"]["sent"] == read + window + 1
            await exchange.receive_output()


async def test_a_waiting_send_does_nothing_more_once_the_reader_has_left() -> None:
    passed: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(part(b"never read"))
        passed.append((await receive())["type"])
        await send(END)

    async with Exchange(app, http_scope(), window=1) as exchange:
        await anyio.wait_all_tasks_blocked()
        exchange.disconnect()
        await exchange.wait_finished()
        assert await exchange.receive_output() == START
        with pytest.raises(EOFError, match="http GET / has returned"):
            await exchange.receive_output()
    assert passed == ["http.disconnect"]


@pytest.mark.parametrize("window", [0, 9])
async def test_send_raises_after_a_disconnect_from_spec_version_2_4(window: int) -> None:
    caught: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await counts(scope, receive, send)
        except OSError as exc:
            caught.append(exc)
            raise

    scope = http_scope(asgi={"version": "3.0", "spec_version": "2.4"})
    async with Exchange(app, scope, window=window) as exchange:
        await exchange.receive_output()
    assert len(caught) == 1


@pytest.mark.parametrize("error", [None, BrokenPipeError("cut"), RuntimeError("server")])
async def test_send_can_be_made_to_raise_at_any_time(error: Exception | None) -> None:
    async with Exchange(counts, http_scope(), window=0) as exchange:
        await exchange.receive_output()
        await anyio.wait_all_tasks_blocked()
        exchange.fail_send(error)
        await exchange.wait_finished()
        assert exchange.error is error or isinstance(exchange.error, ConnectionResetError)


@pytest.mark.parametrize("name", ["WebSocketDisconnect", "ClientDisconnect"])
async def test_saying_that_the_peer_has_left_is_no_failure_when_it_has(name: str) -> None:
    error = type(name, (Exception,), {})()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ExceptionGroup("both", [error, OSError()])

    async with Exchange(app, http_scope()):
        pass


async def test_an_os_error_of_the_applications_own_is_a_failure() -> None:
    with pytest.raises(FileNotFoundError):
        async with Exchange(raises(FileNotFoundError()), http_scope()) as exchange:
            await exchange.wait_finished()


async def test_another_exception_is_a_failure_even_when_the_peer_has_left() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise ValueError("clean-up")

    with pytest.raises(ValueError, match="clean-up"):
        async with Exchange(app, http_scope()):
            pass


async def test_the_applications_exception_is_raised_at_the_end_unless_seen_before() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with Exchange(raises(ValueError("mine")), http_scope()):
            pass
    async with Exchange(raises(ValueError("mine")), http_scope()) as exchange:
        with pytest.raises(ValueError, match="mine"):
            await exchange.receive_output()


async def test_the_tests_own_exception_is_not_replaced() -> None:
    with pytest.raises(KeyError):
        async with Exchange(raises(ValueError("mine")), http_scope()):
            raise KeyError


async def test_a_failure_of_pytest_inside_the_application_reaches_the_test() -> None:
    class Outcome(BaseException):
        pass

    with pytest.raises(Outcome):
        async with Exchange(raises(Outcome()), http_scope()):
            pass


async def test_an_exception_the_application_reports_counts_as_raised() -> None:
    error = ValueError("reported")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        scope["microasgi.on_error"](error)
        scope["microasgi.on_error"](KeyError("later"))

    with pytest.raises(ValueError, match="reported"):
        async with Exchange(app, http_scope(), hears_errors=True) as exchange:
            await exchange.wait_finished()
    assert exchange.error is error


async def test_without_being_asked_for_reports_the_scope_has_no_key_for_them() -> None:
    async with Exchange(hello, http_scope()) as exchange:
        assert "microasgi.on_error" not in exchange.scope


async def test_a_broken_rule_is_told_before_a_reported_exception() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(END)
        except AssertionError:
            scope["microasgi.on_error"](ValueError())
            await hello(scope, receive, send)

    with pytest.raises(ASGIViolation):
        async with Exchange(app, http_scope(), hears_errors=True):
            pass


async def test_an_application_that_goes_on_after_a_disconnect_is_cancelled_when_its_grace_is_over() -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await counts(scope, receive, send)
        finally:
            ended.append("cancelled")

    async with Exchange(app, http_scope(), grace=0.01):
        pass
    assert ended == ["cancelled"]


async def test_an_application_that_goes_on_after_its_response_is_an_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await anyio.sleep_forever()

    with pytest.raises(TimeoutError, match="waited 0.2 s for its end; the application runs, neither in receive"):
        async with Exchange(app, http_scope(), timeout=0.2) as exchange:
            await exchange.receive_output()
            await exchange.receive_output()
    assert exchange.finished


async def test_what_the_application_does_after_its_response_is_waited_for() -> None:
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)
        await anyio.sleep(0.01)
        done.append("background")

    async with Exchange(app, http_scope(), grace=0) as exchange:
        await exchange.receive_output()
        await exchange.receive_output()
    assert done == ["background"]


async def sends_twice(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(END)


@pytest.mark.parametrize(
    "app, doing",
    [(echo, "waits in receive\\(\\)"), (sends_twice, "waits in send\\(\\): nobody reads"), (sleeps, "runs, neither")],
)
async def test_waiting_in_vain_tells_what_the_application_does(app: ASGIApp, doing: str) -> None:
    exchange = Exchange(app, http_scope("PUT", "/x"), window=0 if app is sends_twice else 9, grace=0.01)
    await exchange.open()
    await anyio.wait_all_tasks_blocked()
    try:
        with pytest.raises(TimeoutError, match=f"http PUT /x: waited 0.01 s for its end; the application {doing}"):
            await exchange.wait_finished(0.01)
    finally:
        await exchange.close()


async def test_waiting_in_vain_for_an_application_that_has_ended_tells_so() -> None:
    async with Exchange(hello, http_scope()) as exchange:
        await exchange.wait_finished()
        with pytest.raises(TimeoutError, match="waited 0.01 s for godot; the application has ended"):
            await exchange.wait_until(lambda: False, "godot", 0.01)


async def test_waiting_for_an_application_that_nobody_started_tells_so() -> None:
    with pytest.raises(TimeoutError, match="the application was never started: use `with`"):
        await Exchange(hello, http_scope()).receive_output(0.01)


async def test_closing_twice_is_closing_once() -> None:
    exchange = Exchange(hello, http_scope())
    await exchange.open()
    await exchange.close()
    await exchange.close()
    assert exchange.finished


async def test_cancelling_before_the_application_runs_does_nothing() -> None:
    exchange = Exchange(hello, http_scope())
    exchange.cancel()
    async with exchange:
        assert await exchange.receive_output() == START


async def test_a_cancelled_test_leaves_no_application_behind() -> None:
    with anyio.CancelScope() as scope:
        async with Exchange(sleeps, http_scope(), grace=0.01) as exchange:
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert exchange.finished


async def test_a_cancelled_test_is_a_disconnect_for_the_application() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])
        await anyio.sleep(0.001)
        seen.append("cleaned up")

    with anyio.CancelScope() as scope:
        async with Exchange(app, http_scope()):
            scope.cancel()
            await anyio.sleep_forever()
    assert seen == ["http.disconnect", "cleaned up"]


async def test_the_application_can_run_in_a_task_group_of_the_tests() -> None:
    exchange = Exchange(hello, http_scope())
    async with anyio.create_task_group() as group:
        await exchange.open(group.start_soon)
        assert await exchange.receive_output() == START
        await exchange.close()
    assert exchange.finished


async def test_input_that_nobody_received_can_be_seen() -> None:
    async with Exchange(hello, http_scope()) as exchange:
        await exchange.send_input(chunk(b"x"))
        await exchange.wait_finished()
        assert exchange.unread_input


class TestOtherScopes:
    async def test_a_socket_is_driven_like_a_request(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            message = await receive()
            await send({"type": "websocket.send", "text": message["text"].upper()})
            scope["state"]["left"] = await receive()

        async with Exchange(app, websocket_scope("/ws", state={})) as exchange:
            await exchange.send_input({"type": "websocket.connect"})
            assert await exchange.receive_output() == {"type": "websocket.accept"}
            await exchange.send_input({"type": "websocket.receive", "text": "hi"})
            assert (await exchange.receive_output())["text"] == "HI"
            exchange.disconnect(4001, "bye")
        assert exchange.scope["state"]["left"] == {"type": "websocket.disconnect", "code": 4001, "reason": "bye"}

    @pytest.mark.parametrize("keys", [{}, {"code": 3000, "reason": None}, {"code": 3000, "reason": "enough"}])
    async def test_after_its_own_close_a_socket_is_told_so(self, keys: dict[str, Any]) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.close", **keys})
            scope["state"]["left"] = await receive()

        async with Exchange(app, websocket_scope(state={})) as exchange:
            await exchange.send_input({"type": "websocket.connect"})
            await exchange.wait_finished()
        left = {"type": "websocket.disconnect", "code": keys.get("code", 1000), "reason": keys.get("reason") or ""}
        assert exchange.scope["state"]["left"] == left

    async def test_a_denial_response_ends_a_socket(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"no"})
            await receive()

        async with Exchange(app, websocket_scope()) as exchange:
            await exchange.send_input({"type": "websocket.connect"})
            await exchange.wait_finished()
            assert exchange.complete

    async def test_a_lifespan_knows_no_disconnect(self) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()

        exchange = Exchange(app, lifespan_scope(), lint=False, grace=0.01)
        async with exchange:
            exchange.disconnect()
            assert not exchange.peer_left
        assert exchange.finished
        assert exchange.describe() == "lifespan"

    @pytest.mark.parametrize(
        "messages, extension",
        [
            ([{**START, "trailers": True}, END, {"type": "http.response.trailers"}], "trailers"),
            ([START, {"type": "http.response.pathsend", "path": "/tmp/x"}], "pathsend"),
            ([START, {"type": "http.response.zerocopysend", "file": 1}], "zerocopysend"),
        ],
    )
    async def test_every_way_of_ending_a_response_completes_it(self, messages: list[Message], extension: str) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for message in messages:
                assert not exchange.complete
                await send(message)

        exchange = Exchange(app, http_scope(extensions={f"http.response.{extension}": {}}))
        async with exchange:
            await exchange.wait_finished()
            assert exchange.complete

    async def test_an_unknown_scope_is_refused_by_the_application(self) -> None:
        with pytest.raises(NotImplementedError):
            async with Exchange(raises(NotImplementedError()), {"type": "foo"}):
                pass
