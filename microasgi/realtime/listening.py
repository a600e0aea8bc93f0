"""The listener: one connection to Redis that is subscribed to what this process wants, and comes back when it breaks.

The law of this file: a channel has at most one command under way, so that what Redis confirms is what is so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from random import uniform
from time import monotonic
from typing import Any, Final, Protocol

import anyio
from anyio.abc import TaskGroup

from microasgi.realtime.redisclient import Connection, RedisClients

__all__ = ["Ears", "Listener"]

_MOST_AT_ONCE: Final = 500
_LONGEST_PAUSE: Final = 5.0
_SHORTEST_PAUSE: Final = 0.05

logger = logging.getLogger("microasgi")


class Ears(Protocol):
    """Whom the listener tells."""

    def hear(self, group: str, data: bytes, *, mark: bool) -> None:
        """Take a message, from the last of a group's channels, or a mark from the one before."""
        ...

    def wants_rest(self) -> bool:
        """Tell whether the members should read before more is heard."""
        ...

    def lose(self, group: str) -> None:
        """Hear that messages of this group may be lost from now on."""
        ...

    async def regain(self, groups: list[str]) -> None:
        """Hear that messages of these groups arrive again."""
        ...


class _Topic:
    """A group's channels: are they wanted, are they on, is a command about them under way."""

    __slots__ = ("asked", "channels", "lost", "on", "settled", "wanted")

    def __init__(self, channels: tuple[bytes, ...]) -> None:
        self.channels = channels
        self.wanted = self.on = self.asked = self.lost = False
        self.settled = anyio.Event()

    @property
    def is_deaf(self) -> bool:
        """Whether it is wanted and may hear nothing: not on yet, or about to go off by an earlier command."""
        return self.wanted and (self.asked or not self.on)


class Listener:
    """Keeps the subscriptions; `run` until cancelled."""

    def __init__(self, clients: RedisClients, ears: Ears, channels: Callable[[str], tuple[bytes, ...]]) -> None:
        self._clients = clients
        self._ears = ears
        self._channels = channels
        self._topics: dict[str, _Topic] = {}
        self._named: dict[bytes, tuple[str, bool]] = {}  # a channel's group, and whether it is the last of several
        self._unsettled: dict[str, None] = {}
        self._more = anyio.Event()
        self.tried = anyio.Event()
        self._answers = self._failing = False
        self._heard = 0.0
        self._regained: list[str] = []
        self.connected = False
        self.reconnects = -1

    def want(self, group: str) -> None:
        """Subscribe to a group, now or as soon as there is a connection."""
        topic = self._topics.get(group)
        if topic is None:
            topic = self._topics[group] = _Topic(self._channels(group))
            for channel in topic.channels:
                self._named[channel] = group, channel == topic.channels[-1]
        topic.wanted = True
        self._note(group)

    def unwant(self, group: str) -> None:
        """Unsubscribe."""
        topic = self._topics.get(group)
        if topic is None:
            return
        topic.wanted = False
        if topic.on or topic.asked:
            self._note(group)
        else:
            self._forget(group, topic)

    async def settle(self, groups: Iterable[str]) -> bool:
        """Return True when messages of these groups arrive.

        Without a connection, and where Redis has not confirmed in time, return False: a gap will tell when they do.
        """
        topics = [(group, self._topics[group]) for group in groups if group in self._topics]  # others were left again
        with anyio.move_on_after(self._clients.timeout):
            for _, topic in topics:
                while topic.is_deaf and (self.connected or not self.tried.is_set()):
                    await topic.settled.wait()
        deaf = [(group, topic) for group, topic in topics if topic.is_deaf]
        for group, topic in deaf:
            self._mark_lost(group, topic)
        return not deaf

    async def run(self) -> None:
        """Connect, listen, and do it again, with a growing pause, until cancelled."""
        pause = _SHORTEST_PAUSE
        while True:
            self._answers = False
            try:
                await self._listen()
            except self._clients.errors as error:
                if not self._failing:
                    logger.warning("hub: no connection to Redis, trying again: %r", error)
                self._failing = True
            except Exception:  # what nobody has thought of ends this connection, not the application
                logger.exception("hub: listening has failed, trying again")
            finally:
                self._disconnected()
            pause = _SHORTEST_PAUSE if self._answers else min(pause * 2, _LONGEST_PAUSE)
            await anyio.sleep(pause * uniform(0.5, 1.0))

    def _disconnected(self) -> None:
        self.connected = False
        self.tried.set()
        self._regained.clear()
        for group, topic in list(self._topics.items()):
            topic.on = topic.asked = False
            if topic.wanted:
                self._mark_lost(group, topic)
                self._wake(topic)
            else:
                self._forget(group, topic)

    async def _listen(self) -> None:
        """Listen over one connection until it breaks; the one for commands has then broken too, or soon will."""
        connection = await self._clients.connect()
        failures: list[Exception] = []
        try:
            async with anyio.create_task_group() as tasks:
                self.connected = True
                self.tried.set()
                self.reconnects += 1
                self._unsettled = dict.fromkeys(self._topics)
                self._heard = monotonic()
                for work in (self._write, self._watch, self._read):
                    tasks.start_soon(self._guard, tasks, failures, work, connection)
        finally:
            await connection.close()
            self._clients.stale = True
        raise failures[0]

    async def _guard(
        self, tasks: TaskGroup, failures: list[Exception], work: Callable[..., Any], connection: Connection
    ) -> None:
        try:
            await work(connection, tasks)
        except self._clients.errors as error:
            failures.append(error)
            tasks.cancel_scope.cancel()

    async def _write(self, connection: Connection, tasks: TaskGroup) -> None:
        """Send what is wanted and not asked for yet, many channels at a time."""
        while True:
            while self._unsettled:
                groups = list(self._unsettled)[:_MOST_AT_ONCE]
                for group in groups:
                    del self._unsettled[group]
                await self._ask(connection, b"SUBSCRIBE", self._begin(groups, True))
                await self._ask(connection, b"UNSUBSCRIBE", self._begin(groups, False))
            self._more = anyio.Event()
            await self._more.wait()

    def _begin(self, groups: Iterable[str], wanted: bool) -> list[bytes]:
        channels: list[bytes] = []
        for group in groups:
            topic = self._topics.get(group)
            if topic is not None and topic.wanted is wanted and topic.on is not wanted and not topic.asked:
                topic.asked = True
                channels += topic.channels
        return channels

    async def _ask(self, connection: Connection, command: bytes, channels: list[bytes]) -> None:
        if channels:
            with anyio.fail_after(self._clients.timeout):
                await connection.send((command, *channels))

    async def _watch(self, connection: Connection, tasks: TaskGroup) -> None:
        """Ask Redis for a sign of life when it has been silent, and give the connection up when there is none."""
        timeout = self._clients.timeout
        while True:
            await anyio.sleep(timeout)
            if self._clients.has_moved:
                self._clients.has_moved = False
                raise ConnectionResetError("this Redis has become a replica")
            if monotonic() - self._heard < timeout:
                continue
            asked = monotonic()
            with anyio.fail_after(timeout):
                await connection.send((b"PING",))
            await anyio.sleep(timeout)
            if self._heard < asked:
                raise TimeoutError(f"Redis has been silent for {2 * timeout:g} seconds")

    async def _read(self, connection: Connection, tasks: TaskGroup) -> None:
        while True:
            answer: Any = await connection.receive()
            if isinstance(answer, Exception):
                raise answer
            kind, *rest = answer if answer.__class__ is not bytes else [answer]
            self._heard = monotonic()
            self._answers, self._failing = True, False
            if kind == b"message" and rest[0] in self._named:
                group, is_last = self._named[rest[0]]
                self._ears.hear(group, rest[1], mark=not is_last)
            elif kind in {b"subscribe", b"unsubscribe"}:
                self._confirm(rest[0], kind == b"subscribe", tasks)
            if self._ears.wants_rest():
                await anyio.sleep(0)  # noqa: ASYNC115 - let the members read what came before what comes next

    def _confirm(self, channel: bytes, on: bool, tasks: TaskGroup) -> None:
        group, is_last = self._named.get(channel, ("", False))
        if not is_last:  # Redis confirms each channel of a command in turn
            return
        topic = self._topics[group]
        topic.on, topic.asked = on, False
        if topic.wanted is not on:
            self._note(group)
        elif not on:
            self._forget(group, topic)
            return
        if on and topic.lost:
            topic.lost = False
            self._regained.append(group)
            if len(self._regained) == 1:
                tasks.start_soon(self._tell_regained)
        self._wake(topic)

    async def _tell_regained(self) -> None:
        await anyio.sleep(0)  # noqa: ASYNC115 - those that are confirmed in the same breath come along
        groups, self._regained = self._regained, []
        await self._ears.regain(groups)

    def _mark_lost(self, group: str, topic: _Topic) -> None:
        if not topic.lost:
            topic.lost = True
            self._ears.lose(group)

    def _note(self, group: str) -> None:
        self._unsettled[group] = None
        self._more.set()

    def _forget(self, group: str, topic: _Topic) -> None:
        del self._topics[group]
        for channel in topic.channels:
            del self._named[channel]
        self._unsettled.pop(group, None)
        self._wake(topic)

    def _wake(self, topic: _Topic) -> None:
        topic.settled.set()
        topic.settled = anyio.Event()
