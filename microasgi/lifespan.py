"""The lifespan protocol (ASGI Lifespan 2.0) as `async with`, from both sides: answered here, asked of a mounted app."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias, cast

import anyio
from anyio.abc import TaskGroup

from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Enter", "LifespanContext", "answer_lifespan", "as_context", "run_together"]

logger = logging.getLogger("microasgi")

LifespanContext: TypeAlias = AbstractAsyncContextManager[Mapping[str, Any] | None]
Enter: TypeAlias = Callable[[], LifespanContext]
"""Makes the context manager of one run; a mapping that it yields is added to the state."""

_GRACE: Final = 10.0  # seconds that a mounted application has to stop when the lifespan itself is cancelled


def as_context(function: Callable[..., Any], app: object) -> Enter:
    """Return how to enter a lifespan as the user wrote it: a context manager factory or an async generator function.

    It may take the application or nothing. ConfigurationError if it is neither.
    """
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, AbstractAsyncContextManager) or not callable(function):
        raise ConfigurationError(f"a lifespan is a function that makes an async context manager, not {function!r}")
    if inspect.iscoroutinefunction(function):
        raise ConfigurationError(f"lifespan {name} never yields: it yields once, between start and stop")
    if inspect.isasyncgenfunction(function):
        function = asynccontextmanager(function)
    arguments = _arguments(function, name, app)

    def enter() -> LifespanContext:
        context = function(*arguments)
        if isinstance(context, AbstractAsyncContextManager):
            return cast(LifespanContext, context)
        raise ConfigurationError(
            f"lifespan {name} returned {type(context).__name__}: decorate it with "
            "@contextlib.asynccontextmanager and yield once"
        )

    return enter


def _arguments(function: Callable[..., Any], name: str, app: object) -> tuple[object, ...]:
    signature = inspect.signature(function)
    places = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    arguments = (app,) if any(parameter.kind in places for parameter in signature.parameters.values()) else ()
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ConfigurationError(f"lifespan {name} takes the application or nothing: {error}") from None
    return arguments


async def answer_lifespan(scope: Scope, receive: Receive, send: Send, enter: Enter) -> None:
    """Hold the server's lifespan conversation: start, complete, stop. Failures are reported, then raised."""
    await receive()
    phase = "startup"
    try:
        async with enter() as state:
            if state:
                scope.setdefault("state", {}).update(state)
            await send({"type": "lifespan.startup.complete"})
            phase = ""
            await receive()
            phase = "shutdown"
    except Exception as error:
        if phase:  # else it died while nobody was asking
            await send({"type": f"lifespan.{phase}.failed", "message": f"{type(error).__name__}: {error}"})
        raise
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def run_together(
    enters: Iterable[Enter],
    mounted: Iterable[tuple[str, ASGIApp]],
    last: Enter,
    told: Mapping[str, Any] | None = None,
) -> AsyncGenerator[dict[str, Any]]:
    """Enter the lifespans in order, then the mounted applications', then `last`; leave in reverse. Yields the state.

    An application that is mounted twice runs once; `told` is added to their scopes. If one fails to start, those before
    it are left again and its error is raised.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            async with AsyncExitStack() as stack:
                state = await _enter_all(stack, enters)
                conversations = [_Conversation(group, name, app, state, told or {}) for name, app in _once(mounted)]
                await _start_all(stack, conversations)
                await stack.enter_async_context(last())
                yield state
        except Exception as error:  # raised below, where no task group wraps it
            failure = error
        group.cancel_scope.cancel()  # whoever has said that it has stopped, and has not
    if failure is not None:
        raise failure


async def _enter_all(stack: AsyncExitStack, enters: Iterable[Enter]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for enter in enters:
        entered: Any = await stack.enter_async_context(enter())
        if entered is not None and not isinstance(entered, Mapping):
            raise ConfigurationError(f"a lifespan yields nothing or a mapping for `request.state`, not {entered!r}")
        state.update(cast("Mapping[str, Any]", entered or {}))
    return state


async def _start_all(stack: AsyncExitStack, conversations: Iterable[_Conversation]) -> None:
    for conversation in conversations:
        await stack.enter_async_context(conversation)


def _once(mounted: Iterable[tuple[str, ASGIApp]]) -> Iterable[tuple[str, ASGIApp]]:
    apps: dict[int, tuple[str, ASGIApp]] = {}
    for name, app in mounted:
        apps.setdefault(id(app), (name, app))
    return apps.values()


class _Conversation:
    """The server's side of one lifespan: asks a mounted application to start, and at the end to stop."""

    def __init__(
        self, group: TaskGroup, name: str, app: ASGIApp, state: dict[str, Any], told: Mapping[str, Any]
    ) -> None:
        self._group, self._name, self._app = group, name, app
        spoken = {"version": "3.0", "spec_version": "2.0"}
        self._scope: Scope = {"type": "lifespan", "asgi": spoken, "state": state, **told}
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
        try:
            await self._ended.wait()
        except BaseException:  # cancelled: what it stands on is about to be left, so it is waited for, but not long
            with anyio.move_on_after(_GRACE, shield=True):
                await self._ended.wait()
            raise
        if self._failure is not None:
            logger.error("the application mounted at %s did not stop well: %s", self._name, self._failure)

    async def _run(self) -> None:
        try:
            await self._app(self._scope, self._receive, self._send)
        except Exception as error:
            self._note(error)
        finally:
            self._answered.set()
            self._ended.set()

    def _note(self, error: Exception) -> None:
        if not self._supported:
            # It raises before it answers, so it has no lifespan: the specification says to go on without.
            logger.info("the application mounted at %s has no lifespan: %r", self._name, error)
        elif not self._stopping.is_set() and self._failure is None:
            logger.error("the lifespan of the application mounted at %s ended early", self._name, exc_info=error)
        elif self._failure is None:
            self._failure = repr(error)

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        if self._asked > 2:
            await anyio.sleep_forever()
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if not kind.startswith("lifespan."):
            raise ValueError(f"{kind!r} is no answer in a lifespan scope")
        self._supported = True
        unasked = kind.startswith("lifespan.shutdown.") and not self._stopping.is_set()
        if kind.endswith(".failed") and not unasked:
            self._failure = message.get("message") or "it gave no reason"
        if kind.startswith("lifespan.startup."):
            self._answered.set()
        else:
            self._ended.set()
