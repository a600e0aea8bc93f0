"""Stores: where sessions are kept on the server's side.

The law of this file: a session that was deleted stays so. Writing what is no longer there does nothing, so that a slow
request cannot bring back what a logout has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import Any, Protocol, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.exceptions import ConfigurationError, MissingPackage

__all__ = ["MemoryStore", "RedisStore", "SessionStore"]

_TIMEOUT = 5.0  # seconds; a request never hangs because of its session


class SessionStore(Protocol):
    """What a store has to do: three operations on keys of 64 hexadecimal digits, each of them atomic."""

    async def load(self, key: str) -> bytes | None:
        """Return what is kept, or None where there is nothing or its time is over."""
        ...

    async def save(self, key: str, data: bytes, max_age: int, *, new: bool) -> bool:
        """Keep the data for `max_age` seconds from now. Unless `new`, replace only what is there; tell whether."""
        ...

    async def delete(self, key: str) -> bool:
        """Delete it; tell whether it was there."""
        ...


class MemoryStore:
    """Keep sessions in this process: for one worker, and for tests. They are gone when it ends.

    Above `max_sessions`, the one that was written longest ago goes.
    """

    def __init__(self, max_sessions: int = 100_000) -> None:
        if max_sessions < 1:
            raise ConfigurationError(f"max_sessions={max_sessions!r}: a store holds at least 1")
        self.max_sessions = max_sessions
        self._kept: dict[str, tuple[float, bytes]] = {}  # in the order of writing

    def __len__(self) -> int:
        return len(self._kept)

    async def load(self, key: str) -> bytes | None:
        """Return what is kept."""
        ends, data = self._kept.get(key, (0.0, None))
        if data is not None and ends <= monotonic():
            del self._kept[key]
            return None
        return data

    async def save(self, key: str, data: bytes, max_age: int, *, new: bool) -> bool:
        """Keep the data; make room for it if that is needed."""
        if not new and await self.load(key) is None:
            return False
        self._kept.pop(key, None)
        self._kept[key] = (monotonic() + max_age, data)
        self._drop_oldest()
        return True

    async def delete(self, key: str) -> bool:
        """Delete it; tell whether it was there."""
        was_there = await self.load(key) is not None
        self._kept.pop(key, None)
        return was_there

    def _drop_oldest(self) -> None:
        """Drop what has expired at the old end, two at most for each that comes, and what is too much."""
        now = monotonic()
        for _ in range(2):
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > now and len(self._kept) <= self.max_sessions:
                return
            del self._kept[oldest]


class RedisStore:
    """Keep sessions in Redis, for any number of workers and machines.

    `redis` is a URL such as "redis://localhost:6379/0", or a client: a `redis.asyncio.Redis`, or a `redis.Redis`, which
    is called in worker threads and works on trio too. Keys are `prefix` and the session's. A client that was made
    here is closed when the application's lifespan ends. MissingPackage without redis.
    """

    def __init__(self, redis: Any, prefix: str = "microasgi:session:") -> None:
        try:
            import redis as package
            from redis import asyncio as package_asyncio
        except ImportError:
            raise MissingPackage("redis", "redis", "to keep sessions in Redis") from None
        self._own = isinstance(redis, str)
        if self._own:
            client: Any = package_asyncio.Redis
            try:
                redis = client.from_url(redis, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT)
            except ValueError as error:
                raise ConfigurationError(f'RedisStore({redis!r}): {error}; write "redis://host:6379/0"') from None
        self._client = redis
        self._blocking = isinstance(redis, (package.Redis, package.RedisCluster))
        self._prefix = prefix

    async def load(self, key: str) -> bytes | None:
        """Return what is kept."""
        data = await self._call("get", self._prefix + key)
        return data.encode() if isinstance(data, str) else cast("bytes | None", data)

    async def save(self, key: str, data: bytes, max_age: int, *, new: bool) -> bool:
        """Keep the data."""
        return bool(await self._call("set", self._prefix + key, data, ex=max_age, xx=not new))

    async def delete(self, key: str) -> bool:
        """Delete it; tell whether it was there."""
        return bool(await self._call("delete", self._prefix + key))

    async def aclose(self) -> None:
        """Close the client if it was made here."""
        if self._own:
            await self._client.aclose()

    async def _call(self, command: str, *args: Any, **options: Any) -> Any:
        call = getattr(self._client, command)
        if self._blocking:
            return await run_in_threadpool(call, *args, **options)
        return await cast("Awaitable[Any]", call(*args, **options))
