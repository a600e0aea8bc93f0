"""Where members live: the groups of one event loop, and how one message reaches all members of its group.

The law of this file: fan-out is synchronous and makes no task. It runs on the members' own loop.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from microasgi.concurrency import current_loop, on_asyncio
from microasgi.realtime.messages import Delivery, Gap

__all__ = ["Home", "Member", "count_up"]

_MOST_AT_ONCE: Final = 20


class Member(Protocol):
    """What a home asks of a subscription."""

    info: Any
    replayed: dict[str, int]

    def put(self, item: Delivery | Gap) -> None:
        """Take a message."""
        ...

    def put_gap(self, gap: Gap) -> None:
        """Take a gap."""
        ...

    def end(self, error: Exception) -> None:
        """Take nothing any more."""
        ...


class Home:
    """The groups of one event loop. Made on that loop; only `call` may be called from other threads."""

    def __init__(self) -> None:
        self.loop = current_loop()
        if self.loop is None:
            raise RuntimeError("a subscription lives on an event loop, and none runs in this thread")
        self.groups: dict[str, dict[Any, Callable[[Any], object]]] = {}
        self.members: set[Any] = set()
        self.delivered = 0
        self.dropped = 0
        self.refused = 0
        self.crowded = False
        self._given = 0
        loop: Any = self.loop
        self._call: Callable[..., Any] = loop.call_soon_threadsafe if on_asyncio() else loop.run_sync_soon

    def add(self, group: str, member: Member, put: Callable[[Any], object]) -> bool:
        """Let a member's `put` be called for a group's messages; tell whether it is the first of the group."""
        members = self.groups.get(group)
        if members is None:
            self.groups[group] = {member: put}
            return True
        members[member] = put
        return False

    def remove(self, group: str, member: Member) -> bool:
        """Forget a member; tell whether it was the last of the group."""
        members = self.groups.get(group)
        if members is None or members.pop(member, None) is None or members:
            return False
        del self.groups[group]
        return True

    def wants_rest(self) -> bool:
        """Count a message; tell whether whoever gives them out should let the members read first.

        That is when a queue is half full, and after some messages anyway: to wake a member for each costs most.
        """
        self._given += 1
        if not self.crowded and self._given < _MOST_AT_ONCE:
            return False
        self.crowded, self._given = False, 0
        return True

    def fan_out(self, delivery: Delivery) -> int:
        """Give a message to all members of its group; return how many have taken it."""
        members = self.groups.get(delivery.group)
        if members is None:
            return 0
        refused = self.refused
        for put in members.values():
            put(delivery)
        reached = len(members) - (self.refused - refused)
        self.delivered += reached
        return reached

    def fan_out_late(self, delivery: Delivery, number: int) -> None:
        """Give out a message that another thread has published, but not to those who got it when they joined."""
        for member, put in self.groups.get(delivery.group, {}).items():
            if member.replayed.get(delivery.group, -1) < number:
                put(delivery)
                self.delivered += 1

    def give_gap(self, groups: frozenset[str]) -> None:
        """Tell the members of these groups that messages may be missing."""
        touched: dict[Any, list[str]] = {}
        for group in sorted(groups & self.groups.keys()):
            for member in self.groups[group]:
                touched.setdefault(member, []).append(group)
        for member, names in touched.items():
            member.put_gap(Gap(tuple(names)))

    def call(self, function: Callable[..., Any], *args: Any) -> bool:
        """Call on this loop, from any thread; tell whether the loop still lives."""
        try:
            self._call(function, *args)
        except (RuntimeError, _gone()):
            return False
        return True

    def close(self) -> None:
        """End all subscriptions."""
        for member in list(self.members):
            member.end(StopAsyncIteration())


def count_up(homes: Iterable[Home]) -> dict[str, int]:
    """Return the counters of these homes together."""
    homes = list(homes)
    return {
        "groups": len({group for home in homes for group in home.groups}),
        "members": sum(len(home.members) for home in homes),
        "queued": sum(member.queued for home in homes for member in home.members),
        "delivered": sum(home.delivered for home in homes),
        "dropped": sum(home.dropped for home in homes),
    }


def _gone() -> type[BaseException]:
    """Return what trio raises for a loop that has ended."""
    trio = sys.modules.get("trio")
    return RuntimeError if trio is None else trio.RunFinishedError
