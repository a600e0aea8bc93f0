"""A task that receives ahead of who will ask: it finds out that the client left while nobody else receives.

The law of this file: a server's `receive` that has begun is not cancelled while somebody may want its message. On some
servers (granian) the message would be gone with it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from microasgi.concurrency import spawn

__all__ = ["Ahead"]

# So many turns of the event loop a new task gets to find what is there already.
_TURNS: Final = 5


class Ahead:
    """One such task. What it raises is kept, and raised where its finds are asked for."""

    __slots__ = ("_scope", "_task", "error", "runs")

    def __init__(self) -> None:
        self.runs = False
        self.error: Exception | None = None
        self._task: object = None
        self._scope = anyio.CancelScope()

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Let `work` run in a task that belongs to the event loop, until it returns or `stop` is called."""
        scope = self._scope = anyio.CancelScope()
        self.runs = True

        async def run() -> None:
            try:
                with scope:
                    await work()
            except Exception as error:
                self.error = error
            finally:
                self.runs = False

        self._task = spawn(run)

    async def settle(self, found: Callable[[], bool]) -> None:
        """Let the task do what it can without waiting; raise what it has raised."""
        for _ in range(_TURNS):
            if not self.runs or found():
                break
            await anyio.sleep(0)  # noqa: ASYNC115 - importing anyio.lowlevel takes milliseconds
        self.check()

    def check(self) -> None:
        """Raise what the task has raised."""
        if self.error is not None:
            raise self.error

    async def stop(self) -> None:
        """End the task and let it leave `receive`: nobody wants a message any more."""
        self._scope.cancel()
        for _ in range(_TURNS):
            if not self.runs:
                break
            await anyio.sleep(0)  # noqa: ASYNC115
