"""Users, tokens, todos and attachments in SQLite. Every method may wait for the disk: call it in a worker thread."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, TypeVar

from msgspec import Meta

T = TypeVar("T")
TOKEN_SECONDS = 8 * 60 * 60
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tokens (
    digest BLOB PRIMARY KEY, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE, expires INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS todos (
    id INTEGER PRIMARY KEY AUTOINCREMENT, user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    title TEXT NOT NULL, done INTEGER NOT NULL, due TEXT, changed TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS todos_of_user ON todos (user, id);
CREATE TABLE IF NOT EXISTS attachments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, todo INTEGER NOT NULL REFERENCES todos ON DELETE CASCADE,
    name TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT, content BLOB NOT NULL
);
"""
_TODO = "id, title, done, due, changed, version"
_ATTACHMENT = "id, name, media_type, size, sha256"


@dataclass(frozen=True)
class User:
    """Somebody with an account."""

    id: int
    name: str


@dataclass(frozen=True)
class Draft:
    """What is to be done, as its owner writes it."""

    title: Annotated[str, Meta(min_length=1, max_length=200, examples=["Buy milk"])]
    done: bool = False
    due: date | None = None


@dataclass(frozen=True)
class Todo:
    """What is to be done; `version` counts its changes."""

    id: int
    title: str
    done: bool
    due: date | None
    changed: datetime
    version: int


@dataclass(frozen=True)
class Attachment:
    """A file beside a todo; `sha256` comes a moment after the upload."""

    id: int
    name: str
    media_type: str
    size: int
    sha256: str | None


class Store:
    """One database file, one connection, one caller at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def add_user(self, name: str, password: str) -> User | None:
        """Add a user with the hash of a password; None if the name is taken, whatever its capitals."""
        statement = "INSERT INTO users (name, password) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id, name"
        return self._one(User, statement, name, password)

    def user_named(self, name: str) -> User | None:
        """Return the user of that name."""
        return self._one(User, "SELECT id, name FROM users WHERE name = ?", name)

    def password_of(self, user: User) -> str:
        """Return the hash of the password."""
        return self._one(str, "SELECT password FROM users WHERE id = ?", user.id) or ""

    def add_token(self, user: User) -> str:
        """Return a new token of a user. Only its hash is kept, so whoever reads the database has no token."""
        token, now = secrets.token_urlsafe(32), int(time.time())
        self._all(tuple, "DELETE FROM tokens WHERE expires < ?", now)
        self._all(tuple, "INSERT INTO tokens VALUES (?, ?, ?)", _digest(token), user.id, now + TOKEN_SECONDS)
        return token

    def user_of(self, token: str) -> User | None:
        """Return whose token this is, if it is valid."""
        statement = "SELECT users.id, name FROM users JOIN tokens ON user = users.id WHERE digest = ? AND expires >= ?"
        return self._one(User, statement, _digest(token), int(time.time()))

    def todos(self, user: User, limit: int, after: int, done: bool | None) -> list[Todo]:
        """Return todos by number, those `after` one, all or only those that are (not) done."""
        condition = "" if done is None else f"AND done = {done:d}"
        statement = f"SELECT {_TODO} FROM todos WHERE user = ? AND id > ? {condition} ORDER BY id LIMIT ?"
        return self._all(_todo, statement, user.id, after, limit)

    def todo(self, user: User, number: int) -> Todo | None:
        """Return a todo, if it is this user's."""
        return self._one(_todo, f"SELECT {_TODO} FROM todos WHERE user = ? AND id = ?", user.id, number)

    def add_todo(self, user: User, draft: Draft) -> Todo:
        """Add a todo."""
        statement = f"INSERT INTO todos (user, title, done, due, changed) VALUES (?, ?, ?, ?, ?) RETURNING {_TODO}"
        return self._all(_todo, statement, user.id, *_values(draft))[0]

    def change_todo(self, todo: Todo, draft: Draft) -> Todo | None:
        """Change a todo; None if somebody has changed or deleted it since it was read."""
        statement = (
            "UPDATE todos SET title = ?, done = ?, due = ?, changed = ?, version = version + 1 "
            f"WHERE id = ? AND version = ? RETURNING {_TODO}"
        )
        return self._one(_todo, statement, *_values(draft), todo.id, todo.version)

    def delete_todo(self, todo: Todo) -> bool:
        """Delete a todo with its attachments; False if somebody has changed or deleted it since it was read."""
        statement = "DELETE FROM todos WHERE id = ? AND version = ? RETURNING id"
        return self._one(int, statement, todo.id, todo.version) is not None

    def attach(self, todo: Todo, name: str, media_type: str, content: bytes) -> Attachment | None:
        """Attach a file to a todo; None if the todo has gone meanwhile."""
        statement = (
            "INSERT INTO attachments (todo, name, media_type, size, content) "
            f"SELECT id, ?, ?, ?, ? FROM todos WHERE id = ? RETURNING {_ATTACHMENT}"
        )
        return self._one(Attachment, statement, name, media_type, len(content), content, todo.id)

    def attachments(self, todo: Todo) -> list[Attachment]:
        """Return the attachments of a todo."""
        return self._all(Attachment, f"SELECT {_ATTACHMENT} FROM attachments WHERE todo = ? ORDER BY id", todo.id)

    def content(self, todo: Todo, number: int) -> tuple[str, bytes] | None:
        """Return the media type of an attachment, and what is in it."""
        statement = "SELECT media_type, content FROM attachments WHERE todo = ? AND id = ?"
        return self._one(lambda *row: row, statement, todo.id, number)

    def add_digest(self, attachment: Attachment, content: bytes) -> None:
        """Write down the SHA-256 of an attachment."""
        digest = hashlib.sha256(content).hexdigest()
        self._all(tuple, "UPDATE attachments SET sha256 = ? WHERE id = ?", digest, attachment.id)

    def _all(self, kind: Callable[..., T], statement: str, *values: Any) -> list[T]:
        with self._lock, self._database:  # commits at the end, or rolls back
            return [kind(*row) for row in self._database.execute(statement, values)]

    def _one(self, kind: Callable[..., T], statement: str, *values: Any) -> T | None:
        return next(iter(self._all(kind, statement, *values)), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _values(draft: Draft) -> tuple[Any, ...]:
    due = draft.due.isoformat() if draft.due else None
    return draft.title, draft.done, due, datetime.now(UTC).isoformat(timespec="seconds")


def _todo(number: int, title: str, done: int, due: str | None, changed: str, version: int) -> Todo:
    day = date.fromisoformat(due) if due else None
    return Todo(number, title, bool(done), day, datetime.fromisoformat(changed), version)
