"""The clients of a Django project's tests: its pages and the applications beside them, in the test's transaction.

Law: whatever the application does with the database, sync or async, it does in the thread of the test. Only there is
the connection whose transaction the test has opened.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar, cast

from asgiref.sync import AsyncToSync, sync_to_async

from microasgi.concurrency import current_loop
from microasgi.django import lanes
from microasgi.django.threads import ThreadsLayer
from microasgi.django.undertest import UnderTest
from microasgi.django.visitor import Visitor, find_application
from microasgi.testing.client import AsyncTestClient, TestClient
from microasgi.testing.portal import LoopThread
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["AsyncDjangoTestClient", "DjangoTestClient"]

P = ParamSpec("P")
T = TypeVar("T")


class DjangoTestClient(Visitor, TestClient):
    """Talk to the project's ASGI application from a test function, as a user or as nobody.

    Works in `TestCase`, `TransactionTestCase` and with pytest-django: what the application reads and writes, it reads
    and writes in the test's thread, while that waits for an answer. `application` is the project's own unless it is
    given (ASGI_APPLICATION, else that of asgi.py); `with` runs its lifespan. Unsafe requests carry Django's CSRF token
    unless `enforce_csrf_checks`. What a view or a handler raises is raised here. Other options are those of
    `microasgi.testing.TestClient`.

    ConfigurationError without an application; RuntimeError in a coroutine, which takes the async client.
    """

    def __init__(
        self, application: ASGIApp | None = None, *, enforce_csrf_checks: bool = False, **options: Any
    ) -> None:
        if current_loop() is not None:
            raise RuntimeError("an event loop runs in this thread: use AsyncDjangoTestClient, or a `def` test")
        self.enforce_csrf_checks = enforce_csrf_checks
        calls = _calls_of_this_thread()
        TestClient.__init__(self, _InTestThread(find_application(application), lambda: calls), **options)

    def _make_loop(self, backend: str, backend_options: dict[str, Any] | None) -> LoopThread:
        return LoopThread(backend, backend_options, _calls_of_this_thread().serve)

    def login(self, **credentials: Any) -> bool:
        """Log in the user that has these credentials; tell whether there is one."""
        return self._visit(credentials)

    def force_login(self, user: Any, backend: str | None = None) -> None:
        """Log in a user without asking for a password; `backend` is a name of AUTHENTICATION_BACKENDS."""
        self._begin_session(user, backend)

    def logout(self) -> None:
        """Delete the session, and all cookies."""
        self._end_session()


class AsyncDjangoTestClient(Visitor, AsyncTestClient):
    """Talk to the project's ASGI application from a coroutine: `async with AsyncDjangoTestClient() as client`.

    In an `async def` test of a `TestCase` the application works in the test's thread, as Django's own `AsyncClient`
    does. Under a plugin that runs the event loop itself only what is committed is seen: use `TransactionTestCase` or
    `django_db(transaction=True)`. The rest is as in `DjangoTestClient`.
    """

    def __init__(
        self, application: ASGIApp | None = None, *, enforce_csrf_checks: bool = False, **options: Any
    ) -> None:
        self.enforce_csrf_checks = enforce_csrf_checks
        AsyncTestClient.__init__(self, _InTestThread(find_application(application), _calling_thread), **options)

    async def alogin(self, **credentials: Any) -> bool:
        """Log in the user that has these credentials; tell whether there is one."""
        return await sync_to_async(self._visit)(credentials)

    async def aforce_login(self, user: Any, backend: str | None = None) -> None:
        """Log in a user without asking for a password; `backend` is a name of AUTHENTICATION_BACKENDS."""
        await sync_to_async(self._begin_session)(user, backend)

    async def alogout(self) -> None:
        """Delete the session, and all cookies."""
        await sync_to_async(self._end_session)()


class _Calls(Executor):
    """What is to be done in the test's thread, and is when it waits for the application."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._queue.put(partial(_do, future, partial(fn, *args, **kwargs)))
        return future

    def serve(self, awaited: Future[T]) -> T:
        """Do what is asked for until the future is done, and return its result."""
        awaited.add_done_callback(lambda _: self._queue.put(_wake))
        while not awaited.done():
            # In a copy: a language or a script prefix of the application's is not the test's.
            copy_context().run(self._queue.get())
        return awaited.result()


def _wake() -> None:
    """Do nothing but be the next call."""


def _do(future: Future[T], call: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)


_here = threading.local()


def _calls_of_this_thread() -> _Calls:
    """Return the calls of this thread: its clients share them, whichever of them it waits for."""
    found = getattr(_here, "calls", None)
    if found is None:
        found = _here.calls = _Calls()
    return cast(_Calls, found)


def _calling_thread() -> Executor | None:
    """Return the executor of the thread that runs this test by `async_to_sync`, as Django's test cases do."""
    return cast("Executor | None", getattr(AsyncToSync.executors, "current", None))


class _InTestThread:
    """An application whose sync functions and ORM operations are calls of the test's thread, if there is one."""

    def __init__(self, app: ASGIApp, find_thread: Callable[[], Executor | None]) -> None:
        self.app = app
        self._find_thread = find_thread
        self._inside = UnderTest(ThreadsLayer(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope."""
        thread = self._find_thread()
        with nullcontext() if thread is None else lanes.override(thread):
            await self._inside(scope, receive, send)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)
