"""The hub in this process' memory: for one worker, and for tests.

The law of this file: a message reaches members on the publisher's own loop before `publish` returns, those of other
loops through their loop's own door. Nothing else has to run for that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from threading import Lock
from typing import Any, cast

import anyio

from microasgi.concurrency import current_loop
from microasgi.realtime.groups import Home, Member, count_up
from microasgi.realtime.history import History
from microasgi.realtime.messages import BINARY, Delivery, Gap, check_size
from microasgi.serialization import encode_json

__all__ = ["Memory"]


class Memory:
    """Carries messages within this process, among all of its event loops and threads."""

    def __init__(self, replay: int, max_message_size: int) -> None:
        self._history = History(replay)
        self._max_message_size = max_message_size
        self._homes: dict[object, Home] = {}
        self._lock = Lock()
        self._published = 0

    async def publish(self, group: str, message: Any) -> int:
        """Put the message into the queues of all members; those of other loops get it in their loop's next turn."""
        reached = self.publish_sync(group, message)
        home = self._homes.get(current_loop()) if reached else None
        if home is not None and home.wants_rest():
            await anyio.sleep(0)  # noqa: ASYNC115 - let them read: a loop that only publishes would fill their queues
        return reached

    def publish_sync(self, group: str, message: Any) -> int:
        """Do the same in any thread."""
        if isinstance(message, BINARY):
            delivery = Delivery(group, None, check_size(bytes(cast(Any, message)), self._max_message_size))
        else:
            encoded = check_size(encode_json(message), self._max_message_size)
            delivery = Delivery(group, None, json=encoded)
        here = current_loop()
        own = self._homes.get(here)
        reached = 0
        with self._lock:
            self._published += 1
            number, delivery.id = self._history.name()
            if self._history.size:
                self._history.keep(number, delivery)
            if len(self._homes) != (own is not None):
                reached = self._send_away(delivery, number, here)
        return reached if own is None else reached + own.fan_out(delivery)

    def open(self) -> Home:
        """Return the running loop's home."""
        here = current_loop()
        home = self._homes.get(here)
        if home is None:
            with self._lock:
                home = self._homes[here] = Home()
        return home

    def want(self, group: str) -> None:
        """Do nothing: members are found where they live."""

    def unwant(self, group: str, member: Member, last: bool) -> None:
        """Do nothing."""

    def forget(self, member: Member) -> None:
        """Do nothing."""

    async def settle(self, groups: Iterable[str], member: Member) -> None:
        """Do nothing: messages arrive already."""

    async def past(self, groups: Iterable[str], since: str | None, count: int, member: Member) -> list[Delivery | Gap]:
        """Return what is kept in the rings."""
        with self._lock:
            groups = list(groups)
            member.replayed.update(dict.fromkeys(groups, self._history.last))
            return self._history.past(groups, since, count)

    async def count(self, group: str) -> int:
        """Return how many members the group has in this process."""
        return sum(len(home.groups.get(group, ())) for home in list(self._homes.values()))

    async def members(self, group: str) -> list[Any]:
        """Return their infos."""
        return [member.info for home in list(self._homes.values()) for member in list(home.groups.get(group, ()))]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """End this loop's subscriptions at the end; members are served without it too."""
        try:
            yield
        finally:
            with self._lock:
                home = self._homes.pop(current_loop(), None)
            if home is not None:
                home.close()

    def figures(self) -> dict[str, int]:
        """Return the counters of all loops."""
        homes = list(self._homes.values())
        return {"published": self._published, **count_up(homes)}

    def _send_away(self, delivery: Delivery, number: int, here: object) -> int:
        """Hand the message to the other loops; return how many members it has there."""
        reached = 0
        for loop, home in list(self._homes.items()):
            members = len(home.groups.get(delivery.group, ()))
            if loop is here or not members:
                continue
            if home.call(home.fan_out_late, delivery, number):
                reached += members
            else:  # the loop has ended without its lifespan
                del self._homes[loop]
        return reached
