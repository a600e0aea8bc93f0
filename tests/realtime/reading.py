"""How tests read subscriptions, and wait for what takes a while."""

from __future__ import annotations

import inspect
from typing import Any

import anyio

__all__ = ["take", "until"]


async def take(subscription: Any, number: int = 1) -> list[Any]:
    """Return the next items."""
    iterator = aiter(subscription)
    with anyio.fail_after(10):
        return [await anext(iterator) for _ in range(number)]


async def until(condition: Any) -> None:
    """Wait for a condition, a function or an async function."""
    with anyio.fail_after(10):
        while not await _true(condition):  # noqa: ASYNC110
            await anyio.sleep(0.005)


async def _true(condition: Any) -> bool:
    result = condition()
    return bool(await result if inspect.isawaitable(result) else result)
