"""TimeoutMiddleware: a deadline for the answer to a request.

Law: what is cancelled is what stands inside, never what stands around it; and a cut answer is never marked complete.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final, cast

import anyio
import anyio.lowlevel

from microasgi.concurrency import on_asyncio
from microasgi.exceptions import ConfigurationError
from microasgi.middleware.refusal import refuse
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["TimeoutMiddleware"]

_LATE: Final = "The answer took too long."

logger = logging.getLogger("microasgi")


class TimeoutMiddleware:
    """Cancel what is inside when a request is not answered in full after so many `seconds`.

    The client gets a 504; where something was sent already, its connection ends, by a TimeoutError to the server. Time
    that passes in `send` counts, but cuts nothing: the answer ends when `send` returns. What runs after the answer
    (background tasks) and websockets have no deadline. A thread cannot be cancelled: a `def` handler runs to its end.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        if not isinstance(cast(object, seconds), (int, float)) or not 0 < seconds < math.inf:
            raise ConfigurationError(f"TimeoutMiddleware: seconds is a number above 0, not {seconds!r}")
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request within the time; let everything else through."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        answer = _Answer(send)
        late = await (self._on_asyncio if on_asyncio() else self._on_trio)(answer, scope, receive)
        if not late:
            return None
        subject = f"{scope['method']} {scope['path']!r} took more than {self.seconds:g} s"
        logger.warning("%s: %s", subject, "the answer is cut" if answer.started else "answered with 504")
        if answer.started:
            raise TimeoutError(subject)
        return await refuse(scope, receive, send, 504, _LATE)

    async def _on_asyncio(self, answer: _Answer, scope: Scope, receive: Receive) -> bool:
        # Not a cancel scope: function middleware around may open and leave one while this is open.
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[Any]", asyncio.current_task())
        before = task.cancelling()
        answer.cancel = task.cancel
        timer = loop.call_later(self.seconds, answer.expire)
        try:
            await self.app(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not answer.cancelled or task.cancelling() - 1 > before:
                raise
            return True
        finally:
            timer.cancel()
            answer.complete = True
            if answer.cancelled:
                task.uncancel()
        return False

    async def _on_trio(self, answer: _Answer, scope: Scope, receive: Receive) -> bool:
        answer.deadline = anyio.current_time() + self.seconds
        with anyio.CancelScope(deadline=answer.deadline) as answer.inside:
            await self.app(scope, receive, answer.send)
        return answer.inside.cancelled_caught


class _Answer:
    """Sends on, and holds the deadline off meanwhile: what runs in there may be anybody's."""

    cancel: Callable[[], object]  # on asyncio
    inside: anyio.CancelScope | None = None  # on trio
    deadline = math.inf

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = 0
        self._late = False
        self.started = self.complete = self.cancelled = False

    def expire(self) -> None:
        """Cancel what is inside, unless it is in `send` or has answered."""
        self._late = True
        if not self._sending and not self.complete and not self.cancelled:
            self.cancelled = True
            self.cancel()

    async def send(self, message: Message) -> None:
        """Send a message on; after the last one there is no deadline any more."""
        if self.inside is not None:
            self.inside.deadline = math.inf
            if self.inside.cancel_called:  # a blocking handler comes back from its thread
                await anyio.lowlevel.checkpoint()
        kind = message["type"]
        self.started = self.started or kind == "http.response.start"
        self.complete = self.complete or (kind == "http.response.body" and not message.get("more_body", False))
        self._sending += 1
        try:
            await self._send(message)
        finally:
            self._sending -= 1
            if not self._sending and not self.complete:
                self._go_on()

    def _go_on(self) -> None:
        if self.inside is not None:
            self.inside.deadline = self.deadline
        elif self._late:  # not at once: a cancellation of the running step would go on to whoever stands around
            asyncio.get_running_loop().call_soon(self.expire)
