"""Stores: where sessions are kept on the server's side.

The law of this file: a session that was deleted stays so. Writing what is no longer there does nothing, so that a slow
request cannot bring back what a logout has ended.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import Any, Protocol, cast

from microasgi.concurrency import on_asyncio, run_in_threadpool
from microasgi.exceptions import ConfigurationError, MissingPackage

__all__ = ["MemoryStore", "RedisStore", "SessionStore"]

_TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}  # a request never hangs because of its session


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

    `redis` is a URL such as "redis://localhost:6379/0", or a client: `redis.asyncio.Redis`, or `redis.Redis`, which is
    called in worker threads. Keys are `prefix` and the session's. What was made here of a URL is closed when the
    application's lifespan ends. ConfigurationError for a URL that is none, MissingPackage without redis.
    """

    def __init__(self, redis: Any, prefix: str = "microasgi:session:") -> None:
        try:
            import redis as blocking
            from redis import asyncio
        except ImportError:
            raise MissingPackage("redis", "redis", "to keep sessions in Redis") from None
        self._own = isinstance(redis, str)
        clients: list[Any] = [asyncio.Redis, blocking.Redis]
        if self._own:
            try:
                clients = [client.from_url(redis, **_TIMEOUTS) for client in clients]
            except ValueError as error:
                raise ConfigurationError(f'RedisStore({redis!r}): {error}; write "redis://host:6379/0"') from None
        else:
            is_blocking = isinstance(redis, (blocking.Redis, blocking.RedisCluster))
            clients = [None, redis] if is_blocking else [redis, None]
        self._client, self._blocking = clients  # the second for threads: where it is alone, and on trio
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
        """Close the connections that were made here of a URL."""
        if self._own and on_asyncio():
            await self._client.aclose()
        elif self._own:
            await run_in_threadpool(self._blocking.close)

    async def _call(self, command: str, *args: Any, **options: Any) -> Any:
        if self._client is not None and (self._blocking is None or on_asyncio()):
            return await cast("Awaitable[Any]", getattr(self._client, command)(*args, **options))
        return await run_in_threadpool(getattr(self._blocking, command), *args, **options)
