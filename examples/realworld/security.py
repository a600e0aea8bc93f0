"""Who is asking: passwords as scrypt hashes (RFC 7914), tokens as JWT (RFC 7519), and dependencies that read them."""

from __future__ import annotations

import logging
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import scrypt
from hmac import compare_digest
from sqlite3 import Connection
from typing import Annotated, Any

import jwt
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from database import Database
from errors import Rejected

from microasgi import ConfigurationError, HTTPConnection, HTTPException
from microasgi.typed import Depends, HTTPAuthorization, HTTPAuthorizationCredentials, HTTPBearer, State

COST = {"n": 2**14, "r": 8, "p": 5}  # 16 MiB for each hash, which is why there are never more than three at work
LIFETIME = timedelta(days=7)

logger = logging.getLogger("realworld")


class Passwords:
    """Makes and checks hashes. It takes a while, on purpose: so in worker threads, few at a time."""

    def __init__(self) -> None:
        self._making = CapacityLimiter(1)  # of its own, so that nobody waits at the log-in for new users
        self._checking = CapacityLimiter(2)
        self._nobody = make_hash(secrets.token_hex())

    async def hash(self, password: str) -> str:
        """Return what to store of a password."""
        return await run_sync(make_hash, password, limiter=self._making)

    async def check(self, password: str, stored: str | None) -> bool:
        """Tell whether it is the stored one; without one it takes as long, so that addresses cannot be found out."""
        same = await run_sync(is_hash_of, password, stored or self._nobody, limiter=self._checking)
        return same and stored is not None


def make_hash(password: str) -> str:
    """Return the hash of a password, and all that is needed to make it again."""
    salt = secrets.token_bytes(16)
    digest = scrypt(password.encode(), salt=salt, **COST, dklen=32)
    return "$".join(["scrypt", *map(str, COST.values()), salt.hex(), digest.hex()])


def is_hash_of(password: str, stored: str) -> bool:
    """Tell whether the hash is of this password, in a time that tells nothing about where they differ."""
    _, n, r, p, salt, digest = stored.split("$")
    found = scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), dklen=32)
    return compare_digest(found, bytes.fromhex(digest))


class Tokens:
    """Signs and reads tokens that say which user somebody is."""

    def __init__(self, secret: str | None) -> None:
        if secret is not None and len(secret.encode()) < 32:
            raise ConfigurationError("JWT_SECRET is too short: 32 bytes or more, as of `openssl rand -hex 32`")
        if secret is None:
            logger.warning("JWT_SECRET is not set: tokens are worth nothing after a restart, or to another worker")
        self._secret = secret or secrets.token_hex(32)

    @classmethod
    def from_environment(cls) -> Tokens:
        """Use JWT_SECRET, or a secret that nobody knows."""
        return cls(os.environ.get("JWT_SECRET"))

    def issue(self, user: int) -> str:
        """Return a token for the user of this number."""
        claims = {"sub": str(user), "exp": datetime.now(UTC) + LIFETIME}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def user_of(self, token: str) -> int | None:
        """Return the number of the user whose token it is; None for one that is forged, expired or none at all."""
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub"]})
            return int(claims["sub"])
        except (jwt.InvalidTokenError, ValueError):
            return None


class TokenHeader(HTTPBearer):
    """`Authorization: Bearer ...`, as everybody has it, or `Token ...`, as RealWorld."""

    def read(self, connection: HTTPConnection[Any]) -> HTTPAuthorizationCredentials | None:
        """Read the header."""
        return super().read(connection) or _realworld.read(connection)

    def unauthorized(self, detail: str = "is missing") -> HTTPException:
        """Return the 401 for a token that is missing or, with another detail, wrong."""
        return Rejected(401, {"www-authenticate": str(self.challenge)}, token=detail)

    def malformed(self, detail: str) -> HTTPException:
        """Return the 401 for a header that cannot be read."""
        return self.unauthorized("is invalid")


_realworld = HTTPAuthorization("Token")
_how = "The token that `POST /api/users/login` gives. `Authorization: Token ...` does as well as `Bearer ...`."
needed = TokenHeader(realm="conduit", scheme_name="Token", bearer_format="JWT", description=_how)
optional = TokenHeader(realm="conduit", scheme_name="Token", bearer_format="JWT", description=_how, auto_error=False)


@dataclass(frozen=True)
class Member:
    """A user, as stored; `password` is its hash."""

    id: int
    username: str
    email: str
    password: str
    bio: str | None
    image: str | None


def find_member(connection: Connection, column: str, value: int | str) -> Member | None:
    """Return the member whose `column` has this value; names and addresses are the same in capitals."""
    row = connection.execute(
        f"SELECT id, username, email, password, bio, image FROM users WHERE {column} = ?", (value,)
    ).fetchone()
    return Member(**row) if row else None


async def visitor(
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(optional)], tokens: State[Tokens]
) -> int | None:
    """Return the number of the user who is asking, None for anybody; 401 for a token that is not valid."""
    return None if credentials is None else read_token(credentials, tokens)


async def member(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(needed)],
    tokens: State[Tokens],
    database: State[Database],
) -> Member:
    """Return the user who is asking; 401 for anybody else."""
    found = await database.read(find_member, "id", read_token(credentials, tokens))
    if found is None:
        raise needed.unauthorized("is invalid")
    return found


def read_token(credentials: HTTPAuthorizationCredentials, tokens: Tokens) -> int:
    """Return the number of the user whose token it is; 401 if it is nobody's."""
    user = tokens.user_of(credentials.credentials)
    if user is None:
        raise needed.unauthorized("is invalid")
    return user


Visitor = Annotated[int | None, Depends(visitor)]
Me = Annotated[Member, Depends(member)]
