"""Where the bytes of an upload lie: in memory while they are few, then in a temporary file; and its name there.

Law: whatever touches the disk is a method that says so, made to be called in a worker thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from io import BytesIO
from threading import Lock
from typing import BinaryIO, Final, Protocol

__all__ = ["Spool", "close_all", "make_safe_filename"]

# One thread hop and one write for each; smaller batches cost time, larger ones memory.
_BATCH: Final = 1024 * 1024

_LONGEST_NAME: Final = 200
_DEVICE: Final = r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)"


class Spool:
    """Collect bytes; above `keep` of them they go to a temporary file, a batch at a time."""

    __slots__ = ("_buffer", "_closed", "_keep", "_lock", "file", "size")

    def __init__(self, keep: int) -> None:
        self.file: BinaryIO | None = None
        self.size = 0
        self._buffer = bytearray()
        self._keep = keep
        # A task may be cancelled while its worker thread still writes: `close` has to wait for that.
        self._lock = Lock()
        self._closed = False

    @property
    def on_disk(self) -> bool:
        """Whether there is a temporary file, or one is being made."""
        return self.size > self._keep

    def add(self, data: bytes) -> bool:
        """Take more bytes, and tell whether it is time to `flush`."""
        self._buffer += data
        self.size += len(data)
        return len(self._buffer) >= _BATCH if self.file else self.size > self._keep

    def flush(self) -> None:
        """Write to the temporary file what has been collected (blocks)."""
        from tempfile import TemporaryFile

        with self._lock:
            if self._closed:
                return
            if self.file is None:
                self.file = TemporaryFile()  # noqa: SIM115 - closed by `close` or by whoever took it
            self.file.write(self._buffer)
            self._buffer = bytearray()

    def finish(self) -> BinaryIO:
        """Return the file, at its start (blocks once there is a temporary file)."""
        if self.file is None:
            self.file = BytesIO(self._buffer)
            self._buffer = bytearray()
            return self.file
        self.flush()
        self.file.seek(0)
        return self.file

    def close(self) -> None:
        """Give up what has been collected (blocks once there is a temporary file)."""
        with self._lock:
            self._closed = True
            self._buffer = bytearray()
            if self.file is not None:
                self.file.close()


class _Closable(Protocol):
    def close(self) -> None: ...


def close_all(files: Iterable[_Closable]) -> None:
    """Close every one, whatever the others raise (blocks when one of them is on a disk)."""
    with ExitStack() as stack:
        for file in files:
            stack.callback(file.close)


def make_safe_filename(name: str) -> str:
    """Turn what a client called its file into a name that is safe to create in a directory, on any system.

    No path, no device, no hidden file, no control or format character; at most 200 bytes of UTF-8; `"file"` when
    nothing is left.
    """
    import unicodedata

    name = re.split(r"[/\\]", name)[-1]
    name = "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    name = re.sub(r'[<>:"|?*]', "_", name).strip(" .")
    if len(name.encode()) > _LONGEST_NAME:
        stem, dot, suffix = name.rpartition(".")
        if not dot or len(suffix.encode()) > 20:
            stem, dot, suffix = name, "", ""
        room = _LONGEST_NAME - len((dot + suffix).encode())
        name = stem.encode()[:room].decode(errors="ignore").rstrip(" .") + dot + suffix
    if re.match(_DEVICE, name, re.IGNORECASE):
        name = f"_{name}"
    return name or "file"
