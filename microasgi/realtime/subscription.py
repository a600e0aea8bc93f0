"""A subscription: one member of some groups, and the bounded queue between those who publish and the one who reads.

The law of this file: a publisher never waits for a reader. What a full queue does was said when it was made, and is
counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import anyio

from microasgi.concurrency import on_asyncio
from microasgi.exceptions import ConfigurationError
from microasgi.iteration import Iteration
from microasgi.realtime.backends import Backend
from microasgi.realtime.groups import Home
from microasgi.realtime.messages import Delivery, Gap, SlowReader, check_group

__all__ = ["Item", "Overflow", "Subscription"]

Overflow: TypeAlias = Literal["drop_oldest", "drop_newest", "close"]
Item: TypeAlias = Delivery | Gap

_NOTHING: Final[deque[Any]] = deque()
"""The queue of who waits with an empty one, for a deque of its own takes 760 bytes. Nothing is ever put into it."""


class Subscription:
    """Membership in groups, as `async with`; iterating gives what was published, and a `Gap` where some may be missing.

    `queued` messages wait to be read, `dropped` were lost because too many did; `info` is what `hub.members` shows.
    Iteration ends when the hub's lifespan ends; SlowReader is raised out of it where `overflow="close"` has struck.
    """

    __slots__ = (
        *("_backend", "_crowd", "_ended", "_first", "_home", "_max_queue", "_names", "_overflow", "_queue", "_refuses"),
        *("_waiter", "dropped", "info", "replayed"),
    )

    def __init__(
        self,
        backend: Backend,
        groups: tuple[str, ...],
        *,
        info: Any = None,
        max_queue: int = 100,
        overflow: Overflow = "drop_oldest",
        replay: int = 0,
        since: str | None = None,
    ) -> None:
        if overflow not in get_args(Overflow):
            raise ConfigurationError(f"overflow={overflow!r}: write one of {', '.join(get_args(Overflow))}")
        if max_queue < 1:
            raise ConfigurationError(f"max_queue={max_queue!r}: a queue holds at least 1 message")
        self._first = (tuple(map(check_group, groups)), since, replay)
        self._backend = backend
        self._home: Home | None = None
        self._names: dict[str, None] = {}
        self._queue: deque[Item] = _NOTHING
        self._max_queue = max_queue
        self._crowd = (max_queue + 1) // 2
        self._overflow = overflow
        self._refuses = False  # a put does nothing any more
        self._ended: Exception | None = None  # raised to the reader once the queue is empty
        self._waiter: asyncio.Future[None] | anyio.Event | None = None
        self.info = info
        self.dropped = 0
        self.replayed: dict[str, int] = {}

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that it is in, in the order of joining."""
        return tuple(self._names)

    @property
    def is_open(self) -> bool:
        """Whether messages arrive."""
        return self._home is not None and not self._refuses

    @property
    def queued(self) -> int:
        """How many messages wait to be read."""
        return len(self._queue)

    async def __aenter__(self) -> Subscription:
        if self._home is not None:
            raise RuntimeError("this subscription has been entered before: make one for each `async with`")
        self._home = self._backend.open()
        self._home.members.add(self)
        groups, since, replay = self._first
        try:
            await self.join(*groups, since=since, replay=replay)
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def join(self, *groups: str, since: str | None = None, replay: int = 0) -> None:
        """Join groups; those that it is in already stay as they are. When it returns, messages arrive.

        With `since`, what was published after that message's id comes first, with `replay=N` the last N messages of
        each group, as far as the hub keeps them.
        """
        home = self._enter()
        new = [group for group in dict.fromkeys(map(check_group, groups)) if group not in self._names]
        wants_past = since is not None or replay > 0
        early: deque[Delivery] = deque(maxlen=self._max_queue + 1)  # one too many, so that `_catch_up` sees it
        put: Callable[[Any], object] = early.append if wants_past else self.put
        try:
            for group in new:
                self._names[group] = None
                if home.add(group, self, put):
                    self._backend.want(group)
            await self._backend.settle(new, self)
            if wants_past:
                self._catch_up(home, new, await self._backend.past(new, since, replay, self), early)
        except BaseException:
            self.leave(*new)
            raise

    def leave(self, *groups: str) -> None:
        """Leave groups; messages of theirs that wait to be read stay."""
        for group in groups:
            if group in self._names and self._home is not None:
                del self._names[group]
                last = self._home.remove(group, self)
                self._backend.unwant(group, self, last)

    def close(self) -> None:
        """Leave all groups and end the iteration, after what is in the queue."""
        self.leave(*self._names)
        if self._home is not None and self in self._home.members:
            self._home.members.discard(self)
            self._backend.forget(self)
        self.end(StopAsyncIteration())

    def put(self, item: Item) -> None:
        """Take a message, or do with it what the policy says."""
        queue = self._queue
        if len(queue) >= self._crowd and not self._make_room(item):
            return
        if queue is _NOTHING:
            self._queue = deque((item,))
        else:
            queue.append(item)
        if self._waiter is not None:
            self._wake()

    def put_gap(self, gap: Gap) -> None:
        """Take a gap, which is never dropped: two in a row become one."""
        if self._refuses:
            return
        groups = tuple(group for group in gap.groups if group in self._names)
        if not groups:
            return
        gap = Gap(groups)
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Gap):
            self._queue.pop()
            gap = _both(last, gap)
        if self._queue is _NOTHING:
            self._queue = deque()
        self._queue.append(gap)
        self._wake()

    def end(self, error: Exception) -> None:
        """Take nothing any more; the reader gets this error after what is in the queue."""
        if self._ended is None:
            self._ended, self._refuses, self._crowd = error, True, 0
            self._wake()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        item = self._queue.popleft() if self._queue else await self._next()
        return item if isinstance(item, Gap) else item.data

    def deliveries(self) -> AsyncIterator[Item]:
        """Iterate over messages with their group and id, as `Delivery`, instead of what was published alone."""
        return Iteration(self._next)

    def take(self) -> Item | None:
        """Return the next item if one is there."""
        return self._queue.popleft() if self._queue else None

    async def wait(self) -> None:
        """Wait until `take` has something; raise what ends the iteration."""
        while not self._queue:
            if self._ended is not None:
                raise self._ended
            if self._home is None:
                raise RuntimeError("a subscription is read inside of its `async with` block")
            if self._waiter is not None:
                raise RuntimeError("two tasks read one subscription: make one for each")
            self._queue = _NOTHING
            # A future where there is one: to wait for it and be woken costs a third of what an event does.
            waiter = self._waiter = cast(Any, self._home.loop).create_future() if on_asyncio() else anyio.Event()
            try:
                await (waiter.wait() if isinstance(waiter, anyio.Event) else waiter)
            finally:
                self._waiter = None

    async def _next(self) -> Item:
        if not self._queue:
            await self.wait()
        return self._queue.popleft()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if isinstance(waiter, anyio.Event):
            waiter.set()
        elif waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _make_room(self, item: Item) -> bool:
        """Drop what the policy says if the queue is full and not half full only; tell whether the message may go in."""
        home = self._home
        if self._refuses or home is None:
            if home is not None:
                home.refused += 1
            return False
        home.crowded = True
        if len(self._queue) < self._max_queue:
            return True
        self.dropped += 1
        home.dropped += 1
        if self._overflow == "drop_oldest":
            oldest = self._queue.popleft()
            if isinstance(oldest, Gap):  # keep it in front of what is left; it stands for the dropped message too
                following = self._queue.popleft() if self._queue else None
                self._queue.appendleft(_both(oldest, following) if isinstance(following, Gap) else oldest)
            return True
        home.refused += 1
        if self._overflow == "close":
            self.dropped += len(self._queue)
            home.dropped += len(self._queue)
            limit = self._max_queue
            self._queue.clear()
            self.end(SlowReader(limit))
        return False

    def _enter(self) -> Home:
        if self._home is None or self._refuses:
            raise RuntimeError("groups are joined inside of the subscription's `async with` block")
        return self._home

    def _catch_up(self, home: Home, groups: list[str], past: list[Item], early: deque[Delivery]) -> None:
        """Take what was published before, then what has come in while it was fetched, then all that comes."""
        gaps = [item for item in past if isinstance(item, Gap)]
        items = _in_order([item for item in past if isinstance(item, Delivery)], early)
        room = self._max_queue - len(self._queue)
        room = max(room - bool(gaps or len(items) > room), 1)  # a gap takes a place
        if too_many := items[:-room]:
            gaps.append(Gap(tuple({item.group: None for item in too_many})))
            self.dropped += len(too_many)
            home.dropped += len(too_many)
        for gap in gaps:
            self.put_gap(gap)
        if items and not self._refuses:
            self._queue = deque((*self._queue, *items[-room:]))
            self._wake()
        for group in groups:
            if group in self._names:  # else it was left meanwhile
                home.add(group, self, self.put)


def _both(one: Gap, other: Gap) -> Gap:
    return Gap(tuple(dict.fromkeys((*one.groups, *other.groups))))


def _in_order(past: list[Delivery], early: Iterable[Delivery]) -> list[Delivery]:
    """Return both, none twice, as they were published: of many messages history may give the last few only."""
    known = {item.id for item in past}
    new = [item for item in early if item.id is None or item.id not in known]
    if past and any(item.id is not None for item in new):
        numbered = [item for item in (*past, *new) if item.id is not None]
        return sorted(numbered, key=_number) + [item for item in new if item.id is None]
    return past + new


def _number(item: Delivery) -> int:
    return int((item.id or "0").rpartition("-")[2])
