"""The messages of one http request from the server, for those who read its body and those who look out for its end.

The law of this file: one caller at a time is in the server's `receive`, nobody calls it again after a disconnect, and
no look-out cancels it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final
from weakref import ref

import anyio

from microasgi.ahead import Ahead
from microasgi.types import Message, Receive

__all__ = ["PATIENCE", "Intake"]

PATIENCE: Final = 30.0
"""For so many seconds a look-out for the disconnect waits for a first reader of what it holds back."""
# So many bytes it holds back.
_HELD: Final = 1024 * 1024
# So many turns of the event loop a server gets to say what it has.
_TURNS: Final = 5


class Intake:
    """What one `receive` gives. A look-out receives ahead, and what it gets is put aside for the reader."""

    __slots__ = (
        *("_ahead", "_aside", "_begun", "_changed", "_held", "_receiving"),
        *("disconnected", "given_up", "source", "torn"),
    )

    def __init__(self, receive: Receive) -> None:
        self.disconnected = False
        self.given_up = False  # the body was thrown away, because nobody began to read it
        self.torn = False  # a reader was cancelled in `receive`, which some servers answer by losing a message
        self._begun = False  # somebody has read
        self._receiving = False  # a reader is in `receive`
        self._ahead: Ahead | None = None  # or a look-out
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
        busy = self._aside or self._receiving or self._ahead is not None or self.disconnected
        return self._take() if busy else self._fetch()

    async def _take(self) -> Message:
        while not self._aside and not self.disconnected and (self._receiving or self._ahead is not None):
            await self._turn()
        if self._aside:
            message = self._aside.popleft()
            self._held -= len(message.get("body", b""))
            self.notify()
            return message
        return {"type": "http.disconnect"} if self.disconnected else await self._fetch()

    async def is_disconnected(self) -> bool:
        """Tell whether the client has left, as far as the server says so at once; the body is not touched."""
        for _ in range(_TURNS):
            self._collect()
            if self.disconnected:
                break
            self._look()
            await anyio.sleep(0)  # noqa: ASYNC115 - importing anyio.lowlevel takes milliseconds
        self._collect()
        return self.disconnected

    async def until_disconnect(self) -> Message:
        """Wait until the client has left and return that message; what comes of the body is kept for its reader."""
        while not self.disconnected:
            self._look()
            await (self._turn() if self._receiving or self._ahead is not None else self._wait_for_reader())
        return {"type": "http.disconnect"}

    async def stop(self) -> None:
        """End the look-out: the request has been answered."""
        if self._ahead is not None:
            await self._ahead.stop()

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
        receive = self._open()
        self._receiving = True
        try:
            message = await receive()
        except BaseException as error:
            self.torn = not isinstance(error, Exception)
            raise
        finally:
            self._receiving = False
            if self._changed is not None:
                self.notify()
        return self._examine(message)

    def _open(self) -> Receive:
        receive = self.source()
        if receive is None:
            raise RuntimeError("this request is over: nothing can be received any more")
        return receive

    def _examine(self, message: Message) -> Message:
        kind = message.get("type")
        if kind == "http.disconnect":
            self.disconnected = True
        elif kind != "http.request" or message.get("body", b"").__class__ is not bytes:
            raise RuntimeError(f"the server sent what is no message of an http scope (ASGI HTTP): {message!r:.200}")
        return message

    def _look(self) -> None:
        """Begin to receive ahead, unless somebody receives, or much has been put aside."""
        if self._ahead is None and not self._receiving and self._held <= _HELD:
            self._ahead = Ahead(self._open())

    async def _turn(self) -> None:
        """Wait for what somebody else receives."""
        if self._ahead is None:
            return await self.change()
        await self._ahead.done.wait()
        self._collect()

    def _collect(self) -> None:
        """Put aside what has been received ahead, or note that it is the disconnect."""
        ahead = self._ahead
        if ahead is None or not ahead.done.is_set():
            return
        self._ahead = None
        if ahead.error is not None:
            raise ahead.error
        if ahead.message is None or self._examine(ahead.message)["type"] == "http.disconnect" or self.given_up:
            return
        self._aside = self._aside or deque()
        self._aside.append(ahead.message)
        self._held += len(ahead.message.get("body", b""))

    async def _wait_for_reader(self) -> None:
        """Give up the body if nobody begins to read it: an endless response has to hear of the client's leaving."""
        with anyio.move_on_after(PATIENCE) as waiting:
            await self.change()
        if waiting.cancelled_caught and not self._begun:
            self.given_up = True
            self._aside, self._held = None, 0
