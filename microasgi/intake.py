"""The messages of one http request from the server, for those who read its body and those who look out for its end.

The law of this file: one caller at a time is in the server's `receive`, and nobody calls it again after a disconnect.
A reader whose `receive` was cancelled gets an error from then on, for its message may be gone; a look-out takes the
body's messages in a task that is not cancelled, and puts them aside.
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


class Intake:
    """What one `receive` gives. Messages that a look-out took are put aside for the reader."""

    __slots__ = (
        *("_ahead", "_aside", "_begun", "_changed", "_ended", "_held", "_receiving", "_torn"),
        *("disconnected", "given_up", "source"),
    )

    def __init__(self, receive: Receive) -> None:
        self.disconnected = False
        self.given_up = False  # the body was thrown away, because nobody began to read it
        self._begun = False  # somebody has read
        self._ended = False  # the last part of the body has come
        self._torn = False  # a receive was cancelled before that
        self._receiving = False
        self._aside: deque[Message] | None = None
        self._held = 0  # bytes in `_aside`
        self._ahead: Ahead | None = None
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
        waits = self._aside or self._receiving or self.disconnected or self._torn
        return self._take() if waits else self._fetch()

    async def _take(self) -> Message:
        while self._receiving and not self._aside and not self._torn:
            await self.change()
        if self._aside:
            message = self._aside.popleft()
            self._held -= len(message.get("body", b""))
            self.notify()
            return message
        if self.disconnected:
            return {"type": "http.disconnect"}
        if self._ahead is not None:
            self._ahead.check()
        if self._torn:
            raise RuntimeError(
                "reading the body was cancelled while a part of it was awaited, and that part may be gone: "
                "read it in a task that is not cancelled, or answer without it"
            )
        return await self._fetch()

    async def is_disconnected(self) -> bool:
        """Tell whether the client has left, without waiting for it and without touching the body."""
        if not self.disconnected:
            await self._look_ahead().settle(lambda: self.disconnected)
        return self.disconnected

    async def until_disconnect(self) -> Message:
        """Wait until the client has left and return that message; what comes of the body is kept for its reader."""
        while not self.disconnected:
            if self._ended and not self._receiving:
                await self._fetch()  # may be cancelled: nothing but the disconnect can come
                continue
            ahead = self._look_ahead()
            ahead.check()
            await (self.change() if ahead.runs else self._wait_for_reader())
        return {"type": "http.disconnect"}

    async def watch(self) -> Message:
        """Wait for the disconnect as `until_disconnect` does, but without a task: cancelled, it ends the request."""
        while not self.disconnected:
            if self._receiving:
                await self.change()
            elif self._held > _HELD:
                await self._wait_for_reader()
            else:
                self._put_aside(await self._fetch())
        return {"type": "http.disconnect"}

    async def stop(self) -> None:
        """End the looking out: the request has been answered."""
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
        receive = self.source()
        if receive is None:
            raise RuntimeError("this request is over: nothing can be received any more")
        self._receiving = True
        try:
            message = await receive()
        except BaseException:
            self._torn = not self._ended
            raise
        finally:
            self._receiving = False
            if self._changed is not None:
                self.notify()
        kind = message.get("type")
        if kind == "http.disconnect":
            self.disconnected = True
        elif kind != "http.request" or message.get("body", b"").__class__ is not bytes:
            raise RuntimeError(f"the server sent what is no message of an http scope (ASGI HTTP): {message!r:.200}")
        elif not message.get("more_body", False):
            self._ended = True
        return message

    def _look_ahead(self) -> Ahead:
        """Have messages received in a task of their own, if there is room for them."""
        ahead = self._ahead
        if ahead is None:
            ahead = self._ahead = Ahead()
        if not ahead.runs and ahead.error is None and self._held <= _HELD:
            ahead.start(self._receive_ahead)
        return ahead

    async def _receive_ahead(self) -> None:
        try:
            while not self.disconnected and self._held <= _HELD:
                if self._receiving:
                    await self.change()
                else:
                    self._put_aside(await self._fetch())
        finally:
            self.notify()

    def _put_aside(self, message: Message) -> None:
        if self.disconnected or self.given_up or self._torn:
            return
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
