"""The hub over a channel layer: any object with the interface of Channels' layers, such as `get_channel_layer()`.

The law of this file: the layer is asked for what it promises and no more. One channel for each group and process, and
one task that receives from it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from random import uniform
from typing import Any, Final

import anyio
from anyio.abc import TaskGroup

from microasgi.concurrency import current_loop, on_asyncio
from microasgi.exceptions import ConfigurationError
from microasgi.realtime.groups import Home, Member, count_up
from microasgi.realtime.messages import Delivery, Gap, HubUnavailable, as_delivery, check_size
from microasgi.serialization import decode_json, encode_json

__all__ = ["LayerHub"]

_INTERFACE: Final = ("new_channel", "receive", "group_add", "group_discard", "group_send")
_RENEWAL: Final = 30.0  # seconds; layers forget a membership after a day, or when their server is restarted
_LONGEST_PAUSE: Final = 5.0

logger = logging.getLogger("microasgi")


class _Pump:
    """What receives for one group."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.settled = anyio.Event()
        self.lost = False


class LayerHub:
    """Carries messages through a layer, which everything else that uses the layer shares. A message is a dict."""

    def __init__(self, layer: Any, *, replay: int, max_message_size: int, timeout: float) -> None:
        if replay:
            raise ConfigurationError("a channel layer keeps no messages: leave out replay, or use a hub over Redis")
        self._layer = layer
        self._max_message_size = max_message_size
        self._timeout = timeout
        self._home: Home | None = None
        self._tasks: TaskGroup | None = None
        self._pumps: dict[str, _Pump] = {}
        self._counted = {"published": 0, "received": 0, "poison": 0, "gaps": 0}

    @staticmethod
    def knows(layer: object) -> bool:
        """Tell whether this has the interface of a channel layer."""
        return not isinstance(layer, str) and all(hasattr(layer, name) for name in _INTERFACE)

    async def publish(self, group: str, message: Any) -> int:
        """Send to the layer's group; return how many members it has in this process."""
        home = self.open()
        await self._send(group, self._check(message))
        self._counted["published"] += 1
        return len(home.groups.get(group, ()))

    def publish_sync(self, group: str, message: Any) -> int:
        """Send on the hub's loop, or where the hub does not run on one that lives for this call."""
        message, home = self._check(message), self._home
        if home is None:
            asyncio.run(self._send(group, message))
            return 0
        loop: Any = home.loop
        asyncio.run_coroutine_threadsafe(self._send(group, message), loop).result()
        return len(home.groups.get(group, ()))

    def open(self) -> Home:
        """Return the home of the loop on which the hub runs."""
        if self._home is None:
            raise RuntimeError(
                "the hub does not run: join it by `app.lifespan(hub.lifespan)`, on a server with lifespans (not daphne)"
            )
        if self._home.loop is not current_loop():
            raise RuntimeError("the hub runs on another event loop: one hub over a channel layer serves one loop")
        return self._home

    def want(self, group: str) -> None:
        """Start to receive."""
        if self._tasks is not None:
            pump = self._pumps[group] = _Pump()
            self._tasks.start_soon(self._run, group, pump)

    def unwant(self, group: str, member: Member, last: bool) -> None:
        """Stop to receive when the last member goes."""
        if last and group in self._pumps:
            self._pumps.pop(group).scope.cancel()

    def forget(self, member: Member) -> None:
        """Do nothing."""

    async def settle(self, groups: Iterable[str], member: Member) -> None:
        """Wait until the layer has added the groups, or has failed to; then a gap will tell when it has."""
        for group in groups:
            pump = self._pumps.get(group)
            if pump is not None:
                await pump.settled.wait()

    async def past(self, groups: Iterable[str], since: str | None, count: int, member: Member) -> list[Delivery | Gap]:
        """Return a gap: a layer keeps nothing."""
        return [Gap(tuple(groups))] if since is not None else []

    async def count(self, group: str) -> int:
        """Return how many members the group has in this process: a layer does not know of others."""
        return len(self.open().groups.get(group, ()))

    async def members(self, group: str) -> list[Any]:
        """Return the infos of those."""
        return [member.info for member in self.open().groups.get(group, ())]

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Hold the tasks that receive."""
        if not on_asyncio():
            raise ConfigurationError("a hub over a channel layer needs asyncio: layers do not run on trio")
        if self._home is not None:
            raise RuntimeError("the hub runs already: join it to one application, once")
        failure: Exception | None = None
        home = self._home = Home()
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                try:
                    yield
                except Exception as error:  # raised below, where no task group wraps it
                    failure = error
                home.close()
                tasks.cancel_scope.cancel()
        finally:
            self._home = self._tasks = None
            self._pumps.clear()
            home.close()
        if failure is not None:
            raise failure

    def figures(self) -> dict[str, int]:
        """Return the counters."""
        return {**self._counted, **count_up([] if self._home is None else [self._home])}

    def _check(self, message: Any) -> dict[str, Any]:
        encoded = check_size(encode_json(message), self._max_message_size)
        plain = decode_json(encoded)
        if not isinstance(plain, dict):
            raise TypeError(f"a channel layer carries dicts, not {type(message).__name__}: publish {{...}}")
        return plain  # pyright: ignore[reportUnknownVariableType]

    async def _send(self, group: str, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._layer.group_send(group, message)
        except (TypeError, ValueError, AssertionError):
            raise  # about the group or the message
        except Exception as error:
            raise HubUnavailable(f"{type(error).__name__}: {error}") from error

    async def _run(self, group: str, pump: _Pump) -> None:
        """Receive for a group until its pump is stopped, beginning again after errors."""
        pause = 0.05
        with pump.scope:
            while True:
                try:
                    pause = 0.05 if await self._pump(group, pump) else pause
                except Exception as error:
                    level = logging.DEBUG if pump.lost else logging.WARNING
                    logger.log(level, "hub: the channel layer fails for %.100r, trying again: %r", group, error)
                pump.lost = True
                pump.settled.set()
                await anyio.sleep(pause * uniform(0.5, 1.0))
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _pump(self, group: str, pump: _Pump) -> bool:
        """Receive over one channel until the layer fails; return True if it had worked before."""
        name = await self._layer.new_channel()
        try:
            await self._layer.group_add(group, name)
            if pump.lost and self._home is not None:
                self._counted["gaps"] += 1
                self._home.give_gap(frozenset([group]))
            pump.lost = False
            pump.settled.set()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew, group, name)
                await self._receive(group, name)
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(self._timeout):
                await self._discard(group, name)
        return True

    async def _receive(self, group: str, name: str) -> None:
        # Never with a timeout: some layers lose what comes while nobody receives.
        while True:
            try:
                message = await self._layer.receive(name)
            except Exception as error:
                if type(error).__name__ == "TimeoutError":  # of redis-py, which is none of Python's: nothing has come
                    continue
                logger.warning("hub: the channel layer fails for %.100r: %r", group, error)
                return
            self._hear(group, message)

    def _hear(self, group: str, message: Any) -> None:
        self._counted["received"] += 1
        try:
            delivery = as_delivery(group, None, message)
        except (TypeError, ValueError) as error:
            self._counted["poison"] += 1
            logger.warning("hub: a message that cannot be read, of group %.100r: %.200s", group, error)
            return
        if self._home is not None:
            self._home.fan_out(delivery)

    async def _renew(self, group: str, name: str) -> None:
        while True:
            await anyio.sleep(_RENEWAL)
            try:
                await self._layer.group_add(group, name)
            except Exception as error:
                logger.debug("hub: the membership of %.100r was not renewed: %r", group, error)

    async def _discard(self, group: str, name: str) -> None:
        try:
            await self._layer.group_discard(group, name)
        except Exception as error:
            logger.debug("hub: %.100r was not discarded: %r", group, error)
