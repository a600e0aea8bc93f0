"""Work after the response, and work beside the requests."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from anyio.to_thread import run_sync

from microasgi.background import BackgroundTask, BackgroundTasks, Tasks

pytestmark = pytest.mark.anyio

VALUE: ContextVar[str] = ContextVar("VALUE", default="nothing")


class Log(list[Any]):
    """What has run."""

    def note(self, *args: Any, **kwargs: Any) -> None:
        self.append((args, kwargs, threading.current_thread() is threading.main_thread()))

    async def note_later(self, *args: Any, **kwargs: Any) -> None:
        await checkpoint()
        self.note(*args, **kwargs)

    async def __call__(self, *args: Any) -> None:
        await self.note_later(*args)


@pytest.fixture
def log() -> Log:
    return Log()


def fail() -> None:
    raise ZeroDivisionError("in a thread")


async def fail_later() -> None:
    await checkpoint()
    raise ZeroDivisionError("on the loop")


# After the response


async def test_an_async_function_runs_on_the_loop(log: Log) -> None:
    await BackgroundTask(log.note_later, 1, b=2)()
    assert log == [((1,), {"b": 2}, True)]


async def test_a_function_runs_in_a_worker_thread(log: Log) -> None:
    await BackgroundTask(log.note, 1, b=2)()
    assert log == [((1,), {"b": 2}, False)]


async def test_what_a_function_returns_is_awaited_if_it_can_be(log: Log) -> None:
    await BackgroundTask(lambda: log.note_later(1))()
    await BackgroundTask(log, 2)()
    await BackgroundTask(functools.partial(log.note_later, 3))()
    assert log == [((1,), {}, True), ((2,), {}, True), ((3,), {}, True)]


@pytest.mark.parametrize("function", [fail, fail_later])
async def test_a_task_that_fails_is_logged_and_does_not_raise(function: Any, caplog: pytest.LogCaptureFixture) -> None:
    await BackgroundTask(function)()
    (record,) = caplog.records
    assert record.name == "microasgi"
    assert record.getMessage() == f"background task {function.__name__} failed"
    assert record.exc_info is not None


async def test_tasks_run_in_order_and_one_that_fails_does_not_stop_the_rest(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = BackgroundTasks([BackgroundTask(log.note, 1)])
    tasks.add_task(fail)
    tasks.add_task(log.note_later, 2)
    tasks.add_task(fail_later)
    tasks.add_task(log.note, b=3)
    await tasks()
    assert [(args, kwargs) for args, kwargs, _ in log] == [((1,), {}), ((2,), {}), ((), {"b": 3})]
    assert [record.getMessage() for record in caplog.records] == [
        "background task fail failed",
        "background task fail_later failed",
    ]


async def test_a_task_may_add_another_one(log: Log) -> None:
    tasks = BackgroundTasks()
    tasks.add_task(lambda: tasks.add_task(log.note, 1))
    await tasks()
    assert log[0][0] == (1,)


async def test_a_cancelled_task_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with anyio.move_on_after(0.01) as scope:
        await BackgroundTask(anyio.sleep, 30)()
    assert scope.cancelled_caught
    assert not caplog.records


# Beside the requests


async def test_work_runs_beside_what_has_started_it(log: Log) -> None:
    tasks = Tasks()
    async with tasks.running(grace=5):
        tasks.start_soon(log.note_later, 1)
        assert log == []
        await anyio.sleep(0.01)
        assert log == [((1,), {}, True)]


async def test_a_function_beside_the_requests_runs_in_a_worker_thread(log: Log) -> None:
    tasks = Tasks()
    async with tasks.running(grace=5):
        tasks.start_soon(log.note, 1)
    assert log == [((1,), {}, False)]


async def test_work_may_be_started_from_a_worker_thread(log: Log) -> None:
    tasks = Tasks()
    names: list[str] = []

    async def look() -> None:
        names.append(str(anyio.get_current_task().name))

    async with tasks.running(grace=5):
        await run_sync(tasks.start_soon, log.note_later, 1)
        await run_sync(functools.partial(tasks.start_soon, look, name="looking"))
    assert log == [((1,), {}, True)]
    assert names == ["looking"]


async def test_work_has_the_context_variables_of_where_it_was_started() -> None:
    tasks = Tasks()
    seen: list[str] = []

    async def look() -> None:
        seen.append(VALUE.get())

    async with tasks.running(grace=5):
        VALUE.set("request")
        tasks.start_soon(look)
        await run_sync(tasks.start_soon, look)
        VALUE.set("nothing")
    assert seen == ["request", "request"]


@pytest.mark.parametrize("function", [fail, fail_later])
async def test_work_that_fails_is_logged_and_ends_nothing_else(
    function: Any, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = Tasks()
    async with tasks.running(grace=5):
        tasks.start_soon(function)
        tasks.start_soon(function, name="with a name")
        await anyio.sleep(0.05)
        tasks.start_soon(log.note_later, 1)
    assert log == [((1,), {}, True)]
    messages = sorted(record.getMessage() for record in caplog.records)
    assert messages == [f"task {function.__name__} failed", "task with a name failed"]


async def test_work_outlives_the_scope_of_the_request_that_has_started_it(log: Log) -> None:
    tasks = Tasks()
    async with tasks.running(grace=5):
        with anyio.CancelScope() as request:
            tasks.start_soon(log.note_later, 1)
            request.cancel()
            await checkpoint()
        await anyio.sleep(0.01)
    assert len(log) == 1


async def test_the_end_waits_for_work_that_runs(log: Log) -> None:
    tasks = Tasks()

    async def work() -> None:
        await anyio.sleep(0.02)
        log.append("done")

    async with tasks.running(grace=5):
        tasks.start_soon(work)
    assert log == ["done"]


async def test_work_is_cancelled_after_the_grace_and_that_is_logged(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    async def work() -> None:
        try:
            await anyio.sleep(30)
        finally:
            log.append("cleaned up")

    with anyio.fail_after(5):
        async with tasks.running(grace=0.01):
            tasks.start_soon(work, name="slow")
            await checkpoint()
    assert log == ["cleaned up"]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == "task slow was cancelled: the application has stopped"


async def test_an_error_of_the_lifespan_comes_out_as_it_is_after_the_grace(log: Log) -> None:
    tasks = Tasks()
    with pytest.raises(ZeroDivisionError):
        async with tasks.running(grace=5):
            tasks.start_soon(log.note_later, 1)
            raise ZeroDivisionError
    assert len(log) == 1


async def test_a_cancelled_lifespan_cancels_the_work_at_once() -> None:
    tasks = Tasks()
    with anyio.CancelScope() as scope:
        async with tasks.running(grace=30):
            tasks.start_soon(anyio.sleep, 30)
            scope.cancel()
            await checkpoint()
    assert scope.cancelled_caught


async def test_work_is_refused_while_the_lifespan_does_not_run(log: Log) -> None:
    tasks = Tasks()
    with pytest.raises(RuntimeError, match="lifespan does not run.*with TestClient"):
        tasks.start_soon(log.note_later, 1)
    with pytest.raises(RuntimeError, match="lifespan does not run"):
        await run_sync(tasks.start_soon, log.note_later, 1)
    async with tasks.running(grace=5):
        pass
    with pytest.raises(RuntimeError, match="lifespan does not run"):
        tasks.start_soon(log.note_later, 1)


def test_work_is_refused_in_a_thread_of_no_loop(log: Log) -> None:
    with pytest.raises(RuntimeError, match=r"start_soon\(Log.note\) was called in a thread that no event loop"):
        Tasks().start_soon(log.note, 1)


def test_two_loops_run_their_own_work_at_the_same_time(log: Log) -> None:
    tasks = Tasks()
    both = threading.Barrier(2)

    async def run(name: str) -> None:
        async with tasks.running(grace=5):
            await run_sync(both.wait)
            tasks.start_soon(log.note_later, name)
            await run_sync(both.wait)

    with contextlib.ExitStack() as stack:
        for backend in ("asyncio", "trio"):
            thread = threading.Thread(target=functools.partial(anyio.run, run, backend, backend=backend))
            thread.start()
            stack.callback(thread.join)
    assert sorted(args for args, _, _ in log) == [("asyncio",), ("trio",)]
