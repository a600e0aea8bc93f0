"""Real servers as processes: started on a free port, asked until they listen, ended by their own pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

__all__ = ["SERVERS", "Running", "Server"]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 20.0  # seconds for a start or an end; nothing ever waits so long


@dataclass(frozen=True)
class Server:
    """How a server is called: its package and the arguments, with {port} and {app} in them."""

    name: str
    package: str
    arguments: tuple[str, ...]
    root_path: str
    has_lifespan: bool = True

    @property
    def installed(self) -> bool:
        """Whether it is there to be started."""
        return find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """The installed version."""
        return version(self.package)

    def command(self, app: str, port: int, *, root_path: str = "") -> list[str]:
        """Return the process's command line."""
        arguments = [*self.arguments, *((self.root_path,) if root_path else ())]
        return [sys.executable, "-m", *(one.format(app=app, port=port, root=root_path) for one in arguments)]


SERVERS = [
    Server(
        "uvicorn",
        "uvicorn",
        ("uvicorn", "{app}", "--port={port}", "--loop=uvloop", "--http=httptools", "--ws=websockets-sansio"),
        "--root-path={root}",
    ),
    Server(
        "uvicorn-h11",
        "uvicorn",
        ("uvicorn", "{app}", "--port={port}", "--loop=asyncio", "--http=h11", "--ws=wsproto"),
        "--root-path={root}",
    ),
    Server("hypercorn", "hypercorn", ("hypercorn", "{app}", "--bind=127.0.0.1:{port}"), "--root-path={root}"),
    Server(
        "granian",
        "granian",
        ("granian", "{app}", "--interface=asgi", "--port={port}"),
        "--url-path-prefix={root}",
    ),
    Server("daphne", "daphne", ("daphne", "--port={port}", "{app}"), "--root-path={root}", has_lifespan=False),
]


class Running:
    """One server process; `log` is everything it has written."""

    def __init__(
        self,
        server: Server,
        directory: Path,
        *,
        app: str = "tests.conformance.served:app",
        root_path: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.server = server
        self.port = _free_port()
        self._read = 0
        self._log = directory / f"{server.name}-{self.port}.log"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                server.command(app, self.port, root_path=root_path),
                cwd=ROOT,
                env={
                    **os.environ,
                    **(environment or {}),
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONASYNCIODEBUG": "",
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """What the server has written so far."""
        return self._log.read_text(errors="replace")

    def read_log(self) -> str:
        """Return what has been written since the last call."""
        new = self.log[self._read :]
        self._read += len(new)
        return new

    def wait_until_listening(self) -> None:
        """Wait until the port takes connections; RuntimeError with the log if the process ends before that."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.server.name} ended with {self.process.returncode}:\n{self.log}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"{self.server.name} does not listen after {PATIENCE:g} seconds:\n{self.log}")

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """Wait for the process to end by itself and return its exit status; None if it does not."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def terminate(self, seconds: float = PATIENCE) -> int | None:
        """Send SIGTERM and return the exit status; None if the process goes on."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds)

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process.poll() is None and self.terminate(2.0) is None:
            self.process.kill()
            self.process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
