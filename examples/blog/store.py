"""Members, posts and comments in SQLite. Every method may wait for the disk, so it is called in a worker thread."""

from __future__ import annotations

import sqlite3
import unicodedata
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from microasgi.middleware import BaseUser

_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS members (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, password TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS posts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, author INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
    title TEXT NOT NULL, text TEXT NOT NULL, picture TEXT, alt TEXT NOT NULL, written TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, post INTEGER NOT NULL REFERENCES posts ON DELETE CASCADE,
    author INTEGER NOT NULL REFERENCES members ON DELETE CASCADE, text TEXT NOT NULL, written TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS comments_of_post ON comments (post);
"""
_POSTS = """
SELECT posts.id, author, name, title, text, picture, alt, written,
       (SELECT count(*) FROM comments WHERE post = posts.id)
FROM posts JOIN members ON members.id = author"""
_MEMBERS = "SELECT id, name, password FROM members"
_COMMENTS = "SELECT comments.id, name, text, written FROM comments JOIN members ON members.id = author"

_LARGEST = 2**63 - 1  # what SQLite takes


@dataclass(frozen=True)
class Member(BaseUser):
    """Somebody with an account; `password` is its hash. `request.user` is one after the log-in."""

    id: int
    name: str
    password: str

    @property
    def is_authenticated(self) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class Post:
    """A post; `picture` is the name of its file, `alt` describes it in words, `written` is in UTC."""

    id: int
    author: int
    name: str
    title: str
    text: str
    picture: str | None
    alt: str
    written: str
    comments: int


@dataclass(frozen=True)
class Comment:
    """What a member says about a post."""

    id: int
    name: str
    text: str
    written: str


class Store:
    """One database file; a connection for each thread that is at work, kept for the next."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: deque[sqlite3.Connection] = deque()
        with self._transaction() as database:
            database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        while self._idle:
            self._idle.pop().close()

    def add_member(self, name: str, password: str) -> Member | None:
        """Add a member; None if there is one of that name, whatever its capitals."""
        with self._transaction() as database:
            found = database.execute(
                "INSERT INTO members (name, folded, password) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING RETURNING id, name, password",
                (name, fold(name), password),
            ).fetchone()
        return Member(*found) if found else None

    def member(self, number: int) -> Member | None:
        """Return the member of that number."""
        rows = self._select(f"{_MEMBERS} WHERE id = ?", number)
        return Member(*rows[0]) if rows else None

    def member_named(self, name: str) -> Member | None:
        """Return the member of that name, whatever its capitals."""
        rows = self._select(f"{_MEMBERS} WHERE folded = ?", fold(name))
        return Member(*rows[0]) if rows else None

    def newest(self, count: int, before: int | None = None) -> list[Post]:
        """Return the last posts, the newest first; `before` leaves out that post and those after it."""
        condition, values = ("WHERE posts.id < ?", (before,)) if before is not None else ("", ())
        return [
            Post(*row) for row in self._select(f"{_POSTS} {condition} ORDER BY posts.id DESC LIMIT ?", *values, count)
        ]

    def post(self, number: int) -> Post | None:
        """Return the post of that number."""
        rows = self._select(f"{_POSTS} WHERE posts.id = ?", min(number, _LARGEST))
        return Post(*rows[0]) if rows else None

    def add_post(self, author: int, title: str, text: str, picture: str | None, alt: str) -> int:
        """Add a post and return its number."""
        return self._write(
            "INSERT INTO posts (author, title, text, picture, alt, written) VALUES (?, ?, ?, ?, ?, ?)",
            *(author, title, text, picture, alt, now()),
        )

    def change_post(self, number: int, title: str, text: str, picture: str | None, alt: str) -> None:
        """Change what a post says and shows."""
        self._write(
            "UPDATE posts SET title = ?, text = ?, picture = ?, alt = ? WHERE id = ?", title, text, picture, alt, number
        )

    def delete_post(self, number: int) -> None:
        """Delete a post with its comments."""
        self._write("DELETE FROM posts WHERE id = ?", number)

    def comments(self, post: int) -> list[Comment]:
        """Return the comments on a post, the oldest first."""
        return [Comment(*row) for row in self._select(f"{_COMMENTS} WHERE post = ? ORDER BY comments.id", post)]

    def add_comment(self, post: int, author: int, text: str) -> int | None:
        """Add a comment and return its number; None if the post has gone meanwhile."""
        statement = "INSERT INTO comments (post, author, text, written) VALUES (?, ?, ?, ?)"
        try:
            return self._write(statement, post, author, text, now())
        except sqlite3.IntegrityError:
            return None

    def _select(self, query: str, *values: int | str) -> list[Any]:
        with self._transaction() as database:
            return database.execute(query, values).fetchall()

    def _write(self, statement: str, *values: int | str | None) -> int:
        with self._transaction() as database:
            return database.execute(statement, values).lastrowid or 0

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        """Lend a connection for one transaction, which is committed at the end, or rolled back."""
        try:
            database = self._idle.pop()
        except IndexError:
            database = sqlite3.connect(self._path, timeout=10, check_same_thread=False)
            database.execute("PRAGMA foreign_keys = ON")
        try:
            with database:
                yield database
        finally:
            self._idle.append(database)


def fold(name: str) -> str:
    """Return what is the same for names that differ in capitals, or in how their characters are put together."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def now() -> str:
    """Return this moment, as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")
