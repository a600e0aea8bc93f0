"""History in memory: the last messages of each group, in rings of one size, for a bounded number of groups.

The law of this file: what has been lost is known. Whoever asks for more than is kept gets a gap.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from secrets import token_hex

from microasgi.realtime.messages import Delivery, Gap

__all__ = ["History"]


class _Ring:
    __slots__ = ("kept", "lost")

    def __init__(self, size: int, lost: int) -> None:
        self.kept: deque[tuple[int, Delivery]] = deque(maxlen=size)
        self.lost = lost  # the last message that is not kept any more


class History:
    """Numbers messages and keeps the last `size` of each group; of groups, the `most_groups` used last.

    Ids hold good in this process: one of another is answered with a gap.
    """

    def __init__(self, size: int, most_groups: int = 10_000) -> None:
        self.size = size
        self._most_groups = most_groups
        self._epoch = ""  # made with the first message: the hub may be made before its process is forked
        self._last = 0
        self._lost = 0  # the last message of a group that was forgotten as a whole
        self._rings: OrderedDict[str, _Ring] = OrderedDict()

    @property
    def last(self) -> int:
        """The number of the last message."""
        return self._last

    def name(self) -> tuple[int, str]:
        """Return the next message's number and id."""
        self._epoch = self._epoch or token_hex(4)
        self._last += 1
        if not self.size:
            self._lost = self._last
        return self._last, f"{self._epoch}-{self._last}"

    def keep(self, number: int, delivery: Delivery) -> None:
        """Keep a message; forget the group that was used longest ago where there are too many."""
        ring = self._rings.get(delivery.group)
        if ring is None:
            ring = self._rings[delivery.group] = _Ring(self.size, self._lost)
            if len(self._rings) > self._most_groups:
                _, oldest = self._rings.popitem(last=False)
                self._lost = max(self._lost, oldest.kept[-1][0])
        else:
            self._rings.move_to_end(delivery.group)
        if len(ring.kept) == self.size:
            ring.lost = ring.kept[0][0]
        ring.kept.append((number, delivery))

    def past(self, groups: Iterable[str], since: str | None, count: int) -> list[Delivery | Gap]:
        """Return messages in the order of publishing: all after that id, or the last `count` of each group."""
        number = None if since is None else self._number(since)
        found: list[tuple[int, Delivery]] = []
        gaps: list[str] = []
        for group in groups:
            ring = self._rings.get(group)
            if since is not None and (number is None or number < (self._lost if ring is None else ring.lost)):
                gaps.append(group)
            if ring is not None:
                found += (
                    [*ring.kept][-count:] if since is None else [one for one in ring.kept if one[0] > (number or 0)]
                )
        found.sort(key=lambda one: one[0])
        gap: list[Delivery | Gap] = [Gap(tuple(gaps))] if gaps else []
        return gap + [delivery for _, delivery in found]

    def _number(self, since: str) -> int | None:
        """Return the number in an id, None where it is of another process or none at all."""
        epoch, _, digits = since.partition("-")
        if epoch != self._epoch or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return None
        number = int(digits)
        return number if number <= self._last else None
