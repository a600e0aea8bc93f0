"""What the lint does with a violation, and the rules that hold in every scope."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

from microasgi.testing import ASGILint, ASGIViolation, http_scope, lifespan_scope, lint
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
BODY: Message = {"type": "http.response.body", "body": b"hello"}


async def receive() -> Message:
    return {"type": "http.request"}


async def send(message: Message) -> None:
    pass


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send(START)
    await send(BODY)


async def too_early(scope: Scope, receive: Receive, send: Send) -> None:
    await send(BODY)


async def swallows(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await send(BODY)
    except AssertionError:
        await send(START)


async def test_a_violation_names_rule_and_section() -> None:
    with pytest.raises(ASGIViolation) as caught:
        await lint(too_early)(http_scope(), receive, send)
    assert caught.value.rule == "'http.response.body' was sent before 'http.response.start'"
    assert caught.value.section == "ASGI HTTP, Response Body"
    assert str(caught.value) == f"{caught.value.rule} [{caught.value.section}]"


async def test_a_violation_is_raised_where_it_happens() -> None:
    places: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(BODY)
        except ASGIViolation:
            places.append("send")
            raise

    with pytest.raises(ASGIViolation):
        await lint(app)(http_scope(), receive, send)
    assert places == ["send"]


async def test_a_swallowed_violation_is_raised_at_the_end() -> None:
    with pytest.raises(ASGIViolation, match="before 'http.response.start'"):
        await lint(swallows)(http_scope(), receive, send)


async def test_a_violation_that_became_another_exception_is_raised_from_it() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send(BODY)
        except AssertionError:
            raise ValueError("wrapped") from None

    with pytest.raises(ASGIViolation) as caught:
        await lint(app)(http_scope(), receive, send)
    assert isinstance(caught.value.__cause__, ValueError)


async def test_an_exception_of_the_application_passes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await lint(app)(http_scope(), receive, send)


async def test_a_collector_gets_every_violation_once_and_nothing_is_raised() -> None:
    found: list[ASGIViolation] = []
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    await lint(too_early, on_violation=found.append)(http_scope(), receive, keep)
    assert [violation.rule for violation in found] == [
        "'http.response.body' was sent before 'http.response.start'",
        "the application returned without a response: send 'http.response.start'",
    ]
    assert sent == [BODY]


async def test_a_collector_hears_of_a_long_body_once() -> None:
    found: list[ASGIViolation] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"1")]})
        for more in (True, True, False):
            await send({**BODY, "more_body": more})

    await lint(app, on_violation=found.append)(http_scope(), receive, send)
    assert len(found) == 1


async def test_the_wrapper_is_an_application_with_the_wrapped_one_inside() -> None:
    wrapped = ASGILint(hello)
    await wrapped(http_scope(), receive, send)
    assert wrapped.app is hello


async def test_an_application_returns_none() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> Any:
        await hello(scope, receive, send)
        return "done"

    with pytest.raises(ASGIViolation, match="returned 'done': it must return None"):
        await lint(app)(http_scope(), receive, send)


@pytest.mark.parametrize("call", ["receive", "send"])
async def test_nothing_is_called_after_the_application_has_returned(call: str) -> None:
    late: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        late.update(receive=receive, send=lambda: send(BODY))
        await hello(scope, receive, send)

    await lint(app)(http_scope(), receive, send)
    with pytest.raises(ASGIViolation, match=f"{call}\\(\\) was called after the application had returned"):
        await late[call]()


async def test_nothing_is_called_after_the_application_has_raised() -> None:
    late: dict[str, Any] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        late.update(send=send)
        raise ValueError

    with pytest.raises(ValueError):
        await lint(app)(http_scope(), receive, send)
    with pytest.raises(ASGIViolation, match="after the application had returned"):
        await late["send"](START)


def changing(key: str, value: Any) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[key] = value
        await hello(scope, receive, send)

    return app


@pytest.mark.parametrize("key, value", [("path", "/other"), ("type", "x"), ("extensions", None), ("client", None)])
async def test_what_the_server_wrote_is_not_changed(key: str, value: Any) -> None:
    with pytest.raises(ASGIViolation, match=f"changed scope\\['{key}'\\]: copy the scope"):
        await lint(changing(key, value))(http_scope(), receive, send)


async def test_headers_are_not_changed_in_place() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["headers"].append((b"x", b"y"))
        await hello(scope, receive, send)

    with pytest.raises(ASGIViolation, match="changed scope\\['headers'\\]"):
        await lint(app)(http_scope(), receive, send)


async def test_keys_of_the_applications_own_may_be_added() -> None:
    await lint(changing("path_params", {"id": 1}))(http_scope(), receive, send)


async def test_root_path_may_be_changed_unless_strict() -> None:
    await lint(changing("root_path", "/pre"))(http_scope(), receive, send)
    with pytest.raises(ASGIViolation, match="changed scope\\['root_path'\\]"):
        await lint(changing("root_path", "/pre"), strict=True)(http_scope(), receive, send)


async def test_state_is_filled_not_replaced() -> None:
    async def fills(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["x"] = 1
        await hello(scope, receive, send)

    await lint(fills)(http_scope(), receive, send)
    await lint(changing("state", {}))(http_scope(omit=["state"]), receive, send)
    with pytest.raises(ASGIViolation, match="replaced scope\\['state'\\]"):
        await lint(changing("state", {}))(http_scope(), receive, send)


async def test_optional_scope_keys_may_be_absent() -> None:
    bare: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "extensions": None, "asgi": None}
    await lint(hello)(bare, receive, send)


async def test_an_unknown_scope_type_that_is_raised_for_passes() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError(scope["type"])

    with pytest.raises(NotImplementedError):
        await lint(app)({"type": "foo"}, receive, send)


async def returns(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def receives(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()


@pytest.mark.parametrize("app", [returns, receives, hello])
async def test_an_unknown_scope_type_is_not_served(app: ASGIApp) -> None:
    with pytest.raises(ASGIViolation, match="scope type 'foo' is unknown to this application"):
        await lint(app)({"type": "foo"}, receive, send)


async def test_an_unknown_scope_type_with_a_collector_is_told_for_every_step() -> None:
    found: list[ASGIViolation] = []

    async def broken(message: Message) -> None:
        raise OSError

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        with pytest.raises(OSError):
            await send(START)

    await lint(app, on_violation=found.append)({"type": "foo"}, receive, broken)
    assert len(found) == 3


async def test_cancellation_passes_through() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01) as scope:
        await lint(app)(http_scope(), receive, send)
    assert scope.cancelled_caught


class TestLifespan:
    @staticmethod
    async def talk(app: ASGIApp, *inputs: str, found: list[ASGIViolation] | None = None) -> list[str]:
        queue = list(inputs)
        sent: list[str] = []

        async def receive() -> Message:
            return {"type": f"lifespan.{queue.pop(0)}"}

        async def send(message: Message) -> None:
            sent.append(message["type"])

        await lint(app, on_violation=None if found is None else found.append)(lifespan_scope(), receive, send)
        return sent

    @staticmethod
    def app(*steps: str | None, **keys: Any) -> ASGIApp:
        """Return an application that receives for each None and sends the others."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            for step in steps:
                if step is None:
                    await receive()
                else:
                    await send({"type": f"lifespan.{step}", **keys})

        return app

    LEGAL = (
        (None, "startup.complete", None, "shutdown.complete"),
        (None, "startup.complete", None, "shutdown.failed"),
        (None, "startup.failed"),
    )
    ILLEGAL = (
        ((), "without an answer to 'lifespan.startup': raise if it does not support"),
        ((None,), "without an answer to 'lifespan.startup'"),
        ((None, "startup.complete"), "returned before 'lifespan.shutdown'"),
        ((None, "startup.complete", None), "without an answer to 'lifespan.shutdown'"),
        (("startup.complete",), "sent before 'lifespan.startup' was received"),
        ((None, "shutdown.complete"), "'lifespan.shutdown.complete' was sent while starting up"),
        ((None, "startup.complete", "startup.complete"), "sent between startup and shutdown"),
        ((None, "startup.complete", None, "startup.complete"), "sent while shutting down"),
        ((None, "startup.complete", None, "shutdown.complete", "shutdown.complete"), "sent after the last answer"),
        ((None, None), "receive\\(\\) was called while starting up: answer first"),
        ((None, "startup.failed", None), "receive\\(\\) was called after the last answer"),
        ((None, "startup.done"), "'lifespan.startup.done' is not a message"),
    )

    @pytest.mark.parametrize("steps", LEGAL)
    async def test_a_legal_lifespan_passes(self, steps: tuple[str | None, ...]) -> None:
        assert await self.talk(self.app(*steps), "startup", "shutdown")

    @pytest.mark.parametrize("steps, rule", ILLEGAL)
    async def test_an_illegal_lifespan_is_a_violation(self, steps: tuple[str | None, ...], rule: str) -> None:
        with pytest.raises(ASGIViolation, match=rule):
            await self.talk(self.app(*steps), "startup", "shutdown", "shutdown")
        found: list[ASGIViolation] = []
        await self.talk(self.app(*steps), "startup", "shutdown", "shutdown", found=found)
        assert re.search(rule, found[0].rule)

    async def test_a_failure_message_is_text(self) -> None:
        with pytest.raises(ASGIViolation, match="message must be a str, not bytes"):
            await self.talk(self.app(None, "startup.failed", message=b"x"), "startup")

    @pytest.mark.parametrize(
        "inputs, rule",
        [
            (("shutdown",), "the server sent 'lifespan.shutdown' before"),
            (("startup", "startup"), "the server sent 'lifespan.startup' between"),
            (("start",), "the server sent 'lifespan.start' in a lifespan scope"),
        ],
    )
    async def test_a_server_that_breaks_a_rule_is_told_so(self, inputs: tuple[str, ...], rule: str) -> None:
        with pytest.raises(ASGIViolation, match=rule):
            await self.talk(self.app(None, "startup.complete", None, "shutdown.complete"), *inputs)
