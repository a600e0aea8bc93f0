"""The lifespan protocol (ASGI Lifespan 2.0) as `async with`, from both sides: answered here, asked of a mounted app."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import anyio
from anyio.abc import TaskGroup

from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Enter", "LifespanContext", "answer_lifespan", "as_context", "run_together"]

logger = logging.getLogger("microasgi")

LifespanContext: TypeAlias = AbstractAsyncContextManager[Mapping[str, Any] | None]
Enter: TypeAlias = Callable[[], LifespanContext]
"""Makes the context manager of one run; a mapping that it yields is added to the state."""


def as_context(function: Callable[..., Any], app: object) -> Enter:
    """Return how to enter a lifespan as the user wrote it: a context manager factory or an async generator function.

    It may take the application or nothing. ConfigurationError if it is neither.
    """
    if inspect.isasyncgenfunction(function):
        function = asynccontextmanager(function)
    if not callable(function):
        raise ConfigurationError(f"a lifespan is a function that makes an async context manager, not {function!r}")
    arguments = (app,) if inspect.signature(function).parameters else ()

    def enter() -> LifespanContext:
        context = function(*arguments)
        if not isinstance(context, AbstractAsyncContextManager):
            raise ConfigurationError(
                f"lifespan {function!r} returned {type(context).__name__}: decorate it with "
                "@contextlib.asynccontextmanager and yield once"
            )
        return context

    return enter


async def answer_lifespan(scope: Scope, receive: Receive, send: Send, enter: Enter) -> None:
    """Hold the server's lifespan conversation: start, complete, stop. Failures are reported, then raised."""
    await receive()
    started = False
    try:
        async with enter() as state:
            if state:
                scope.setdefault("state", {}).update(state)
            await send({"type": "lifespan.startup.complete"})
            started = True
            await receive()
    except BaseException as error:
        event = "lifespan.shutdown.failed" if started else "lifespan.startup.failed"
        await send({"type": event, "message": f"{type(error).__name__}: {error}"})
        raise
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def run_together(
    enters: list[Enter], mounted: list[tuple[str, ASGIApp]], last: Enter
) -> AsyncIterator[dict[str, Any]]:
    """Enter the lifespans in order, then the mounted applications', then `last`; leave in reverse. Yields the state.

    If one fails to start, those before it are left again and its error is raised.
    """
    state: dict[str, Any] = {}
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            async with AsyncExitStack() as stack:
                for enter in enters:
                    state.update(await stack.enter_async_context(enter()) or {})
                for name, app in mounted:
                    await stack.enter_async_context(_Conversation(group, name, app, state))
                await stack.enter_async_context(last())
                yield state
        except Exception as error:  # raised below, where no task group wraps it
            failure = error
    if failure is not None:
        raise failure


class _Conversation:
    """The server's side of one lifespan: asks a mounted application to start, and at the end to stop."""

    def __init__(self, group: TaskGroup, name: str, app: ASGIApp, state: dict[str, Any]) -> None:
        self._group, self._name, self._app = group, name, app
        self._scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        self._answered, self._stopping, self._ended = anyio.Event(), anyio.Event(), anyio.Event()
        self._asked = 0
        self._supported = False
        self._failure: str | None = None

    async def __aenter__(self) -> None:
        self._group.start_soon(self._run)
        await self._answered.wait()
        if self._failure is not None:
            self._stopping.set()
            raise RuntimeError(f"the application mounted at {self._name} did not start: {self._failure}")

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        with anyio.CancelScope(shield=True):
            await self._ended.wait()
        if self._failure is not None:
            logger.error("the application mounted at %s did not stop well: %s", self._name, self._failure)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:
            # An application that raises before it answers has no lifespan: the specification says to go on without.
            if self._supported and self._failure is None:
                self._failure = repr(error)
        finally:
            self._answered.set()
            self._ended.set()

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        if self._asked > 2:
            await anyio.sleep_forever()
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        if not message["type"].startswith("lifespan."):
            raise ValueError(f"{message['type']!r} is no answer in a lifespan scope")
        cancelled = message["type"].startswith("lifespan.shutdown.") and not self._stopping.is_set()
        if message["type"].endswith(".failed") and not cancelled:
            self._failure = message.get("message") or "it gave no reason"
        self._supported = True
        if message["type"].startswith("lifespan.startup."):
            self._answered.set()
        else:
            self._ended.set()
