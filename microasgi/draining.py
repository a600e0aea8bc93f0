"""The drain: what lives long is told that the application stops, has a grace, and is ended after it.

The law of this file: there is one round for each event loop, which an application shares with all that is mounted in
it. Nothing here waits for ever, and nobody who is not asked to stop pays for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast

import anyio

from microasgi.concurrency import current_loop, spawn
from microasgi.signals import StopSignals, asked_by_parent
from microasgi.types import Scope

__all__ = ["OUTER", "Draining", "Member", "Round", "round_of"]

T = TypeVar("T")
logger = logging.getLogger("microasgi")

OUTER: Final = "microasgi.draining"
"""In a lifespan scope: the Draining of the application that this one is mounted in."""
_CLEAN_UP: Final = 2.0  # seconds, after the grace, for clean-up to run
_FLUSH: Final = 0.1  # seconds for the server to write what has been sent last
_INTERVAL: Final = 0.1  # seconds between two looks at what the parent process wants


class Member(Protocol):
    """What a drain has to end. Both are called on the event loop and return at once; `discard` says that it ended."""

    def tell(self) -> None:
        """Hear that the drain has begun: end as soon as it suits."""

    def cut(self) -> None:
        """Hear that the grace is over: end now."""


class Round:
    """The members on one event loop, and how far their drain is."""

    def __init__(self, announce: Callable[[], object]) -> None:
        self.begun = anyio.Event()
        self.has_begun = False  # the same, at a third of the price
        self.members: set[Member] = set()
        self._announce = announce
        self._was_empty = True
        self._grace = anyio.CancelScope()
        self._is_over = self._is_stopped = False
        self._empty: anyio.Event | None = None
        self._tasks: list[object] = []

    def add(self, member: Member) -> None:
        """Take part: from now on, or too late."""
        self.members.add(member)
        self._was_empty = False
        if self.has_begun:
            _call(member.tell)
        if self._is_over:
            _call(member.cut)

    def discard(self, member: Member) -> None:
        """Take part no longer."""
        self.members.discard(member)
        if not self.members and self._empty is not None:
            self._empty.set()
            self._empty = None

    def begin(self, grace: float) -> None:
        """Tell all, and cut what is there when `grace` seconds are over; a second call may only shorten that."""
        self._grace.deadline = min(self._grace.deadline, anyio.current_time() + grace)
        if self.has_begun:
            return
        self.has_begun = True
        self.begun.set()
        self._announce()
        self._was_empty = not self.members
        self.spawn(self._cut_after_grace)
        for member in tuple(self.members):
            _call(member.tell)

    async def wait(self) -> None:
        """Wait until no member is left, but not longer than the grace and what a clean-up may take."""
        with anyio.CancelScope(deadline=self._grace.deadline + _CLEAN_UP):
            while self.members:
                self._empty = self._empty or anyio.Event()
                await self._empty.wait()
        if self.members:
            logger.error("%d streams, websockets or requests have not ended: they are left behind", len(self.members))

    async def flush(self) -> None:
        """Give the server a moment for the last words of those who have ended in the drain."""
        if not self._was_empty:
            await anyio.sleep(_FLUSH)

    def spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run this in a task that nobody waits for, until it returns or the round is stopped."""

        async def run() -> None:
            if not self._is_stopped:
                await work()

        self._tasks.append(spawn(run))

    def stop(self) -> None:
        """End the count-down: the application's life is over."""
        self._is_stopped = True
        self._grace.cancel()

    async def _cut_after_grace(self) -> None:
        with self._grace:
            await anyio.sleep_forever()
        if self._is_stopped:
            return
        self._is_over = True
        if self.members:
            logger.warning("the grace is over: %d streams, websockets or requests are ended", len(self.members))
        for member in tuple(self.members):
            _call(member.cut)

    async def watch_parent(self, asked: Callable[[], bool], then: Callable[[], object]) -> None:
        """Call `then` once the parent process has asked this worker to stop."""
        while not asked():
            await anyio.sleep(_INTERVAL)
            if self._is_stopped:
                return
        then()


class Draining:
    """Whether the application is on its way to stop: an event of each event loop, to be looked at or awaited.

    `grace` is for how many seconds a drain lets streams and websockets end by themselves.
    """

    def __init__(self) -> None:
        self.grace = 5.0
        self._rounds: dict[object, Round] = {}

    def is_set(self) -> bool:
        """Tell whether a drain has begun on this event loop."""
        here = self.here()
        return here is not None and here.has_begun

    __bool__ = is_set

    async def wait(self) -> None:
        """Wait until a drain begins. RuntimeError while the lifespan does not run."""
        await self._round().begun.wait()

    async def until(self, source: AsyncIterable[T]) -> AsyncGenerator[T]:
        """Iterate over this until a drain begins: a stream of it then ends well and whole, at once.

        What the source awaits at that moment is cancelled, and it is closed.
        """
        here, turn = self._round(), _Turn()
        iterator = aiter(source)
        here.add(turn)
        try:
            while not here.has_begun:
                item: Any = _Turn
                with turn.scope:
                    item = await anext(iterator, _Turn)
                if item is _Turn:
                    return
                turn.scope = anyio.CancelScope()
                yield item
        finally:
            here.discard(turn)
            if hasattr(iterator, "aclose"):
                await cast(Any, iterator).aclose()

    def add(self, member: Member) -> None:
        """Let something of one's own be told and cut, until `discard`. RuntimeError while the lifespan does not run."""
        self._round().add(member)

    def discard(self, member: Member) -> None:
        """Say that it has ended."""
        for one in self._rounds.values():
            one.discard(member)

    async def end_all(self, grace: float | None = None) -> None:
        """Begin the drain on this event loop, if it has not, and wait for its end: `MicroASGI.drain` without tasks."""
        here = self._round()
        here.begin(self.grace if grace is None else grace)
        await here.wait()

    async def finish(self) -> None:
        """Do the same because the process is asked to stop: when this returns, the server may."""
        await self.end_all()
        await self._round().flush()

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Let drains wait for what is done inside the block. The server does so for requests, if it has a lifespan."""
        here, member = self._round(), _Patient()
        here.add(member)
        try:
            yield
        finally:
            here.discard(member)

    def here(self) -> Round | None:
        """Return this event loop's round, None while the lifespan does not run."""
        return self._rounds.get(current_loop())

    @asynccontextmanager
    async def running(
        self,
        outer: Draining | None,
        announce: Callable[[], object],
        stop: Callable[[StopSignals], Awaitable[None]],
    ) -> AsyncGenerator[None]:
        """Make drains possible inside the block, on this event loop.

        `announce` is called when one begins. When the process is asked to stop, `stop` is, in a task; it has to release
        the signals. Inside of another application it is that one's round and its signals.
        """
        loop: Any = current_loop()
        shared = None if outer is None else outer.here()
        here = self._rounds[loop] = shared or Round(announce)
        if shared is not None:
            try:
                yield
            finally:
                self._rounds.pop(loop, None)
            return
        asked = asked_by_parent()
        signals = StopSignals(lambda: soon(begin), asked)
        begin = partial(here.spawn, partial(stop, signals))
        soon = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        signals.install()
        if asked is not None:
            here.spawn(partial(here.watch_parent, asked, begin))
        try:
            yield
        finally:
            here.stop()
            self._rounds.pop(loop, None)
            signals.release(at_end=True)

    def _round(self) -> Round:
        here = self.here()
        if here is None:
            raise RuntimeError(
                "nothing can be drained while the application's lifespan does not run: "
                "do this in a request or inside the lifespan (in tests: `with TestClient(app)`)"
            )
        return here


class _Turn:
    """The wait for one item, as a member: it ends when the drain begins."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()

    def tell(self) -> None:
        self.scope.cancel()

    cut = tell


class _Patient:
    """A member that ends in its own time."""

    def tell(self) -> None:
        """Go on."""

    cut = tell


def round_of(scope: Scope) -> Round | None:
    """Return the round that what answers this scope takes part in."""
    draining = getattr(scope.get("app") or scope.get("router"), "draining", None)
    return draining.here() if isinstance(draining, Draining) else None


def _call(function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:
        logger.exception("%r failed when the application drained", function)
