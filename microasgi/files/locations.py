"""Locations: from the path of a URL to a file below one of the directories, and to nothing else.

The law of this file: a path is taken apart once, every part of it must be a plain name, and where the file really is
must be inside of the directory, unless links may lead out.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Final, NamedTuple, TypeAlias

from microasgi.exceptions import ConfigurationError

__all__ = ["Directories", "Directory", "Found", "Package", "find", "find_package", "is_plain_name", "segments_of"]

Directory: TypeAlias = str | os.PathLike[str]
Package: TypeAlias = str | tuple[str, str]
Directories: TypeAlias = Directory | Sequence[Directory]

# Control characters, both kinds of separators; what Windows takes for a drive, a stream or a wildcard.
_unsafe = re.compile(r"[\x00-\x1f\x7f/\\]").search
_unsafe_on_windows = re.compile(r'[:*?"<>|]').search
_devices: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in "123456789¹²³"}
)


class Found(NamedTuple):
    """A file or a directory: its path as named, where it really is, and its status."""

    path: str
    real: str
    status: os.stat_result
    root: str

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file."""
        return stat.S_ISREG(self.status.st_mode)


def is_plain_name(name: str, dotfiles: frozenset[str] = frozenset(), *, windows: bool = os.name == "nt") -> bool:
    """Tell whether a part of a path names an entry of a directory, the same one on every system.

    Not one: the empty name, dot names but for those in `dotfiles`, separators of any system, control characters, a
    drive letter, and a dot or space at the end, which Windows would take off.
    """
    if not name or name[-1] in ". " or name[1:2] == ":" or _unsafe(name):
        return False
    if name[0] == "." and name not in dotfiles:
        return False
    return not windows or not (_unsafe_on_windows(name) or name.partition(".")[0].rstrip().lower() in _devices)


def segments_of(path: str, dotfiles: frozenset[str]) -> list[str] | None:
    """Return the names in a path below the mount, "/css/site.css"; None where no file can have it.

    The path of a directory ends in an empty name, as it does in a slash. The mount itself has no names.
    """
    segments = path.removeprefix("/").split("/") if path else []
    names = segments[:-1] if path.endswith("/") else segments
    return segments if all(is_plain_name(name, dotfiles) for name in names) else None


def find(root: str, names: Iterable[str], dotfiles: frozenset[str], *, follow: bool) -> Found | None:
    """Return what is there under these plain names; None if nothing is, or a link leads out. It blocks."""
    path = os.path.join(root, *names)
    try:
        status = os.stat(path)
        real = os.path.realpath(path) if follow else _real_inside(root, path, dotfiles)
    except (OSError, ValueError):  # too long, not encodable, a loop of links, not allowed
        return None
    return None if real is None else Found(path, real, status, root)


def _real_inside(root: str, path: str, dotfiles: frozenset[str]) -> str | None:
    real_root, real = os.path.realpath(root, strict=True), os.path.realpath(path, strict=True)
    if real == real_root:
        return real
    inside = real_root.rstrip(os.sep) + os.sep
    if not real.startswith(inside):
        return None
    # A link may not make visible what its target's name hides.
    hidden = any(name[0] == "." and name not in dotfiles for name in real[len(inside) :].split(os.sep))
    return None if hidden else real


def find_package(package: Package) -> str:
    """Return the directory of a package's files: "statics" in it, or the folder that is named with it."""
    name, folder = (package, "statics") if isinstance(package, str) else package
    try:
        spec = find_spec(name)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(f"StaticFiles: the package {name!r} cannot be imported: {error}") from error
    if spec is None or not spec.has_location or spec.origin is None:
        raise ConfigurationError(f"StaticFiles: there is no package {name!r}, or it has no files on disk")
    path = os.path.normpath(os.path.join(os.path.dirname(spec.origin), folder))
    if not os.path.isdir(path):
        raise ConfigurationError(
            f'StaticFiles: the package {name!r} has no directory {folder!r} ({path}); write ("{name}", "<folder>")'
        )
    return path
