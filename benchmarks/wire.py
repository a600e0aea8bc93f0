"""Over the wire: wrk against uvicorn and granian on the loopback, server on one core, wrk on another.

Law: in every round each target is asked in turn, for the same short time, and is compared with the raw callable
on the same server in the same round. Every server is checked with one request first and ended by its own process.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from cases import CASES, JSON, Case
from run import TARGETS

HERE = Path(__file__).parent
ROWS = ("plaintext", "path_query", "json_echo", "static_400", "parameter_400", "pair", "file_small", "file_large")
SERVERS = {
    "uvicorn": ["uvicorn", "serve:app", "--loop", "uvloop", "--http", "httptools", "--no-access-log",
                "--log-level", "error", "--app-dir", str(HERE)],
    "granian": ["granian", "serve:app", "--interface", "asgi", "--loop", "uvloop", "--workers", "1",
                "--runtime-threads", "1", "--no-log"],
}  # fmt: skip
SERVERS["granian-no-pathsend"] = SERVERS["granian"]  # the application is not told that the server can do it
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}


def pinned(core: int) -> Any:
    """For `preexec_fn`: keep the new process on one core, where the platform can."""
    return (lambda: os.sched_setaffinity(0, {core})) if hasattr(os, "sched_setaffinity") else None


class Server:
    """One server process with one application."""

    def __init__(self, server: str, target: str, case: Case) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.target, self.case = target, case
        self.process = subprocess.Popen(
            [sys.executable, "-m", *SERVERS[server], "--host", "127.0.0.1", "--port", str(self.port)],
            env={
                **ENVIRONMENT,
                "BENCHMARK_TARGET": target,
                "BENCHMARK_CASE": case.name,
                "BENCHMARK_SERVER": server,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=pinned(0),
        )

    def wait(self, seconds: float = 30) -> str | None:
        """Wait until it answers; what is wrong with the answer, or None."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return "the server ended"
            try:
                return self.check()
            except OSError:
                time.sleep(0.1)
        return f"no answer in {seconds:.0f} s"

    def check(self) -> str | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        headers = {"content-type": self.case.content_type.decode()} if self.case.content_type else {}
        connection.request(self.case.method, url(self.case), self.case.body or None, headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        got = json.loads(body) if self.case.answer_type == JSON and response.status == 200 else body.decode()
        return None if (response.status, got) == (200, self.case.answer) else f"{response.status} {body[:100]!r}"

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def url(case: Case) -> str:
    return case.path + (f"?{case.query.decode()}" if case.query else "")


def processor_ticks(root: int) -> int:
    """The processor time that a process and its descendants have used, in clock ticks (Linux)."""
    found: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    family, grown = {root}, 0
    while grown != len(family):
        grown = len(family)
        family |= {number for number, (parent, _) in found.items() if parent in family}
    return sum(found[number][1] for number in family if number in found)


def load(server: Server, script: str, seconds: int, *, cpu: bool = False) -> float:
    """Requests per second that wrk gets, or for a second of its processor time; 0 when answers were no success."""
    before = processor_ticks(server.process.pid) if cpu else 0
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{server.port}{url(server.case)}"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 20, preexec_fn=pinned(1), check=True
    )
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if "Non-2xx" in done.stdout or found is None:
        return 0.0
    total = re.search(r"(\d+) requests in", done.stdout)
    if not cpu or total is None:
        return float(found[1])
    return int(total[1]) / max(1, processor_ticks(server.process.pid) - before) * os.sysconf("SC_CLK_TCK")


def lua(case: Case) -> str:
    """What wrk is to send, as the script that it reads."""
    lines = [f'wrk.method = "{case.method}"', 'wrk.headers["accept"] = "*/*"']
    if case.body:
        lines.append(f"wrk.body = [==[{case.body.decode()}]==]")
        lines.append(f'wrk.headers["content-type"] = "{case.content_type.decode()}"')
    return "\n".join(lines)


def measure(
    name: str, case: Case, targets: list[str], rounds: int, seconds: int, *, cpu: bool = False
) -> dict[str, Any]:
    """One row: for each target the median requests per second and the median ratio to raw, or what is wrong."""
    servers = [Server(name, target, case) for target in targets]
    row: dict[str, Any] = {}
    try:
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(lua(case))
            script.flush()
            for server in servers:
                wrong = server.wait()
                row[server.target] = {"wrong": wrong} if wrong else {"rps": []}
            live = [server for server in servers if "rps" in row[server.target]]
            for turn in range(rounds):
                for server in live if turn % 2 == 0 else live[::-1]:
                    row[server.target]["rps"].append(load(server, script.name, seconds, cpu=cpu))
    finally:
        for server in servers:
            server.stop()
    raw = row["raw"].get("rps")
    for entry in row.values():
        if "rps" in entry:
            entry["ratio"] = median(mine / base for mine, base in zip(entry["rps"], raw, strict=True)) if raw else None
    return row


def cell(entry: dict[str, Any], target: str) -> str:
    if "rps" not in entry:
        return "–"
    return f"{median(entry['rps']):,.0f} /s" if target == "raw" else f"{entry['ratio']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", nargs="+", choices=list(SERVERS), default=["uvicorn", "granian"], metavar="SERVER")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, metavar="TARGET",
                        default=["microasgi", "blacksheep", "falcon", "starlette", "fastapi"])  # fmt: skip
    parser.add_argument("--cases", nargs="+", choices=ROWS, default=list(ROWS), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="for each target in each round")
    parser.add_argument("--cpu", action="store_true", help="per second of the server's processor time (Linux)")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed (https://github.com/wg/wrk): nothing can be measured over the wire")
    targets = [target for target in TARGETS if target in {"raw", *options.targets}]
    print("requests per second as a ratio to raw on the same server in the same round\n")
    print("| server, case | " + " | ".join(targets) + " |\n" + "|---" * (len(targets) + 1) + "|")
    results: dict[str, Any] = {}
    for server in options.servers:
        for name in options.cases:
            row = measure(server, CASES[name], targets, options.rounds, options.seconds, cpu=options.cpu)
            results[f"{server} {name}"] = row
            print(
                f"| {server}, {CASES[name].title} | " + " | ".join(cell(row[t], t) for t in targets) + " |", flush=True
            )
            for target in targets:
                if "wrong" in row[target]:
                    print(f"{server} {name}, {target}: {row[target]['wrong']}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
