"""RateLimitMiddleware: so many requests in so much time, of each client.

Law: a client is the address that the server names, never one that a header names; and what is kept is bounded.
"""

from __future__ import annotations

import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, Final, TypeAlias, cast

import anyio

from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.middleware.clientnetwork import client_network
from microasgi.middleware.limitsrates import LimitsRates, open_store
from microasgi.middleware.rates import MemoryRates, RateStore, Usage, parse_rates
from microasgi.middleware.refusal import refuse
from microasgi.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send

__all__ = ["Key", "RateLimitMiddleware", "client_network"]

Key: TypeAlias = Callable[[HTTPConnection[Any]], "str | Awaitable[str | None] | None"]
"""Says whose request it is, or None for one that is not limited."""

_TOO_MANY: Final = "Too many requests. Please try again later."
_NOT_COUNTED: Final = "Requests cannot be counted at the moment. Please try again later."
_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_LONGEST_KEY: Final = 64
_PAUSE: Final = 5.0  # seconds in which a store that has failed is left alone

logger = logging.getLogger("microasgi")
_is_name = re.compile(r"[A-Za-z0-9_.-]{1,32}").fullmatch


class RateLimitMiddleware:
    """Answer 429 with `Retry-After` to a client above its `limit`, "100/minute" or "10/second; 1000/hour".

    `key(connection)`, sync or async, says who it is: by default `client_network`. `store` is "memory://" (counted in
    each process), "redis://..." (together) or an object; under one `name` in one store counts are shared. A store that
    fails, or takes `store_timeout` seconds, lets requests through if `fail_open`, else 503, and has 5 s to recover.
    With `headers` responses carry `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: str = "100/minute",
        *,
        key: Key = client_network,
        store: str | RateStore = "memory://",
        name: str = "default",
        headers: bool = True,
        fail_open: bool = True,
        store_timeout: float = 1.0,
    ) -> None:
        if not _is_name(name):
            raise ConfigurationError(f"RateLimitMiddleware: name={name!r}, of 1 to 32 letters, digits or _.-")
        self.app = app
        self._rates = parse_rates(limit)
        names = [f"{name}-{number}" if number else name for number in range(len(self._rates))]
        policy = ", ".join(
            f'"{one}";q={amount};w={window}' for one, (amount, window) in zip(names, self._rates, strict=True)
        )
        self._policy = (b"ratelimit-policy", policy.encode())
        self._names = names
        call = key if inspect.isroutine(key) else getattr(key, "__call__", key)  # noqa: B004
        self._key, self._awaits = key, inspect.iscoroutinefunction(call)
        self._store = open_store(store) if isinstance(store, str) else store
        self._may_fail = not isinstance(self._store, MemoryRates)
        self._failures: tuple[type[Exception], ...] = (OSError, TimeoutError, *self._store.failures)
        self._headers, self._fail_open, self._store_timeout = headers, fail_open, store_timeout
        self._asked_again_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request or a handshake; let everything else through."""
        if scope["type"] not in ("http", "websocket"):
            return await self._pass(scope, receive, send)
        who = self._key(HTTPConnection(scope))
        if self._awaits:
            who = await cast("Awaitable[str | None]", who)
        if who is None:
            return await self.app(scope, receive, send)
        found = await self._ask(str(who))
        if found is None:
            if self._fail_open:
                return await self.app(scope, receive, send)
            return await refuse(scope, receive, send, 503, _NOT_COUNTED, {"retry-after": str(int(_PAUSE))})
        name, usage = found
        if usage.allowed:
            return await self.app(scope, receive, _telling(send, self._state(name, usage)) if self._headers else send)
        headers = {"retry-after": str(usage.retry_after)}
        if self._headers:
            headers.update((name.decode(), value.decode()) for name, value in self._state(name, usage))
        return await refuse(scope, receive, send, 429, _TOO_MANY, headers)

    def _state(self, name: str, usage: Usage) -> RawHeaders:
        again = "" if usage.remaining else f";t={usage.retry_after}"
        return [(b"ratelimit", f'"{name}";r={usage.remaining}{again}'.encode()), self._policy]

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "lifespan" and isinstance(self._store, LimitsRates):
                await self._store.aclose()

    async def _ask(self, who: str) -> tuple[str, Usage] | None:
        """Return what is left of the rate that is used up most; None while the store cannot be asked."""
        if self._asked_again_at and time.monotonic() < self._asked_again_at:
            return None
        key = who if len(who) <= _LONGEST_KEY else blake2b(who.encode("utf-8", "surrogatepass")).hexdigest()
        if not self._may_fail:
            return await self._hit(key)
        try:
            with anyio.fail_after(self._store_timeout):
                found = await self._hit(key)
        except self._failures as error:
            self._asked_again_at = time.monotonic() + _PAUSE
            policy = "let through" if self._fail_open else "refused"
            logger.warning("the rate limit's store failed, requests are %s for %g s: %r", policy, _PAUSE, error)
            return None
        self._asked_again_at = 0.0
        return found

    async def _hit(self, key: str) -> tuple[str, Usage]:
        tightest: tuple[str, Usage] | None = None
        for name, rate in zip(self._names, self._rates, strict=True):
            usage = await self._store.hit(f"{name}:{key}", rate)
            if tightest is None or not usage.allowed or usage.remaining < tightest[1].remaining:
                tightest = name, usage
            if not usage.allowed:
                break
        return cast("tuple[str, Usage]", tightest)


def _telling(send: Send, headers: RawHeaders) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] in _STARTS:
            message = {**message, "headers": [*(message.get("headers") or ()), *headers]}
        await send(message)

    return telling
