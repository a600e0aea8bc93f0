"""The event loop of the sync client: one thread, started when it is first needed, gone when the client is.

Law: whoever forgets to close leaves no thread behind; the collector and the end of the process stop it too.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import AbstractContextManager
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

__all__ = ["LoopThread"]


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, backend: str, backend_options: dict[str, Any] | None) -> None:
        self._backend = backend
        self._backend_options = backend_options
        self._portal: BlockingPortal | None = None
        self._lock = threading.Lock()
        self._finalizer: weakref.finalize[..., LoopThread] | None = None

    @property
    def portal(self) -> BlockingPortal:
        """The way into the loop, which is started if it does not run."""
        with self._lock:
            if self._portal is None:
                context = start_blocking_portal(self._backend, self._backend_options)
                self._portal = context.__enter__()
                thread = self._portal.call(threading.get_ident)
                self._finalizer = weakref.finalize(self, _stop, context, self._portal, thread)
            return self._portal

    def stop(self) -> None:
        """Cancel what still runs, end the loop and its thread. The next use starts another."""
        self._portal = None
        if self._finalizer is not None:
            self._finalizer()


def _stop(context: AbstractContextManager[BlockingPortal], portal: BlockingPortal, thread: int) -> None:
    if threading.get_ident() == thread:
        # The collector may run in the loop's own thread, which cannot wait for its own end.
        threading.Thread(target=_stop, args=(context, portal, 0)).start()
        return
    portal.call(portal.stop, True)
    context.__exit__(None, None, None)
