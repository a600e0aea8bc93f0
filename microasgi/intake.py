"""The messages of one http request from the server, for those who read its body and those who look out for its end.

The law of this file: one caller at a time is in the server's `receive`, and nobody calls it again after a disconnect.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final
from weakref import ref

import anyio

from microasgi.types import Message, Receive

__all__ = ["PATIENCE", "Intake", "glance"]

PATIENCE: Final = 30.0
"""For so many seconds a look-out for the disconnect waits for a first reader of what it holds back."""
# So many bytes it holds back.
_HELD: Final = 1024 * 1024
# So many turns of the event loop something gets that is not to be waited for.
_TURNS: Final = 5


async def glance(look: Callable[[], Awaitable[None]]) -> None:
    """Let `look` do what it can without waiting, and cancel it then; raise what it raises."""
    failures: list[Exception] = []

    async def work() -> None:
        try:
            await look()
        except Exception as error:  # raised below, where no task group wraps it
            failures.append(error)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        for _ in range(_TURNS):
            await anyio.sleep(0)  # noqa: ASYNC115 - importing anyio.lowlevel takes milliseconds
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]


class Intake:
    """What one `receive` gives. Messages that a look-out took are put aside for the reader."""

    __slots__ = ("_aside", "_begun", "_changed", "_held", "_receiving", "disconnected", "given_up", "source")

    def __init__(self, receive: Receive) -> None:
        self.disconnected = False
        self.given_up = False  # the body was thrown away, because nobody began to read it
        self._begun = False  # somebody has read
        self._receiving = False
        self._aside: deque[Message] | None = None
        self._held = 0  # bytes in `_aside`
        self._changed: anyio.Event | None = None
        # A server's `receive` knows the scope, where this is kept: in a ring of references a body would outlive its
        # request. Whoever asks here holds the function itself.
        try:
            self.source: Callable[[], Receive | None] = ref(receive)
        except TypeError:
            self.source = lambda: receive

    def take(self) -> Coroutine[Any, Any, Message]:
        """Return the next message, for the one who reads the body."""
        self._begun = True
        return self._take() if self._aside or self._receiving or self.disconnected else self._fetch()

    async def _take(self) -> Message:
        while self._receiving and not self._aside:
            await self.change()
        if self._aside:
            message = self._aside.popleft()
            self._held -= len(message.get("body", b""))
            self.notify()
            return message
        return {"type": "http.disconnect"} if self.disconnected else await self._fetch()

    async def is_disconnected(self) -> bool:
        """Tell whether the client has left, without waiting for it and without touching the body."""
        if not self.disconnected:
            await glance(self._look_out)
        return self.disconnected

    async def until_disconnect(self) -> Message:
        """Wait until the client has left and return that message; what comes of the body is kept for its reader."""
        while not self.disconnected:
            await self._look_out()
        return {"type": "http.disconnect"}

    async def change(self) -> None:
        """Wait until `notify` is called."""
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def notify(self) -> None:
        """Wake everybody who waits for a change."""
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()

    async def _fetch(self) -> Message:
        receive = self.source()
        if receive is None:
            raise RuntimeError("this request is over: nothing can be received any more")
        self._receiving = True
        try:
            message = await receive()
        finally:
            self._receiving = False
            if self._changed is not None:
                self.notify()
        kind = message.get("type")
        if kind == "http.disconnect":
            self.disconnected = True
        elif kind != "http.request" or message.get("body", b"").__class__ is not bytes:
            raise RuntimeError(f"the server sent what is no message of an http scope (ASGI HTTP): {message!r:.200}")
        return message

    async def _look_out(self) -> None:
        """Take one message off the server and put it aside, or wait: while another receives, or much is aside."""
        if self._receiving:
            await self.change()
        elif self._held > _HELD:
            await self._wait_for_reader()
        else:
            message = await self._fetch()
            if not self.disconnected and not self.given_up:
                self._aside = self._aside or deque()
                self._aside.append(message)
                self._held += len(message.get("body", b""))
                self.notify()

    async def _wait_for_reader(self) -> None:
        """Give up the body if nobody begins to read it: an endless response has to hear of the client's leaving."""
        with anyio.move_on_after(PATIENCE) as waiting:
            await self.change()
        if waiting.cancelled_caught and not self._begun:
            self.given_up = True
            self._aside, self._held = None, 0
