"""The event loop of the sync client: one thread, started when it is first needed, gone when the client is.

Law: whoever forgets to close leaves no thread behind; the collector and the end of the process stop it too.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context
from typing import Any, TypeAlias, TypeVarTuple

import anyio
from anyio.from_thread import BlockingPortal

__all__ = ["LoopThread", "Wait"]

Ts = TypeVarTuple("Ts")
Wait: TypeAlias = Callable[["Future[Any]"], Any]
"""How a thread waits for what it has asked of the loop: it returns the result, and may do other things until then."""


def _only_wait(future: Future[Any]) -> Any:
    return future.result()


class LoopThread:
    """An event loop in a thread of its own; `wait` is what its callers do meanwhile (default: nothing)."""

    def __init__(self, backend: str, backend_options: dict[str, Any] | None, wait: Wait = _only_wait) -> None:
        self._backend = backend
        self._backend_options = backend_options
        self._wait = wait
        self._portal: BlockingPortal | None = None
        self._lock = threading.Lock()
        self._finalizer: weakref.finalize[..., LoopThread] | None = None

    @property
    def portal(self) -> BlockingPortal:
        """The way into the loop, which is started if it does not run."""
        with self._lock:
            if self._portal is None:
                ready, ended = Future[BlockingPortal](), Future[None]()
                arguments = (_run, self._backend, self._backend_options, self._wait, ready, ended)
                thread = threading.Thread(target=Context().run, args=arguments, name="portal", daemon=True)
                thread.start()
                self._portal = ready.result()
                self._finalizer = weakref.finalize(self, _stop, self._portal, self._wait, ended, thread)
            return self._portal

    def stop(self) -> None:
        """Cancel what still runs, end the loop and its thread. The next use starts another."""
        self._portal = None
        if self._finalizer is not None:
            self._finalizer()


class _Portal(BlockingPortal):
    def __init__(self, wait: Wait) -> None:
        super().__init__()
        self._wait = wait

    def call(self, func: Callable[[*Ts], Any], *args: *Ts) -> Any:
        return self._wait(self.start_task_soon(func, *args))


def _run(
    backend: str,
    backend_options: dict[str, Any] | None,
    wait: Wait,
    ready: Future[BlockingPortal],
    ended: Future[None],
) -> None:
    """Run the loop: the body of its thread."""

    async def serve() -> None:
        async with _Portal(wait) as portal:
            ready.set_result(portal)
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve, backend=backend, backend_options=backend_options)
    except BaseException as error:
        (ended if ready.done() else ready).set_exception(error)
    else:
        ended.set_result(None)


def _stop(portal: BlockingPortal, wait: Wait, ended: Future[None], thread: threading.Thread) -> None:
    if threading.current_thread() is thread:
        # The collector may run in the loop's own thread, which cannot wait for its own end.
        threading.Thread(target=_stop, args=(portal, wait, ended, thread)).start()
        return
    portal.call(portal.stop, True)
    wait(ended)
    thread.join()
