"""How a process is asked to stop: the signals, and what a worker without signals can see of its parent's wish.

The law of this file: a signal is held for a while, never lost. The server's own handler hears it when it is released,
or at once when another one comes a second later: somebody is impatient.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, cast

__all__ = ["StopSignals", "asked_by_parent"]

_NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)
# A terminal sends SIGINT to a whole group of processes, whose parent then sends its workers SIGTERM: that is one wish.
_IMPATIENCE: Final = 1.0


class StopSignals:
    """SIGTERM and SIGINT, heard before the handlers that were there; in the main thread only, as Python has it.

    `notice` is called inside the signal handler. If it raises RuntimeError, nobody is there to drain anything. `asked`
    tells whether the server knows without a signal that it has to stop.
    """

    def __init__(self, notice: Callable[[], object], asked: Callable[[], bool] | None = None) -> None:
        self._notice = notice
        self._asked = asked or (lambda: False)
        self._before: dict[int, Any] = {}
        self._held: int | None = None
        self._since = 0.0
        self._released = False

    def install(self) -> None:
        """Listen from now on. What is ignored, or handled outside of Python, stays as it is."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _NUMBERS:
            before = signal.getsignal(number)
            if before is not None and before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._hear)

    def release(self, *, at_end: bool = False) -> None:
        """Put the handlers back that were there, and let them hear the signal that was held; then do nothing more."""
        by_parent = self._asked()
        if self._released or (by_parent and not at_end):  # a worker's parent may insist, while the lifespan is left
            return
        self._released = True
        held = None if by_parent else self._held
        mine = {number for number in self._before if signal.getsignal(number) == self._hear}
        for number in mine:
            signal.signal(number, self._before[number])
        if held is None or _heard_by_loop(self._before[held]):
            return
        if held in mine:
            signal.raise_signal(held)  # not a call: a loop's handler expects the wake-up that comes with a signal
        else:
            self._pass_on(held, None)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._released:  # somebody has put a handler over this one, and calls it
            self._pass_on(number, frame)
            return
        if self._held is not None:
            if time.monotonic() - self._since >= _IMPATIENCE:
                self.release(at_end=True)
            return
        self._held, self._since = number, time.monotonic()
        try:
            self._notice()
        except RuntimeError:  # the loop is closed
            self.release(at_end=True)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        before = self._before[number]
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            signal.raise_signal(number)


def _heard_by_loop(handler: object) -> bool:
    """Tell whether asyncio's `add_signal_handler` stands there: its loop hears every signal by itself."""
    return getattr(handler, "__module__", None) == "asyncio.unix_events"


def asked_by_parent() -> Callable[[], bool] | None:
    """Return what tells whether this worker's parent wants it to stop; None where signals say so.

    Hypercorn's parent sends its workers no signal but sets an event that it has handed them when they were started.
    """
    processes = sys.modules.get("multiprocessing.process")
    if processes is None or "hypercorn" not in sys.modules:
        return None
    arguments = getattr(processes.current_process(), "_kwargs", {})
    return cast("Callable[[], bool] | None", getattr(arguments.get("shutdown_event"), "is_set", None))
