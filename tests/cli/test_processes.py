"""`microasgi run` and `dev` for real: processes, signals, files that change under them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

pytestmark = [pytest.mark.server, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0  # seconds; nothing takes so long

SITE = """import sys
import time

from microasgi import MicroASGI, Request

app = MicroASGI()


@app.lifespan
async def life():
    print("starting", flush=True)
    yield
    print("stopped", flush=True)


@app.get("/")
async def home(request: Request) -> str:
    return "hello"


@app.get("/slow")
def slow(request: Request) -> str:
    print("slow", flush=True)
    time.sleep(1)
    return "done"


@app.get("/broken")
async def broken(request: Request) -> str:
    raise ValueError("the inside")
"""


class Running:
    """A command that runs in a folder, and what it has printed so far."""

    def __init__(self, folder: Path, arguments: tuple[str, ...]) -> None:
        self.log = folder / "log.txt"
        command = [sys.executable, "-P", "-m", "microasgi.cli", *arguments]  # as the script is
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)

    @property
    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.text.count(text) >= times, lambda: f"{text!r} is not in\n{self.text}")

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def until(is_true: Callable[[], bool], complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)


def get(port: int, path: str = "/") -> str:
    """Return a page's text, as soon as somebody answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
                return answer.read().decode()
        except HTTPError as error:
            return f"{error.code} {error.read().decode()}"
        except (URLError, ConnectionError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a command; it is ended with the test."""
    (tmp_path / "app.py").write_text(SITE)
    started: list[Running] = []

    def begin(*arguments: str) -> Running:
        started.append(Running(tmp_path, arguments))
        return started[-1]

    yield begin
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def test_run_serves_until_a_signal_and_lets_requests_finish(start: Any, free_port: int) -> None:
    running = start("run", "--port", str(free_port))
    assert get(free_port) == "hello"
    assert get(free_port, "/broken") == "500 Internal Server Error"
    with subprocess.Popen(
        [sys.executable, "-c", f"from urllib.request import urlopen; print(urlopen('http://127.0.0.1:{free_port}/slow').read())"],
        stdout=subprocess.PIPE,
        text=True,
    ) as client:  # fmt: skip
        running.wait_for("slow")
        running.end()
        assert client.communicate(timeout=PATIENCE)[0] == "b'done'\n"
    assert running.text.count("starting") == running.text.count("stopped") == 1
    assert "GET /" not in running.text  # the access log is off


def test_run_with_workers_serves(start: Any, free_port: int) -> None:
    running = start("run", "--port", str(free_port), "--workers", "2", "--access-log")
    running.wait_for("starting", 2)
    assert get(free_port) == "hello"
    running.end()
    assert running.text.count("stopped") == 2


def test_run_serves_on_a_unix_socket(start: Any, tmp_path: Path) -> None:
    running = start("run", "--uds", "web.sock")
    until((tmp_path / "web.sock").exists, lambda: running.text)
    running.wait_for("running on")
    second = Running(tmp_path, ("run", "--uds", "web.sock"))
    assert second.process.wait(PATIENCE) == 2
    assert "a server listens on web.sock already" in second.text


def test_a_port_in_use_ends_before_the_start_up_runs(start: Any, free_port: int, tmp_path: Path) -> None:
    running = start("run", "--port", str(free_port))
    assert get(free_port) == "hello"
    for command in ("run", "dev"):
        second = Running(tmp_path, (command, "--port", str(free_port)))
        assert second.process.wait(PATIENCE) == 2
        assert f"microasgi: port {free_port} is in use by process {running.process.pid} (" in second.text
        assert "starting" not in second.text


def test_dev_shows_tracebacks_and_starts_again_after_changes(start: Any, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    running = start("dev", "--port", str(free_port))
    assert get(free_port) == "hello"
    assert "ValueError: the inside" in get(free_port, "/broken")
    running.wait_for(f"microasgi: app:app, 3 routes, on http://127.0.0.1:{free_port} (Ctrl-C stops it)")

    (tmp_path / "app.py").write_text(SITE.replace("hello", "changed"))
    running.wait_for("microasgi: app.py changed: starting again")
    until(lambda: get(free_port) == "changed", lambda: running.text)
    running.wait_for("stopped")  # the old one, well

    (tmp_path / "templates" / "home.html").write_text("")
    running.wait_for("home.html changed: starting again")
    running.wait_for("startup complete", 3)
    running.end(signal.SIGINT)
    assert running.text.count("starting\n") == running.text.count("stopped") == 3


def test_dev_waits_for_a_mistake_to_be_corrected(start: Any, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("x = (\n")
    running = start("dev", "--port", str(free_port))
    running.wait_for("microasgi: app.py:1: SyntaxError: '(' was never closed\n    x = (\n")
    running.wait_for("microasgi: waiting for a change")
    page = get(free_port, "/any")
    assert page.startswith(
        "503 app.py:1: SyntaxError: '(' was never closed\n    x = (\n\nmicroasgi dev waits for a change"
    )
    assert running.process.poll() is None
    (tmp_path / "app.py").write_text(SITE)
    until(lambda: get(free_port) == "hello", lambda: running.text)
    assert running.end() == 0


def test_dev_answers_for_an_application_that_does_not_start(start: Any, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(SITE.replace("    yield\n", "    raise OSError('no database')\n    yield\n"))
    running = start("dev", "--port", str(free_port))
    assert get(free_port).startswith("503 The application did not start: its error is in the terminal.")
    assert "no database" in running.text
    (tmp_path / "app.py").write_text(SITE)
    until(lambda: get(free_port) == "hello", lambda: running.text)
    assert running.end() == 0


def test_run_ends_with_3_where_the_start_up_fails_and_by_the_signal_that_ends_it(
    start: Any, free_port: int, tmp_path: Path
) -> None:
    running = start("run", "--port", str(free_port))
    assert get(free_port) == "hello"
    assert running.end() == -signal.SIGTERM  # 143 to a shell
    (tmp_path / "app.py").write_text(SITE.replace("    yield\n", "    raise OSError('no database')\n    yield\n"))
    assert start("run", "--port", str(free_port)).process.wait(PATIENCE) == 3


def test_dev_takes_no_file_of_the_folder_for_a_module_of_python(start: Any, free_port: int, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not the json of Python')")
    start("dev", "--port", str(free_port))
    assert get(free_port) == "hello"


def test_the_application_ends_with_a_dev_that_was_killed(start: Any, free_port: int) -> None:
    running = start("dev", "--port", str(free_port))
    assert get(free_port) == "hello"
    running.process.kill()
    running.wait_for("stopped")


def test_dev_ends_well_while_a_page_is_being_made(start: Any, free_port: int) -> None:
    running = start("dev", "--port", str(free_port))
    assert get(free_port, "/slow") == "done"
    assert running.end() == 0
    assert "Traceback" not in running.text
