"""The recipes of docs/durable-work.md do what they say: its very snippets, a real Redis, the engines' own workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from microasgi.testing import TestClient

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "durable-work.md").read_text(encoding="utf-8")
SNIPPET = re.compile(r"^```python\n# (?P<engine>\w+): (?P<name>\w+\.py)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
WORKERS = {
    "taskiq": ["-m", "taskiq", "worker", "work:broker", "--workers", "1"],
    "saq": ["-m", "saq", "work.settings"],
    "django": ["-m", "django", "db_worker", "--interval", "0.1", "--no-startup-delay"],
}
SETTINGS = """
SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "project.sqlite3"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Path:
    """Return an empty folder; programs that run there find an empty Redis."""
    redis = pytest.importorskip("redis")
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return tmp_path


def write_programs(engine: str, folder: Path) -> None:
    """Write what the page shows for an engine."""
    found = [match for match in SNIPPET.finditer(PAGE) if match["engine"] == engine]
    assert found, f"the page has no programs for {engine}"
    for match in found:
        extra = SETTINGS if match["name"] == "settings.py" else ""
        (folder / match["name"]).write_text(extra + match["code"], encoding="utf-8")


@contextmanager
def imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Serve the folder's app.py in this process."""
    monkeypatch.syspath_prepend(str(folder))
    for name in ("app", "work"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    try:
        with TestClient(import_module("app").app) as client:
            yield client
    finally:
        for name in ("app", "work"):
            sys.modules.pop(name, None)


@contextmanager
def worker(engine: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the engine's worker as the page says."""
    with (folder / "worker.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, *WORKERS[engine]], cwd=folder, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_progress(client: TestClient, url: str) -> list[int]:
    """Read the events of a task until it is done."""
    seen: list[int] = []
    with client.stream("GET", url) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:])["percent"])
            if seen[-1:] == [100]:
                return seen
    raise AssertionError(f"the stream ended after {seen}")


def wait_for_result(client: TestClient, url: str, log: Callable[[], str]) -> Any:
    wait_for(lambda: client.get(url).status_code != 404, log)
    return client.get(url).json()


def wait_for(condition: Callable[[], bool], log: Callable[[], str] = str) -> None:
    for _ in range(300):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"this has not come: {log()}")


def follow(client: TestClient, engine: str, folder: Path) -> None:
    """Enqueue, let a worker begin only then, and see the progress and the result; late visitors see it too."""
    client.timeout = 30
    answer = client.post("/films/loom")
    assert answer.status_code == 202
    place = f"/films/{answer.json()['id']}"
    assert client.get(place).status_code == 404
    with worker(engine, folder):
        assert read_progress(client, f"{place}/events") == [25, 50, 75, 100]
        log = folder / "worker.log"
        assert wait_for_result(client, place, log.read_text) == {"film": "loom.webm"}
    assert read_progress(client, f"{place}/events") == [25, 50, 75, 100]


@pytest.mark.parametrize("engine", ["taskiq", "saq"])
def test_a_queue_is_joined_and_its_progress_is_seen(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("taskiq_redis" if engine == "taskiq" else "saq")
    write_programs(engine, folder)
    with imported(folder, monkeypatch) as client:
        follow(client, engine, folder)


def test_what_a_dead_worker_of_taskiq_had_begun_is_done_when_the_next_task_comes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("taskiq_redis")
    write_programs("taskiq", folder)
    program = (folder / "work.py").read_text(encoding="utf-8")
    program = program.replace("Broker(REDIS)", "Broker(REDIS, idle_timeout=500)")
    (folder / "work.py").write_text(program.replace("    for percent", f"{DEATH}    for percent"), encoding="utf-8")
    with imported(folder, monkeypatch) as client, worker("taskiq", folder):
        client.timeout = 30
        place = f"/films/{client.post('/films/bomb').json()['id']}"
        wait_for(lambda: (folder / "died").exists())
        time.sleep(1)
        assert client.get(place).status_code == 404
        client.post("/films/other")
        assert wait_for_result(client, place, (folder / "worker.log").read_text) == {"film": "bomb.webm"}


DEATH = """    if name == "bomb" and not os.path.exists("died"):
        open("died", "w").close()
        os._exit(9)
"""


def test_a_task_of_django_is_seen_from_an_application_beside_the_site(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own: this one may have another Django project."""
    pytest.importorskip("django")
    if find_spec("django.tasks") is None:
        pytest.skip("django.tasks came with Django 6.0, and this is an older one")
    pytest.importorskip("django_tasks_db")
    write_programs("django", folder)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "settings")
    for command in (["-m", "django", "migrate", "--verbosity", "0"], ["-W", "error", "-c", DRIVER]):
        result = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr


DRIVER = """
from asgi import application
from pathlib import Path
from microasgi.testing import TestClient
from tests.realtime.test_durable_work import follow
with TestClient(application) as client:
    follow(client, "django", Path.cwd())
"""


def test_the_page_shows_the_same_handlers_for_all_engines() -> None:
    assert {match["engine"] for match in SNIPPET.finditer(PAGE)} == set(WORKERS)
