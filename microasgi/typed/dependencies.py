"""Dependencies: callables whose values others take, each called once for a request, before them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, TypeAlias, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.endpoints import function_of
from microasgi.exceptions import HTTPException
from microasgi.requests import Request
from microasgi.typed.bodies import FAULTY, Slots
from microasgi.typed.exits import Exits, enter_async, enter_sync
from microasgi.typed.faults import Fault, parts_of
from microasgi.typed.parameters import Read

__all__ = ["Argument", "DependencyStep", "Invocation", "blame_for", "caller", "is_async"]

Blame: TypeAlias = Callable[[ValueError], "list[Fault]"]
EXITS = 1  # the slot for them
# What `contextlib` puts around a generator function is one piece of code for all of them.
_MANAGERS = tuple(cast(Any, decorate)(None).__code__ for decorate in (contextmanager, asynccontextmanager))


class Argument:
    """One value that a callable takes: the slot where it comes from, how it is read there, and who bears the blame."""

    __slots__ = ("blame", "by_keyword", "name", "read", "slot")

    def __init__(self, name: str, slot: int, read: Read | None, blame: Blame, *, by_keyword: bool = False) -> None:
        self.name, self.slot, self.read, self.blame, self.by_keyword = name, slot, read, blame, by_keyword


def blame_for(place: str, name: str) -> Blame:
    """Return the function that turns an error of reading this parameter into its faults."""

    def blame(error: ValueError) -> list[Fault]:
        return [Fault(place, name, reason, pointer) for pointer, reason in parts_of(error)]

    return blame


class Invocation:
    """A callable with its arguments, positional ones first."""

    def __init__(self, arguments: Sequence[Argument]) -> None:
        self.arguments = sorted(arguments, key=lambda argument: argument.by_keyword)
        self.keywords = [argument.name for argument in arguments if argument.by_keyword]
        self._plan: list[tuple[int, Read | None]] = []

    def settle(self) -> None:
        """Fix how the arguments are read."""
        self._plan = [(argument.slot, argument.read) for argument in self.arguments]

    def values(self, slots: Slots, faults: list[Fault]) -> list[Any] | None:
        """Return the arguments' values; None, with the faults added, where one of them cannot be had."""
        try:
            values = [slots[slot] if read is None else read(slots[slot]) for slot, read in self._plan]
        except HTTPException:  # before ValueError: some are both
            raise
        except (ValueError, AttributeError, TypeError):
            return self._gather(slots, faults)
        return self._gather(slots, faults) if faults else values

    def _gather(self, slots: Slots, faults: list[Fault]) -> list[Any] | None:
        known = len(faults)
        values: list[Any] = []
        for argument in self.arguments:
            source = slots[argument.slot]
            if source is FAULTY:
                values.append(FAULTY)
                continue
            try:
                values.append(source if argument.read is None else argument.read(source))
            except HTTPException:
                raise
            except ValueError as error:
                faults += argument.blame(error)
        return None if len(faults) > known or any(value is FAULTY for value in values) else values

    def arranged(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the callable with all its arguments by position."""
        if not self.keywords:
            return call
        return partial(_with_keywords, call, self.keywords, len(self.arguments) - len(self.keywords))


def _with_keywords(call: Callable[..., Any], names: list[str], count: int, *values: Any) -> Any:
    return call(*values[:count], **dict(zip(names, values[count:], strict=True)))


def caller(call: Callable[..., Any], arranged: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return how a callable is awaited: as it is, in a worker thread or, of a class, at once."""
    if is_async(call):
        return arranged
    if isinstance(call, type):
        return partial(_at_once, arranged)
    return partial(run_in_threadpool, arranged)


async def _at_once(call: Callable[..., Any], *values: Any) -> Any:
    return call(*values)


def is_async(call: Callable[..., Any]) -> bool:
    """Tell whether calling it gives an awaitable."""
    return inspect.iscoroutinefunction(function_of(call)) or inspect.iscoroutinefunction(call)


def _without_manager(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the generator function below `contextlib.contextmanager`, or its like: here it is one already."""
    is_manager = getattr(call, "__code__", None) in _MANAGERS
    return cast("Any", call).__wrapped__ if is_manager else call


class DependencyStep:
    """Call a dependency and keep its value in a slot."""

    def __init__(self, slot: int, call: Callable[..., Any], invocation: Invocation, *, with_function: bool) -> None:
        self.slot = slot
        self._invocation = invocation
        self._with_function = with_function
        function, arranged = function_of(call), invocation.arranged(_without_manager(call))
        self._enter: Any = None
        if inspect.isasyncgenfunction(function):
            self._enter = partial(enter_async, call=arranged)
        elif inspect.isgeneratorfunction(function):
            self._enter = partial(enter_sync, call=arranged)
        self._call = caller(call, arranged)

    async def run(self, slots: Slots, faults: list[Fault]) -> None:
        """Fill the slot; what cannot be called, for faults among its parameters, leaves it FAULTY."""
        values = self._invocation.values(slots, faults)
        if values is None:
            slots[self.slot] = FAULTY
        elif self._enter is None:
            slots[self.slot] = await self._call(*values)
        else:
            exits = slots[EXITS] or _begin_exits(slots)
            enter = cast("Callable[..., Awaitable[Any]]", self._enter)
            slots[self.slot] = await enter(exits, values=values, with_function=self._with_function)


def _begin_exits(slots: Slots) -> Exits:
    exits = slots[EXITS] = Exits()
    connection = slots[0]
    if isinstance(connection, Request):
        connection.on_close(exits.finish)
    return exits
