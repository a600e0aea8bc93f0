"""The contract between the hub and what carries its messages: this process' memory, Redis, or a channel layer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from microasgi.realtime.groups import Home, Member
from microasgi.realtime.messages import Delivery, Gap

__all__ = ["NOT_RUNNING", "Backend"]

NOT_RUNNING: Final = "the hub does not run: join it to the application by `app.lifespan(hub.lifespan)`"


class Backend(Protocol):
    """What a backend does. Groups are checked already; `want` and `unwant` do not wait."""

    async def publish(self, group: str, message: Any) -> int:
        """Give a message to the members of a group, here and elsewhere; return how many were reached here."""
        ...

    def publish_sync(self, group: str, message: Any) -> int:
        """Publish from a thread that has no event loop."""
        ...

    def open(self) -> Home:
        """Return where members live on the running loop; RuntimeError where there is no such place yet."""
        ...

    def want(self, group: str) -> None:
        """Hear that a group has its first member here."""
        ...

    def unwant(self, group: str, member: Member, last: bool) -> None:
        """Hear that a member has left a group, perhaps as the last one."""
        ...

    def forget(self, member: Member) -> None:
        """Hear that a subscription has ended."""
        ...

    async def settle(self, groups: Iterable[str], member: Member) -> None:
        """Return when messages of these groups arrive at their new member."""
        ...

    async def past(self, groups: Iterable[str], since: str | None, count: int, member: Member) -> list[Delivery | Gap]:
        """Return what is kept: everything after an id, or else the last `count` of each group."""
        ...

    async def count(self, group: str) -> int:
        """Return how many members a group has, in all processes."""
        ...

    async def members(self, group: str) -> list[Any]:
        """Return their infos."""
        ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Carry messages while the block runs."""
        ...

    def figures(self) -> dict[str, int]:
        """Return counters: groups, members, queued, delivered, dropped, and what this backend counts besides."""
        ...
