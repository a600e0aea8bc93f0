"""Watching: which changes of which files restart the application. The one place that imports watchfiles."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from microasgi.exceptions import MissingPackage

__all__ = ["changes_in", "is_watched", "require_watcher"]

# What an application reads at its start, or keeps once it has read it. Not what it may write itself.
_SUFFIXES = frozenset((".py", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".css", ".js", ".mjs"))
_PAUSE = 250  # milliseconds between two looks at the process


def require_watcher() -> Any:
    """Return watchfiles; MissingPackage with the line that installs it."""
    try:
        import watchfiles
    except ImportError:
        raise MissingPackage("watchfiles", "cli", "to see changes of files") from None
    return watchfiles


def is_watched(path: str) -> bool:
    """Tell whether a change of this file matters: Python, templates, styles and scripts."""
    return Path(path).suffix.lower() in _SUFFIXES


def changes_in(folders: Sequence[Path], stop: threading.Event) -> Iterator[list[str]]:
    """Yield the files that were changed, again and again, and an empty list where there was none for a while."""
    watchfiles = require_watcher()
    not_ignored = watchfiles.DefaultFilter()  # without caches, virtual environments and the like

    def matters(change: Any, path: str) -> bool:
        return is_watched(path) and bool(not_ignored(change, path))

    watched = watchfiles.watch(
        *folders,
        watch_filter=matters,
        debounce=200,
        rust_timeout=_PAUSE,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
    )
    for changes in watched:
        yield sorted({path for _, path in changes})
