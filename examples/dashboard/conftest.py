"""What the tests share: free ports, real servers, a real browser, a real Redis."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.redis_server import redis_url

__all__ = ["redis_url"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(*command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python program of this folder; at the end ask it to stop, if it has not yet."""
    whole = {**os.environ, **environment}
    with subprocess.Popen([sys.executable, *command], cwd=Path(__file__).parent, env=whole) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=20)


@contextmanager
def serving(port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the application with uvicorn, once it answers."""
    with running("-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning", **environment) as process:
        for _ in range(200):
            assert process.poll() is None, "uvicorn has stopped"
            try:
                urlopen(f"http://127.0.0.1:{port}").close()
            except OSError:
                time.sleep(0.05)
            else:
                break
        yield process


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run this test: there is no Chromium on this machine")
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
