"""The memory: small files that were asked for lately, ready to be sent without a worker thread.

The law of this file: what it gives out is checked by one `stat` each time, searched for again after some seconds, and
all of it together stays below its budget.
"""

from __future__ import annotations

import os
from threading import Lock
from time import monotonic
from typing import Final, NamedTuple, TypeAlias

from microasgi.files.fingerprints import Identity, identity_of
from microasgi.files.reading import Loaded
from microasgi.types import RawHeaders

__all__ = ["Entry", "Key", "Memory"]

Key: TypeAlias = tuple[str, tuple[str, ...]]
"""The path below the mount, and the codings that the client wants."""
_LIFETIME: Final = 5.0  # seconds, until a file that now comes before this one is found
_OVERHEAD: Final = 2048  # bytes of an entry besides its body, roughly


class Entry(NamedTuple):
    """A file's bytes with the headers of the whole."""

    loaded: Loaded
    body: bytes
    headers: RawHeaders
    sized_headers: RawHeaders
    watched: tuple[tuple[str, Identity], ...]
    expires: float


class Memory:
    """Entries by path and codings, the oldest given up first."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._entries: dict[Key, Entry] = {}
        self._used = 0
        self._lock = Lock()

    def get(self, key: Key) -> Entry | None:
        """Return the entry if its file is as it was."""
        entry = self._entries.get(key)
        if entry is None or monotonic() > entry.expires:
            return None
        try:
            for path, identity in entry.watched:
                if identity_of(os.stat(path)) != identity:
                    return None
        except OSError:
            return None
        return entry

    def put(
        self,
        key: Key,
        loaded: Loaded,
        headers: RawHeaders,
        sized_headers: RawHeaders,
        watched: tuple[tuple[str, Identity], ...],
    ) -> None:
        """Keep a file that was read, if it fits."""
        body = loaded.body
        if body is None or len(body) + _OVERHEAD > self._budget:
            return
        with self._lock:
            self._drop(key)
            self._entries[key] = Entry(loaded, body, headers, sized_headers, watched, monotonic() + _LIFETIME)
            self._used += len(body) + _OVERHEAD
            while self._used > self._budget:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._used -= len(entry.body) + _OVERHEAD
