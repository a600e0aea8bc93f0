"""Exits: what dependencies do after their `yield`, the last one first.

The law of this file: each of them runs, whatever the others raise, in the task of the request, also when that is being
cancelled. An error of the handler is thrown in at the `yield`; what ends otherwise goes on after it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

import anyio

from microasgi.concurrency import run_in_threadpool
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.typed.conditional import Respond

__all__ = ["SHARED", "Exits", "ending", "enter_async", "enter_sync"]

logger = logging.getLogger("microasgi")
_ENDED: Final = object()
SHARED: Final = "microasgi.exits"
"""Where in a scope opt-ins find the exits of the request."""

AsyncGen: TypeAlias = AsyncGenerator[Any, None]


class Exits:
    """The generators that a request has entered: those that end with the handler, and those that end with it all."""

    __slots__ = ("_of_function", "_of_request", "_succeeded")

    def __init__(self) -> None:
        self._of_request: list[AsyncGen] = []
        self._of_function: list[AsyncGen] = []
        self._succeeded = False

    def push(self, generator: AsyncGen, *, with_function: bool) -> None:
        """Add one that has been entered."""
        (self._of_function if with_function else self._of_request).append(generator)

    async def end_function(self) -> None:
        """Go on in those that end with the handler; what they raise is the answer."""
        self._succeeded = True
        try:
            with anyio.CancelScope(shield=True):
                while self._of_function:
                    await _go_on(self._of_function.pop())
        except Exception as error:
            await self.fail(error)

    async def fail(self, error: Exception) -> None:
        """Throw the error into all of them; raise it again, or what the outermost that raises makes of it."""
        entered = [*self._of_request, *self._of_function]
        self._of_request, self._of_function = [], []
        with anyio.CancelScope(shield=True):  # cut in the middle, a clean-up would leave things half done
            while entered:
                error = await _throw(entered.pop(), error)
        raise error

    async def finish(self) -> None:
        """End all that are left: the response has been sent, or the request was cancelled. Errors are logged."""
        entered = [*self._of_request, *self._of_function]
        self._of_request, self._of_function = [], []
        with anyio.CancelScope(shield=True):
            while entered:
                generator = entered.pop()
                try:
                    await (_go_on(generator) if self._succeeded else generator.aclose())
                except Exception:
                    logger.exception("the clean-up of %s failed", _name(generator))


def ending(respond: Respond) -> Respond:
    """End the generators that end with the handler before anybody keeps its answer: what they raise is the answer."""

    async def ended(request: Request[Any], values: Sequence[Any]) -> Response:
        response = await respond(request, values)
        exits: Exits | None = request.scope.get(SHARED)
        if exits is not None:
            await exits.end_function()
        return response

    return ended


async def _go_on(generator: AsyncGen) -> None:
    if await anext(generator, _ENDED) is not _ENDED:
        await generator.aclose()
        raise RuntimeError(f"the dependency {_name(generator)} yields twice: it has one value")


async def _throw(generator: AsyncGen, error: Exception) -> Exception:
    """Return the error that leaves the generator; one that it swallows stays, for there is no result without it."""
    try:
        await generator.athrow(error)
    except StopAsyncIteration:
        return error
    except Exception as other:
        return other
    await generator.aclose()
    return RuntimeError(f"the dependency {_name(generator)} yields twice: it has one value")


def _name(generator: Any) -> str:
    return getattr(generator, "__qualname__", repr(generator))


async def enter_async(exits: Exits, call: Callable[..., AsyncGen], values: Sequence[Any], with_function: bool) -> Any:
    """Run an async generator to its `yield`, and return its value."""
    generator = call(*values)
    try:
        value = await anext(generator)
    except StopAsyncIteration:
        raise RuntimeError(f"the dependency {_name(generator)} ended without a `yield`") from None
    exits.push(generator, with_function=with_function)
    return value


def enter_sync(
    exits: Exits, call: Callable[..., Generator[Any, None, None]], values: Sequence[Any], with_function: bool
) -> Awaitable[Any]:
    """Run a generator to its `yield`, in a worker thread as all its steps, and return its value."""
    return enter_async(exits, partial(_in_threads, call), values, with_function)


async def _in_threads(call: Callable[..., Generator[Any, None, None]], *values: Any) -> AsyncGen:
    generator = await run_in_threadpool(call, *values)
    value = await run_in_threadpool(next, cast("Any", generator), _ENDED)
    if value is _ENDED:
        return
    try:
        yield value
    except GeneratorExit:
        await run_in_threadpool(generator.close)
        raise
    except Exception as error:
        await run_in_threadpool(_throw_into, generator, error)
        raise
    if await run_in_threadpool(next, cast("Any", generator), _ENDED) is not _ENDED:
        await run_in_threadpool(generator.close)
        raise RuntimeError(f"the dependency {_name(generator)} yields twice: it has one value")


def _throw_into(generator: Generator[Any, None, None], error: Exception) -> None:
    try:
        generator.throw(error)
    except StopIteration:
        return
    generator.close()
