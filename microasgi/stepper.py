"""A coroutine run step by step in this very task, up to where it pauses and on from there.

The law of this file: no task is made, so context variables, cancellation and tracebacks stay those of the driver.
"""

from __future__ import annotations

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Final

from microasgi.concurrency import current_task, on_asyncio

__all__ = ["Stepper"]

_END: Final = object()


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
        if self._inside is not None and self._inside is current_task():
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
        self._inside = current_task()
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
