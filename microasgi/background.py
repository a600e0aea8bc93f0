"""Work that outlives the handler: after one response, or for as long as the application runs.

The law of this file: what fails is logged and ends nothing else.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVarTuple, Unpack

import anyio
from anyio.abc import TaskGroup

from microasgi.concurrency import current_loop, run_in_threadpool

__all__ = ["BackgroundTask", "BackgroundTasks", "Tasks"]

P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
logger = logging.getLogger("microasgi")


class BackgroundTask:
    """Call a function after the response has been sent; `def` runs in a worker thread, `async def` on the loop.

    It runs in this process, at most once, and delays the end of the request's scope. An exception is logged.
    """

    def __init__(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs

    async def __call__(self) -> None:
        """Run it."""
        try:
            await _call(self.func, self.args, self.kwargs)
        except Exception:
            logger.exception("background task %s failed", _name(self.func))


class BackgroundTasks(BackgroundTask):
    """Several background tasks, run in order; one that fails is logged and the next one runs."""

    def __init__(self, tasks: Iterable[BackgroundTask] | None = None) -> None:
        self.tasks = list(tasks or ())

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Append a call of this function."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    async def __call__(self) -> None:
        """Run them, and those that they add."""
        for task in self.tasks:
            await task()


class Tasks:
    """Work bound to the application's lifespan: awaited at shutdown, for a while, and cancelled after that."""

    def __init__(self) -> None:
        self._crews: dict[object, _Crew] = {}

    def start_soon(self, func: Callable[[Unpack[Ts]], Any], *args: *Ts, name: str | None = None) -> None:
        """Call `func(*args)` beside the requests; `def` runs in a worker thread, `async def` on the loop.

        May be called from the loop and from a worker thread of its. An exception is logged and ends nothing else.
        RuntimeError while the lifespan does not run.
        """
        name = name or _name(func)
        if current_loop() is None:
            _call_on_loop(partial(self.start_soon, func, *args, name=name), name)
            return
        crew = self._crews.get(current_loop())
        if crew is None:
            raise RuntimeError(
                f"app.tasks.start_soon({name}) was called while the application's lifespan does not run: "
                "call it from a request or inside the lifespan (in tests: `with TestClient(app)`)"
            )
        crew.start_soon(name, func, args)

    async def settle(self, seconds: float) -> None:
        """Wait until no work runs on this event loop, but no longer than that; what goes on is not ended."""
        crew = self._crews.get(current_loop())
        if crew is not None:
            with anyio.move_on_after(seconds):
                await crew.settle()

    @asynccontextmanager
    async def running(self, grace: float) -> AsyncGenerator[None]:
        """Accept work inside the block; at its end give what is running `grace` seconds, then cancel it."""
        loop = current_loop()
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            self._crews[loop] = _Crew(group)
            try:
                yield
            except Exception as error:  # raised below, where no task group wraps it
                failure = error
            finally:
                self._crews.pop(loop, None)
                group.cancel_scope.deadline = anyio.current_time() + grace
        if failure is not None:
            raise failure


def _call_on_loop(function: Callable[[], None], name: str) -> None:
    from anyio.from_thread import run_sync

    reached = False

    def call() -> None:
        nonlocal reached
        reached = True
        function()

    try:
        run_sync(call)
    except RuntimeError:
        if reached:
            raise
        raise RuntimeError(
            f"app.tasks.start_soon({name}) was called in a thread that no event loop has started: "
            "call it on the loop, or in a `def` handler"
        ) from None


class _Crew:
    """The work that runs on one event loop."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._at_work = 0
        self._idle: anyio.Event | None = None

    def start_soon(self, name: str, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._group.start_soon(self._run, name, func, args, name=name)
        self._at_work += 1

    async def settle(self) -> None:
        while self._at_work:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    async def _run(self, name: str, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
        try:
            await _call(func, args, {})
        except Exception:
            logger.exception("task %s failed", name)
        except anyio.get_cancelled_exc_class():
            logger.warning("task %s was cancelled: the application has stopped", name)
            raise
        finally:
            self._at_work -= 1
            if not self._at_work and self._idle is not None:
                self._idle.set()
                self._idle = None


async def _call(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if inspect.iscoroutinefunction(func):
        await func(*args, **kwargs)
        return
    # In a tuple, for trio takes no awaitable out of a thread.
    (result,) = await run_in_threadpool(lambda: (func(*args, **kwargs),))
    if inspect.isawaitable(result):  # of a callable object, or of a lambda around an async function
        await result


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
