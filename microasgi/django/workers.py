"""A fixed number of threads for one queue of calls, each with care of its own for database connections.

The law of this file: a thread is started when a call waits and none is idle, never more than `size` of them; what a
generator has begun in a thread goes on there; a thread closes its connections when it ends, and none of them keeps the
interpreter from ending.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, ParamSpec, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from microasgi.django.connections import Care

__all__ = ["Desk", "Stay", "Workers"]

logger = logging.getLogger("microasgi.django")

P = ParamSpec("P")
T = TypeVar("T")
AnyGenerator: TypeAlias = Generator[Any, Any, Any]


class Workers(Executor):
    """An executor of at most `size` threads; see `Care` for `every`. It can be used again after `end`."""

    def __init__(self, size: int, name: str, *, every: float = 0.0) -> None:
        self._size = size
        self._name = name
        self._every = every
        self._lock = threading.Lock()
        self._crew = _Crew(self._lock)
        self._pins: WeakKeyDictionary[AnyGenerator, _Worker] = WeakKeyDictionary()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in the next thread that is free."""
        return self.place(_Work(partial(fn, *args, **kwargs)))

    def place(self, work: _Work[T], stay: Stay | None = None) -> Future[T]:
        """Run this where its generator has begun, or where the caller stays, or in the next thread that is free."""
        with self._lock:
            worker = self._known(work, stay) or self._free()
            if worker is None:
                self._crew.backlog.append(work)
            else:
                worker.take(work, stay)
        return work.future

    def end(self, patience: float | None = None) -> None:
        """Let the threads end after what is queued, and wait for them, no longer than `patience` seconds."""
        with self._lock:
            crew, self._crew = self._crew, _Crew(self._lock)
            crew.end()
        deadline = None if patience is None else time.monotonic() + patience
        for worker in crew.workers:
            worker.thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do as `end` does; what is queued is run."""
        self.end(None if wait else 0.0)

    def _known(self, work: _Work[Any], stay: Stay | None) -> _Worker | None:
        worker = self._pins.get(work.generator) if work.generator is not None else None
        if worker is None and stay is not None and stay.lasts:
            worker = stay.worker
        return None if worker is None or worker.ended else worker

    def _free(self) -> _Worker | None:
        crew = self._crew
        if crew.idle:
            return crew.idle[-1]  # the one that worked last: the others may let their connections go
        if len(crew.workers) == self._size:
            return None
        worker = _Worker(crew, self._pins, f"{self._name}-{len(crew.workers) + 1}", self._every)
        worker.thread.start()
        crew.workers.append(worker)
        return worker


class Desk(Executor):
    """Submits calls of one caller: what belongs to a generator goes to its thread; `stay` says what is left open."""

    def __init__(self, workers: Workers, generator: AnyGenerator | None, stay: Stay | None) -> None:
        self._workers = workers
        self._generator = generator
        self._before = stay
        self._work: _Work[Any] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        work: _Work[T] = _Work(partial(fn, *args, **kwargs), self._generator)
        self._work, self._generator = work, None
        return self._workers.place(work, self._before)

    @property
    def stay(self) -> Stay | None:
        """The thread in which the generator has left a transaction open, after the call; None if there is none."""
        return None if self._work is None else self._work.stay


class Stay:
    """A transaction that a generator has left open in a thread: only who has this may work there."""

    __slots__ = ("lasts", "worker")

    def __init__(self, worker: _Worker) -> None:
        self.worker = worker
        self.lasts = True


class _Crew:
    """The threads between a start and an end. Whoever changes it holds the lock."""

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock
        self.workers: list[_Worker] = []
        self.idle: list[_Worker] = []
        self.backlog: deque[_Work[Any]] = deque()
        self.ended = False

    def end(self) -> None:
        self.ended = True
        for worker in list(self.idle):
            worker.take(_Work(_nothing), None)


class _Worker:
    """One thread; `stay` while a generator's transaction is open in it."""

    def __init__(self, crew: _Crew, pins: WeakKeyDictionary[AnyGenerator, _Worker], name: str, every: float) -> None:
        self.queue: SimpleQueue[_Work[Any]] = SimpleQueue()
        self.stay: Stay | None = None
        self.ended = False
        self._deferred: list[_Work[Any]] = []
        self._crew = crew
        self._pins = pins
        # A daemon: what runs for ever must not keep the interpreter from ending.
        self.thread = threading.Thread(target=self._run, args=(every,), name=name, daemon=True)

    def take(self, work: _Work[Any], stay: Stay | None) -> None:
        """Queue this here, after the open transaction of somebody else. The caller holds the lock."""
        if self.stay not in (None, stay):
            self._deferred.append(work)
            return
        if self in self._crew.idle:
            self._crew.idle.remove(self)
        self.queue.put(work)

    def look(self, care: Care) -> None:
        """Begin or end the stay of a generator, as the connections show."""
        if care.occupied == (self.stay is not None):
            return
        with self._crew.lock:
            if self.stay is None:
                self.stay = Stay(self)
                return
            self.stay.lasts, self.stay = False, None
            for work in self._deferred:
                self.queue.put(work)
            self._deferred.clear()

    def _run(self, every: float) -> None:
        care = Care(every)
        work: _Work[Any] | None = None
        while not self.ended:
            before, work = work, self._next()
            if before is not None:
                before.report()  # now that this thread is idle for whoever comes next
            del before  # what it holds must not live until the next one
            work = work or (None if self.ended else self._wait(care))
            if work is not None:
                self._do(work, care)
        care.end()

    def _do(self, work: _Work[Any], care: Care) -> None:
        if work.generator is not None:
            with self._crew.lock:
                self._pins[work.generator] = self
        work.run(care, self)

    def _next(self) -> _Work[Any] | None:
        with self._crew.lock:
            if not self.queue.empty():
                return self.queue.get_nowait()
            if self.stay is not None:
                return None
            if self._crew.backlog:
                return self._crew.backlog.popleft()
            if self._crew.ended:
                self.ended = True
            elif self not in self._crew.idle:
                self._crew.idle.append(self)
            return None

    def _wait(self, care: Care) -> _Work[Any] | None:
        """Return what comes; None after a rest, which may have ended a stay."""
        try:
            return self.queue.get(timeout=care.pause())
        except Empty:
            pass
        try:
            care.rest()
            self.look(care)
        except Exception:
            logger.exception("resting between calls failed")
        return None


class _Work(Generic[T]):
    """One call and the future of its result; the generator that it steps, and the stay that this has begun, if any."""

    __slots__ = ("_call", "_error", "_result", "future", "generator", "stay")

    def __init__(self, call: Callable[[], T], generator: AnyGenerator | None = None) -> None:
        self._call: Callable[[], Any] = call
        self._error: BaseException | None = None
        self._result: Any = _CANCELLED
        self.future: Future[T] = Future()
        self.generator = generator
        self.stay: Stay | None = None

    def run(self, care: Care, worker: _Worker) -> None:
        """Call, then tidy the thread."""
        # Kept, they would keep each other until the garbage collector comes, and with them an open transaction.
        call, self._call = self._call, _nothing
        generator, self.generator = self.generator, None
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            try:
                self._result = call()
            finally:
                care.after(generator)
                worker.look(care)
                self.stay = worker.stay if generator is not None else None
        except BaseException as error:
            self._error = error

    def report(self) -> None:
        """Give the outcome to whoever waits."""
        if self._error is not None:
            self.future.set_exception(self._error)
            self._error = None  # breaks the cycle of its traceback
        elif self._result is not _CANCELLED:
            self.future.set_result(self._result)


_CANCELLED: Final = object()


def _nothing() -> None:
    """Wake a thread."""
