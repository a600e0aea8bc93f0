"""The server's side of one scope, for tests: it hands out messages, and fails who breaks the law of `receive`."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import anyio.lowlevel

from microasgi.types import Message, Scope

__all__ = ["StrictServer", "chunk", "http_disconnect", "http_scope", "websocket_scope"]

http_disconnect: Message = {"type": "http.disconnect"}


def chunk(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def http_scope(method: str = "GET", path: str = "/", **keys: Any) -> Scope:
    scope: Scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": [], **keys}
    return scope


def websocket_scope(**keys: Any) -> Scope:
    scope: Scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": [], "subprotocols": [], **keys}
    return scope


class StrictServer:
    """Gives the messages one by one and waits when it has none left; keeps what is sent.

    AssertionError for two calls of `receive` at a time, and for one after a disconnect. A call that is cancelled takes
    the next message along, as on granian.
    """

    def __init__(self, *messages: Message) -> None:
        self.inbox = deque(messages)
        self.sent: list[Message] = []
        self.gone = False
        self.calls = 0
        self.send_fails_after: int | None = None
        self.receiving = False
        self._lost = 0
        self._more = anyio.Event()

    def push(self, *messages: Message) -> None:
        self.inbox.extend(messages)
        self._more.set()
        self._more = anyio.Event()

    async def receive(self) -> Message:
        assert not self.receiving, "receive() is being called already"
        assert not self.gone, "receive() was called after a disconnect"
        self.receiving = True
        self.calls += 1
        try:
            message = await self._next()
        except BaseException:
            self._lost += 1
            raise
        finally:
            self.receiving = False
        self.gone = message.get("type") in {"http.disconnect", "websocket.disconnect"}
        return message

    async def _next(self) -> Message:
        await anyio.lowlevel.checkpoint()
        while True:
            while not self.inbox:
                await self._more.wait()
            message = self.inbox.popleft()
            if not self._lost or message.get("type") in {"http.disconnect", "websocket.disconnect"}:
                return message
            self._lost -= 1

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if message["type"] == "websocket.close":
            assert not self.receiving, "granian would wait for the end of receive()"
        if self.send_fails_after is not None and len(self.sent) >= self.send_fails_after:
            raise ConnectionResetError("the peer has left")
        self.sent.append(message)

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.sent]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)
