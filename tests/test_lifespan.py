"""The lifespan protocol: answered to a server, and asked of mounted applications."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from microasgi import lifespan as lifespan_module
from microasgi.exceptions import ConfigurationError
from microasgi.lifespan import Enter, answer_lifespan, as_context, run_together
from microasgi.types import ASGIApp, Message, Receive, Scope, Send


class Log(list[str]):
    """What has happened, in order."""

    def lifespan(
        self, name: str, state: Mapping[str, Any] | None = None, fails: str = ""
    ) -> Callable[[], AbstractAsyncContextManager[Any]]:
        """Make a lifespan that notes its start and stop; it fails in "start" or "stop"."""

        @asynccontextmanager
        async def run() -> AsyncGenerator[Any]:
            if fails == "start":
                raise LookupError(f"{name} fails")
            self.append(f"start {name}")
            try:
                yield state
            finally:
                await checkpoint()
                self.append(f"stop {name}")
                if fails == "stop":
                    raise LookupError(f"{name} fails")

        return run

    def app(self, name: str, state: Mapping[str, Any] | None = None, fails: str = "") -> ASGIApp:
        """Make an application with such a lifespan."""
        enter = self.lifespan(name, state, fails)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            assert scope["type"] == "lifespan"
            await answer_lifespan(scope, receive, send, enter)

        return app


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture(autouse=True)
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifespan_module, "_GRACE", 0.05)


class Server:
    """The server's side of a conversation."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        self.sent: list[Message] = []
        self.started, self.stop, self.ended = anyio.Event(), anyio.Event(), anyio.Event()
        self.asked = 0

    async def run(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
        finally:
            self.ended.set()

    async def receive(self) -> Message:
        self.asked += 1
        if self.asked == 1:
            return {"type": "lifespan.startup"}
        await self.stop.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        self.started.set()

    def types(self) -> list[str]:
        return [message["type"] for message in self.sent]


def answering(enter: Enter) -> Server:
    return Server(functools.partial(_answer, enter))


async def _answer(enter: Enter, scope: Scope, receive: Receive, send: Send) -> None:
    await answer_lifespan(scope, receive, send, enter)


# Lifespans as they are written


@asynccontextmanager
async def takes_app(app: object) -> AsyncGenerator[dict[str, Any]]:
    yield {"app": app}


@asynccontextmanager
async def takes_nothing() -> AsyncGenerator[dict[str, Any]]:
    yield {"app": "none"}


async def generator(app: object) -> AsyncIterator[dict[str, Any]]:
    yield {"app": app}


async def generator_of_nothing() -> AsyncIterator[dict[str, Any]]:
    yield {"app": "none"}


@asynccontextmanager
async def takes_options(*, size: int = 5) -> AsyncGenerator[dict[str, Any]]:
    yield {"app": size}


class AsClass:
    """A lifespan that is a class, as Starlette allows it."""

    def __init__(self, app: object) -> None:
        self.app = app

    async def __aenter__(self) -> dict[str, Any]:
        return {"app": self.app}

    async def __aexit__(self, *_: object) -> None: ...

    @asynccontextmanager
    async def method(self) -> AsyncGenerator[dict[str, Any]]:
        yield {"app": "method"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("function", "seen"),
    [
        (takes_app, "the app"),
        (takes_nothing, "none"),
        (generator, "the app"),
        (generator_of_nothing, "none"),
        (takes_options, 5),
        (functools.partial(takes_app, app="bound"), "bound"),
        (AsClass, "the app"),
        (AsClass(None).method, "method"),
    ],
)
async def test_a_lifespan_may_be_written_in_many_ways(function: Callable[..., Any], seen: object) -> None:
    async with as_context(function, "the app")() as state:
        assert state == {"app": seen}


async def never_yields(app: object) -> None: ...


@asynccontextmanager
async def takes_two(app: object, other: object) -> AsyncGenerator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (5, "a function that makes an async context manager, not 5"),
        (takes_nothing(), "a function that makes an async context manager, not"),
        (never_yields, "lifespan never_yields never yields"),
        (takes_two, "lifespan takes_two takes the application or nothing: missing.*'other'"),
    ],
)
def test_what_cannot_be_a_lifespan_is_refused_when_it_is_added(function: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        as_context(function, "the app")


def test_a_function_that_returns_something_else_is_named() -> None:
    def returns_five() -> int:
        return 5

    with pytest.raises(ConfigurationError, match="returns_five returned int: decorate it with"):
        as_context(returns_five, "the app")()


# Answering a server


@pytest.mark.anyio
async def test_a_server_is_told_of_start_and_stop(log: Log) -> None:
    server = answering(log.lifespan("app", {"a": 1}))
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await server.started.wait()
        assert server.types() == ["lifespan.startup.complete"]
        assert server.scope["state"] == {"a": 1}
        assert log == ["start app"]
        server.stop.set()
    assert server.types() == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["start app", "stop app"]


@pytest.mark.anyio
async def test_the_servers_state_is_added_to_and_not_replaced(log: Log) -> None:
    server = answering(log.lifespan("app", {"a": 1}))
    server.scope["state"] = state = {"of the server": 0}
    server.stop.set()
    await server.run()
    assert state == {"of the server": 0, "a": 1}


@pytest.mark.anyio
async def test_without_state_the_scope_stays_as_it_is(log: Log) -> None:
    server = answering(log.lifespan("app"))
    server.stop.set()
    await server.run()
    assert "state" not in server.scope


@pytest.mark.anyio
async def test_a_failing_start_is_reported_and_raised(log: Log) -> None:
    server = answering(log.lifespan("app", fails="start"))
    with pytest.raises(LookupError):
        await server.run()
    assert server.sent == [{"type": "lifespan.startup.failed", "message": "LookupError: app fails"}]


@pytest.mark.anyio
async def test_a_failing_stop_is_reported_and_raised(log: Log) -> None:
    server = answering(log.lifespan("app", fails="stop"))
    server.stop.set()
    with pytest.raises(LookupError):
        await server.run()
    assert server.sent[1:] == [{"type": "lifespan.shutdown.failed", "message": "LookupError: app fails"}]


@pytest.mark.anyio
async def test_a_lifespan_that_is_cancelled_cleans_up_and_says_nothing(log: Log) -> None:
    server = answering(log.lifespan("app"))
    async with anyio.create_task_group() as group:
        group.start_soon(server.run)
        await server.started.wait()
        group.cancel_scope.cancel()
    assert server.types() == ["lifespan.startup.complete"]
    assert log == ["start app"]  # its clean-up awaits, which a cancelled scope does not allow


# Several together


@asynccontextmanager
async def nothing() -> AsyncGenerator[None]:
    yield


@pytest.mark.anyio
async def test_all_start_in_order_and_stop_in_reverse(log: Log) -> None:
    enters = [log.lifespan("one"), log.lifespan("two")]
    mounted = [("/a", log.app("a")), ("/b", log.app("b"))]
    async with run_together(enters, mounted, log.lifespan("tasks")):
        assert log == ["start one", "start two", "start a", "start b", "start tasks"]
        log.clear()
    assert log == ["stop tasks", "stop b", "stop a", "stop two", "stop one"]


@pytest.mark.anyio
async def test_states_are_merged_the_last_one_wins(log: Log) -> None:
    enters = [log.lifespan("one", {"a": 1, "b": 1}), log.lifespan("two", {"b": 2}), log.lifespan("three")]
    mounted = [("/c", log.app("c", {"c": 3}))]
    async with run_together(enters, mounted, nothing) as state:
        assert state == {"a": 1, "b": 2, "c": 3}


@pytest.mark.anyio
async def test_a_mounted_application_sees_the_state_of_what_is_around_it(log: Log) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(dict(scope["state"]))

    async with run_together([log.lifespan("one", {"a": 1})], [("/", app)], nothing):
        pass
    assert seen == [{"a": 1}]


@pytest.mark.anyio
async def test_an_application_that_is_mounted_twice_runs_once(log: Log) -> None:
    app = log.app("a")
    async with run_together([], [("/a", app), ("/b", log.app("b")), ("/c", app)], nothing):
        assert log == ["start a", "start b"]


@pytest.mark.anyio
async def test_a_lifespan_that_yields_no_mapping_is_refused(log: Log) -> None:
    with pytest.raises(ConfigurationError, match="yields nothing or a mapping for `request.state`, not 5"):
        async with run_together([log.lifespan("one"), log.lifespan("two", 5)], [], nothing):  # type: ignore[arg-type]
            pass
    assert log == ["start one", "start two", "stop two", "stop one"]


@pytest.mark.anyio
async def test_a_failing_start_undoes_what_has_started(log: Log) -> None:
    enters = [log.lifespan("one"), log.lifespan("two", fails="start"), log.lifespan("three")]
    with pytest.raises(LookupError, match="two fails"):
        async with run_together(enters, [("/a", log.app("a"))], nothing):
            pass
    assert log == ["start one", "stop one"]


@pytest.mark.anyio
async def test_a_mounted_application_that_fails_to_start_is_named_and_the_others_stop(log: Log) -> None:
    mounted = [("/a", log.app("a")), ("/b", log.app("b", fails="start")), ("/c", log.app("c"))]
    with pytest.raises(RuntimeError, match="mounted at /b did not start: LookupError: b fails"):
        async with run_together([log.lifespan("one")], mounted, nothing):
            pass
    assert log == ["start one", "start a", "stop a", "stop one"]


@pytest.mark.anyio
async def test_an_error_inside_stops_all_and_comes_out_as_it_is(log: Log) -> None:
    with pytest.raises(ZeroDivisionError):
        async with run_together([log.lifespan("one")], [("/a", log.app("a"))], nothing):
            raise ZeroDivisionError
    assert log == ["start one", "start a", "stop a", "stop one"]


@pytest.mark.anyio
async def test_a_mounted_application_that_fails_to_stop_is_logged_and_the_others_stop(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    mounted = [("/a", log.app("a")), ("/b", log.app("b", fails="stop"))]
    async with run_together([log.lifespan("one")], mounted, nothing):
        log.clear()
    assert log == ["stop b", "stop a", "stop one"]
    assert [record.getMessage() for record in caplog.records] == [
        "the application mounted at /b did not stop well: LookupError: b fails"
    ]


# Mounted applications of all kinds


async def has_no_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """As Django's."""
    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")


async def raises_when_asked(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    raise KeyError("path")


async def returns_at_once(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def returns_early(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})


@pytest.mark.anyio
@pytest.mark.parametrize("app", [has_no_lifespan, raises_when_asked, returns_at_once, returns_early])
async def test_an_application_without_a_lifespan_is_no_failure(
    app: ASGIApp, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    async with run_together([log.lifespan("one")], [("/x", app), ("/a", log.app("a"))], nothing):
        assert log == ["start one", "start a"]
    assert log == ["start one", "start a", "stop a", "stop one"]
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.anyio
async def test_what_an_application_says_instead_of_a_lifespan_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with run_together([], [("/x", has_no_lifespan)], nothing):
        pass
    assert "mounted at /x has no lifespan: ValueError('Django" in caplog.text


@pytest.mark.anyio
async def test_an_application_that_dies_later_is_logged_and_the_rest_runs(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    die = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await die.wait()
        raise ZeroDivisionError

    async with run_together([], [("/x", app), ("/a", log.app("a"))], nothing):
        die.set()
        await anyio.sleep(0.01)
        assert "mounted at /x ended early" in caplog.text
        assert log == ["start a"]
    assert log == ["start a", "stop a"]
    assert len(caplog.records) == 1


@pytest.mark.anyio
async def test_a_failure_without_a_reason_is_one(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(RuntimeError, match="mounted at /x did not start: it gave no reason"):
        async with run_together([], [("/x", app)], nothing):
            pass


@pytest.mark.anyio
async def test_an_application_that_raises_while_it_stops_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ZeroDivisionError("at the end")

    async with run_together([], [("/x", app)], nothing):
        pass
    assert "mounted at /x did not stop well: ZeroDivisionError('at the end')" in caplog.text


async def stays_after_its_end(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
    await receive()


async def stays_after_its_failure(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_an_application_that_never_returns_does_not_hold_up_the_end() -> None:
    with anyio.fail_after(5):
        async with run_together([], [("/x", stays_after_its_end)], nothing):
            pass
        with pytest.raises(RuntimeError, match="did not start: no"):
            async with run_together([], [("/x", stays_after_its_failure)], nothing):
                pass


@pytest.mark.anyio
async def test_a_message_of_another_protocol_is_the_applications_mistake(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "http.response.start"})

    async with run_together([], [("/x", app)], nothing):
        await anyio.sleep(0.01)
    assert "'http.response.start' is no answer in a lifespan scope" in caplog.text


# Cancellation


@pytest.mark.anyio
async def test_a_mounted_application_is_cancelled_with_the_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        except BaseException:
            ended.append("application")
            with anyio.CancelScope(shield=True):
                await send({"type": "lifespan.shutdown.failed", "message": "cancelled"})
            raise

    @asynccontextmanager
    async def around() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            ended.append("around")

    with anyio.CancelScope() as scope:
        async with run_together([around], [("/x", app)], nothing):
            scope.cancel()
            await checkpoint()
    assert scope.cancelled_caught
    assert ended == ["application", "around"]
    assert not caplog.records


@pytest.mark.anyio
async def test_a_mounted_application_that_starts_forever_can_be_cancelled(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with anyio.move_on_after(0.01) as scope:
        async with run_together([log.lifespan("one")], [("/x", app)], nothing):
            pass
    assert scope.cancelled_caught


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelling_the_task_stops_mounted_applications_in_order(log: Log) -> None:
    server = Server(_application([log.lifespan("one")], [("/a", log.app("a")), ("/b", log.app("b"))]))
    task = asyncio.create_task(server.run())
    await server.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["start one", "start a", "start b", "stop b", "stop a", "stop one"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_mounted_application_that_does_not_stop_is_cancelled_after_a_grace(log: Log) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await anyio.sleep_forever()

    server = Server(_application([log.lifespan("one")], [("/x", app)]))
    task = asyncio.create_task(server.run())
    await server.started.wait()
    server.stop.set()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert log == ["start one", "stop one"]


def _application(enters: list[Enter], mounted: list[tuple[str, ASGIApp]]) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer_lifespan(scope, receive, send, lambda: run_together(enters, mounted, nothing))

    return app


def test_two_loops_run_the_same_lifespans_after_each_other(log: Log) -> None:
    async def run() -> None:
        server = Server(_application([log.lifespan("one")], [("/a", log.app("a"))]))
        server.stop.set()
        await server.run()
        assert server.types() == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(run, backend=backend)
    assert log == ["start one", "start a", "stop a", "stop one"] * 3
