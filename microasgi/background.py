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
        self._groups: dict[object, TaskGroup] = {}

    def start_soon(self, func: Callable[[Unpack[Ts]], Any], *args: *Ts, name: str | None = None) -> None:
        """Call `func(*args)` beside the requests; `def` runs in a worker thread, `async def` on the loop.

        May be called from the loop and from a worker thread of its. An exception is logged and ends nothing else.
        RuntimeError while the lifespan does not run.
        """
        name = name or _name(func)
        if current_loop() is None:
            _call_on_loop(partial(self.start_soon, func, *args, name=name), name)
            return
        group = self._groups.get(current_loop())
        if group is None:
            raise RuntimeError(
                f"app.tasks.start_soon({name}) was called while the application's lifespan does not run: "
                "call it from a request or inside the lifespan (in tests: `with TestClient(app)`)"
            )
        group.start_soon(_run, name, func, args, name=name)

    @asynccontextmanager
    async def running(self, grace: float) -> AsyncGenerator[None]:
        """Accept work inside the block; at its end give what is running `grace` seconds, then cancel it."""
        loop = current_loop()
        failure: Exception | None = None
        async with anyio.create_task_group() as group:
            self._groups[loop] = group
            try:
                yield
            except Exception as error:  # raised below, where no task group wraps it
                failure = error
            finally:
                self._groups.pop(loop, None)
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


async def _run(name: str, func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        await _call(func, args, {})
    except Exception:
        logger.exception("task %s failed", name)
    except anyio.get_cancelled_exc_class():
        logger.warning("task %s was cancelled: the application has stopped", name)
        raise


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
