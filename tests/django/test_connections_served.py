"""Connections on a real server with PostgreSQL: bounded, kept or closed as CONN_MAX_AGE says, replaced when broken."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conformance.servers import ROOT, SERVERS, Running
from tests.postgres_server import Postgres, postgres

__all__ = ["postgres"]

pytestmark = pytest.mark.server
PATIENCE = 20.0
MOST = 8 + 4  # the default of MICROASGI's THREADS and LANES
uvicorn = next(server for server in SERVERS if server.name == "uvicorn")


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> Iterator[Postgres]:
    """PostgreSQL with the project's tables and some rows."""
    code = (
        "from tests.django.loaded import Note\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', 'auth', verbosity=0)\n"
        "call_command('migrate', run_syncdb=True, verbosity=0)\n"
        "Note.objects.bulk_create([Note(text=str(number)) for number in range(40)])\n"
    )
    settings = "tests.django.project.settings"
    own = {**os.environ, "PROJECT_POSTGRES": postgres.setting, "DJANGO_SETTINGS_MODULE": settings}
    subprocess.run([sys.executable, "-c", code], check=True, env=own, cwd=ROOT)
    yield postgres
    execute(postgres, "drop schema public cascade; create schema public")


def execute(server: Postgres, query: str) -> int:
    import psycopg

    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres") as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
    return int(row[0]) if row else 0


def open_connections(server: Postgres) -> int:
    query = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    return execute(server, query)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def serving(server: Postgres, folder: Path, age: str) -> Iterator[tuple[httpx.Client, Running]]:
    own = {"PROJECT_POSTGRES": server.setting, "PROJECT_CONN_MAX_AGE": age}
    running = Running(uvicorn, folder, app="tests.django.connected:app", environment=own)
    try:
        running.wait_until_listening()
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=PATIENCE) as client:
            yield client, running
    finally:
        running.stop()


def burst(client: httpx.Client) -> set[int]:
    paths = (["/sync"] * 9 + ["/async"] * 8) * 5
    with ThreadPoolExecutor(len(paths)) as threads:
        return {answer.status_code for answer in threads.map(client.get, paths)}


@pytest.mark.parametrize("age", ["0", "600", "None"])
def test_connections_are_bounded_and_kept_only_as_conn_max_age_says(tables: Postgres, tmp_path: Path, age: str) -> None:
    with serving(tables, tmp_path, age) as (client, running):
        for _ in range(3):
            assert burst(client) == {200}, running.log
            assert open_connections(tables) <= MOST
        if age == "0":
            until(lambda: open_connections(tables) == 0)
        else:
            assert 0 < open_connections(tables) <= MOST
        assert running.terminate() in (0, -15), running.log
    until(lambda: open_connections(tables) == 0)


def test_a_restarted_database_is_found_again_by_lanes_that_are_never_idle(tables: Postgres, tmp_path: Path) -> None:
    with serving(tables, tmp_path, "None") as (client, running):
        assert burst(client) == {200}, running.log
        with ThreadPoolExecutor(12) as threads:
            stop: list[bool] = []

            def busy(path: str) -> None:
                while not stop:
                    client.get(path)

            loads = [threads.submit(busy, path) for path in ["/async"] * 8 + ["/sync"] * 4]
            tables.restart()
            try:
                until(lambda: all(client.get(path).status_code == 200 for path in ("/async", "/sync") * 10))
            finally:
                stop.append(True)
            for each in loads:
                each.result(PATIENCE)
