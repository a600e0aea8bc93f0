"""The same work in a Django project, asked for in turn: a Django view, Django Ninja, microasgi beside and inside.

Law: one server process has them all, in every round each is asked for the same short time, and is compared with the
plain Django view of the same kind in the same round.
"""

import argparse
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from django_latency import Figures, ask
from wire import ENVIRONMENT, pinned

WAYS = ("django", "ninja", "inside", "beside")
KINDS = ("sync", "async")


def start(port: int, database: str, age: int) -> subprocess.Popen[bytes]:
    """Start uvicorn with the project on the first core."""
    environment = {**ENVIRONMENT, "BENCHMARK_DATABASE": database, "BENCHMARK_CONN_MAX_AGE": str(age)}
    code = "import django_project; django_project.make_database()"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    command = [sys.executable, "-m", "uvicorn", "django_project:application", "--port", str(port)]
    quiet = ["--no-access-log", "--log-level", "error"]
    return subprocess.Popen([*command, *quiet], env=environment, preexec_fn=pinned(0))


def wait_for(port: int) -> None:
    """Wait until every way gives the right answer."""
    deadline = time.monotonic() + 30
    while True:
        try:
            for way in WAYS:
                for kind in KINDS:
                    check(port, way, kind)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def check(port: int, way: str, kind: str) -> None:
    """Raise RuntimeError unless this way gives the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", f"/{way}/{kind}/7")
    response = connection.getresponse()
    body = response.read()
    connection.close()
    if response.status != 200 or json.loads(body) != {"id": 7, "name": "group 7"}:
        raise RuntimeError(f"/{way}/{kind}/7: {response.status} {body[:200]!r}")


def row(kind: str, rounds: dict[tuple[str, str], list[Figures]]) -> str:
    """One line of the table."""
    cells = []
    base = rounds["django", kind]
    for way in WAYS:
        mine = rounds[way, kind]
        rate = median(one.rate for one in mine)
        ratio = median(one.rate / other.rate for one, other in zip(mine, base, strict=True))
        cpu = median(one.cpu for one in mine)
        latency = median(one.latency for one in mine)
        cells.append(f"{rate:,.0f} /s ({ratio:.2f}), {cpu:,.0f} us CPU, {latency:,.0f} us")
    return f"| {kind} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="for each way in each round")
    parser.add_argument("--conn-max-age", type=int, default=0)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed (https://github.com/wg/wrk): nothing can be measured over the wire")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    rounds: dict[tuple[str, str], list[Figures]] = {(way, kind): [] for way in WAYS for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        process = start(port, str(Path(folder) / os.urandom(4).hex()), options.conn_max_age)
        try:
            wait_for(port)
            for turn in range(options.rounds):
                for way, kind in list(rounds)[:: 1 if turn % 2 == 0 else -1]:
                    figures = ask(process.pid, f"http://127.0.0.1:{port}/{way}/{kind}/7", options.seconds)
                    rounds[way, kind].append(figures)
        finally:
            process.terminate()
            process.wait(10)
    print(
        "requests/s with 16 connections (ratio to Django's view), server CPU a request, latency with one connection\n"
    )
    print("| endpoint | " + " | ".join(WAYS) + " |\n" + "|---" * (len(WAYS) + 1) + "|")
    for kind in KINDS:
        print(row(kind, rounds))


if __name__ == "__main__":
    main()
