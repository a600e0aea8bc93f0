"""redis-py, as the hub uses it: one connection that listens, one for commands, and a blocking one for threads.

The law of this file: nothing waits for Redis longer than it was told to, and what fails is told apart here.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import anyio

from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.realtime.messages import HubUnavailable

__all__ = ["Connection", "RedisClients"]


class Connection:
    """One connection, on which commands go out and answers come in independently of each other."""

    def __init__(self, raw: Any, refusal: type[Exception]) -> None:
        self._raw = raw
        self._refusal = refusal
        raw.socket_timeout = None  # who uses it watches the time

    async def send(self, *commands: tuple[Any, ...]) -> None:
        """Send commands in one go."""
        await self._raw.send_packed_command(self._raw.pack_commands(commands), check_health=False)

    async def receive(self) -> Any:
        """Return what Redis says next, an error too."""
        try:
            return await self._raw.read_response(disable_decoding=True, push_request=True)
        except self._refusal as error:
            return error

    async def close(self) -> None:
        """Give the connection up."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await self._raw.disconnect(nowait=True)


class RedisClients:
    """What is made of a URL, or of a `redis.asyncio.Redis`; `errors` is what Redis and the way to it can raise."""

    def __init__(self, source: Any, timeout: float) -> None:
        try:
            import redis
            from redis import asyncio as redis_asyncio
            from redis import backoff, retry
            from redis.asyncio import retry as asyncio_retry
        except ImportError:
            raise MissingPackage("redis", "redis", "for a hub over Redis") from None
        self._asyncio, self._threads = (redis_asyncio, asyncio_retry), (redis, retry)
        self._once: Any = backoff.NoBackoff()
        self.errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)  # a TimeoutError is an OSError
        self.refusals: tuple[type[Exception], ...] = (redis.AuthenticationError, redis.ResponseError)
        self.moved: type[Exception] = redis.ReadOnlyError
        self.timeout = timeout
        self._url = str(source) if isinstance(source, str) else None
        self._blocking: Any = None
        self._line: Connection | None = None
        self.stale = False
        """Whether the connection for commands is to be made anew before it is used again."""
        self.has_moved = False
        """Whether the connection that listens is to be made anew: this Redis is the master no longer."""
        if self._url is None:
            client = cast(Any, source)
            self.commands: Any = client
            self._own = False
            if client.get_encoder().decode_responses:
                raise ConfigurationError("the hub needs bytes: give it a Redis client without decode_responses=True")
            return
        self._own = True
        try:
            self.commands = self._make(*self._asyncio)
        except ValueError as error:
            raise ConfigurationError(f'Hub({source!r}): {error}; write "redis://host:6379/0"') from None

    @staticmethod
    def knows(source: object) -> bool:
        """Tell whether this is a URL of Redis, or one of its clients."""
        if isinstance(source, str):
            return source.startswith(("redis://", "rediss://", "unix://"))
        return hasattr(source, "connection_pool") and hasattr(source, "pipeline")

    async def connect(self) -> Connection:
        """Open a connection."""
        raw = self.commands.connection_pool.make_connection()
        try:
            async with asyncio.timeout(self.timeout):
                await raw.connect()
        except BaseException:
            await Connection(raw, self.refusals[1]).close()
            raise
        return Connection(raw, self.refusals[1])

    async def execute(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Send commands in one go and return their answers; errors among them are returned, not raised.

        For one task only. The connection is kept for the next time.
        """
        async with asyncio.timeout(self.timeout):
            if self.stale:
                await self.hang_up()
            line = self._line = self._line or await self.connect()
            try:
                await line.send(*commands)
                return [await line.receive() for _ in commands]
            except BaseException:
                await self.hang_up()
                raise

    async def hang_up(self) -> None:
        """Close the connection for commands: it has failed, or may have."""
        line, self._line, self.stale = self._line, None, False
        if line is not None:
            await line.close()

    def execute_blocking(self, *command: Any) -> Any:
        """Run a command in this thread."""
        try:
            return self._blocking_client().execute_command(*command)
        except self.errors as error:
            raise HubUnavailable(str(error) or type(error).__name__) from None

    async def close(self) -> None:
        """Close what was made here."""
        blocking, self._blocking = self._blocking, None
        if blocking is not None:
            blocking.close()
        await self.hang_up()
        if self._own:
            await self.commands.aclose()

    def _blocking_client(self) -> Any:
        if self._url is None:
            raise RuntimeError("publish_sync needs a hub that was made of a URL: Hub('redis://...')")
        if self._blocking is None:
            self._blocking = self._make(*self._threads)
        return self._blocking

    def _make(self, module: Any, retry: Any) -> Any:
        """Return a client that tries once: who tries again, when and how often is not for it to say."""
        once = retry.Retry(self._once, 0)
        limits = {"socket_timeout": self.timeout, "socket_connect_timeout": self.timeout}
        return module.Redis.from_url(self._url, protocol=2, retry=once, **limits)
