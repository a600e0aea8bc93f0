"""Stores of idempotency: where it is kept which requests are being answered, and what the answers were.

The law of this file: a claim is atomic. Of all who claim a key at once, in however many processes, one gets it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Protocol, cast

from microasgi.concurrency import on_asyncio, run_in_threadpool
from microasgi.exceptions import ConfigurationError, MissingPackage

__all__ = ["IdempotencyStore", "MemoryIdempotency", "RedisIdempotency"]

_TIMEOUTS = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}  # a request never hangs because of its key
_TRIES = 5


class IdempotencyStore(Protocol):
    """What a store has to do: three operations on keys of 64 hexadecimal digits. What it keeps is ASCII."""

    async def claim(self, key: str, mark: bytes, seconds: float) -> bytes | None:
        """Keep the mark unless something is there, atomically; return what is there, None for who has got the key.

        Others may have it after `seconds`, for a worker that has crashed never gives it back.
        """
        ...

    async def keep(self, key: str, record: bytes, seconds: float, *, claimed: bool) -> None:
        """Keep the record for this time: in place of the mark while the key is `claimed`, else if nothing is there."""
        ...

    async def release(self, key: str, *, claimed: bool) -> None:
        """Give a key back, if it is still `claimed`: after its time it may be another's."""
        ...


class MemoryIdempotency:
    """Keep answers in this process: for one worker, and for tests. They are gone when it ends.

    Above `max_records` answers, or `max_bytes` of all of them, those go that were given longest ago.
    """

    def __init__(self, max_records: int = 10_000, max_bytes: int = 64 * 1024 * 1024) -> None:
        if max_records < 1 or max_bytes < 1:
            raise ConfigurationError(f"max_records={max_records!r}, max_bytes={max_bytes!r}: a store holds at least 1")
        self.max_records = max_records
        self.max_bytes = max_bytes
        self._marks: dict[str, bytes] = {}  # as many as there are requests being answered
        self._records: dict[str, tuple[float, bytes]] = {}  # in the order of writing
        self._size = 0

    def __len__(self) -> int:
        return len(self._records)

    async def claim(self, key: str, mark: bytes, seconds: float) -> bytes | None:
        """Claim the key until it is given back: a worker that crashes takes this memory along."""
        ends, record = self._records.get(key, (0.0, None))
        if record is not None and ends > monotonic():
            return record
        there = self._marks.get(key)
        if there is None:
            self._marks[key] = mark
        return there

    async def keep(self, key: str, record: bytes, seconds: float, *, claimed: bool) -> None:
        """Keep the record; make room for it if that is needed."""
        self._marks.pop(key, None)
        self._drop(key)
        self._records[key] = (monotonic() + seconds, record)
        self._size += len(record)
        self._drop_oldest()

    async def release(self, key: str, *, claimed: bool) -> None:
        """Give the key back; nobody else can have got it."""
        self._marks.pop(key, None)

    def _drop(self, key: str) -> None:
        self._size -= len(self._records.pop(key, (0.0, b""))[1])

    def _drop_oldest(self) -> None:
        now = monotonic()
        while self._records:
            oldest = next(iter(self._records))
            is_over = self._records[oldest][0] <= now
            if not is_over and len(self._records) <= self.max_records and self._size <= self.max_bytes:
                return
            self._drop(oldest)


class RedisIdempotency:
    """Keep answers in Redis, for any number of workers and machines.

    `redis` is a URL such as "redis://localhost:6379/0", or a client: `redis.asyncio.Redis`, or `redis.Redis`, which is
    called in worker threads. Keys are `prefix` and a hash. `app.lifespan(store.lifespan)` closes what was made here
    of a URL. ConfigurationError for a URL that is none, MissingPackage without redis.
    """

    def __init__(self, redis: Any, prefix: str = "microasgi:idempotency:") -> None:
        try:
            import redis as blocking
            from redis import asyncio
        except ImportError:
            raise MissingPackage("redis", "redis", "to keep answers in Redis") from None
        self._own = isinstance(redis, str)
        clients: list[Any] = [asyncio.Redis, blocking.Redis]
        if self._own:
            try:
                clients = [client.from_url(redis, **_TIMEOUTS) for client in clients]
            except ValueError as error:
                raise ConfigurationError(f'RedisIdempotency({redis!r}): {error}; write "redis://host:6379/0"') from None
        else:
            is_blocking = isinstance(redis, (blocking.Redis, blocking.RedisCluster))
            clients = [None, redis] if is_blocking else [redis, None]
        self._client, self._blocking = clients  # the second for threads: where it is alone, and on trio
        self._prefix = prefix

    async def claim(self, key: str, mark: bytes, seconds: float) -> bytes | None:
        """Claim the key."""
        name = self._prefix + key
        for _ in range(_TRIES):
            if await self._call("set", name, mark, px=_milliseconds(seconds), nx=True):
                return None
            there = await self._call("get", name)
            if there is not None:  # else it was given back a moment ago
                return there.encode() if isinstance(there, str) else cast(bytes, there)
        return mark  # others are quicker: it is being answered

    async def keep(self, key: str, record: bytes, seconds: float, *, claimed: bool) -> None:
        """Keep the record."""
        await self._call("set", self._prefix + key, record, px=_milliseconds(seconds), nx=not claimed)

    async def release(self, key: str, *, claimed: bool) -> None:
        """Give the key back."""
        if claimed:
            await self._call("delete", self._prefix + key)

    @asynccontextmanager
    async def lifespan(self, app: Any) -> AsyncGenerator[None]:
        """Close the connections when the application ends."""
        try:
            yield
        finally:
            await self.aclose()

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


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
