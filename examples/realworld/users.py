"""Users: sign up, log in, and one's own account."""

from __future__ import annotations

from sqlite3 import Connection
from typing import Annotated

from database import Database
from errors import TAKEN, Rejected
from models import Credentials, NewUser, OneUser, User, UserChanges, check
from msgspec import UNSET
from security import Me, Member, Passwords, Tokens, find_member, needed

from microasgi import Router
from microasgi.typed import Body, State

users = Router()


@users.post("/users", status=201, raises=[409])
async def register(
    user: Annotated[NewUser, Body(embed=True)],
    database: State[Database],
    passwords: State[Passwords],
    tokens: State[Tokens],
) -> OneUser:
    """Sign up."""
    check(user)
    await database.read(refuse_taken, user.username, user.email)  # before a hash is made for nothing
    password = await passwords.hash(user.password)
    return show(await database.write(add_member, user, password), tokens)


@users.post("/users/login", raises=[401])
async def log_in(
    user: Annotated[Credentials, Body(embed=True)],
    database: State[Database],
    passwords: State[Passwords],
    tokens: State[Tokens],
) -> OneUser:
    """Log in. It never tells which part was wrong."""
    check(user)
    found = await database.read(find_member, "email", user.email)
    if not await passwords.check(user.password, found.password if found else None) or found is None:
        raise Rejected(401, {"www-authenticate": str(needed.challenge)}, credentials="invalid")
    return show(found, tokens)


@users.get("/user")
async def get_current_user(me: Me, tokens: State[Tokens]) -> OneUser:
    """Return one's own account."""
    return show(me, tokens)


@users.put("/user", raises=[409])
async def update_current_user(
    me: Me,
    user: Annotated[UserChanges, Body(embed=True)],
    database: State[Database],
    passwords: State[Passwords],
    tokens: State[Tokens],
) -> OneUser:
    """Change one's own account."""
    check(user)
    password = me.password if user.password is UNSET else await passwords.hash(user.password)
    return show(await database.write(change_member, me.id, user, password), tokens)


def show(found: Member, tokens: Tokens) -> OneUser:
    """Return what users see of their own account, with a fresh token."""
    token = tokens.issue(found.id)
    return OneUser(user=User(email=found.email, token=token, username=found.username, bio=found.bio, image=found.image))


def refuse_taken(connection: Connection, username: str, email: str, but: int | None = None) -> None:
    """Refuse a name or an address that somebody has, `but` this user."""
    errors: dict[str, str] = {}
    for column, value in (("username", username), ("email", email)):
        found = find_member(connection, column, value)
        if found and found.id != but:
            errors[column] = TAKEN
    if errors:
        raise Rejected(409, **errors)


def add_member(connection: Connection, user: NewUser, password: str) -> Member:
    """Add a member."""
    refuse_taken(connection, user.username, user.email)  # nobody else writes until this has
    row = connection.execute(
        "INSERT INTO users (username, email, password) VALUES (?, ?, ?) RETURNING *",
        (user.username, user.email, password),
    ).fetchone()
    return Member(**row)


def change_member(connection: Connection, number: int, user: UserChanges, password: str) -> Member:
    """Change a member; an empty text takes a `bio` or an `image` away."""
    old = find_member(connection, "id", number)
    if old is None:
        raise needed.unauthorized("is invalid")
    username = old.username if user.username is UNSET else user.username
    email = old.email if user.email is UNSET else user.email
    refuse_taken(connection, username, email, but=number)
    bio = old.bio if user.bio is UNSET else user.bio or None
    image = old.image if user.image is UNSET else user.image or None
    row = connection.execute(
        "UPDATE users SET username = ?, email = ?, password = ?, bio = ?, image = ? WHERE id = ? RETURNING *",
        (username, email, password, bio, image, number),
    ).fetchone()
    return Member(**row)
