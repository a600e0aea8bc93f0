"""The hub over Redis: processes that publish to and hear each other, on channels_redis' pub/sub channels.

The law of this file: a message travels to Redis and back even to members of its own process, so that all members see
one order. What may have been lost is said by a gap.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from microasgi.concurrency import current_loop, on_asyncio
from microasgi.exceptions import ConfigurationError
from microasgi.realtime.codecs import Codec
from microasgi.realtime.groups import Home, Member, count_up
from microasgi.realtime.listening import Listener
from microasgi.realtime.messages import Delivery, Gap, HubUnavailable, as_delivery, check_size
from microasgi.realtime.outbox import Command, Outbox
from microasgi.realtime.presence import BEAT, Presence
from microasgi.realtime.redisclient import RedisClients
from microasgi.realtime.streams import Streams

__all__ = ["RedisHub"]

logger = logging.getLogger("microasgi")


class RedisHub:
    """Carries messages among all processes with the same Redis, prefix, codec and keys."""

    def __init__(
        self, source: Any, *, replay: int, max_message_size: int, timeout: float, prefix: str, codec: Codec
    ) -> None:
        self._clients = RedisClients(source, timeout)
        self._codec = codec
        self._max_message_size = max_message_size
        self._prefix = prefix
        self._streams = Streams(prefix, replay, codec.decode) if replay else None
        self._home: Home | None = None
        self._reset()
        self._counted = {"published": 0, "received": 0, "poison": 0, "gaps": 0}

    def _reset(self) -> None:
        self._outbox = Outbox(self._clients)
        self._listener = Listener(self._clients, self, self._channels)
        self._presence = Presence(self._prefix, self._outbox, self._codec.encode, self._codec.decode)
        self._beats = anyio.Event()
        self._marks: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self._held: dict[str, list[Delivery]] = {}
        self._unnumbered: set[str] = set()

    async def publish(self, group: str, message: Any) -> int:
        """Publish, and return how many members the group has in this process when Redis has taken the message."""
        command = self._command(group, message)
        home = self.open()
        await self._outbox.call(*command)
        self._counted["published"] += 1
        return len(home.groups.get(group, ()))

    def publish_sync(self, group: str, message: Any) -> int:
        """Publish over a blocking connection of its own."""
        self._clients.execute_blocking(*self._command(group, message))
        home = self._home
        return 0 if home is None else len(home.groups.get(group, ()))

    def open(self) -> Home:
        """Return the home of the loop on which the hub runs."""
        if self._home is None:
            raise RuntimeError(
                "the hub does not run: join it by `app.lifespan(hub.lifespan)`, on a server with lifespans (not daphne)"
            )
        if self._home.loop is not current_loop():
            raise RuntimeError("the hub runs on another event loop: one hub over Redis serves one loop")
        return self._home

    def want(self, group: str) -> None:
        """Subscribe."""
        self._listener.want(group)

    def unwant(self, group: str, member: Member, last: bool) -> None:
        """Unsubscribe when the last member goes."""
        self._presence.leave(group, member)
        if last:
            self._listener.unwant(group)
            self._last.pop(group, None)
            self._held.pop(group, None)
            self._unnumbered.discard(group)

    def forget(self, member: Member) -> None:
        """Forget what was written about it."""
        self._presence.forget(member)

    async def settle(self, groups: Iterable[str], member: Member) -> None:
        """Wait for Redis to confirm; where it is not there, return, and a gap will tell when it is."""
        groups = tuple(groups)
        if not groups or not await self._listener.settle(groups):
            return
        try:
            await self._presence.enter(groups, member)
            if self._streams is not None:
                last = await self._streams.last(self._outbox)
                for group in groups:
                    self._last.setdefault(group, last)
        except HubUnavailable:
            return

    async def past(self, groups: Iterable[str], since: str | None, count: int, member: Member) -> list[Delivery | Gap]:
        """Return what the streams keep."""
        groups = tuple(groups)
        if self._streams is None:
            return [Gap(groups)] if since is not None else []
        try:
            past = await self._streams.past(self._outbox, groups, since, count)
        except HubUnavailable:
            return [Gap(groups)]
        for item in past:
            if isinstance(item, Delivery):
                member.replayed[item.group] = int(item.id or 0)
        return past

    async def count(self, group: str) -> int:
        """Return how many members a group has in all processes."""
        self.open()
        return await self._presence.count(group)

    async def members(self, group: str) -> list[Any]:
        """Return their infos."""
        self.open()
        return await self._presence.read(group)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hold the connections. Without Redis the application starts all the same, and the hub keeps trying."""
        if not on_asyncio():
            raise ConfigurationError("a hub over Redis needs asyncio: redis-py does not run on trio")
        if self._home is not None:
            raise RuntimeError("the hub runs already: join it to one application, once")
        await self._greet()
        self._reset()
        failure: Exception | None = None
        home = self._home = Home()
        try:
            async with anyio.create_task_group() as tasks:
                for work in (self._outbox.run, self._listener.run, self._beat):
                    tasks.start_soon(work)
                await self._listener.tried.wait()
                try:
                    yield
                except Exception as error:  # raised below, where no task group wraps it
                    failure = error
                await self._end(home)
                tasks.cancel_scope.cancel()
        finally:
            self._home = None
            home.close()
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await self._clients.close()
        if failure is not None:
            raise failure

    def figures(self) -> dict[str, int]:
        """Return the counters; `connected` is 1 while the subscription stands."""
        homes = [] if self._home is None else [self._home]
        links = {"connected": int(self._listener.connected), "reconnects": max(self._listener.reconnects, 0)}
        return {**self._counted, **links, **count_up(homes)}

    def hear(self, group: str, data: bytes, *, mark: bool) -> None:
        """Decode a message once and give it to the members; a mark is the id of the message that follows."""
        if mark:
            if data.isdigit() and len(data) < 18:
                self._marks[group] = data.decode()
            return
        name = self._marks.pop(group, None)
        self._counted["received"] += 1
        try:
            message = self._codec.decode(check_size(data, self._max_message_size))
            delivery = as_delivery(group, name, message)
        except (TypeError, ValueError) as error:
            self._poisoned(group, error)
            return
        held = self._held.get(group)
        if held is None:
            self._give(delivery)
        else:
            held.append(delivery)

    def wants_rest(self) -> bool:
        """Ask the members' home."""
        return self._home is not None and self._home.wants_rest()

    def lose(self, group: str) -> None:
        """With history, hold back what comes after the loss until what was lost has been fetched."""
        if self._streams is not None:
            self._held[group] = []

    async def regain(self, groups: list[str]) -> None:
        """Fetch from history what was lost; where that is not possible, tell the members."""
        self._outbox.has_lost = True
        self._beats.set()
        for group in groups:
            self._give_all(group, await self._missed(group))

    async def _missed(self, group: str) -> list[Delivery | Gap]:
        """Return what the members have not got, behind a gap where that may not be all."""
        gap = Gap((group,))
        last = self._last.get(group)
        if self._streams is None or last is None:
            return [gap]
        try:
            past = await self._streams.past(self._outbox, [group], str(last), 0)
        except HubUnavailable:
            return [gap]
        if group in self._unnumbered:  # some publish without history
            past.insert(0, gap)
        return [item for item in past if isinstance(item, Gap) or int(item.id or 0) > last]

    def _give_all(self, group: str, past: list[Delivery | Gap]) -> None:
        home = self._home
        for item in past:
            if isinstance(item, Delivery):
                self._give_missed(item)
            elif home is not None:
                self._counted["gaps"] += 1
                home.give_gap(frozenset(item.groups))
        known = {item.id for item in past if isinstance(item, Delivery)}
        for delivery in self._held.pop(group, ()):
            if delivery.id is None:
                self._give(delivery)
            elif delivery.id not in known:
                self._give_missed(delivery)

    def _give_missed(self, delivery: Delivery) -> None:
        """Give a message to all who have not got it from history when they joined meanwhile."""
        number = self._last[delivery.group] = int(delivery.id or 0)
        if self._home is not None:
            self._home.fan_out_late(delivery, number)

    def _give(self, delivery: Delivery) -> None:
        if delivery.id is not None:
            self._last[delivery.group] = int(delivery.id)
        elif self._streams is not None:
            self._unnumbered.add(delivery.group)
        if self._home is not None:
            self._home.fan_out(delivery)

    def _poisoned(self, group: str, error: Exception) -> None:
        count = self._counted["poison"] = self._counted["poison"] + 1
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, 8th ...: a flood shall not fill the log
            logger.warning("hub: message %d that cannot be read, of group %.100r: %.200r", count, group, error)

    def _channels(self, group: str) -> tuple[bytes, ...]:
        channel = f"{self._prefix}__group__{group}".encode()
        if self._streams is None:
            return (channel,)
        return (f"{self._prefix}__id__{group}".encode(), channel)

    def _command(self, group: str, message: Any) -> Command:
        data = check_size(self._codec.encode(message), self._max_message_size)
        channel = f"{self._prefix}__group__{group}"
        if self._streams is None:
            return ("PUBLISH", channel, data)
        return self._streams.command(group, data, f"{self._prefix}__id__{group}", channel)

    async def _greet(self) -> None:
        """Find at the start what no waiting would heal: a wrong password, say."""
        try:
            answers = await self._clients.execute([("PING",)])
        except self._clients.refusals as error:
            raise ConfigurationError(f"the hub's Redis refuses: {error}") from None
        except self._clients.errors:
            return
        if isinstance(answers[0], Exception):
            raise ConfigurationError(f"the hub's Redis refuses: {answers[0]}")

    async def _beat(self) -> None:
        pause = BEAT
        while True:
            self._beats = anyio.Event()
            try:
                await self._presence.write(self.open())
                pause = BEAT
            except HubUnavailable:
                pause = 1.0
            with anyio.move_on_after(pause):
                await self._beats.wait()

    async def _end(self, home: Home) -> None:
        home.close()
        try:
            await self._presence.end()
        except HubUnavailable:
            pass
