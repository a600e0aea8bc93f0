"""Under test: the two things in which a project behaves otherwise for its tests, as with Django's own test client.

Law: what a view raises is told, though Django answers it with a page; and no connection is closed behind a request,
because the test's transaction is in it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections

from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["UnderTest"]

_Tell: TypeAlias = Callable[[BaseException], object]

_tell: ContextVar[_Tell | None] = ContextVar("tell", default=None)


class UnderTest:
    """An application whose Django views' exceptions reach `scope["microasgi.on_error"]`, and whose connections stay."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope."""
        tell: _Tell | None = scope.get("microasgi.on_error")
        before = _tell.set(None if tell is None else partial(_tell_loop, asyncio.get_running_loop(), tell))
        try:
            with _connections.left_open():
                await self.app(scope, receive, send)
        finally:
            _tell.reset(before)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


class _Connections:
    """The receiver by which Django closes connections around a request; gone while it has `users`."""

    def __init__(self) -> None:
        self._users = 0
        self._lock = threading.Lock()
        self._disconnected: list[Any] = []

    @contextmanager
    def left_open(self) -> Generator[None]:
        with self._lock:
            if not self._users:
                signals = (request_started, request_finished)
                self._disconnected = [signal for signal in signals if signal.disconnect(close_old_connections)]
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                for signal in () if self._users else self._disconnected:
                    signal.connect(close_old_connections)


_connections = _Connections()


def _tell_loop(loop: asyncio.AbstractEventLoop, tell: _Tell, error: BaseException) -> None:
    """Tell an exception, which Django has in a thread, to what belongs to a loop."""
    loop.call_soon_threadsafe(partial(tell, error))


def _hear(**_: Any) -> None:
    tell, error = _tell.get(), sys.exception()
    if tell is not None and error is not None:
        tell(error)


got_request_exception.connect(_hear)
