"""The page "Add it to a Django project" is a program: its files and commands make a live site and a green test."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "django.md").read_text(encoding="utf-8")
JOURNEY, REST = PAGE.split("## Three ways to mount")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?:# |<!-- )(\S+\.(?:py|html))(.*)")

pytestmark = [pytest.mark.server, pytest.mark.slow]


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder: Path, command: list[str]) -> str:
    result = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout + result.stderr


def write(folder: Path, text: str) -> None:
    """Write a file of the page, which its first line names; one "at the end" is added to what is there."""
    first, _, body = text.partition("\n")
    found = NAMED.match(first)
    assert found, f"which file is this? {first}"
    file = folder / found[1]
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.read_text() if "at the end" in found[2] else ""
    file.write_text(before + body)


@dataclass
class Journey:
    """The project that the page has made, with what its commands have printed, and the port it is served on."""

    folder: Path
    printed: dict[str, str]
    port: int

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as response:
            return str(response.read().decode())

    def post(self, path: str, value: object) -> object:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", json.dumps(value).encode())
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.loads(response.read())


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """What is left when somebody has done as the page says."""
    folder = tmp_path_factory.mktemp("journey")
    printed: dict[str, str] = {}
    server: list[str] = []
    for language, text in FENCE.findall(JOURNEY):
        if language != "sh":
            write(folder, text)
            continue
        for line in text.splitlines():
            program, *arguments = shlex.split(line)
            if program == "pip":
                continue  # it is installed
            if arguments[-1:] == ["run"]:
                server = arguments
                continue
            command = arguments if program == "python" else ["-m", "django", *arguments]
            assert program in ("python", "django-admin"), line
            printed[line] = run(folder, command)
    assert server, "the page serves its project"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    command = [sys.executable, *server, f"--port={port}", "--noreload"]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=log)
    try:
        wait_until_listening(process, port, folder / "server.log")
        yield Journey(folder, printed, port)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, -signal.SIGTERM)
    assert "Traceback" not in (folder / "server.log").read_text()


def wait_until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def test_the_pages_test_is_green(journey: Journey) -> None:
    printed = journey.printed["python manage.py test"]
    assert "Ran 1 test" in printed
    assert "OK" in printed
    assert "no issues" in printed


def test_the_page_is_live(journey: Journey) -> None:
    client = pytest.importorskip("websockets.sync.client")
    page = journey.get("/")
    assert 'fetch("/api/notes")' in page
    assert '{location.origin.replace("http", "ws")}/api/live' in page
    with client.connect(f"ws://127.0.0.1:{journey.port}/api/live", open_timeout=10) as ws:
        assert journey.post("/api/notes", {"text": "tea"}) == {"id": 1}
        assert json.loads(ws.recv(10)) == "tea"
    assert json.loads(journey.get("/api/notes")) == ["tea"]


def test_the_admin_and_its_static_files_are_there(journey: Journey) -> None:
    assert "Django administration" in journey.get("/admin/login/")
    assert "DJANGO" in journey.get("/static/admin/css/base.css")


def test_the_routes_are_listed(journey: Journey) -> None:
    printed = run(journey.folder, ["manage.py", "microasgi", "routes"])
    assert [line.split()[:2] for line in printed.splitlines()] == [
        ["GET", "/api/notes"],
        ["POST", "/api/notes"],
        ["WS", "/api/live"],
    ]


ALL_SNIPPETS = """
import json, os, pathlib
import django

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
for text in json.loads(pathlib.Path("snippets.json").read_text()):
    exec(compile(text, text, "exec"), {"__name__": "snippet"})
"""


def test_every_other_snippet_of_the_pages_runs_in_the_project(journey: Journey) -> None:
    for name in ("api", "live"):
        write(journey.folder, f"# shop/{name}.py\nfrom microasgi import MicroASGI\n\napp = other = MicroASGI()\n")
    deploying = (ROOT / "docs" / "django-deploying.md").read_text(encoding="utf-8")
    snippets = [text for language, text in FENCE.findall(REST + deploying) if language == "python"]
    (journey.folder / "snippets.json").write_text(json.dumps(snippets))
    (journey.folder / "snippets.py").write_text(ALL_SNIPPETS)
    run(journey.folder, ["snippets.py"])
