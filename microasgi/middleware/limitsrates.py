"""LimitsRates: rates that are counted outside of this process, in Redis say, by the package `limits`.

Law: `limits` is imported here alone; a client belongs to the event loop that it is used on, and is closed with it.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Final
from weakref import WeakKeyDictionary

from microasgi.concurrency import on_asyncio, run_in_threadpool
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware.rates import MemoryRates, Rate, RateStore, Usage, weigh

__all__ = ["LimitsRates", "open_store"]

_TIMEOUTS: Final = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}


class LimitsRates:
    """Counts in the store at `url`: `redis://`, `rediss://`, `redis+cluster://`, and others that `limits` knows.

    On trio its blocking client is called in worker threads. MissingPackage and ConfigurationError for what cannot be
    used.
    """

    def __init__(self, url: str) -> None:
        self._make = _maker(url)
        self._blocking = self._make(False)
        if not hasattr(self._blocking, "acquire_sliding_window_entry"):
            raise ConfigurationError(f"store={url!r}: this store of `limits` has no sliding windows; use redis://")
        errors: type[Exception] | tuple[type[Exception], ...] = self._blocking.base_exceptions
        self.failures: tuple[type[Exception], ...] = errors if isinstance(errors, tuple) else (errors,)
        self._storages: WeakKeyDictionary[AbstractEventLoop, Any] = WeakKeyDictionary()

    async def hit(self, key: str, rate: Rate) -> Usage:
        """Count a request of this key, if the rate allows it."""
        acquire, look = self._calls()
        name = f"{key}/{rate.amount}/{rate.window}"
        allowed: bool = await acquire(name, rate.amount, rate.window, 1)
        previous, previous_left, current, current_left = await look(name, rate.window)
        left = previous_left if previous else current_left - rate.window
        usage = weigh(rate, previous, current, min(max(left, 0.0), rate.window))
        return Usage(allowed, usage.remaining, usage.wait)

    def _calls(self) -> tuple[Callable[..., Awaitable[Any]], Callable[..., Awaitable[Any]]]:
        if not on_asyncio():
            blocking = self._blocking
            threaded: Any = partial(partial, run_in_threadpool)
            return threaded(blocking.acquire_sliding_window_entry), threaded(blocking.get_sliding_window)
        loop = get_running_loop()
        storage = self._storages.get(loop)
        if storage is None:
            storage = self._storages[loop] = self._make(True)
        return storage.acquire_sliding_window_entry, storage.get_sliding_window

    async def aclose(self) -> None:
        """Close the connections of this event loop; they are opened again if they are needed again."""
        if not on_asyncio():
            await run_in_threadpool(self._blocking.storage.close)
        elif storage := self._storages.pop(get_running_loop(), None):
            await storage.bridge.storage.aclose()


def open_store(url: str) -> RateStore:
    """Return the store of this URL: "memory://", or one that `limits` knows."""
    if url == "memory://":
        return MemoryRates()
    if url.startswith("memory"):  # `limits` would take it, and count all over at each request
        raise ConfigurationError(f'RateLimitMiddleware: store={url!r} is no store: write "memory://"')
    return LimitsRates(url)


def _maker(url: str) -> Callable[[bool], Any]:
    try:
        from limits.errors import ConfigurationError as Refused
        from limits.storage import storage_from_string
    except ImportError:
        raise MissingPackage("limits", "limits", f"for the rate limit's store {url.partition('//')[0]}//") from None
    is_redis = url.startswith("redis")
    if is_redis and find_spec("redis") is None:
        raise MissingPackage("redis", "limits", "for a rate limit's store in Redis")

    def make(is_async: bool) -> Any:
        options: dict[str, Any] = dict(_TIMEOUTS) if is_redis else {}
        if is_async and is_redis:
            options["implementation"] = "redispy"  # by itself it takes coredis
        return storage_from_string(f"async+{url}" if is_async else url, **options)

    try:
        make(True)
        make(False)
    except (Refused, ValueError) as error:
        raise ConfigurationError(f"RateLimitMiddleware: store={url!r} cannot be used: {error}") from None
    return make
