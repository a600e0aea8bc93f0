"""Profiles: users as others see them, and who follows whom."""

from __future__ import annotations

from sqlite3 import Connection, Row
from typing import Annotated

from database import Database
from errors import Rejected
from models import OneProfile, Profile
from security import Me, Visitor

from microasgi import Router
from microasgi.typed import Path, State

profiles = Router()
Username = Annotated[str, Path(description="The name of the user.")]

# For every query of something with an author, who is `users` there and `:visitor` who is asking.
AUTHOR = """username, bio, image,
EXISTS (SELECT 1 FROM follows WHERE follower = :visitor AND followed = users.id) AS following"""


@profiles.get("/profiles/{username}", raises=[401])
async def get_profile(username: Username, visitor: Visitor, database: State[Database]) -> OneProfile:
    """Return a profile."""
    return await database.read(find_profile, username, visitor)


@profiles.post("/profiles/{username}/follow")
async def follow(username: Username, me: Me, database: State[Database]) -> OneProfile:
    """Follow a user: their articles are in one's feed."""
    return await database.write(add_follower, username, me.id)


@profiles.delete("/profiles/{username}/follow")
async def unfollow(username: Username, me: Me, database: State[Database]) -> OneProfile:
    """Follow a user no longer."""
    return await database.write(remove_follower, username, me.id)


def author_of(row: Row) -> Profile:
    """Return the profile in a row that was asked for AUTHOR."""
    return Profile(username=row["username"], bio=row["bio"], image=row["image"], following=bool(row["following"]))


def find_profile(connection: Connection, username: str, visitor: int | None) -> OneProfile:
    """Return the profile of that name, as the visitor sees it."""
    names = {"username": username, "visitor": visitor}
    row = connection.execute(f"SELECT {AUTHOR} FROM users WHERE username = :username", names).fetchone()
    if row is None:
        raise Rejected(404, profile="not found")
    return OneProfile(profile=author_of(row))


def add_follower(connection: Connection, username: str, me: int) -> OneProfile:
    """Let this user follow the one of that name; once is enough."""
    connection.execute(
        "INSERT OR IGNORE INTO follows (follower, followed) SELECT ?, id FROM users WHERE username = ?", (me, username)
    )
    return find_profile(connection, username, me)


def remove_follower(connection: Connection, username: str, me: int) -> OneProfile:
    """Let this user no longer follow the one of that name."""
    connection.execute(
        "DELETE FROM follows WHERE follower = ? AND followed = (SELECT id FROM users WHERE username = ?)",
        (me, username),
    )
    return find_profile(connection, username, me)
