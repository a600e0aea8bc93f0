"""Work that outlives the handler: after one response, or for as long as the application runs."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

import anyio

from microasgi.concurrency import current_loop, run_in_threadpool

__all__ = ["BackgroundTask", "BackgroundTasks", "Tasks"]

P = ParamSpec("P")
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
            if inspect.iscoroutinefunction(self.func):
                await self.func(*self.args, **self.kwargs)
                return
            result = await run_in_threadpool(self.func, *self.args, **self.kwargs)
            if inspect.isawaitable(result):
                await result
        except Exception:
            logger.exception("background task %s failed", _name(self.func))


class BackgroundTasks(BackgroundTask):
    """Several background tasks, run in order; one that fails is logged and the next one runs."""

    def __init__(self, tasks: Iterable[BackgroundTask] = ()) -> None:
        self.tasks = list(tasks)

    def add_task(self, func: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> None:
        """Append a call of this function."""
        self.tasks.append(BackgroundTask(func, *args, **kwargs))

    async def __call__(self) -> None:
        """Run them."""
        for task in self.tasks:
            await task()


class Tasks:
    """Work bound to the application's lifespan: awaited at shutdown, for a while, and cancelled after that."""

    def __init__(self) -> None:
        self._groups: dict[object, Any] = {}

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any, name: str | None = None) -> None:
        """Start `await function(*args)` beside the requests; callable from a worker thread too.

        An exception is logged and ends nothing else. RuntimeError while the lifespan does not run.
        """
        loop = current_loop()
        if loop is None:
            from anyio.from_thread import run_sync

            run_sync(self.start_soon, function, *args)
            return
        group = self._groups.get(loop)
        if group is None:
            raise RuntimeError(
                f"app.tasks.start_soon({_name(function)}) was called while the application's lifespan does not run: "
                "call it from a request or inside the lifespan (in tests: `with TestClient(app)`)"
            )
        group.start_soon(self._run, function, args, name=name or _name(function))

    @asynccontextmanager
    async def running(self, grace: float) -> AsyncIterator[None]:
        """Accept work inside the block; at its end give what is running `grace` seconds, then cancel it."""
        loop = current_loop()
        async with anyio.create_task_group() as group:
            self._groups[loop] = group
            try:
                yield
            finally:
                del self._groups[loop]
                group.cancel_scope.deadline = anyio.current_time() + grace

    async def _run(self, function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            await function(*args)
        except Exception:
            logger.exception("task %s failed", _name(function))


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
