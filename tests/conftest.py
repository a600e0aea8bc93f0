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
LONGEST_STEP = 1.0


class _StepTimer(trio.abc.Instrument):
    """Collects the steps of trio tasks that kept the loop longer than LONGEST_STEP seconds."""

    def __init__(self) -> None:
        self.started = 0.0
        self.slow: list[str] = []

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.started = time.monotonic()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        taken = time.monotonic() - self.started
        if taken > LONGEST_STEP:
            self.slow.append(f"{task.name} took {taken:.3f} seconds")


class _SlowCallbacks(logging.Handler):
    """Collects what asyncio's debug mode reports about callbacks longer than LONGEST_STEP seconds."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.slow: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == "Executing %s took %.3f seconds":
            self.slow.append(record.getMessage())


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
    slow = (_asyncio_callbacks.slow, _trio_steps.slow)
    for found in slow:
        found.clear()
    logger = logging.getLogger("asyncio")
    logger.addHandler(_asyncio_callbacks)
    yield
    logger.removeHandler(_asyncio_callbacks)
    blocked = [entry for found in slow for entry in found]
    if blocked:
        pytest.fail("the event loop was blocked: " + "; ".join(blocked), pytrace=False)


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
