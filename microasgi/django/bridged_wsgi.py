"""A bridge over WSGI: one event loop beside the WSGI threads, where the applications and their lifespans run.

Law: what is sync in the application runs in the thread of its WSGI request, which waits for it, so that it has that
thread's database connections, and sees a test's transaction.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, Final, TypeVar, cast

from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from microasgi.django.bridged_body import RequestBody
from microasgi.django.bridged_exchange import Exchange
from microasgi.django.bridged_response import LateSession, make_response
from microasgi.types import ASGIApp, Scope

__all__ = ["answer_wsgi"]

T = TypeVar("T")
_LAST_WORDS: Final = 10.0  # seconds that lifespans have to end when the process does


def answer_wsgi(app: ASGIApp, scope: Scope, request: HttpRequest) -> HttpResponseBase:
    """Run the application for a WSGI request and return its response: whole, or an iterator over its parts.

    Background tasks run when the response has been sent, before the thread takes another request.
    """
    caller = CallingThread(_event_loop())
    body = RequestBody(request, caller)

    async def begin() -> Exchange:
        return Exchange(app, scope, body, caller)

    exchange = caller.start(begin)
    try:
        caller.run(exchange.begin())
        parts = _Parts(caller, exchange)
        content = LateSession(request).watch(parts) if exchange.streams else None
        response = make_response(exchange, content, wsgi=True)
    except BaseException:
        caller.run(exchange.cancel())
        raise
    cast(Any, response)._resource_closers.append(parts.close)
    return response


class CallingThread(CurrentThreadExecutor):
    """The thread of a WSGI request, as a place for the application's sync work while it waits for the application."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(None)
        self._loop = loop

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run this on the event loop, and here the sync work that comes from there meanwhile."""
        # What is run here makes this loop the thread's, and async code of others would come to it, as long as it runs.
        mine: dict[str, Any] = vars(SyncToAsync.threadlocal)
        before = dict(mine)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            self.run_until_future(future)
            return future.result()
        except BaseException:  # such as KeyboardInterrupt
            future.cancel()
            raise
        finally:
            mine.clear()
            mine.update(before)

    def run_until_future(self, future: Future[Any]) -> None:
        """Do the work that comes until the future is done. What comes later waits for the next time."""
        future.add_done_callback(self._wake)
        while True:
            with self._work_ready:
                while not (self._work_items or future.done()):
                    self._work_ready.wait()
                if future.done():
                    return
                item = self._work_items.popleft()
            item.run()

    def _wake(self, _: Future[Any]) -> None:
        with self._work_ready:
            self._work_ready.notify()

    def leave(self) -> None:
        """Take no more work: the thread goes on to something else."""
        with self._work_ready:
            self._broken = True

    def start(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call an async function with what Django keeps for this thread: language, time zone, script prefix."""
        hop: Any = sync_to_async(
            async_to_sync(function), thread_sensitive=False, executor=cast(Any, self), context=copy_context()
        )
        return cast(T, self.run(hop()))


class _Parts(Iterator[bytes]):
    """The parts of a response, for a WSGI server."""

    def __init__(self, caller: CallingThread, exchange: Exchange) -> None:
        self._caller, self._exchange = caller, exchange

    def __next__(self) -> bytes:
        try:
            chunk = self._caller.run(self._exchange.next_chunk())
        except BaseException:
            self.close()
            raise
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Wait for the application's background tasks, or cancel it if its response was not complete."""
        exchange = self._exchange
        try:
            self._caller.run(exchange.wait() if exchange.complete else exchange.cancel())
        finally:
            self._caller.leave()

    def __del__(self) -> None:  # a middleware may have dropped the response
        self._exchange.abandon()
        self._caller.leave()


class _Loop:
    """An event loop in a thread. It goes on when a task raises SystemExit: that is for the thread that waits for it."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="microasgi-wsgi", daemon=True)
        self._thread.start()
        self._started.wait()

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            self.loop = runner.get_loop()
            self._started.set()
            while not self._is_ending:
                try:
                    self.loop.run_forever()
                except (SystemExit, KeyboardInterrupt):
                    pass

    def end(self) -> None:
        self._is_ending = True
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_LAST_WORDS)


_lock = threading.Lock()
_now: _Loop | None = None


def _event_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this process for WSGI requests."""
    global _now
    with _lock:
        _now = _now or _Loop()
        return _now.loop


def _forked() -> None:
    """Begin without an event loop: its thread has stayed in the other process."""
    global _now, _lock
    _now, _lock = None, threading.Lock()


def _exiting() -> None:
    if _now is not None:
        _now.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
atexit.register(_exiting)
