"""ConcurrencyLimitMiddleware: no more than so many requests and sockets inside at a time.

Law: a place that was taken is given back however the answer ends, and who waits longest gets it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, cast

import anyio

from microasgi.exceptions import ConfigurationError
from microasgi.middleware.refusal import refuse
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["ConcurrencyLimitMiddleware"]

_BUSY: Final = "The server is busy. Please try again in a moment."


class ConcurrencyLimitMiddleware:
    """Answer 503 with `Retry-After` while `limit` requests and sockets are inside, in this process.

    Up to `queue` more wait for a place, in order, each for at most `queue_timeout` seconds. `retry_after` is in
    seconds. `scopes` says what is counted: a socket keeps its place for its whole life.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int,
        queue: int = 0,
        *,
        queue_timeout: float = 5.0,
        retry_after: int = 1,
        scopes: Iterable[str] = ("http", "websocket"),
    ) -> None:
        are_whole = all(isinstance(cast(object, number), int) for number in (limit, queue, retry_after))
        if not are_whole or limit < 1 or queue < 0 or retry_after < 0 or not queue_timeout > 0:
            raise ConfigurationError(
                "ConcurrencyLimitMiddleware: limit is a whole number from 1, queue and retry_after from 0, "
                f"queue_timeout is above 0; not {limit=}, {queue=}, {retry_after=}, {queue_timeout=}"
            )
        self._scopes = frozenset([scopes] if isinstance(scopes, str) else scopes)
        if not self._scopes or self._scopes - {"http", "websocket"}:
            raise ConfigurationError(f"ConcurrencyLimitMiddleware: scopes={scopes!r}, of 'http' and 'websocket'")
        self.app = app
        self._free = limit
        self._queue = queue
        self._queue_timeout = queue_timeout
        self._headers = {"retry-after": str(retry_after)}
        self._waiting: deque[anyio.Event] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer if there is a place, or one becomes free in time."""
        if scope["type"] not in self._scopes:
            return await self.app(scope, receive, send)
        if self._free > 0:  # then nobody waits
            self._free -= 1
        elif not await self._wait():
            return await refuse(scope, receive, send, 503, _BUSY, self._headers)
        try:
            return await self.app(scope, receive, send)
        finally:
            self._give_back()

    async def _wait(self) -> bool:
        """Wait for a place that somebody hands over; False if there is none in time."""
        if len(self._waiting) >= self._queue:
            return False
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            with anyio.move_on_after(self._queue_timeout):
                await turn.wait()
        except BaseException:
            if turn.is_set():
                self._give_back()
            raise
        finally:
            if not turn.is_set():
                self._waiting.remove(turn)
        return turn.is_set()

    def _give_back(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()
        else:
            self._free += 1
