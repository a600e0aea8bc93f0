"""What the tests share: the site set up with a database of its own, real servers, a real browser, a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_server import postgres

__all__ = ["postgres"]

django = pytest.importorskip("django", reason="needs Django: pip install 'microasgi[django]'")
FOLDER = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]

os.environ["DJANGO_SETTINGS_MODULE"] = "saleroom.settings"
django.setup()  # the tests import models


@pytest.fixture(scope="session", autouse=True)
def django_site() -> Iterator[None]:
    """Do what `manage.py test` does around the tests."""
    from django.test.utils import (
        setup_databases,
        setup_test_environment,
        teardown_databases,
        teardown_test_environment,
    )

    setup_test_environment(debug=False)
    databases = setup_databases(verbosity=0, interactive=False)
    yield
    teardown_databases(databases, verbosity=0)
    teardown_test_environment()


@dataclass
class Served:
    """The site on a real server."""

    url: str
    is_postgres: bool


@contextmanager
def serving(database: str) -> Iterator[Served]:
    """Make the demo in a database, and serve it with uvicorn once it listens."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        listener.close()
        whole = {**os.environ, "DATABASE_URL": database.format(folder=folder), "REVALIDATE_EVERY": "2"}
        subprocess.run(
            [sys.executable, "manage.py", "demo"], cwd=FOLDER, env=whole, check=True, stdout=subprocess.DEVNULL
        )
        log = Path(folder, "server.log")
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=FOLDER, env=whole, stdout=output, stderr=output)
        try:
            wait_until_listening(process, port, log)
            yield Served(f"http://127.0.0.1:{port}", database.startswith("postgres"))
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) in {0, -signal.SIGTERM}
        if "Traceback" in log.read_text():
            pytest.fail(log.read_text(), pytrace=False)


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(400):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


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
