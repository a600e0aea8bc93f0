"""What every test shares: the two event loops, the guard against blocking them, and what a machine may lack."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio

# Far above what a busy machine does to an innocent test, far below what a forgotten blocking call takes.
LONGEST_STEP = 2.0


def _time_in_queue() -> float:
    """Return for how many seconds this thread could have run, and the machine ran others (Linux)."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


class _Steps:
    """The steps of the event loop that took too long in one test, whatever the machine did besides."""

    def __init__(self) -> None:
        self.slow: list[str] = []
        self._queued = 0.0

    def begin(self) -> None:
        self.slow.clear()
        self._queued = _time_in_queue()

    def note(self, name: str, taken: float) -> None:
        if taken > LONGEST_STEP and taken - (_time_in_queue() - self._queued) > LONGEST_STEP:
            self.slow.append(f"{name} took {taken:.3f} seconds")


_steps = _Steps()


class _StepTimer(trio.abc.Instrument):
    """Collects the steps of trio tasks that kept the loop longer than LONGEST_STEP seconds."""

    def __init__(self) -> None:
        self.started = 0.0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.started = time.monotonic()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        _steps.note(task.name, time.monotonic() - self.started)


class _SlowCallbacks(logging.Filter):
    """Collects what asyncio's debug mode reports about callbacks longer than LONGEST_STEP seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != "Executing %s took %.3f seconds" or not isinstance(record.args, tuple):
            return True
        name, taken = record.args
        _steps.note(str(name), float(str(taken)))
        return False  # a test that reads the log is about something else


_trio_steps = _StepTimer()
_asyncio_callbacks = _SlowCallbacks()


def _new_asyncio_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.slow_callback_duration = LONGEST_STEP
    return loop


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("asyncio", {"debug": True, "loop_factory": _new_asyncio_loop}), id="asyncio"),
        pytest.param(("trio", {"instruments": [_trio_steps]}), id="trio"),
    ],
)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Run the test on asyncio, then on trio."""
    return request.param


@pytest.fixture(autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """Fail a test in which one step kept the event loop for more than LONGEST_STEP seconds."""
    _steps.begin()
    logger = logging.getLogger("asyncio")
    logger.addFilter(_asyncio_callbacks)
    yield
    logger.removeFilter(_asyncio_callbacks)
    if _steps.slow:
        pytest.fail("the event loop was blocked: " + "; ".join(_steps.slow), pytrace=False)


@pytest.fixture
def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def find_chromium() -> str | None:
    """Return the path of the machine's Chromium or Chrome, None when it has none."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture
def chromium() -> str:
    """Return the path of the machine's Chromium."""
    path = find_chromium()
    if path is None:
        _missing("no Chromium on this machine (Debian: apt-get install chromium)")
    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out tests in a browser where there is none; on CI, where they must run, fail them."""
    if item.get_closest_marker("browser") and find_chromium() is None:
        _missing("no Chromium on this machine (Debian: apt-get install chromium)")


def _missing(reason: str) -> Any:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {reason}", pytrace=False)
    pytest.skip(reason)
