"""The book itself: entries in SQLite, pictures as files. Every method blocks, so it is called in a worker thread."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import BinaryIO

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, text TEXT NOT NULL, picture TEXT, written TEXT NOT NULL
)"""


@dataclass(frozen=True)
class Entry:
    """What somebody wrote; `picture` is its media type, or None."""

    id: int
    name: str
    text: str
    picture: str | None
    written: datetime


class Book:
    """The entries in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = Lock()  # one connection, many worker threads
        self._database = sqlite3.connect(folder / "entries.sqlite3", check_same_thread=False)
        self._database.execute(_SCHEMA)

    def add(self, name: str, text: str, picture: BinaryIO | None = None, media_type: str | None = None) -> Entry:
        """Write an entry, its picture with it or neither."""
        written = datetime.now(UTC).replace(microsecond=0)
        values = (name, text, media_type if picture else None, written.isoformat())
        with self._lock, self._database:  # commits at the end, or rolls back
            cursor = self._database.execute(
                "INSERT INTO entries (name, text, picture, written) VALUES (?, ?, ?, ?) RETURNING *", values
            )
            entry = _entry(cursor.fetchone())
            if picture:
                with self._picture(entry.id).open("wb") as file:
                    shutil.copyfileobj(picture, file)
        return entry

    def newest(self, count: int, before: int | None = None) -> list[Entry]:
        """Return the last entries, the newest first; `before` leaves out that entry and those after it."""
        condition, values = ("WHERE id < ?", (before,)) if before is not None else ("", ())
        return self._select(f"{condition} ORDER BY id DESC LIMIT ?", *values, count)

    def after(self, number: int, count: int) -> list[Entry]:
        """Return the entries that came after that one, the oldest first."""
        return self._select("WHERE id > ? ORDER BY id LIMIT ?", number, count)

    def picture(self, number: int) -> tuple[bytes, str] | None:
        """Return an entry's picture and its media type."""
        for entry in self._select("WHERE id = ?", number):
            if entry.picture is not None:
                return self._picture(number).read_bytes(), entry.picture
        return None

    def log(self, entry: Entry) -> None:
        """Append a line about an entry to the log beside the database."""
        with (self._folder / "guestbook.log").open("a", encoding="utf-8") as file:
            file.write(f"{entry.written.isoformat()} entry {entry.id}: {len(entry.text.split())} words\n")

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def _picture(self, number: int) -> Path:
        return self._folder / f"{number}.picture"

    def _select(self, rest: str, *values: int) -> list[Entry]:
        with self._lock:
            rows = self._database.execute(f"SELECT * FROM entries {rest}", values).fetchall()
        return [_entry(row) for row in rows]


def _entry(row: tuple[int, str, str, str | None, str]) -> Entry:
    number, name, text, picture, written = row
    return Entry(number, name, text, picture, datetime.fromisoformat(written))
