"""One request of a bridged application: its task, what it receives, and what it has sent and nobody has taken yet.

Law: when `end` returns, the task has ended. At most a few parts of a response wait here, then the application does.
A body has the length that was declared, and is none where there may be none: nothing of it runs into the next response.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final

from asgiref.sync import AsyncToSync, SyncToAsync

from microasgi.django.bridged_body import RequestBody
from microasgi.django.lanes import overriding
from microasgi.responses import forbids_body
from microasgi.types import ASGIApp, Message, Scope

__all__ = ["Exchange"]

logger = logging.getLogger("microasgi")
_WAITING: Final = 8  # parts of a response that wait to be taken
_PATIENCE: Final = 0.1  # seconds after a response's start for its first part to come, until it is sent without
_TURNS: Final = 5  # of the event loop, for an application to end after its response
_LAST_WORDS: Final = 1.0  # seconds for it to raise after a response of 5xx
_running: Final[set[Exchange]] = set()  # the event loop holds its tasks weakly


class Exchange:
    """Runs an application for one scope, in a task of its own, from `begin` on."""

    def __init__(self, app: ASGIApp, scope: Scope, body: RequestBody, executor: Any = None) -> None:
        self.scope = scope
        self.started: Message = {}
        self.complete = False
        self.streams = False
        """There is a response whose last part has not come with its first."""
        self._app, self._body, self._executor = app, body, executor
        self._body_taken = self._closed = False
        self._due: int | None = None  # bytes that the content-length has promised and that have not come
        self._observed: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._loop = asyncio.get_running_loop()
        self._decided, self._arrived, self._taken, self._over = (asyncio.Event() for _ in range(4))
        self._timer: asyncio.TimerHandle | None = None
        scope["microasgi.on_error"] = self._observe
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(self._ended)
        _running.add(self)

    async def begin(self) -> None:
        """Wait for the response's start, and for its first part or for a moment; raise what the application raised."""
        await self._decided.wait()
        if not self.started:
            self._raise_failure()
            raise RuntimeError(f"{self._app_name()} ended without a response to {self._subject()}")
        if not self.complete:
            self._raise_failure()
            self.streams = True
            return
        await self._settle()
        if self.status >= 500:
            self._raise_failure()

    @property
    def status(self) -> int:
        """The response's status."""
        return int(self.started["status"])

    @property
    def whole_body(self) -> bytes:
        """The body of a response that does not stream."""
        return b"".join(self._chunks)

    async def next_chunk(self) -> bytes | None:
        """Return the next part of the response, None after the last; raise what the application raised before it."""
        while not (self._chunks or self.complete or self._task.done()):
            self._arrived.clear()
            await self._arrived.wait()
        if self._chunks:
            self._taken.set()
            return self._chunks.popleft()
        if self.complete:
            await self._settle()
            return None
        self._raise_failure()
        raise RuntimeError(f"{self._app_name()} ended before its response to {self._subject()} was complete")

    async def end(self) -> None:
        """Let the application go on after a complete response, for its background tasks; cancel it before that."""
        if not self.complete:
            await self.cancel()

    async def cancel(self) -> None:
        """Tell the application that the client has left, cancel it, and wait until it has cleaned up."""
        self._cancel()
        cancelled = False
        while not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    def abandon(self) -> None:
        """Cancel the application unless its response is complete; from any thread, without waiting."""
        if self.complete or self._task.done():
            return
        try:
            self._loop.call_soon_threadsafe(self._cancel)
        except RuntimeError:  # the loop is closed, and has cancelled everything
            pass

    async def wait(self) -> None:
        """Wait until the application has ended, its background tasks too."""
        await asyncio.wait([self._task])

    def _cancel(self) -> None:
        self._closed = True
        self._over.set()
        self._task.cancel()

    async def _run(self) -> None:
        # Within Django's ASGI handler a sync middleware may wait for the view in the request's thread, which then is
        # no place for work that goes on when the view has returned: there, the application has a lane of its own.
        # But the thread of a test is the only one that has its transaction.
        has_lane = SyncToAsync.thread_sensitive_context.get(None) is not None and overriding() is None
        if self._executor is not None or has_lane:
            AsyncToSync.executors.current = self._executor
        await self._app(self.scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not (self._body_taken or self.complete or self._closed):
            message = await self._body.receive()
            self._body_taken = not message.get("more_body", False)
            return message
        await self._over.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self._closed:
            raise ConnectionResetError("the client has left")
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            self._due = _content_length(message.get("headers") or ())
            self.started = {"status": message["status"], "headers": list(message.get("headers") or ())}
            self._timer = self._loop.call_later(_PATIENCE, self._decided.set)
        elif kind == "http.response.body" and self.started and not self.complete:
            await self._add(message)
        else:
            state = "complete" if self.complete else "begun" if self.started else "not begun"
            raise RuntimeError(f"{self._app_name()} sent {kind!r}, which has no place in a response that is {state}")

    async def _add(self, message: Message) -> None:
        while len(self._chunks) >= _WAITING:
            self._taken.clear()
            await self._taken.wait()
        body, is_last = bytes(message.get("body", b"")), not message.get("more_body", False)
        if self.scope["method"] != "HEAD" and not forbids_body(self.status):
            self._measure(len(body), is_last)
            self._chunks.extend([body] if body else ())
        if is_last:
            self.complete = True
            self._over.set()
        self._arrived.set()
        self._decide()

    def _measure(self, size: int, is_last: bool) -> None:
        if self._due is None:
            return
        self._due -= size
        if self._due < 0 or (is_last and self._due):
            kind = "fewer" if self._due > 0 else "more"
            length = _content_length(self.started["headers"])
            raise RuntimeError(
                f"{self._app_name()} sent {kind} than the content-length of {length} bytes that its response to "
                f"{self._subject()} has"
            )

    def _decide(self) -> None:
        self._decided.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _settle(self) -> None:
        """Let the application end, which it does at once unless it has background tasks."""
        for _ in range(_TURNS):
            if self._task.done():
                return
            await asyncio.sleep(0)
        if self.status >= 500:
            await asyncio.wait([self._task], timeout=_LAST_WORDS)

    def _observe(self, error: Exception) -> None:
        """Hear of an error that nobody in the application expected: Django logs and answers it, the application not."""
        self._observed = error
        raise error

    def _failure(self) -> BaseException | None:
        failed = self._task.done() and not self._task.cancelled()
        return (self._task.exception() if failed else None) or self._observed

    def _raise_failure(self) -> None:
        failure = self._failure()
        if failure is not None:
            raise failure
        if self._task.done() and self._task.cancelled():
            raise RuntimeError(f"{self._app_name()} cancelled itself while it answered {self._subject()}")

    def _ended(self, task: asyncio.Task[None]) -> None:
        _running.discard(self)
        self._arrived.set()
        self._over.set()
        self._decide()
        self._body.close()
        error = None if task.cancelled() else task.exception()
        if error is not None and self.complete and self.status < 500:
            logger.error("%s failed after its response to %s", self._app_name(), self._subject(), exc_info=error)

    def _app_name(self) -> str:
        return f"the application behind the bridge at {self.scope['root_path'] or '/'!r}"

    def _subject(self) -> str:
        return f"{self.scope['method']} {self.scope['path']!r}"


def _content_length(headers: Any) -> int | None:
    values = {bytes(value).strip() for name, value in headers if bytes(name).lower() == b"content-length"}
    if not values:
        return None
    if len(values) > 1 or not min(values).isdigit():
        raise ValueError(f"the application sent the content-length {b', '.join(sorted(values)).decode('latin-1')!r}")
    return int(min(values))
