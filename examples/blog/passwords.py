"""Passwords, as scrypt hashes (RFC 7914): slow by intent, so they are made in worker threads, few at a time."""

from __future__ import annotations

import secrets
from hashlib import scrypt
from hmac import compare_digest

import anyio
from anyio.to_thread import run_sync

COST = {"n": 2**14, "r": 8, "p": 5}  # 16 MiB for each hash, which is why there are never more than three at work


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._making = anyio.CapacityLimiter(1)  # of its own, so that nobody waits at the log-in for new members
        self._checking = anyio.CapacityLimiter(2)
        self._nobody = _hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        """Return what to store for a password."""
        return await run_sync(_hash, password, limiter=self._making)

    async def check(self, password: str, stored: str | None) -> bool:
        """Tell whether the password is the stored one; without one it takes as long, so names cannot be guessed."""
        same = await run_sync(_check, password, stored or self._nobody, limiter=self._checking)
        return same and stored is not None


def _hash(password: str) -> str:
    salt = secrets.token_bytes(16)
    digest = scrypt(password.encode(), salt=salt, **COST, dklen=32)
    return "$".join(["scrypt", *map(str, COST.values()), salt.hex(), digest.hex()])


def _check(password: str, stored: str) -> bool:
    _, n, r, p, salt, digest = stored.split("$")
    found = scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), dklen=32)
    return compare_digest(found, bytes.fromhex(digest))
