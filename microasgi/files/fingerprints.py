"""Fingerprints: names of files with a hash of their content in them, "css/site.3f9a0c51b7de.css", made as asked for.

The law of this file: a hash is made once for each state of a file, told by its time of change and its size, however
many ask at once; and names that anyone can make up do not make this process read large files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from threading import Lock
from typing import Final, TypeAlias

from microasgi.files.reading import OpenFile

__all__ = [
    "ON_REQUEST",
    "Identity",
    "fingerprint",
    "identity_of",
    "is_fingerprint",
    "with_fingerprint",
    "without_fingerprint",
]

Identity: TypeAlias = tuple[int, int, int, int, int]
"""What changes when a path leads to another file, or the file to other bytes."""
_LENGTH: Final = 12  # hexadecimal digits: 48 bits tell the versions of one file apart
_DIGITS: Final = frozenset("0123456789abcdef")
ON_REQUEST: Final = 4 * 1024 * 1024
"""A file of up to so many bytes is hashed when a request names a hash, once; a larger one is for `fingerprint`."""
_PIECE: Final = 1024 * 1024
_made: dict[tuple[str, Identity], str] = {}
_MOST: Final = 10_000
_in_work: dict[tuple[str, Identity], Lock] = {}


def identity_of(status: os.stat_result) -> Identity:
    """Return what tells this state of this file from any other."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev, status.st_ctime_ns


def fingerprint(path: str, status: os.stat_result) -> str:
    """Return the hash of the file's content; `status` is its present one. It blocks when the file is new."""
    key = path, identity_of(status)
    found = _made.get(key)
    if found is not None:
        return found
    with _in_work.setdefault(key, Lock()):  # a thread's lock: those who ask may be of several event loops, or of none
        try:
            return _made.get(key) or _make(key)
        finally:
            _in_work.pop(key, None)


def is_fingerprint(mark: str, path: str, status: os.stat_result) -> bool:
    """Tell whether this is the hash of the file's content; False for a large file whose hash was never made here.

    A large one would keep a worker thread busy for long, and all that ask with it; its hash is made for its name.
    """
    if status.st_size > ON_REQUEST and (path, identity_of(status)) not in _made:
        return False
    return fingerprint(path, status) == mark


def _make(key: tuple[str, Identity]) -> str:
    path, (_, size, *_) = key
    digest, offset = sha256(), 0
    file = OpenFile(path)
    try:
        # Up to its size, as it may be a log that grows for ever.
        while offset < size and (piece := file.read(offset, min(_PIECE, size - offset))):
            digest.update(piece)
            offset += len(piece)
    finally:
        file.close()
    if len(_made) >= _MOST:
        _made.clear()
    made = _made[key] = digest.hexdigest()[:_LENGTH]
    return made


def with_fingerprint(name: str, mark: str) -> str:
    """Return the file name with the hash before its last suffix."""
    stem, suffix = os.path.splitext(name)
    return f"{stem}.{mark}{suffix}"


def without_fingerprint(name: str) -> Iterator[tuple[str, str]]:
    """Iterate over what a name with a hash may stand for: the plain name and the hash."""
    head, _, last = name.rpartition(".")
    stem, _, mark = head.rpartition(".")
    if stem and _is_mark(mark):
        yield f"{stem}.{last}", mark
    if head and _is_mark(last):
        yield head, last


def _is_mark(text: str) -> bool:
    return len(text) == _LENGTH and _DIGITS.issuperset(text)
