"""History in Redis: the last messages of each group in a stream, numbered by Redis' clock across all groups.

The law of this file: each entry names the one before it, so that a hole is seen by whoever reads across it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from microasgi.realtime.messages import Delivery, Gap, as_delivery
from microasgi.realtime.outbox import Outbox
from microasgi.realtime.presence import as_dict

__all__ = ["PUBLISH", "Streams"]

# Adds the message to its group's stream and publishes its id, then the message itself, so that each process hears
# both with nothing between them. KEYS: stream, state. ARGV: length, seconds, message, id channel, message channel.
PUBLISH: Final = """
local time = redis.call('TIME')
local number = time[1] * 1000000 + time[2]
local last = tonumber(redis.call('HGET', KEYS[2], 'last') or '0')
if number <= last then number = last + 1 end
local id = string.format('%.0f', number)
if last == 0 then redis.call('HSET', KEYS[2], 'born', id) end
redis.call('HSET', KEYS[2], 'last', id)
local before = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
before = before[1] and before[1][1] or '0-0'
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], id .. '-0', 'data', ARGV[3], 'before', before)
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[4], id)
redis.call('PUBLISH', ARGV[5], ARGV[3])
return id
"""
_KEPT: Final = 24 * 3600  # seconds after a group's last message


class Streams:
    """The streams of all groups; `size` messages of each are kept, for a day after its last one."""

    def __init__(self, prefix: str, size: int, decode: Callable[[bytes], Any]) -> None:
        self.size = size
        self._prefix = prefix
        self._decode = decode
        self._state = f"{prefix}__replay__"

    def command(self, group: str, data: bytes, marks: str, channel: str) -> tuple[Any, ...]:
        """Return the command that keeps and publishes a message; the message is its last word but one."""
        stream = f"{self._prefix}__stream__{group}"
        return ("EVAL", PUBLISH, 2, stream, self._state, self.size, _KEPT, data, marks, channel)

    async def last(self, outbox: Outbox) -> int:
        """Return the number of the last message of all."""
        return int(await outbox.call("HGET", self._state, "last") or 0)

    async def past(self, outbox: Outbox, groups: Iterable[str], since: str | None, count: int) -> list[Delivery | Gap]:
        """Return messages in the order of publishing: all after that id, or the last `count` of each group."""
        found: list[tuple[int, Delivery]] = []
        gaps: list[str] = []
        after = None if since is None else await self._number(outbox, since)
        for group in groups:
            entries = await self._read(outbox, group, since, after, count)
            if since is not None and (after is None or (entries and _is_hole(entries[0][1], after))):
                gaps.append(group)
            for name, fields in entries:
                number = _number(name)
                try:
                    found.append((number, as_delivery(group, str(number), self._decode(fields[b"data"]))))
                except (KeyError, TypeError, ValueError):  # somebody else's
                    gaps.append(group)
        found.sort(key=lambda one: one[0])
        gap: list[Delivery | Gap] = [Gap(tuple(dict.fromkeys(gaps)))] if gaps else []
        return gap + [delivery for _, delivery in found]

    async def _read(
        self, outbox: Outbox, group: str, since: str | None, after: int | None, count: int
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        stream = f"{self._prefix}__stream__{group}"
        if since is None:
            answer = await outbox.call("XREVRANGE", stream, "+", "-", "COUNT", count)
            return _entries(answer)[::-1]
        return _entries(await outbox.call("XRANGE", stream, "-" if after is None else f"({after}-0", "+"))

    async def _number(self, outbox: Outbox, since: str) -> int | None:
        """Return the number in an id; None where messages since then may be gone, all groups' alike."""
        if not (since.isascii() and since.isdigit() and len(since) < 18):
            return None
        number = int(since)
        born, last = await outbox.call("HMGET", self._state, "born", "last")
        if born is None or not int(born) <= number <= int(last):
            return None
        return number if number / 1e6 > time.time() - _KEPT / 2 else None


def _number(name: bytes | str) -> int:
    text = name.decode() if isinstance(name, bytes) else name
    return int(text.partition("-")[0])


def _is_hole(fields: dict[bytes, bytes], after: int) -> bool:
    """Tell whether something may have been between that number and an entry with these fields."""
    before = fields.get(b"before", b"").partition(b"-")[0]
    return not (before.isdigit() and len(before) < 18 and int(before) <= after)


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return stream entries from what redis-py makes of them: names with dicts, or with flat lists of fields."""
    entries: list[tuple[bytes, dict[bytes, bytes]]] = []
    for name, fields in answer or ():
        entries.append((name, as_dict(fields)))
    return entries
