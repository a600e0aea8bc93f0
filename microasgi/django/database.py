"""Database work as one sync function: in a thread that is safe for Django, and in one transaction.

The law of this file: one transaction is one sync function.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar, overload

from asgiref.sync import markcoroutinefunction

from microasgi.django.threads import in_django_thread

__all__ = ["atomic", "db"]

P = ParamSpec("P")
T = TypeVar("T")


@markcoroutinefunction
def db(func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
    """Run one sync function in a thread that is safe for Django: `await db(function, *args)`.

    A cancelled caller waits for the function, which may commit, and is cancelled then; a function that no thread has
    begun is not begun. TypeError for an `async def`; RuntimeError in sync code, where the function is called directly.
    """
    if _is_async(func):
        raise TypeError(f"db() runs sync functions, and {_name(func)} is an `async def`: await it directly")
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"db({_name(func)}) was called in sync code, where there is no event loop: call {_name(func)}() directly"
        ) from None
    return in_django_thread(partial(func, *args, **kwargs))


@overload
def atomic(func: Callable[P, T], /, *, using: str | None = None, durable: bool = False) -> Callable[P, T]: ...
@overload
def atomic(
    func: None = None, /, *, using: str | None = None, durable: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...
def atomic(func: Callable[..., Any] | None = None, /, *, using: str | None = None, durable: bool = False) -> Any:
    """Run a sync function in one transaction: `@atomic` on a `def` endpoint, `await db(atomic(function), *args)`.

    An exception rolls it back, a return commits, also when the client has left or the caller is cancelled meanwhile.
    `using` names the database, `durable` refuses to be inside of another transaction (both as Django's `atomic`).
    TypeError for an `async def`: a transaction belongs to one thread.
    """
    if func is None:
        return partial(atomic, using=using, durable=durable)
    if isinstance(func, str):
        raise TypeError(f"write atomic(using={func!r}): the first argument is the function")
    if _is_async(func):
        raise TypeError(
            f"atomic cannot span awaits, and {_name(func)} is an `async def`: put what belongs into one transaction "
            "in a `def` function and write `await db(atomic(function))`"
        )
    if inspect.isgeneratorfunction(func):
        raise TypeError(
            f"atomic would end before {_name(func)} does, which is a generator function: write "
            "`with transaction.atomic():` around its `yield`"
        )

    @wraps(func)
    def within(*args: Any, **kwargs: Any) -> Any:
        from django.db import transaction

        with transaction.atomic(using=using, durable=durable):
            return func(*args, **kwargs)

    return within


def _is_async(func: Any) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004


def _name(func: Any) -> str:
    return getattr(func, "__qualname__", None) or repr(func)
