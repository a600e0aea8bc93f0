"""Database connections under load: 45 sync endpoints and 40 requests with the async ORM at once, again and again.

Run: `python -m benchmarks.django_connections [--seconds 60] [--bare]`. For each database (sqlite, and PostgreSQL where
it is installed) and each CONN_MAX_AGE it prints how many connections were open at most, how many right after the last
answer, and how many three seconds later. `--bare` adds the same application without Django's threads.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conformance.servers import SERVERS, Running
from tests.postgres_server import Postgres, running_postgres

AGES = ("0", "600", "None")
SYNC, ASYNC = 45, 40
ROWS = 40


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each row is")
    parser.add_argument("--bare", action="store_true", help="also without Django's threads")
    options = parser.parse_args()
    apps = ["app", "bare"] if options.bare else ["app"]
    print("| database | CONN_MAX_AGE | threads | requests/s | failed | open at most | right after | 3 s later |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with databases() as found:
        for name, environment, count in found:
            for age in AGES:
                for app in apps:
                    print(measure(name, environment, count, age, app, options.seconds), flush=True)


@contextmanager
def databases() -> Generator[list[tuple[str, dict[str, str], Callable[[int], int]]]]:
    """Give name, environment and counter of each database on this machine, with tables and rows in it."""
    with tempfile.TemporaryDirectory(prefix="microasgi-connections-") as folder:
        path = str(Path(folder) / "rows.sqlite3")
        found: list[tuple[str, dict[str, str], Callable[[int], int]]] = [
            ("sqlite", {"PROJECT_DATABASE": path}, lambda pid: open_files(pid, path))
        ]
        try:
            running = running_postgres()
            server = running.__enter__()
        except RuntimeError as error:
            print(error, file=sys.stderr)
            fill(found)
            yield found
            return
        try:
            found.append(("PostgreSQL", {"PROJECT_POSTGRES": server.setting}, lambda _: backends(server)))
            fill(found)
            yield found
        finally:
            running.__exit__(None, None, None)


def fill(found: list[tuple[str, dict[str, str], Callable[[int], int]]]) -> None:
    """Make the tables and some rows."""
    code = (
        "from tests.django.loaded import Note\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', 'auth', verbosity=0)\n"  # PostgreSQL wants what a row refers to first
        "call_command('migrate', run_syncdb=True, verbosity=0)\n"
        f"Note.objects.bulk_create([Note(text=str(number)) for number in range({ROWS})])\n"
    )
    for _, environment, _ in found:
        own = {**os.environ, **environment, "DJANGO_SETTINGS_MODULE": "tests.django.project.settings"}
        subprocess.run([sys.executable, "-c", code], check=True, env=own)


def open_files(pid: int, path: str) -> int:
    """Count the process's open files of that name (Linux)."""
    found = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += os.readlink(each) == path
        except OSError:
            pass
    return found


def backends(server: Postgres) -> int:
    """Count the server's connections, without this one."""
    import psycopg

    query = "select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
    with psycopg.connect(host="127.0.0.1", port=server.port, user="postgres", dbname="postgres") as connection:
        row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def measure(
    name: str, environment: dict[str, str], count: Callable[[int], int], age: str, app: str, seconds: float
) -> str:
    """Run one server under load and return a row of the table."""
    uvicorn = next(server for server in SERVERS if server.name == "uvicorn")
    own = {**environment, "PROJECT_CONN_MAX_AGE": age}
    with tempfile.TemporaryDirectory() as folder:
        server = Running(uvicorn, Path(folder), app=f"tests.django.connected:{app}", environment=own)
        try:
            server.wait_until_listening()
            done, failed, highest = asyncio.run(load(server.port, seconds, lambda: count(server.process.pid)))
            after = count(server.process.pid)
            time.sleep(3)
            later = count(server.process.pid)
        finally:
            server.stop()
    threads = {"app": "Django's", "bare": "anyio's"}[app]
    figures = [f"{done / seconds:.0f}", failed, highest, after, later]
    return "| " + " | ".join([name, age, threads, *map(str, figures)]) + " |"


async def load(port: int, seconds: float, count: Callable[[], int]) -> tuple[int, int, int]:
    """Ask for that long; return answers, failures and the most connections that were seen."""
    deadline = time.monotonic() + seconds
    done = failed = highest = 0

    async def ask(path: str) -> None:
        nonlocal done, failed
        while time.monotonic() < deadline:
            try:
                answer = await client.get(path)
            except httpx.HTTPError as error:
                print(f"{path}: {error!r}", file=sys.stderr)
                failed += 1
                continue
            done += 1
            failed += answer.status_code != 200

    async def watch() -> None:
        nonlocal highest
        while time.monotonic() < deadline:
            highest = max(highest, await asyncio.to_thread(count))
            await asyncio.sleep(0.25)

    # The server ends idle connections after five seconds, and a client that does so then meets it half-way.
    limits = httpx.Limits(max_connections=SYNC + ASYNC, keepalive_expiry=1)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60) as client:
        paths = ["/sync"] * SYNC + ["/async"] * ASYNC
        await asyncio.gather(watch(), *(ask(path) for path in paths))
    return done, failed, highest


if __name__ == "__main__":
    main()
