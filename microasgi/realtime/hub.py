"""The hub: publish to a group, subscribe to groups; in this process, over Redis, or through a channel layer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal, Unpack

from microasgi.concurrency import current_loop
from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.realtime.backends import Backend
from microasgi.realtime.codecs import Codec
from microasgi.realtime.eventstream import EventStream
from microasgi.realtime.layerhub import LayerHub
from microasgi.realtime.limits import SUBSCRIBING, ConnectOptions
from microasgi.realtime.memory import Memory
from microasgi.realtime.messages import check_group
from microasgi.realtime.redisclient import RedisClients
from microasgi.realtime.redishub import RedisHub
from microasgi.realtime.sockets import Kind, SocketMember
from microasgi.realtime.subscription import Overflow, Subscription
from microasgi.websockets import WebSocket

__all__ = ["Hub"]


class Hub:
    """Groups and their members; one for a process, joined to the application by `app.lifespan(hub.lifespan)`.

    `backend` is "memory://", a URL of Redis, a `redis.asyncio.Redis`, or a channel layer. A message is what
    JSON can hold, or bytes. It reaches each member at most once; `replay=N` keeps the last N messages of each group
    for those who come (back).
    Over `max_message_size` bytes, publishing raises ValueError.

    Over Redis nothing waits longer than `timeout` seconds; `prefix`, `codec` and `symmetric_keys` are those of
    channels_redis' pub/sub layer, whose groups are then the same. ConfigurationError for what is none of these,
    MissingPackage for what is not installed.
    """

    def __init__(
        self,
        backend: Any = "memory://",
        *,
        replay: int = 0,
        max_message_size: int = 1024 * 1024,
        timeout: float = 5.0,
        prefix: str = "asgi",
        codec: Literal["msgpack", "json"] = "msgpack",
        symmetric_keys: Iterable[str | bytes] = (),
    ) -> None:
        if replay < 0:
            raise ConfigurationError(f"replay={replay!r}: a hub keeps 0 or more messages of each group")
        self._backend: Backend
        if isinstance(backend, str) and backend == "memory://":
            self._backend = Memory(replay, max_message_size)
        elif RedisClients.knows(backend):
            self._backend = RedisHub(
                backend,
                replay=replay,
                max_message_size=max_message_size,
                timeout=timeout,
                prefix=prefix,
                codec=Codec(codec, symmetric_keys),
            )
        elif LayerHub.knows(backend):
            limits: dict[str, Any] = {"max_message_size": max_message_size, "timeout": timeout}
            self._backend = LayerHub(backend, replay=replay, **limits)
        else:
            raise ConfigurationError(
                f'Hub({backend!r}): write "memory://", "redis://host:6379/0", or give it a channel layer'
            )

    async def publish(self, group: str, message: Any) -> int:
        """Publish a message to a group; return how many members in this process it reaches.

        TypeError or ValueError for what cannot be carried, HubUnavailable (503) where Redis does not answer.
        """
        return await self._backend.publish(check_group(group), message)

    def publish_sync(self, group: str, message: Any) -> int:
        """Publish from a thread without an event loop: a `def` handler, Django, Celery, a shell.

        The hub's lifespan need not run for it. RuntimeError on an event loop, where it would block.
        """
        if current_loop() is not None:
            raise RuntimeError("publish_sync blocks, and an event loop runs in this thread: `await hub.publish(...)`")
        return self._backend.publish_sync(check_group(group), message)

    def subscribe(
        self,
        *groups: str,
        info: Any = None,
        max_queue: int = 100,
        overflow: Overflow = "drop_oldest",
        replay: int = 0,
        since: str | None = None,
    ) -> Subscription:
        """Return a membership in groups, to be entered by `async with`.

        At most `max_queue` messages wait for the reader; what one more does is said by `overflow`: it takes the place
        of the oldest, is dropped itself, or ends the subscription with SlowReader. `info` is what `members` shows.
        With `replay=N` the last N messages of each group come first, with `since=id` those after that id.
        """
        return Subscription(
            self._backend, groups, info=info, max_queue=max_queue, overflow=overflow, replay=replay, since=since
        )

    def connect(self, websocket: WebSocket[Any], *groups: str, **options: Unpack[ConnectOptions]) -> SocketMember:
        """Return a websocket's membership in groups, to be entered by `async with`; it accepts the handshake.

        What is published is sent while the block runs. The options are those of `ConnectOptions`.
        """
        given: dict[str, Any] = {**options}
        chosen = {name: given[name] for name in SUBSCRIBING if name in given}
        return SocketMember(websocket, self.subscribe(*groups, **chosen), options)

    async def serve(
        self,
        websocket: WebSocket[Any],
        groups: Iterable[str],
        on_message: Callable[[Any], Awaitable[Any]] | None = None,
        kind: Kind = "text",
        **options: Unpack[ConnectOptions],
    ) -> None:
        """Serve a websocket in groups until it ends: send what is published, call `on_message` with what comes in.

        `kind` is what that is: "text", "bytes" or "json". Without `on_message`, what comes in is dropped.
        """
        async with self.connect(websocket, *groups, **options) as member:
            await member.serve(on_message, kind)

    def stream(
        self,
        request: HTTPConnection[Any],
        *groups: str,
        ping: float = 15.0,
        retry: int | None = None,
        max_queue: int = 100,
        overflow: Overflow = "drop_oldest",
        replay: int = 0,
        info: Any = None,
        revalidate: Callable[[HTTPConnection[Any]], Awaitable[bool | int]] | None = None,
        revalidate_every: float = 60.0,
    ) -> EventStream:
        """Return a response that sends what is published as server-sent events.

        A browser that comes back is given what it has missed since its `Last-Event-ID`, as far as the hub keeps it,
        or an event "gap"; `replay=N` is for one that comes for the first time. `revalidate(request)` is asked every
        `revalidate_every` seconds: anything but True ends the stream, and the browser asks the handler again.
        """
        since = request.headers.get("last-event-id") or None
        chosen: dict[str, Any] = {"max_queue": max_queue, "overflow": overflow, "info": info}
        subscription = self.subscribe(*groups, since=since, replay=0 if since else replay, **chosen)
        ask = None if revalidate is None else partial(revalidate, request)
        return EventStream(subscription, ping=ping, retry=retry, revalidate=ask, revalidate_every=revalidate_every)

    async def count(self, group: str) -> int:
        """Return how many members a group has, in all processes."""
        return await self._backend.count(check_group(group))

    async def members(self, group: str) -> list[Any]:
        """Return the `info` of each member of a group, in all processes."""
        return await self._backend.members(check_group(group))

    def metrics(self) -> dict[str, int]:
        """Return this process' figures: groups, members, queued, published, delivered, dropped and others."""
        return self._backend.figures()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[None]:
        """Run the hub: `app.lifespan(hub.lifespan)`, or without an application `async with hub.lifespan():`.

        At its end all subscriptions of this event loop end.
        """
        async with self._backend.running():
            yield
