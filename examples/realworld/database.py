"""The database: one SQLite file, a few connections to it, and the tables.

The law of this file: all that is done with the database is a function of (connection, ...) that runs in a worker
thread, in a transaction of its own. Nobody holds a connection while something else is waited for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from sqlite3 import Connection
from typing import Concatenate, ParamSpec, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE COLLATE NOCASE,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    password TEXT NOT NULL,
    bio TEXT,
    image TEXT
);
CREATE TABLE IF NOT EXISTS follows (
    follower INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    followed INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (follower, followed)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS articles (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    description TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    author INTEGER NOT NULL REFERENCES users ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS articles_of_author ON articles (author);
CREATE TABLE IF NOT EXISTS tags (
    article INTEGER NOT NULL REFERENCES articles ON DELETE CASCADE,
    tag TEXT NOT NULL,
    PRIMARY KEY (article, tag)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS articles_of_tag ON tags (tag);
CREATE TABLE IF NOT EXISTS favorites (
    article INTEGER NOT NULL REFERENCES articles ON DELETE CASCADE,
    user INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (article, user)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS favorites_of_user ON favorites (user);
CREATE TABLE IF NOT EXISTS comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    article INTEGER NOT NULL REFERENCES articles ON DELETE CASCADE,
    author INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS comments_of_article ON comments (article);
"""


class Database:
    """Runs functions of a connection. They come back with their result, or roll back what they did and raise."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[Connection] = []  # lent in any thread: `append` and `pop` are atomic
        self._readers = CapacityLimiter(READERS)
        self._writers = CapacityLimiter(1)  # SQLite has one at a time: the others wait here, not in a thread

    async def open(self) -> None:
        """Make the tables if they are not there."""
        await run_sync(self._create)

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()

    async def read(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)`; all that it reads is from one moment."""
        return await run_sync(partial(self._run, "BEGIN", partial(work, **kwargs), *args), limiter=self._readers)

    async def write(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(connection, ...)`, which may write: all of it is done, or nothing."""
        return await run_sync(
            partial(self._run, "BEGIN IMMEDIATE", partial(work, **kwargs), *args), limiter=self._writers
        )

    def _run(self, begin: str, work: Callable[..., T], *args: object) -> T:
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            connection.execute(begin)
            with connection:  # commits at the end, or rolls back
                return work(connection, *args)
        finally:
            self._idle.append(connection)

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = self._connect()
        connection.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
        connection.executescript(SCHEMA)
        self._idle.append(connection)

    def _connect(self) -> Connection:
        # isolation_level=None: transactions begin where this file says so.
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        return connection


def now(after: str = "") -> str:
    """Return this moment, to the millisecond; later than `after`, however short ago that was."""
    moment = datetime.now(UTC)
    if after >= show(moment):
        moment = datetime.fromisoformat(after) + timedelta(milliseconds=1)
    return show(moment)


def show(moment: datetime) -> str:
    """Return a moment as it is stored and sent (RFC 3339)."""
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
