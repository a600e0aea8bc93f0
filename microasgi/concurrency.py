"""Where a piece of work runs: in a worker thread, under a deadline, or in a block that others may end.

The only module of its floor with `async def`, and the only one that knows the event loops apart.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeAlias, TypeVar, cast

import anyio

__all__ = [
    "Interruptible",
    "Threads",
    "await_within",
    "current_loop",
    "current_task",
    "iterate_in_threadpool",
    "on_asyncio",
    "run_in_threadpool",
    "spawn",
    "threads",
]

P = ParamSpec("P")
T = TypeVar("T")


Threads: TypeAlias = Callable[[Callable[[], Any]], Awaitable[Any]]


async def _in_worker_thread(call: Callable[[], T]) -> T:
    from anyio.to_thread import run_sync

    return await run_sync(call)


threads: Final[ContextVar[Threads]] = ContextVar("threads", default=_in_worker_thread)
"""Where blocking functions run: in anyio's threads, unless what surrounds the application has others."""


async def run_in_threadpool(func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a worker thread (see `threads`), with a copy of this task's context variables."""
    return cast(T, await threads.get()(partial(func, *args, **kwargs)))


_END: Final = object()


async def iterate_in_threadpool(iterable: Iterable[T]) -> AsyncGenerator[T]:
    """Iterate over a blocking iterable, one worker-thread hop for each item; a generator is closed at the end."""
    iterator = iterable if isinstance(iterable, Iterator) else await run_in_threadpool(iter, iterable)
    try:
        while True:
            item: Any = await run_in_threadpool(cast("Callable[..., Any]", next), iterator, _END)
            if item is _END:
                return
            yield item
    finally:
        if isinstance(iterator, Generator):
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(iterator.close)


def current_loop() -> object | None:
    """Return the event loop that runs in this thread (of trio: its token), or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_run():
            return None
        return cast(object, trio.lowlevel.current_trio_token())


def on_asyncio() -> bool:
    """Tell whether this code runs on an asyncio loop (otherwise: on trio)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def spawn(function: Callable[[], Coroutine[Any, Any, None]]) -> object:
    """Start a task that belongs to the event loop itself; hold the result for as long as it shall live.

    An exception that leaves it is lost on asyncio and ends trio: the function has to keep its own.
    """
    if on_asyncio():
        return asyncio.get_running_loop().create_task(function())
    return cast(object, sys.modules["trio"].lowlevel.spawn_system_task(function))


def current_task() -> object:
    """Return the task of the event loop that runs this code."""
    return asyncio.current_task() if on_asyncio() else sys.modules["trio"].lowlevel.current_task()


class Interruptible:
    """A block that others can end, once: its task goes on behind it. On asyncio this is no cancel scope, which costs
    more, and would cancel again whatever a clean-up awaits.
    """

    __slots__ = ("_ended", "_interrupted", "_requests", "_scope", "_task")

    def __enter__(self) -> Self:
        self._ended = self._interrupted = False
        self._scope: anyio.CancelScope | None = None
        try:
            self._task = cast("asyncio.Task[Any]", asyncio.current_task())
        except RuntimeError:
            self._scope = anyio.CancelScope().__enter__()
        else:
            self._requests = self._task.cancelling()
        return self

    def interrupt(self) -> None:
        """End the block, if it has not ended."""
        if self._scope is not None:
            self._scope.cancel()
        elif not self._ended and self._task.cancelling() <= self._requests:  # else it may be cleaning up
            self._interrupted = True
            self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> bool | None:
        self._ended = True
        if self._scope is not None:
            return self._scope.__exit__(kind, *rest)
        ours = self._interrupted and self._task.uncancel() <= self._requests
        return ours and kind is asyncio.CancelledError


async def await_within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await with a deadline; TimeoutError after it. What is ready at once pays for no timer."""
    if not on_asyncio():
        with anyio.fail_after(seconds):
            return await awaitable
    steps = awaitable.__await__()
    try:
        trap = next(steps)
    except StopIteration as stop:
        return cast(T, stop.value)
    # Not a cancel scope: what is awaited may have entered one already, and scopes have to nest.
    async with asyncio.timeout(seconds):
        return await _resume(steps, trap)


@types.coroutine
def _resume(steps: Generator[Any, Any, T], trap: Any) -> Generator[Any, Any, T]:
    """Go on with an awaitable that has been stepped once and has yielded `trap` to the asyncio loop."""
    while True:
        step: Callable[[], Any] = partial(next, steps)
        try:
            yield trap
        except BaseException as error:
            if not hasattr(steps, "throw"):  # an iterator will do as an awaitable
                raise
            step = partial(steps.throw, error)
        try:
            trap = step()
        except StopIteration as stop:
            return cast(T, stop.value)
