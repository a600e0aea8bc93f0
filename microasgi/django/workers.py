"""A fixed number of threads that work off one queue, each with care of its own for database connections.

The law of this file: a thread is started when a call waits and none is idle, never more than `size` of them; it closes
its connections when it ends, and never keeps the interpreter from ending.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, ParamSpec, TypeVar

from microasgi.django.connections import Care

__all__ = ["Workers"]

P = ParamSpec("P")
T = TypeVar("T")


class Workers(Executor):
    """An executor of at most `size` threads; see `Care` for `every`. It can be used again after `end`."""

    def __init__(self, size: int, name: str, *, every: float = 0.0) -> None:
        self._size = size
        self._name = name
        self._every = every
        self._lock = threading.Lock()
        self._crew = _Crew()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in the next thread that is free."""
        work: _Work[T] = _Work(partial(fn, *args, **kwargs))
        with self._lock:
            crew = self._crew
            crew.queue.put(work)
            if not crew.idle.acquire(blocking=False) and len(crew.threads) < self._size:
                self._start(crew)
        return work.future

    def end(self, patience: float | None = None) -> None:
        """Let the threads end after what is queued, and wait for them, no longer than `patience` seconds."""
        with self._lock:
            crew, self._crew = self._crew, _Crew()
        for _ in crew.threads:
            crew.queue.put(None)
        deadline = None if patience is None else time.monotonic() + patience
        for thread in crew.threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do as `end` does; what is queued is run."""
        self.end(None if wait else 0.0)

    def _start(self, crew: _Crew) -> None:
        # Daemons: what runs for ever must not keep the interpreter from ending.
        name = f"{self._name}-{len(crew.threads) + 1}"
        thread = threading.Thread(target=crew.run, args=(self._every,), name=name, daemon=True)
        crew.threads.append(thread)
        thread.start()


class _Crew:
    """The threads between a start and an end, and their queue."""

    def __init__(self) -> None:
        self.queue: SimpleQueue[_Work[Any] | None] = SimpleQueue()
        self.idle = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def run(self, every: float) -> None:
        care = Care(every)
        while (work := self._next(care)) is not None:
            work.run(care)
            del work  # what it holds must not live until the next one
        care.end()

    def _next(self, care: Care) -> _Work[Any] | None:
        try:
            return self.queue.get_nowait()
        except Empty:
            self.idle.release()
        while True:
            try:
                return self.queue.get(timeout=care.pause())
            except Empty:
                care.rest()


class _Work(Generic[T]):
    """One call and the future of its result."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call
        self.future: Future[T] = Future()

    def run(self, care: Care) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            care.before()
            try:
                result = self.call()
            finally:
                care.after()
        except BaseException as error:
            self.future.set_exception(error)
            del self  # breaks the cycle of the error's traceback
        else:
            self.future.set_result(result)
