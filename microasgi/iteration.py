"""Async iteration over what keeps coming.

Law: iterators are classes here, not generators. A generator that is left early is closed later, by the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["Iteration", "until"]

T = TypeVar("T")


class Iteration(Generic[T]):
    """Iterate over what `get_next()` returns, until it raises StopAsyncIteration."""

    __slots__ = ("_get_next",)

    def __init__(self, get_next: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._get_next = get_next

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._get_next()


def until(
    error: type[Exception], get_next: Callable[..., Coroutine[Any, Any, T]], *args: Any
) -> Callable[[], Coroutine[Any, Any, T]]:
    """Return a function that calls `get_next(*args)` and makes this error the end of the iteration."""

    async def get() -> T:
        try:
            return await get_next(*args)
        except error:
            raise StopAsyncIteration from None

    return get
