"""A call of `receive` for somebody who will not wait for it.

The law of this file: it is not cancelled while its message may be wanted. Granian loses the message of a `receive` that
is cancelled; other servers keep it.
"""

from __future__ import annotations

import anyio

from microasgi.concurrency import spawn
from microasgi.types import Message, Receive

__all__ = ["Ahead"]


class Ahead:
    """One call of `receive`, in a task of its own, from now on. `done` is set when it has a message or an error."""

    __slots__ = ("_receive", "_scope", "_task", "done", "error", "message")

    def __init__(self, receive: Receive) -> None:
        self.message: Message | None = None
        self.error: Exception | None = None
        self.done = anyio.Event()
        self._receive = receive
        self._scope = anyio.CancelScope()
        self._task = spawn(self._run)

    async def _run(self) -> None:
        try:
            with self._scope:
                self.message = await self._receive()
        except Exception as error:
            self.error = error
        finally:
            self.done.set()

    async def stop(self) -> None:
        """End it, now that nobody wants the message any more."""
        self._scope.cancel()
        await self.done.wait()
