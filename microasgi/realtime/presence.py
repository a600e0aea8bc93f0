"""Presence over Redis: which processes live, and which members they have in which groups.

The law of this file: a process that dies is forgotten without its help. Its heartbeat stops, and readers skip it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Any, Final

from microasgi.realtime.groups import Home, Member
from microasgi.realtime.messages import HubUnavailable
from microasgi.realtime.outbox import Outbox

__all__ = ["BEAT", "Presence", "as_dict"]

BEAT: Final = 10.0
_ALIVE: Final = 30  # seconds without a heartbeat


class Presence:
    """Writes this process' members to Redis and reads everyone's; `encode` and `decode` are for their infos."""

    def __init__(
        self, prefix: str, outbox: Outbox, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]
    ) -> None:
        self._prefix = prefix
        self._outbox = outbox
        self._encode = encode
        self._decode = decode
        self._process = token_hex(8)
        self._fields: dict[Member, tuple[str, bytes]] = {}
        self._number = 0

    async def enter(self, groups: Iterable[str], member: Member) -> None:
        """Write that a member is in groups; HubUnavailable where that cannot be said now, then it will be later."""
        self._post(groups, member)
        await self._outbox.call("PING")  # what was posted before it has been done

    def leave(self, group: str, member: Member) -> None:
        """Write that it is there no more."""
        if member in self._fields:
            self._outbox.post("HDEL", self._key(group), self._fields[member][0])

    def forget(self, member: Member) -> None:
        """Forget a member that is in no group any more."""
        self._fields.pop(member, None)

    async def read(self, group: str) -> list[Any]:
        """Return the infos of a group's members, in all processes that live."""
        return [self._decode(info) for info in await self._living(group)]

    async def count(self, group: str) -> int:
        """Return how many there are."""
        return len(await self._living(group))

    async def write(self, home: Home) -> None:
        """Say that this process lives. Where something was lost, begin again as another process."""
        known = await self._outbox.call("SET", self._alive(self._process), 1, "EX", _ALIVE, "GET")
        if known is not None and not self._outbox.has_lost:
            for number, group in enumerate(list(home.groups), 1):
                self._outbox.post("EXPIRE", self._key(group), _ALIVE * 3)
                await self._rest(number)
            return
        self._outbox.has_lost = False
        self._outbox.post("DEL", self._alive(self._process))
        self._process = token_hex(8)
        self._fields.clear()
        self._outbox.post("SET", self._alive(self._process), 1, "EX", _ALIVE)
        try:
            await self._write_all(home)
        except HubUnavailable:
            self._outbox.has_lost = True  # begin again
            raise

    async def _write_all(self, home: Home) -> None:
        everyone = [(group, member) for group, members in home.groups.items() for member in members]
        for number, (group, member) in enumerate(everyone, 1):
            if member in home.groups.get(group, ()):  # else it has left meanwhile
                self._post([group], member)
            await self._rest(number)

    async def _rest(self, number: int) -> None:
        """Let what was posted go out now and then: the outbox holds a limited number of commands."""
        if number % 1000 == 0:
            await self._outbox.call("PING")

    async def end(self) -> None:
        """Say that this process has ended."""
        await self._outbox.call("DEL", self._alive(self._process))

    def _post(self, groups: Iterable[str], member: Member) -> None:
        if member not in self._fields:
            self._number += 1
            self._fields[member] = (f"{self._process}:{self._number}", self._encode(member.info))
        for group in groups:
            self._outbox.post("HSET", self._key(group), *self._fields[member])
            self._outbox.post("EXPIRE", self._key(group), _ALIVE * 3)

    async def _living(self, group: str) -> list[bytes]:
        answer = await self._outbox.call("HGETALL", self._key(group))
        fields = as_dict(answer)
        if not fields:
            return []
        processes = list({name.partition(b":")[0] for name in fields})
        alive = await self._outbox.call("MGET", *(self._alive(process.decode()) for process in processes))
        living = {process for process, value in zip(processes, alive, strict=True) if value is not None}
        living.add(self._process.encode())
        dead = [name for name in fields if name.partition(b":")[0] not in living]
        if dead:
            self._outbox.post("HDEL", self._key(group), *dead)
        return [info for name, info in sorted(fields.items(), key=_age) if name not in set(dead)]

    def _key(self, group: str) -> str:
        return f"{self._prefix}__here__{group}"

    def _alive(self, process: str) -> str:
        return f"{self._prefix}__alive__{process}"


def as_dict(answer: Any) -> dict[bytes, bytes]:
    """Return the fields of a hash, which redis-py gives as a dict or as they come."""
    return answer if hasattr(answer, "keys") else dict(zip(answer[::2], answer[1::2], strict=True))


def _age(field: tuple[bytes, bytes]) -> tuple[bytes, int]:
    process, _, number = field[0].partition(b":")
    return process, int(number)
