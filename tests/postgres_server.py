"""A real PostgreSQL for tests: a cluster of its own on a free loopback port, without fsync, ended by its own pid.

In a conftest: `from tests.postgres_server import postgres`, with the name in its `__all__`. The server refuses to run
as root; then it runs as the user `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Postgres", "postgres", "running_postgres"]

PATIENCE = 30.0  # seconds for a start or an end; nothing ever waits so long


@dataclass
class Postgres:
    """A server that runs: database and user are `postgres`, without a password."""

    binaries: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def setting(self) -> str:
        """Return PROJECT_POSTGRES of tests/django/project/settings.py: host, port, name and user."""
        return f"127.0.0.1 {self.port} postgres postgres"

    def start(self) -> None:
        """Start it and wait until it answers; RuntimeError with its log if it does not."""
        command = [str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        for setting in ("listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}", "fsync=off"):
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, user=_user())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL does not run:\n{(self.folder / 'log').read_text(errors='replace')}")

    def stop(self) -> None:
        """End it; connections that are open are cut."""
        if self.process is None:
            return
        self.process.send_signal(2)  # "fast" shutdown
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def restart(self) -> None:
        """Cut all connections and come back on the same port."""
        self.stop()
        self.start()

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(
                host="127.0.0.1", port=self.port, user="postgres", dbname="postgres", connect_timeout=2
            ).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Return a PostgreSQL that runs for this test run; leave no table of yours in it."""
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'psycopg[binary]'")
    found = _binaries()
    if found is None:
        _missing("no initdb and postgres on this machine (Debian: apt-get install postgresql)")
    with running_postgres(found) as server:
        yield server


@contextmanager
def running_postgres(binaries: Path | None = None) -> Iterator[Postgres]:
    """Make a cluster in a temporary folder, run it, and throw it away."""
    binaries = binaries or _binaries()
    if binaries is None:
        raise RuntimeError("no initdb and postgres on this machine")
    folder = Path(tempfile.mkdtemp(prefix="microasgi-postgres-"))
    if _user() is not None:
        os.chown(folder, pwd.getpwnam(str(_user())).pw_uid, -1)
    try:
        make = [str(binaries / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "-N"]
        subprocess.run([*make, "-E", "UTF8"], check=True, capture_output=True, user=_user(), timeout=120)
        server = Postgres(binaries, folder, _free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    """Debian keeps them out of PATH."""
    candidates = [Path(found).parent for found in [shutil.which("initdb")] if found]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    return None


def _user() -> str | None:
    """Return as whom it runs: None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {reason}", pytrace=False)
    pytest.skip(reason)
