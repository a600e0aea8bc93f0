"""The guard of conftest.py itself: a test that blocks the event loop fails, one that merely takes long does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BLOCKING = """
import time
import anyio
import pytest

@pytest.mark.anyio
async def test_blocks():
    async def block():
        time.sleep(2.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(block)
"""

WAITING = """
import time
import anyio
import pytest

@pytest.mark.anyio
async def test_waits():
    await anyio.sleep(0.6)
    await anyio.to_thread.run_sync(time.sleep, 0.6)
"""


def run(folder: Path, source: str) -> str:
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False).stdout


@pytest.mark.slow
def test_blocking_the_loop_fails_a_test_on_either_backend(tmp_path: Path) -> None:
    output = run(tmp_path, BLOCKING)
    assert "the event loop was blocked" in output
    assert "2 passed, 2 errors" in output


@pytest.mark.slow
def test_taking_long_without_blocking_passes(tmp_path: Path) -> None:
    assert "2 passed" in run(tmp_path, WAITING)
