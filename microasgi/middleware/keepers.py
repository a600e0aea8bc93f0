"""Where a session is kept: in its cookie, signed, or in a store, with a random id in the cookie.

The law of this file: what comes in the cookie is believed when its signature or the store says so, else there is no
session. Nothing that a client sends is an error.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import partial
from hashlib import sha256
from time import time
from typing import Final, Protocol

from microasgi.middleware.cookie import Cookie
from microasgi.middleware.session import Saved, Session
from microasgi.middleware.signing import Signatures
from microasgi.middleware.stores import SessionStore
from microasgi.types import Scope

__all__ = ["InCookie", "InStore", "Keeper"]

_ID_LENGTH: Final = 43  # 256 bits in base64
_STORED: Final = 14 * 24 * 60 * 60  # seconds that a store keeps what the browser forgets when it is closed
_RENEWED_AFTER: Final = 0.1  # of its lifetime: not every response has to set the cookie


class Keeper(Protocol):
    """How a session comes and goes."""

    async def open(self, scope: Scope) -> Session:
        """Return the session of this request."""
        ...

    async def write(self, session: Session) -> str | None:
        """Keep what has changed. Return the cookie's new value, the empty text to take it away, None to leave it."""
        ...


def _is_old(saved: Saved, lifetime: int) -> bool:
    return time() - saved.written > lifetime * _RENEWED_AFTER


class InCookie:
    """The session itself is in the cookie: signed, not encrypted, readable for the one whose browser has it."""

    def __init__(self, cookie: Cookie, signatures: Signatures, max_age: int | None) -> None:
        self._cookie, self._signatures, self._max_age = cookie, signatures, max_age

    async def open(self, scope: Scope) -> Session:
        """Return a session that checks its cookie when it is looked into."""
        return Session(partial(self._read, scope), 16)

    def _read(self, scope: Scope) -> Saved | None:
        value = self._cookie.read(scope)
        text = self._signatures.unsign(value) if value else None
        try:
            written, name, data = (text or "").split(".")
            saved = Saved(name, urlsafe_b64decode(data), int(written, 16))
        except ValueError:
            return None
        # No upper bound on `written`: the clocks of two servers differ.
        return saved if self._max_age is None or time() - saved.written <= self._max_age else None

    async def write(self, session: Session) -> str | None:
        """Return the signed session if it has changed, or a tenth of its lifetime has passed."""
        data = session.change()
        if data is None:
            if session.saved is None or self._max_age is None or not _is_old(session.saved, self._max_age):
                return None
            data = session.saved.data
        if not data:
            return ""
        text = urlsafe_b64encode(data).decode()
        return self._signatures.sign(f"{int(time()):x}.{session.secret_id}.{text}")


class InStore:
    """The session is in a store, under the hash of the random id in its cookie: who reads the store has no session."""

    def __init__(self, cookie: Cookie, store: SessionStore, max_age: int | None) -> None:
        self._cookie, self._store = cookie, store
        self._lifetime = _STORED if max_age is None else max_age

    async def open(self, scope: Scope) -> Session:
        """Fetch the session if the request has an id."""
        name = self._cookie.read(scope)
        record = await self._store.load(_key(name)) if len(name) == _ID_LENGTH else None
        return Session(partial(_unpacked, name, record))

    async def write(self, session: Session) -> str | None:
        """Store the session if it has changed, or a tenth of its lifetime has passed.

        One that another request has ended meanwhile stays ended.
        """
        data, saved = session.change(), session.saved
        if data is None:
            if saved is None or not _is_old(saved, self._lifetime):
                return None
            data = saved.data
        moved = saved is not None and (not data or session.secret_id != saved.id)
        if saved is not None and moved:
            was_there = await self._store.delete(_key(saved.id))
            if not data:
                return ""
            if not was_there and not session.cleared:
                return None
        record = b"%x." % int(time()) + data
        new = saved is None or moved
        kept = await self._store.save(_key(session.secret_id), record, self._lifetime, new=new)
        return session.secret_id if kept else None


def _key(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _unpacked(name: str, record: bytes | None) -> Saved | None:
    written, _, data = (record or b"").partition(b".")
    try:
        return Saved(name, data, int(written, 16))
    except ValueError:
        return None
