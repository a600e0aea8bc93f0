"""The outbox: commands on their way to Redis. What comes while one bundle travels goes out together in the next.

The law of this file: whoever waits for an answer gets one, an error or a timeout, and a command is sent at most once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final

from microasgi.realtime.messages import HubUnavailable
from microasgi.realtime.redisclient import RedisClients

__all__ = ["Command", "Outbox"]

Command = tuple[Any, ...]
_BUNDLE: Final = 500
_BUNDLE_BYTES: Final = 1024 * 1024
_MOST_WAITING: Final = 100_000

logger = logging.getLogger("microasgi")


class Outbox:
    """Sends commands over one connection, in the order in which they were given."""

    def __init__(self, clients: RedisClients) -> None:
        self._clients = clients
        self._waiting: deque[tuple[Command, asyncio.Future[Any] | None]] = deque()
        self._more = asyncio.Event()
        self._failing = False
        self._refused = 0
        self.has_lost = False
        """Whether a command was lost for whose answer nobody waited. Who cares sets it back."""

    def post(self, *command: Any) -> None:
        """Send a command whose answer interests nobody. While Redis is away, such commands are dropped."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append((command, None))
            self._more.set()
        else:
            self.has_lost = True

    async def call(self, *command: Any) -> Any:
        """Send a command and return the answer; HubUnavailable after the clients' timeout, or at once on an error."""
        if len(self._waiting) >= _MOST_WAITING:
            raise HubUnavailable("too much is waiting to be sent")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        entry = (command, answer)
        self._waiting.append(entry)
        self._more.set()
        try:
            async with asyncio.timeout(self._clients.timeout):
                return await answer
        except TimeoutError:
            raise HubUnavailable(f"Redis has not answered for {self._clients.timeout:g} seconds") from None

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            while True:
                await self._more.wait()
                self._more.clear()
                while bundle := self._take():
                    await self._send(bundle)
        finally:
            while bundle := self._take():
                _fail(bundle, "the hub has stopped")

    def _take(self) -> list[tuple[Command, asyncio.Future[Any] | None]]:
        """Take the next bundle, without commands for whose answer nobody waits any more."""
        bundle: list[tuple[Command, asyncio.Future[Any] | None]] = []
        size = 0
        while self._waiting and len(bundle) < _BUNDLE and size < _BUNDLE_BYTES:
            command, answer = self._waiting.popleft()
            if answer is None or not answer.done():
                bundle.append((command, answer))
                size += len(command[-1]) if isinstance(command[-1], bytes) else 0
        return bundle

    async def _send(self, bundle: list[tuple[Command, asyncio.Future[Any] | None]]) -> None:
        try:
            answers = await self._clients.execute([command for command, _ in bundle])
        except asyncio.CancelledError:
            _fail(bundle, "the hub has stopped")
            raise
        except self._clients.errors as error:
            if not self._failing:
                logger.warning("hub: Redis cannot be reached: %r", error)
            self._failing = self.has_lost = True
            _fail(bundle, str(error) or "Redis has not answered in time")
            return
        self._failing = False
        for (command, future), answer in zip(bundle, answers, strict=True):
            if isinstance(answer, Exception):
                self._note_refusal(command, answer)
                self.has_lost = self.has_lost or future is None
                answer = HubUnavailable(str(answer))
            if future is None or future.done():
                continue
            if isinstance(answer, HubUnavailable):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    def _note_refusal(self, command: Command, error: Exception) -> None:
        self._refused += 1
        if self._refused & (self._refused - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: out of memory, Redis refuses all
            logger.error("hub: Redis refused command %d, %s: %s", self._refused, command[0], error)
        if isinstance(error, self._clients.moved):  # a replica now: its name or its sentinel knows of the new master
            self._clients.stale = self._clients.has_moved = True


def _fail(bundle: list[tuple[Command, asyncio.Future[Any] | None]], reason: str) -> None:
    for _, future in bundle:
        if future is not None and not future.done():
            future.set_exception(HubUnavailable(reason))
