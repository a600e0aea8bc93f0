"""Sessions: `request.session` for every request, kept in a signed cookie or in a store.

The law of this file: a response says by `Vary: Cookie` when it depends on the session, and one of 500 and above leaves
the session as it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

from microasgi.exceptions import ConfigurationError
from microasgi.headers import MutableHeaders, find_header
from microasgi.middleware.cookie import LARGEST, Cookie, SameSite
from microasgi.middleware.keepers import InCookie, InStore, Keeper
from microasgi.middleware.origin import OriginMiddleware
from microasgi.middleware.session import Session
from microasgi.middleware.signing import Signatures, checked_keys
from microasgi.middleware.stores import SessionStore
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["SessionMiddleware"]

_TWO_WEEKS: Final = 14 * 24 * 60 * 60
_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class SessionMiddleware:
    """Give every request and socket a `session`, a `Session`.

    `secret_key` is random text of at least 32 bytes, or a list of such: the first signs, all are believed. A session
    ends `max_age` seconds after its last use (None: when the browser is closed). The cookie is HttpOnly, and Secure
    when the request came by https (`https_only=None`). With `store` the cookie has a random id alone, and needs no key.
    Unless `origin_protection=False`, unsafe requests from other sites are refused: see `OriginMiddleware`, which
    takes `allowed_origins` and `exempt`. ConfigurationError for a weak key, MissingPackage without itsdangerous.
    """

    def __init__(
        self,
        app: ASGIApp,
        secret_key: str | Sequence[str] | None = None,
        session_cookie: str = "session",
        max_age: int | None = _TWO_WEEKS,
        path: str = "/",
        same_site: SameSite = "lax",
        https_only: bool | None = None,
        domain: str | None = None,
        partitioned: bool = False,
        *,
        store: SessionStore | None = None,
        origin_protection: bool = True,
        allowed_origins: Iterable[str] = (),
        exempt: Iterable[str] = (),
    ) -> None:
        if max_age is not None and max_age < 1:
            raise ConfigurationError(f"max_age={max_age!r}: give seconds, or None for as long as the browser is open")
        if not origin_protection and (list(allowed_origins) or list(exempt)):
            raise ConfigurationError("allowed_origins and exempt are for the origin protection, which is turned off")
        self.app: ASGIApp = OriginMiddleware(app, allowed_origins, exempt) if origin_protection else app
        self._cookie = Cookie(session_cookie, max_age, path, same_site, https_only, domain, partitioned)
        self._store = store
        self._keeper: Keeper
        if store is None:
            signatures = Signatures(secret_key, f"microasgi.session:{session_cookie}")
            self._keeper = InCookie(self._cookie, signatures, max_age)
        else:
            if secret_key is not None:
                checked_keys(secret_key)
            self._keeper = InStore(self._cookie, store, max_age)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._pass_on(scope, receive, send)
            return
        session = scope["session"] = await self._keeper.open(scope)

        async def finishing(message: Message) -> None:
            if message["type"] in _STARTS:
                if session.accessed:
                    message = await self._finished(session, scope, message)
                session.ended = True
            await send(message)

        await self.app(scope, receive, finishing)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            close = getattr(self._store, "aclose", None)
            if scope["type"] == "lifespan" and close is not None:
                await close()

    async def _finished(self, session: Session, scope: Scope, message: Message) -> Message:
        headers = list(message.get("headers", ()))
        finished = {**message, "headers": headers}  # the application's own may be a constant
        if scope["type"] == "http":
            if find_header(headers, b"vary") is None:
                headers.append((b"vary", b"Cookie"))
            else:
                MutableHeaders(raw=headers).add_vary_header("Cookie")
        if message.get("status", 200) >= 500:
            return finished
        value = await self._keeper.write(session)
        if value is None:
            return finished
        header = self._cookie.header(scope, value)
        if len(header[1]) > LARGEST:
            raise ValueError(_too_large(session, len(header[1])))
        headers.append(header)
        return finished


def _too_large(session: Session, size: int) -> str:
    sizes = sorted([(len(json.dumps(value)), key) for key, value in session.items()], reverse=True)
    largest = ", ".join(f"{key!r} ({length} bytes)" for length, key in sizes[:3])
    return (
        f"the session needs {size} bytes as a cookie, browsers keep {LARGEST} with name and attributes. Its largest "
        f"values: {largest}. Keep less in it, or give SessionMiddleware a store=, such as RedisStore"
    )
