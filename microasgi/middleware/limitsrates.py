"""LimitsRates: rates that are counted outside of this process, in Redis say, by the package `limits`.

Law: `limits` is imported here alone; a store belongs to the event loop that it is used on.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any
from weakref import WeakKeyDictionary

from microasgi.concurrency import on_asyncio
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware.rates import Rate, Usage, weigh

__all__ = ["LimitsRates"]


class LimitsRates:
    """Counts in the store at `url`: `redis://`, `rediss://`, `redis+cluster://`, and others that `limits` knows.

    It needs asyncio. MissingPackage and ConfigurationError for what cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._make = _maker(url)
        storage = self._make()
        if not hasattr(storage, "acquire_sliding_window_entry"):
            raise ConfigurationError(f"store={url!r}: this store of `limits` has no sliding windows; use redis://")
        errors: type[Exception] | tuple[type[Exception], ...] = storage.base_exceptions
        self.failures: tuple[type[Exception], ...] = errors if isinstance(errors, tuple) else (errors,)
        self._storages: WeakKeyDictionary[AbstractEventLoop, Any] = WeakKeyDictionary()

    async def hit(self, key: str, rate: Rate) -> Usage:
        """Count a request of this key, if the rate allows it."""
        if not on_asyncio():
            raise RuntimeError("rates in a store of `limits` need asyncio; on trio they are counted in memory://")
        loop = get_running_loop()
        storage = self._storages.get(loop)
        if storage is None:
            storage = self._storages[loop] = self._make()
        name = f"{key}/{rate.amount}/{rate.window}"
        allowed: bool = await storage.acquire_sliding_window_entry(name, rate.amount, rate.window, 1)
        previous, previous_left, current, current_left = await storage.get_sliding_window(name, rate.window)
        left = previous_left if previous else current_left - rate.window
        usage = weigh(rate, previous, current, min(max(left, 0.0), rate.window))
        return Usage(allowed, usage.remaining, usage.wait)


def _maker(url: str) -> Callable[[], Any]:
    try:
        from limits.errors import ConfigurationError as Refused
        from limits.storage import storage_from_string
    except ImportError:
        raise MissingPackage("limits", "limits", f"for the rate limit's store {url.partition('//')[0]}//") from None
    options: dict[str, Any] = {}
    if url.startswith("redis"):
        if find_spec("redis") is None:
            raise MissingPackage("redis", "limits,redis", "for a rate limit's store in Redis")
        options["implementation"] = "redispy"  # limits itself prefers coredis

    def make() -> Any:
        return storage_from_string(f"async+{url}", **options)

    try:
        make()
    except (Refused, ValueError) as error:
        raise ConfigurationError(f"RateLimitMiddleware: store={url!r} cannot be used: {error}") from None
    return make
