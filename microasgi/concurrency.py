"""Where a piece of work runs: in a worker thread, under a deadline, or step by step in this very task.

The only module of its floor with `async def`, and the only one that knows the event loops apart.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar, cast

import anyio

__all__ = [
    "Stepper",
    "await_within",
    "current_loop",
    "iterate_in_threadpool",
    "on_asyncio",
    "run_in_threadpool",
    "spawn",
]

P = ParamSpec("P")
T = TypeVar("T")


async def run_in_threadpool(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in one of anyio's worker threads, with a copy of this task's context variables."""
    from anyio.to_thread import run_sync

    return await run_sync(partial(function, *args, **kwargs) if kwargs else function, *args)


_END: Final = object()


async def iterate_in_threadpool(iterable: Iterable[T]) -> AsyncIterator[T]:
    """Iterate over a blocking iterable, one worker-thread hop for each item."""
    iterator: Iterator[T] = iter(iterable)
    while True:
        item: Any = await run_in_threadpool(next, iterator, _END)  # type: ignore[arg-type]
        if item is _END:
            return
        yield item


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
    """Start a task that belongs to the event loop itself; hold the result for as long as it shall live."""
    if on_asyncio():
        return asyncio.get_running_loop().create_task(function())
    return sys.modules["trio"].lowlevel.spawn_system_task(function)


async def await_within(seconds: float, awaitable: Awaitable[T]) -> T:
    """Await with a deadline; TimeoutError after it. What is ready at once pays for no timer."""
    if not on_asyncio():
        with anyio.fail_after(seconds):
            return await awaitable
    steps = awaitable.__await__()
    try:
        trap = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    # Not a cancel scope: what is awaited may have entered one already, and scopes have to nest.
    async with asyncio.timeout(seconds):
        return await _resume(steps, trap)


@types.coroutine
def _resume(steps: Generator[Any, Any, T], trap: Any) -> Generator[Any, Any, T]:
    """Go on with an awaitable that has been stepped once and has yielded `trap` to the loop."""
    while True:
        try:
            value = yield trap
        except BaseException as error:
            if not hasattr(steps, "throw"):
                raise
            step: Callable[[], Any] = partial(steps.throw, error)
        else:
            step = partial(steps.send, value) if hasattr(steps, "send") else partial(next, steps)
        try:
            trap = step()
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


class _Pause:
    """What a stepped coroutine yields to its stepper, never to the loop."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


_PAUSE: Final = _Pause()


class Stepper:
    """Run a coroutine inside the awaiting task up to where it pauses, and later on from there.

    No task is made, so context variables, cancellation and tracebacks are those of the awaiting task. The coroutine
    calls `await stepper.pause()`; whoever drives it calls `await stepper.advance()`, which tells whether it has paused
    (True) or ended (False). A task that the coroutine has started may pause it as well, on asyncio: the driver then
    comes back while the coroutine itself still waits for that task.
    """

    __slots__ = ("_coroutine", "_gate", "_handed_over", "_inside", "_trap", "ended")

    def __init__(self) -> None:
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._inside = False  # True while the coroutine itself runs, not a task of its
        self._gate: asyncio.Future[None] | None = None  # what the driver waits for, in place of the coroutine's future
        self._handed_over: asyncio.Future[None] | None = None  # what a pausing task of the coroutine's waits for
        self._trap: Any = None  # the future that the coroutine waited for when such a task paused
        self.ended = False

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Take the coroutine to drive; it does not run yet."""
        self._coroutine = coroutine

    async def pause(self) -> None:
        """Hand control back to whoever awaits `advance`, until the next `advance`."""
        if self._inside:
            await _PAUSE
            return
        if not on_asyncio():
            raise RuntimeError(
                "on trio, an ASGI application that starts its response from a task of its own cannot stand behind "
                "function middleware: write the middleware as an ASGI class instead"
            )
        self._handed_over = asyncio.get_running_loop().create_future()
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
        await self._handed_over

    @types.coroutine
    def advance(self) -> Generator[Any, Any, bool]:
        """Run until the next pause (True) or the end (False); what the coroutine raises is raised here."""
        coroutine = self._coroutine
        if coroutine is None or self.ended:
            return False
        waiting, self._trap = self._trap, None
        if self._handed_over is not None and not self._handed_over.done():
            self._handed_over.set_result(None)
        self._handed_over = None
        error: BaseException | None = None
        value: Any = None
        while True:
            if waiting is None:
                try:
                    self._inside = True
                    waiting = coroutine.throw(error) if error else coroutine.send(value)
                except BaseException as end:
                    self.ended = True
                    if isinstance(end, StopIteration):
                        return False
                    raise
                finally:
                    self._inside = False
                if waiting is _PAUSE:
                    return True
            error = value = None
            try:
                value = yield from self._wait(waiting)
            except BaseException as thrown:
                error = thrown
            if error is None and self._handed_over is not None:
                self._trap = waiting if _pending(waiting) else None
                if self._trap is not None:
                    return True
            waiting = None

    def _wait(self, trap: Any) -> Generator[Any, Any, Any]:
        """Yield the coroutine's trap to the loop; on asyncio, wait for a pause by one of its tasks as well."""
        if not asyncio.isfuture(trap):
            return (yield trap)
        trap._asyncio_future_blocking = False  # what a Task does when it takes a future over
        while not trap.done() and self._handed_over is None:
            gate = self._gate = trap.get_loop().create_future()
            trap.add_done_callback(partial(_open, gate))
            try:
                yield from gate
            except asyncio.CancelledError as error:
                # As Task.cancel() does: cancel what is waited for, whose end then reaches the coroutine. The message
                # goes along: anyio knows its own cancellations by it.
                if not trap.cancel(*error.args):
                    raise
        return None


def _pending(trap: Any) -> bool:
    return asyncio.isfuture(trap) and not trap.done()


def _open(gate: asyncio.Future[None], _: object) -> None:
    if not gate.done():
        gate.set_result(None)
