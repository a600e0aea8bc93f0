"""Where a piece of work runs: in a worker thread, under a deadline, or step by step in this very task.

The only module of its floor with `async def`, and the only one that knows the event loops apart.
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeAlias, TypeVar, cast

import anyio

__all__ = [
    "Interruptible",
    "Stepper",
    "Threads",
    "await_within",
    "current_loop",
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


def _current_task() -> object:
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


class _Pause:
    """What a stepped coroutine yields to its own stepper, through those that it is nested in, never to the loop."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield self


class Stepper:
    """Run a coroutine inside the awaiting task up to where it pauses, and later on from there.

    No task is made, so context variables, cancellation and tracebacks are those of the awaiting task. The coroutine
    calls `await stepper.pause()`; whoever drives it calls `await stepper.advance()`, which tells whether it has paused
    (True) or ended (False). A task that the coroutine has started may pause as well, on asyncio: the driver then
    comes back while the coroutine itself still waits, and the tasks take turns.

    anyio's cancel scopes nest by task: one in which the coroutine pauses is around the driver until the coroutine
    leaves it, so one that the driver has entered earlier has to stay until then.
    """

    __slots__ = ("_coroutine", "_gate", "_inside", "_pause", "_pauses", "_seen", "_trap", "ended", "handed")

    def __init__(self) -> None:
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._pause = _Pause()
        self._inside: object = None  # the driving task, while the coroutine itself runs in it
        self._gate: asyncio.Future[None] | None = None  # what the driver waits for, in place of the coroutine's future
        # Pauses of the coroutine's tasks that the driver does not know of yet, with what they hand over.
        self._pauses: deque[tuple[asyncio.Future[None], object]] = deque()
        self._seen: asyncio.Future[None] | None = None  # the one of them that it knows
        self._trap: Any = None  # the future that the coroutine waited for when such a task paused
        self.ended = False
        self.handed: Any = None  # what the pause has handed over that `advance` has come back from

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Take the coroutine to drive; it does not run yet."""
        self._coroutine = coroutine

    async def pause(self, value: object = None) -> None:
        """Hand this and control to whoever awaits `advance`, until the next `advance`; not if all has ended."""
        if self._inside is not None and self._inside is _current_task():
            self.handed = value
            await self._pause
            return
        if not on_asyncio():
            raise RuntimeError(
                "on trio, an ASGI application that starts its response from a task of its own cannot stand behind "
                "function middleware: write the middleware as an ASGI class instead"
            )
        if self.ended:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pauses.append((turn, value))
        self._open_gate()
        try:
            await turn
        finally:
            if (turn, value) in self._pauses:
                self._pauses.remove((turn, value))

    @types.coroutine
    def advance(self) -> Generator[Any, Any, bool]:
        """Run until the next pause (True) or the end (False); what the coroutine raises is raised here."""
        coroutine = self._coroutine
        if coroutine is None or self.ended:
            return False
        self._let_go()
        trap, self._trap = self._trap, None
        if self._pauses:
            return self._see(trap)
        go_on: Callable[[], Any] = partial(coroutine.send, None)
        while True:
            if trap is None:
                trap = self._step(go_on)
                if trap is self._pause or trap is _END:
                    return trap is self._pause
            try:
                go_on = partial(coroutine.send, (yield from self._wait(trap)))
            except BaseException as error:
                go_on = partial(coroutine.throw, error)
            else:
                if self._pauses:
                    return self._see(trap)
            trap = None

    def _step(self, go_on: Callable[[], Any]) -> Any:
        """Let the coroutine run until it waits, pauses or ends."""
        self._inside = _current_task()
        try:
            return go_on()
        except BaseException as end:
            self.ended = True
            self._let_go()
            if isinstance(end, StopIteration):
                return _END
            raise
        finally:
            self._inside = None

    def _see(self, trap: Any) -> bool:
        """Tell the driver of a pause by a task, while the coroutine itself waits for `trap`."""
        self._seen, self.handed = self._pauses.popleft()
        self._trap = trap
        return True

    def _let_go(self) -> None:
        """Let the task go on whose pause the driver has seen; at the end all of them."""
        turns = [self._seen, *(turn for turn, _ in self._pauses if self.ended)]
        self._seen = None
        for turn in turns:
            if turn is not None and not turn.done():
                turn.set_result(None)

    def _wait(self, trap: Any) -> Generator[Any, Any, Any]:
        """Yield the coroutine's trap to the loop; on asyncio, wait for a pause by one of its tasks as well."""
        if not asyncio.isfuture(trap):
            return (yield trap)
        trap._asyncio_future_blocking = False  # what a Task does when it takes a future over
        while not trap.done() and not self._pauses:
            gate = self._gate = trap.get_loop().create_future()
            trap.add_done_callback(self._open_gate)
            try:
                yield from gate
            except asyncio.CancelledError as error:
                # As Task.cancel() does: cancel what is waited for, whose end then reaches the coroutine. The message
                # goes along: anyio knows its own cancellations by it.
                if not trap.cancel(*error.args):
                    raise
            finally:
                trap.remove_done_callback(self._open_gate)
        return None

    def _open_gate(self, _: object = None) -> None:
        if self._gate is not None and not self._gate.done():
            self._gate.set_result(None)
