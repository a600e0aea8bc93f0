"""Where work runs: worker threads, deadlines, and coroutines driven step by step."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from microasgi.concurrency import (
    await_within,
    current_loop,
    iterate_in_threadpool,
    on_asyncio,
    run_in_threadpool,
    spawn,
    threads,
)
from microasgi.stepper import Stepper

VALUE: ContextVar[str] = ContextVar("VALUE", default="nothing")

asyncio_only = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {"debug": True}), id="asyncio")], indirect=False
)


# Worker threads


@pytest.mark.anyio
async def test_a_blocking_function_runs_in_a_worker_thread() -> None:
    def work(*args: Any, **kwargs: Any) -> Any:
        return threading.current_thread(), args, kwargs

    thread, args, kwargs = await run_in_threadpool(work, 1, b=2)
    assert thread is not threading.current_thread()
    assert (args, kwargs) == ((1,), {"b": 2})


@pytest.mark.anyio
async def test_a_worker_thread_sees_a_copy_of_the_context_variables() -> None:
    VALUE.set("outside")

    def work() -> str:
        seen = VALUE.get()
        VALUE.set("inside")
        return seen

    assert await run_in_threadpool(work) == "outside"
    assert VALUE.get() == "outside"


@pytest.mark.anyio
async def test_what_surrounds_an_application_may_have_threads_of_its_own() -> None:
    calls: list[Callable[[], Any]] = []

    async def own_threads(call: Callable[[], Any]) -> Any:
        calls.append(call)
        return call()

    token = threads.set(own_threads)
    try:
        assert await run_in_threadpool(lambda word: word * 2, "ha") == "haha"
    finally:
        threads.reset(token)
    assert len(calls) == 1
    assert await run_in_threadpool(threading.current_thread) is not threading.current_thread()


@pytest.mark.anyio
async def test_an_exception_comes_back_from_the_worker_thread() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_threadpool(lambda: 1 / 0)


@pytest.mark.anyio
@pytest.mark.parametrize("make", [list, iter, lambda items: (item for item in items)])
async def test_a_blocking_iterable_is_iterated_in_threads(make: Callable[[list[int]], Any]) -> None:
    assert [item async for item in iterate_in_threadpool(make([1, 2, 3]))] == [1, 2, 3]


class Blocking:
    """An iterable that notes in which threads it is used."""

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[int]:
        self.threads.add(threading.current_thread())
        return self._items()

    def _items(self) -> Generator[int]:
        self.threads.add(threading.current_thread())
        try:
            yield 1
            yield 2
        finally:
            self.threads.add(threading.current_thread())
            self.closed = True


@pytest.mark.anyio
async def test_no_part_of_a_blocking_iterable_runs_on_the_loop() -> None:
    iterable = Blocking()
    assert [item async for item in iterate_in_threadpool(iterable)] == [1, 2]
    assert threading.current_thread() not in iterable.threads


@pytest.mark.anyio
async def test_a_generator_that_is_left_early_is_closed_in_a_thread() -> None:
    iterable = Blocking()
    iterator = iterate_in_threadpool(iterable)
    assert await anext(iterator) == 1
    await iterator.aclose()
    assert iterable.closed
    assert threading.current_thread() not in iterable.threads


@pytest.mark.anyio
async def test_a_generator_is_closed_when_its_reader_is_cancelled() -> None:
    iterable = Blocking()
    with anyio.CancelScope() as scope:
        iterator = iterate_in_threadpool(iterable)
        try:
            async for _ in iterator:
                scope.cancel()
                await checkpoint()
        finally:
            await iterator.aclose()
    assert iterable.closed


# Loops


@pytest.mark.anyio
async def test_the_current_loop_is_the_same_one_in_all_its_tasks() -> None:
    seen: list[object] = []

    async def look() -> None:
        seen.append(current_loop())

    async with anyio.create_task_group() as group:
        group.start_soon(look)
    assert seen == [current_loop()]
    assert seen[0] is not None


@pytest.mark.anyio
async def test_asyncio_and_trio_are_told_apart(anyio_backend_name: str) -> None:
    assert on_asyncio() is (anyio_backend_name == "asyncio")


def test_no_loop_runs_in_a_plain_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_loop() is None
    monkeypatch.delitem(sys.modules, "trio", raising=False)
    assert current_loop() is None
    assert not on_asyncio()


@pytest.mark.anyio
async def test_a_spawned_task_outlives_the_task_that_spawned_it() -> None:
    done = anyio.Event()

    async def work() -> None:
        done.set()

    async def start() -> object:
        return spawn(work)

    task = await start()
    with anyio.fail_after(5):
        await done.wait()
    assert task is not None


# Deadlines


async def ready() -> str:
    return "ready"


async def later() -> str:
    await checkpoint()
    await anyio.sleep(0.001)
    return "later"


async def failing() -> str:
    await checkpoint()
    raise ZeroDivisionError


async def never() -> str:
    await anyio.sleep_forever()
    raise AssertionError


class ByIterator:
    """An awaitable whose steps are a plain iterator, as those of some compiled code are."""

    def __init__(self, forever: bool = False) -> None:
        self.steps = 0
        self.forever = forever

    def __await__(self) -> Any:
        return self

    def __iter__(self) -> ByIterator:
        return self

    def __next__(self) -> None:
        self.steps += 1
        if self.steps > 2 and not self.forever:
            raise StopIteration("iterated")


@pytest.mark.anyio
async def test_what_comes_in_time_is_returned() -> None:
    assert await await_within(5, ready()) == "ready"
    assert await await_within(5, later()) == "later"


@pytest.mark.anyio
async def test_what_comes_too_late_is_a_timeout_error_and_is_cancelled() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await never()
        finally:
            ended.append("cancelled")

    with pytest.raises(TimeoutError):
        await await_within(0.01, work())
    assert ended == ["cancelled"]


@pytest.mark.anyio
async def test_an_error_comes_through_the_deadline() -> None:
    with pytest.raises(ZeroDivisionError):
        await await_within(5, failing())


@pytest.mark.anyio
async def test_a_cancellation_comes_through_the_deadline() -> None:
    with anyio.move_on_after(0.01) as scope:
        await await_within(5, never())
    assert scope.cancelled_caught


@pytest.mark.anyio
async def test_what_catches_the_cancellation_may_go_on_awaiting() -> None:
    async def work() -> None:
        try:
            await never()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
                await anyio.sleep(0.001)

    with pytest.raises(TimeoutError):
        await await_within(0.01, work())


@pytest.mark.anyio
async def test_the_deadline_nests_with_the_scopes_of_what_is_awaited() -> None:
    async def work() -> str:
        with anyio.move_on_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0.001)
        return await later()

    assert await await_within(5, work()) == "later"


@pytest.mark.anyio
@asyncio_only
async def test_on_asyncio_a_plain_iterator_will_do_as_an_awaitable() -> None:
    assert await await_within(5, ByIterator()) == "iterated"


@pytest.mark.anyio
@asyncio_only
async def test_on_asyncio_a_plain_iterator_is_left_at_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        await await_within(0.01, ByIterator(forever=True))


# The stepper


def stepping(function: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Stepper:
    stepper = Stepper()
    stepper.start(function(stepper, *args))
    return stepper


@pytest.mark.anyio
async def test_a_coroutine_runs_up_to_each_pause_and_to_its_end() -> None:
    log: list[int] = []

    async def work(stepper: Stepper) -> None:
        log.append(1)
        await checkpoint()
        await stepper.pause()
        log.append(2)
        await stepper.pause()
        await anyio.sleep(0.001)
        log.append(3)

    stepper = stepping(work)
    assert log == []
    assert await stepper.advance()
    assert log == [1]
    assert await stepper.advance()
    assert log == [1, 2]
    assert not stepper.ended
    assert not await stepper.advance()
    assert log == [1, 2, 3]
    assert stepper.ended


@pytest.mark.anyio
async def test_a_pause_may_hand_something_over() -> None:
    async def work(stepper: Stepper) -> None:
        await stepper.pause("one")
        await stepper.pause()

    stepper = stepping(work)
    assert await stepper.advance()
    assert stepper.handed == "one"
    assert await stepper.advance()
    assert stepper.handed is None


@pytest.mark.anyio
async def test_a_stepper_that_has_ended_or_not_begun_has_nothing_to_advance() -> None:
    assert not await Stepper().advance()
    stepper = stepping(lambda _: ready())
    assert not await stepper.advance()
    assert not await stepper.advance()


@pytest.mark.anyio
async def test_context_variables_flow_both_ways() -> None:
    seen: list[str] = []

    async def work(stepper: Stepper) -> None:
        seen.append(VALUE.get())
        VALUE.set("first")
        await stepper.pause()
        seen.append(VALUE.get())
        VALUE.set("last")

    VALUE.set("before")
    stepper = stepping(work)
    await stepper.advance()
    assert VALUE.get() == "first"
    VALUE.set("between")
    await stepper.advance()
    assert VALUE.get() == "last"
    assert seen == ["before", "between"]


@pytest.mark.anyio
async def test_an_exception_comes_through_and_ends_the_stepper() -> None:
    async def work(stepper: Stepper) -> None:
        await stepper.pause()
        await failing()

    stepper = stepping(work)
    assert await stepper.advance()
    with pytest.raises(ZeroDivisionError):
        await stepper.advance()
    assert stepper.ended
    assert not await stepper.advance()


@pytest.mark.anyio
async def test_an_exception_that_is_awaited_is_raised_inside_the_coroutine() -> None:
    async def work(stepper: Stepper) -> None:
        with pytest.raises(TimeoutError):
            with anyio.fail_after(0.001):
                await never()
        await stepper.pause()

    stepper = stepping(work)
    assert await stepper.advance()
    assert not await stepper.advance()


async def waits_in_a_sleep(stepper: Stepper) -> None:
    await anyio.sleep(30)


async def waits_in_a_task_group(stepper: Stepper) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 30)


async def waits_in_a_scope(stepper: Stepper) -> None:
    with anyio.move_on_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 30)
            await anyio.Event().wait()


async def waits_after_a_pause(stepper: Stepper) -> None:
    await stepper.pause()
    await anyio.sleep(30)


async def never_gives_way_for_long(stepper: Stepper) -> None:
    while True:
        await checkpoint()


async def waits_for_a_thread(stepper: Stepper) -> None:
    while True:
        await run_in_threadpool(lambda: None)


WAITING = [
    waits_in_a_sleep,
    waits_in_a_task_group,
    waits_in_a_scope,
    waits_after_a_pause,
    never_gives_way_for_long,
    waits_for_a_thread,
]


@pytest.mark.anyio
@pytest.mark.parametrize("work", WAITING)
async def test_a_cancellation_reaches_the_coroutine_wherever_it_waits(work: Callable[..., Any]) -> None:
    ended: list[str] = []

    async def noted(stepper: Stepper) -> None:
        try:
            await work(stepper)
        finally:
            ended.append("cleaned up")

    stepper = stepping(noted)
    with anyio.move_on_after(0.02) as scope:
        while await stepper.advance():
            pass
    assert scope.cancelled_caught
    assert ended == ["cleaned up"]
    assert stepper.ended


@pytest.mark.anyio
@asyncio_only
@pytest.mark.parametrize("work", WAITING)
async def test_cancelling_the_task_reaches_the_coroutine_wherever_it_waits(work: Callable[..., Any]) -> None:
    stepper = stepping(work)

    async def drive() -> None:
        while await stepper.advance():
            pass

    task = asyncio.create_task(drive())
    await asyncio.sleep(0.02)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stepper.ended


@pytest.mark.anyio
@asyncio_only
async def test_a_cancellation_that_comes_with_the_result_is_not_lost() -> None:
    future = asyncio.get_running_loop().create_future()

    async def work(stepper: Stepper) -> None:
        await future
        await anyio.sleep(30)

    stepper = stepping(work)

    async def drive() -> None:
        await stepper.advance()

    task = asyncio.create_task(drive())
    await asyncio.sleep(0)
    future.set_result(None)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
async def test_a_coroutine_may_swallow_a_cancellation_of_its_own() -> None:
    async def work(stepper: Stepper) -> str:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await anyio.sleep(30)
        await stepper.pause()
        return "went on"

    stepper = stepping(work)
    assert await stepper.advance()
    assert not await stepper.advance()


@pytest.mark.anyio
async def test_scopes_of_the_coroutine_may_stay_open_over_a_pause() -> None:
    async def work(stepper: Stepper) -> None:
        with anyio.CancelScope():
            async with anyio.create_task_group() as group:
                await stepper.pause()
                group.cancel_scope.cancel()

    stepper = stepping(work)
    assert await stepper.advance()
    with anyio.move_on_after(5):
        await checkpoint()
    assert not await stepper.advance()


# Pauses of tasks that the coroutine has started


async def pauses_in_a_task(stepper: Stepper, log: list[str]) -> None:
    async def send(text: str) -> None:
        log.append(text)
        await stepper.pause()

    async def respond() -> None:
        await send("start")
        await checkpoint()
        await send("body")

    async with anyio.create_task_group() as group:
        group.start_soon(respond)
    log.append("end")


@pytest.mark.anyio
@asyncio_only
async def test_on_asyncio_a_task_of_the_coroutine_may_pause_it() -> None:
    log: list[str] = []
    stepper = stepping(pauses_in_a_task, log)
    assert await stepper.advance()
    assert log == ["start"]
    await anyio.sleep(0.001)
    assert log == ["start"]
    assert await stepper.advance()
    assert log == ["start", "body"]
    assert not await stepper.advance()
    assert log == ["start", "body", "end"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_a_task_that_pauses_is_told_what_to_do_instead() -> None:
    stepper = stepping(pauses_in_a_task, [])
    with pytest.raises(ExceptionGroup) as caught:
        await stepper.advance()
    assert caught.group_contains(RuntimeError, match="write the middleware as an ASGI class instead")


@pytest.mark.anyio
@asyncio_only
async def test_pauses_of_several_tasks_take_turns() -> None:
    log: list[str] = []

    async def work(stepper: Stepper) -> None:
        async def send(text: str) -> None:
            log.append(f"{text} pauses")
            await stepper.pause(text)
            log.append(f"{text} goes on")

        async with anyio.create_task_group() as group:
            for text in "abc":
                group.start_soon(send, text)

    stepper = stepping(work)
    for number in range(3):
        assert await stepper.advance()
        assert stepper.handed == "abc"[number]
        await anyio.sleep(0.001)
        assert sum("goes on" in line for line in log) == number
    assert not await stepper.advance()
    assert log == ["a pauses", "b pauses", "c pauses", "a goes on", "b goes on", "c goes on"]


@pytest.mark.anyio
@asyncio_only
async def test_a_task_that_pauses_while_nobody_drives_waits_for_its_turn() -> None:
    log: list[str] = []

    async def work(stepper: Stepper) -> None:
        async def send() -> None:
            await anyio.sleep(0.001)
            await stepper.pause()
            log.append("task")

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await checkpoint()
            await stepper.pause()
            log.append("coroutine")

    stepper = stepping(work)
    assert await stepper.advance()
    await anyio.sleep(0.01)
    assert await stepper.advance()  # the task's pause
    assert log == []
    assert not await stepper.advance()
    assert sorted(log) == ["coroutine", "task"]


@pytest.mark.anyio
@asyncio_only
async def test_a_pausing_task_may_be_cancelled_before_its_turn_and_in_it() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def work(stepper: Stepper) -> None:
        tasks.extend(asyncio.create_task(stepper.pause()) for _ in "ab")
        await asyncio.wait(tasks)

    stepper = stepping(work)
    assert await stepper.advance()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert not await stepper.advance()


@pytest.mark.anyio
async def test_scopes_that_the_coroutine_has_open_are_around_its_driver_too() -> None:
    scopes: list[anyio.CancelScope] = []

    async def work(stepper: Stepper) -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await stepper.pause()
            await checkpoint()

    stepper = stepping(work)
    assert await stepper.advance()
    scopes[0].cancel()
    with pytest.raises(anyio.get_cancelled_exc_class()):
        await anyio.sleep(1)
    assert not await stepper.advance()


@pytest.mark.anyio
@asyncio_only
async def test_what_a_coroutine_awaits_may_end_while_its_task_pauses() -> None:
    async def work(stepper: Stepper) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(stepper.pause)
            await anyio.sleep(0.001)
            await anyio.sleep(0.001)
        return "end"

    stepper = stepping(work)
    assert await stepper.advance()
    await anyio.sleep(0.01)
    assert not await stepper.advance()


@pytest.mark.anyio
@asyncio_only
async def test_a_task_that_outlives_the_coroutine_is_not_held() -> None:
    log: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def work(stepper: Stepper) -> None:
        async def send(text: str) -> None:
            await stepper.pause()
            log.append(text)
            await stepper.pause()
            log.append(f"{text} again")

        tasks.extend(asyncio.create_task(send(text)) for text in "ab")
        await asyncio.sleep(0)

    stepper = stepping(work)
    while await stepper.advance():
        pass
    await asyncio.gather(*tasks)
    assert sorted(log) == ["a", "a again", "b", "b again"]


@pytest.mark.anyio
@asyncio_only
async def test_a_cancellation_reaches_the_task_that_pauses() -> None:
    log: list[str] = []
    stepper = stepping(pauses_in_a_task, log)
    with anyio.CancelScope() as scope:
        await stepper.advance()
        scope.cancel()
        while await stepper.advance():
            pass
    assert scope.cancelled_caught
    assert stepper.ended
    assert log == ["start"]


@pytest.mark.anyio
@asyncio_only
async def test_long_waits_leave_nothing_behind_on_what_is_awaited() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work(stepper: Stepper) -> None:
        async def send() -> None:
            for _ in range(100):
                await stepper.pause()
            future.set_result(None)

        task = asyncio.create_task(send())
        await future
        await task

    stepper = stepping(work)
    for _ in range(100):
        assert await stepper.advance()
        assert not future._callbacks
    assert not await stepper.advance()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.anyio
@asyncio_only
async def test_an_eager_task_may_pause_the_coroutine_that_starts_it() -> None:
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    try:

        async def work(stepper: Stepper) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(stepper.pause())

        stepper = stepping(work)
        assert await stepper.advance()
        assert not await stepper.advance()
    finally:
        asyncio.get_running_loop().set_task_factory(None)
