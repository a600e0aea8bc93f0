"""Where Django's work runs: sync functions in a pool, the async ORM in lanes, and all of it in a test's own thread.

The law of this file: whoever waits for a thread waits until it is done, even when cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from functools import partial
from types import GeneratorType
from typing import Any, Final, ParamSpec, TypeVar, cast

import anyio
from anyio import to_thread
from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async

from microasgi.concurrency import on_asyncio, threads
from microasgi.django.borrowed import anyio_thread
from microasgi.django.lanes import overriding, staff
from microasgi.django.workers import Desk, Stay, Workers
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["ThreadsLayer", "in_django_thread"]

P = ParamSpec("P")
T = TypeVar("T")

_thread_sensitive: Final = SyncToAsync.thread_sensitive_context


class ThreadsLayer:
    """Run the sync functions of an application in Django's pool and its async ORM in a lane.

    A process has THREADS pool threads and LANES lanes (settings.MICROASGI, 8 and 4), for all its applications and event
    loops; the end of the last lifespan ends them. So at most THREADS + LANES connections are open for each database,
    and one more for each call that a sync function waits for with `anyio.from_thread`. CONN_MAX_AGE and
    CONN_HEALTH_CHECKS apply after each call in the pool, and in a lane once a second, between two operations and never
    under an iteration: with CONN_MAX_AGE = 0 a lane closes its connection within a second or when its iterations end.

    Under `async_to_sync` (TestCase, AsyncClient, WSGI) everything runs in the caller's thread and on its connection.
    `own_lane=False` leaves the async ORM where it is: inside of a Django view, which has a thread of its own.
    """

    def __init__(self, app: ASGIApp, *, own_lane: bool = True) -> None:
        self.app = app
        self._own_lane = own_lane

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a socket or the lifespan. RuntimeError on trio."""
        if not on_asyncio():
            raise RuntimeError("Django needs asyncio: run this application on an asyncio event loop, not on trio")
        if scope["type"] == "lifespan" and overriding() is None:
            await self._host(scope, receive, send)
            return
        await self._serve(scope, receive, send)

    async def _host(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the lifespan; the last one that ends in this process ends the threads."""
        those, loop = staff(), asyncio.get_running_loop()
        those.hosts.append(loop)
        try:
            await self._serve(scope, receive, send)
        finally:
            if those.release(loop):
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(those.end)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        before = threads.set(in_django_thread)
        try:
            lane = overriding()
            if lane is not None and not _leads_to(lane.executor):
                await self._serve_overridden(scope, receive, send)
            elif lane is None and self._own_lane and _calling_thread() is None:
                await self._serve_in_lane(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            threads.reset(before)

    async def _serve_in_lane(self, scope: Scope, receive: Receive, send: Send) -> None:
        those, kind = staff(), scope["type"]
        lane = those.enter(kind)
        before = _thread_sensitive.set(lane.context)
        try:
            await self.app(scope, receive, send)
        finally:
            _thread_sensitive.reset(before)
            those.leave(lane, kind)

    async def _serve_overridden(self, scope: Scope, receive: Receive, send: Send) -> None:
        lane = cast(Any, overriding())
        caller = getattr(AsyncToSync.executors, "current", None)
        AsyncToSync.executors.current = None  # else it would go before the lane
        before = _thread_sensitive.set(lane.context)
        try:
            await self.app(scope, receive, send)
        finally:
            _thread_sensitive.reset(before)
            AsyncToSync.executors.current = caller


def _leads_to(executor: Executor) -> bool:
    """Tell whether this is in an application that has the executor already: a sync caller inside of it goes before."""
    context = _thread_sensitive.get(None)
    return context is not None and SyncToAsync.context_to_thread_executor.get(context) is executor


async def in_django_thread(call: Callable[[], T]) -> T:
    """Run a sync function in a thread that is safe for Django, with a copy of this task's context.

    Language, time zone and script prefix are there, `async_to_sync` and `anyio.from_thread.run` come back to this
    loop. When the caller is cancelled, a call that still waits for a thread is not begun; one that runs is awaited,
    then the cancellation goes on.
    """
    executor = _executor(call)
    once = _Once(executor)
    result: Any = None
    cancelled: asyncio.CancelledError | None = None
    try:
        # A scope, so that what the thread starts on the loop with anyio.from_thread is cancelled with the caller.
        with anyio.CancelScope() as scope:
            work = partial(_run, call, _Holding(), asyncio.get_running_loop(), scope)
            hop: Any = sync_to_async(
                work, thread_sensitive=False, executor=cast(ThreadPoolExecutor, once), context=copy_context()
            )
            try:
                result = await hop()
            except asyncio.CancelledError as error:
                cancelled = error
                scope.cancel()  # a task's own cancellation is none of its scopes', where the thread looks for it
                await once.done()
        if cancelled is not None:
            raise cancelled
        return cast(T, result)
    finally:
        del cancelled  # else it would hold itself, by its traceback
        if isinstance(executor, Desk) and executor.stay is not None:
            _stay.set(executor.stay)


class _Holding:
    """A call that holds its thread until it is over."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


_held: Final[ContextVar[_Holding | None]] = ContextVar("held", default=None)
_stay: Final[ContextVar[Stay | None]] = ContextVar("stay", default=None)


def _run(call: Callable[[], T], holding: _Holding, loop: asyncio.AbstractEventLoop, scope: anyio.CancelScope) -> T:
    _held.set(holding)
    try:
        with anyio_thread(loop, scope):
            return call()
    except StopIteration as error:  # no future can hold one
        raise RuntimeError("the function raised StopIteration") from error
    finally:
        holding.over = True


def _executor(call: Callable[[], Any]) -> Executor:
    lane = overriding()
    executor = _calling_thread()
    if executor is None and lane is not None:
        executor = lane.executor
    held = _held.get()
    nested = held is not None and not held.over
    if executor is None and not nested:
        return Desk(staff().pool, _generator_in(call), _stay.get())
    if executor is None:
        return _Extra()
    if nested and getattr(AsyncToSync.executors, "current", None) is None:
        raise RuntimeError(
            "this thread waits in anyio.from_thread.run for work that only it could do: in a sync function that a test "
            "or WSGI runs, call async code with asgiref.sync.async_to_sync, and sync functions directly"
        )
    return executor


def _generator_in(call: Any) -> Any:
    """Return the generator that the call steps or closes, or None: it goes on in the thread where it has begun."""
    if not isinstance(call, partial):
        return None
    parts: list[Any] = [*call.args, getattr(call.func, "__self__", None)]
    for each in parts:
        if isinstance(each, GeneratorType):
            return cast(Any, each)
    return None


def _calling_thread() -> Executor | None:
    """Return the executor of the sync caller that waits for this code: under `async_to_sync`, as in tests and WSGI."""
    current = getattr(AsyncToSync.executors, "current", None)
    if current is not None or not AsyncToSync.loop_thread_executors:
        return current
    return AsyncToSync.loop_thread_executors.get(asyncio.get_running_loop())


class _Extra(Executor):
    """A thread for one call that a thread of the pool waits for; the pool might have none free, for ever."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        workers = Workers(1, "django-nested")
        future = workers.submit(fn, *args, **kwargs)
        workers.end(0.0)
        return future


class _Once(Executor):
    """Knows the future of the call that it submits to another executor."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._future: Future[Any] | None = None

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = self._executor.submit(fn, *args, **kwargs)
        self._future = future
        return future

    async def done(self) -> None:
        """Wait until the call is over, whoever cancels."""
        if self._future is None or self._future.done():
            return
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        self._future.add_done_callback(lambda _: loop.call_soon_threadsafe(over.set))
        with anyio.CancelScope(shield=True):
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue
