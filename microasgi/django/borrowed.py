"""What a thread has to say to be one of anyio's, which anyio does for its own threads alone.

Law: these names are anyio's own (4.4 to 4.16 have them). Where they are gone, `anyio.from_thread` wants its `token` in
Django's threads, and nothing else is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, cast

import anyio

__all__ = ["anyio_thread"]


def _find() -> Any:
    try:
        module: Any = import_module("anyio._core._eventloop")
    except ImportError:
        return None
    return module if all(hasattr(module, name) for name in _NAMES) else None


_NAMES: Final = ("claim_worker_thread", "get_async_backend", "threadlocals")
_anyio: Final[Any] = _find()


@contextmanager
def anyio_thread(loop: asyncio.AbstractEventLoop, scope: anyio.CancelScope) -> Generator[None]:
    """Let `anyio.from_thread` in this thread find the event loop, and be cancelled with the scope."""
    if _anyio is None:
        yield
        return
    mine = cast("dict[str, Any]", vars(_anyio.threadlocals))
    outer = dict(mine)
    try:
        with _anyio.claim_worker_thread(_anyio.get_async_backend("asyncio"), loop):
            mine["current_cancel_scope"] = scope
            yield
    finally:
        mine.clear()
        mine.update(outer)
