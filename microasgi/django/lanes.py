"""The threads of this process for Django's work: one pool for sync functions, a few lanes for the async ORM.

A lane is one thread that many requests share: Django's async ORM runs each of its operations there. The law of this
file: a process has one set of them, made at first use, and whoever forks starts without.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, Final, cast

from asgiref.sync import ThreadSensitiveContext
from django.conf import settings

from microasgi.django.workers import Workers
from microasgi.exceptions import ConfigurationError

__all__ = ["Lane", "Staff", "new_staff", "override", "overriding", "staff"]

THREADS: Final = 8
LANES: Final = 4
BOUNDARY: Final = 1.0  # seconds between two boundaries of a lane, at which CONN_MAX_AGE is applied
LAST_WORDS: Final = 5.0  # seconds that running calls have at the end


class Lane:
    """One thread for the async ORM, and the asgiref context that leads there; `users` by scope type."""

    __slots__ = ("context", "executor", "users")

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.context = _lead_to(executor)
        self.users = {"http": 0, "websocket": 0, "lifespan": 0}


class Staff:
    """The pool and the lanes of one process; `hosts` are the event loops of the lifespans that run."""

    def __init__(self, threads: int, lanes: int) -> None:
        self.pool = Workers(threads, "django-pool")
        self.lanes = [Lane(Workers(1, f"django-lane-{number}", every=BOUNDARY)) for number in range(1, lanes + 1)]
        self.hosts: list[AbstractEventLoop] = []
        self._lock = threading.Lock()

    def enter(self, kind: str) -> Lane:
        """Return the lane with the fewest users of that scope type, as one more of them."""
        with self._lock:
            lane = self.lanes[0]
            for other in self.lanes if lane.users[kind] else ():
                if other.users[kind] < lane.users[kind]:
                    lane = other
            lane.users[kind] += 1
        return lane

    def leave(self, lane: Lane, kind: str) -> None:
        """Be no longer a user of the lane."""
        with self._lock:
            lane.users[kind] -= 1

    def release(self, host: AbstractEventLoop) -> bool:
        """Forget a lifespan; tell whether it was the last. One whose loop was closed before its end does not count."""
        self.hosts.remove(host)
        return all(other.is_closed() for other in self.hosts)

    def end(self) -> None:
        """End the threads and close their connections; the next call starts them again."""
        deadline = time.monotonic() + LAST_WORDS
        for workers in [self.pool, *(cast(Workers, lane.executor) for lane in self.lanes)]:
            workers.end(max(0.0, deadline - time.monotonic()))


_now: Any = None
_lock = threading.Lock()
_overrides: Final[list[Lane]] = []
_nearest: Final[ContextVar[Lane | None]] = ContextVar("nearest", default=None)


def staff() -> Staff:
    """Return this process's threads; their numbers are those of settings.MICROASGI."""
    global _now
    if _now is None:
        with _lock:
            _now = _now or new_staff()
    return cast(Staff, _now)


def new_staff() -> Staff:
    """Return what settings.MICROASGI says; ConfigurationError for what is no number of threads."""
    return Staff(_setting("THREADS", THREADS), _setting("LANES", LANES))


def overriding() -> Lane | None:
    """Return the lane that stands for all threads, if an `override` says so: one around this code, or else the last."""
    return _nearest.get() or (_overrides[-1] if _overrides else None)


@contextmanager
def override(executor: Executor) -> Generator[None]:
    """Let this executor be the pool and every lane of what begins inside of the block, in all threads.

    For tests: it has to run one call at a time, in one thread. Its connections are not tended.
    """
    lane, before = Lane(executor), _nearest.get()
    _overrides.append(lane)
    _nearest.set(lane)
    try:
        yield
    finally:
        _overrides.remove(lane)
        _nearest.set(before)


def _setting(name: str, default: int) -> int:
    value = getattr(settings, "MICROASGI", {}).get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"settings.MICROASGI[{name!r}] is a number of threads, 1 or more, not {value!r}")
    return value


def _lead_to(executor: Executor) -> ThreadSensitiveContext:
    """Return a context of asgiref that is entered once and never left, so that no task can outlive it."""
    context: Any = ThreadSensitiveContext(executor=executor)

    def enter() -> None:
        try:
            context.__aenter__().send(None)
        except StopIteration:
            pass

    copy_context().run(enter)
    return cast(ThreadSensitiveContext, context)


def _forked() -> None:
    global _now, _lock
    _now, _lock = None, threading.Lock()
    _overrides.clear()


def _exiting() -> None:
    if _now is not None:
        _now.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_exiting)
