"""Companions: tasks beside a handler, that live no longer than its block, and end it when one of them fails.

The law of this file: on asyncio they are bare tasks, for each socket has some: 22 KiB a socket on uvicorn, of which the
server's own are 18, instead of 28 with a task group. On trio they are a task group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from microasgi.concurrency import on_asyncio

__all__ = ["Companions"]

Work = Callable[[], Awaitable[Any]]


class Companions:
    """Used as `async with`. What the first failing companion raised is in `failure`, and the block is cancelled."""

    __slots__ = ("_ending", "_group", "_has_cancelled", "_host", "_requests", "_tasks", "failure")

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self._group: TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._host: asyncio.Task[Any] | None = None
        self._requests = 0
        self._has_cancelled = self._ending = False

    async def __aenter__(self) -> Companions:
        if on_asyncio():
            self._host = host = cast("asyncio.Task[Any]", asyncio.current_task())
            self._requests = host.cancelling()
        else:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
        return self

    def start(self, work: Work) -> None:
        """Run beside the block."""
        if self._group is not None:
            self._group.start_soon(self._guard, work)
        elif self._host is None or self._ending:
            raise RuntimeError("work beside a socket is started inside of its `async with` block")
        else:
            self._tasks.append(self._host.get_loop().create_task(self._guard(work)))

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        """End the companions; tell whether the block was cancelled for the failure of one, which is not to leave it."""
        self._ending = True
        if self._group is None:
            return await self._end_tasks(kind)
        self._group.cancel_scope.cancel()
        if isinstance(error, Exception):  # it leaves as it is, not in a group
            await self._group.__aexit__(None, None, None)
            return False
        return bool(await self._group.__aexit__(kind, error, trace))

    async def _end_tasks(self, kind: type[BaseException] | None) -> bool:
        host = cast("asyncio.Task[Any]", self._host)
        ours = self._has_cancelled and host.uncancel() <= self._requests
        pending = ours and kind is None  # the cancellation has not arrived yet, and will do so at the next await
        for task in self._tasks:
            task.cancel()
        while running := [task for task in self._tasks if not task.done()]:
            try:
                await asyncio.wait(running)
            except asyncio.CancelledError:
                if not pending:
                    raise
                pending = False
        if pending:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                pass
        return ours and kind is asyncio.CancelledError

    async def _guard(self, work: Work) -> None:
        try:
            await work()
        except Exception as error:
            if self._ending:  # the block has ended by itself, and whatever this is, it comes of that
                return
            self.failure = self.failure or error
            if self._group is not None:
                self._group.cancel_scope.cancel()
            elif not self._has_cancelled:
                self._has_cancelled = True
                cast("asyncio.Task[Any]", self._host).cancel()
        finally:
            if self._group is None and not self._ending:
                self._tasks.remove(cast("asyncio.Task[None]", asyncio.current_task()))
