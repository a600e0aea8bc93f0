"""Accounts: passwords as scrypt hashes (RFC 7914), bearer tokens (RFC 6750), and who is asking."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import scrypt
from hmac import compare_digest
from typing import Annotated

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from msgspec import Meta
from store import TOKEN_SECONDS, Store, User

from microasgi import HTTPException, Router, run_in_threadpool
from microasgi.typed import Depends, Form, OAuth2PasswordBearer, OAuth2PasswordForm, State

COST = {"n": 2**14, "r": 8, "p": 5}  # 16 MiB for each hash, and a thread
HASHED_AT_ONCE = 2

bearer = OAuth2PasswordBearer(token_url="/tokens")
accounts = Router()


@dataclass(frozen=True)
class Account:
    """What is needed to sign up."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{1,29}$(?!\n)", examples=["ada"])]
    password: Annotated[str, Meta(min_length=10, max_length=200)]


@dataclass(frozen=True)
class Token:
    """What a client sends along as `Authorization: Bearer ...` (RFC 6749 section 5.1)."""

    access_token: str
    token_type: str = "bearer"
    expires_in: int = TOKEN_SECONDS


def current_user(token: Annotated[str, Depends(bearer)], store: State[Store]) -> User:
    """Return who is asking, or answer 401."""
    user = store.user_of(token)
    if user is None:
        raise bearer.invalid_token("This token is not valid, or no more.")
    return user


@accounts.post("/users", status=201, raises=[409])
async def sign_up(account: Account, store: State[Store], hashing: State[CapacityLimiter]) -> User:
    """Make an account."""
    hashed = await run_sync(hash_password, account.password, limiter=hashing)
    user = await run_in_threadpool(store.add_user, account.name, hashed)
    if user is None:
        raise HTTPException(409, f"The name {account.name} is taken.")
    return user


@accounts.get("/users/me", raises=[401])
def me(user: Annotated[User, Depends(current_user)]) -> User:
    """Say who is asking."""
    return user


@accounts.post("/tokens", raises=[400])
async def log_in(
    form: Annotated[OAuth2PasswordForm, Form()], store: State[Store], hashing: State[CapacityLimiter]
) -> Token:
    """Give a token for a name and a password."""
    user = await run_in_threadpool(store.user_named, form.username)
    # Without such a user it takes as long, so that names cannot be found out.
    stored = await run_in_threadpool(store.password_of, user) if user else NOBODY
    right = await run_sync(check_password, form.password, stored, limiter=hashing)
    if user is None or not right:
        raise HTTPException(400, "Name or password are wrong.")
    return Token(await run_in_threadpool(store.add_token, user))


def hash_password(password: str) -> str:
    """Return what to store of a password. It takes a while, on purpose."""
    salt = secrets.token_bytes(16)
    return f"{salt.hex()}${scrypt(password.encode(), salt=salt, **COST, dklen=32).hex()}"


def check_password(password: str, stored: str) -> bool:
    """Tell whether this is the password that was stored."""
    salt, _, digest = stored.partition("$")
    found = scrypt(password.encode(), salt=bytes.fromhex(salt), **COST, dklen=32)
    return compare_digest(found, bytes.fromhex(digest))


NOBODY = hash_password(secrets.token_hex())
