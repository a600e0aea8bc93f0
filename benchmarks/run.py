"""The in-process benchmark: every target in its own process, all alive, a batch each in turn.

Law: only ratios carry over. Each round gives each target one batch, so that a slow moment of the machine
falls on all; a ratio is taken to the raw callable in the same round, and the median over rounds is reported.
"""

import argparse
import json
import platform
import select
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from cases import CASES, Case

HERE = Path(__file__).parent
TARGETS = (
    "raw", "microasgi_hand", "microasgi", "blacksheep", "falcon", "muffin", "starlette", "litestar", "fastapi", "sanic",
    "quart", "django", "django_ninja",
)  # fmt: skip
PATIENCE = 300.0


class Worker:
    """A target's process and the talk with it."""

    def __init__(self, target: str, options: argparse.Namespace) -> None:
        self.command = [sys.executable, str(HERE / "worker.py"), target, *(["--cpu"] if options.cpu else [])]
        self.errors, self.used = None if options.verbose else subprocess.DEVNULL, False
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self.greeting = self.reply()

    def prepare(self, case: Case, milliseconds: float) -> dict[str, Any]:
        """Make the target ready for a case, in a fresh process if it needs one for each or the last one is gone."""
        if self.used and (self.greeting.get("fresh") or self.process.poll() is not None):
            self.close()
            self.start()
        self.used = True
        return self.ask(do="prepare", case=case.name, milliseconds=milliseconds)

    def ask(self, **order: Any) -> dict[str, Any]:
        try:
            print(json.dumps(order), file=self.process.stdin, flush=True)
        except OSError:
            return {"wrong": "the process ended"}
        return self.reply()

    def reply(self) -> dict[str, Any]:
        """The next answer; a worker that is silent for minutes is ended and reported."""
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            return {"wrong": f"no answer in {PATIENCE:.0f} s"}
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"wrong": "the process ended"}

    def close(self) -> None:
        """End the process: it leaves when its input closes, and is killed when it does not."""
        try:
            self.process.communicate(timeout=10)
        except (subprocess.TimeoutExpired, ValueError):
            self.process.kill()


def start_workers(targets: list[str], options: argparse.Namespace) -> tuple[dict[str, Worker], dict[str, str]]:
    """Start all; give those that are ready and, by name, why the others are not."""
    ready, missing = {}, {}
    for target in targets:
        worker = Worker(target, options)
        if "ready" in worker.greeting:
            ready[target] = worker
        else:
            missing[target] = worker.greeting.get("skip") or worker.greeting["wrong"]
            worker.close()
    return ready, missing


def measure(case: Case, workers: dict[str, Worker], rounds: int, milliseconds: float) -> dict[str, Any]:
    """One row: for each target its times, or why there are none."""
    row = {target: worker.prepare(case, milliseconds) for target, worker in workers.items()}
    live = [target for target, reply in row.items() if "count" in reply]
    times: dict[str, list[float]] = {target: [] for target in live}
    for turn in range(min(rounds, case.rounds)):
        for target in live if turn % 2 == 0 else live[::-1]:
            times[target].append(workers[target].ask(do="run").get("us", float("nan")))
    for target in live:
        ratios = [mine / raw for mine, raw in zip(times[target], times.get("raw", ()), strict=False)]
        row[target] |= {"least_us": min(times[target]), "median_us": median(times[target])}
        row[target]["ratio"] = median(ratios) if ratios else None
    return row


def duration(microseconds: float) -> str:
    """Three figures at most: `0.88`, `15.1`, `809`, `36 ms`."""
    if microseconds >= 10_000:
        return f"{microseconds / 1000:.0f} ms"
    return f"{microseconds:.2f}" if microseconds < 10 else f"{microseconds:.1f}" if microseconds < 100 else (
        f"{microseconds:.0f}"
    )  # fmt: skip


def cell(entry: dict[str, Any] | None) -> str:
    if entry is None or "least_us" not in entry:
        return "wrong" if entry and "wrong" in entry else "–"
    ratio = f" ({entry['ratio']:.2f})" if entry["ratio"] not in (None, 1.0) else ""
    return duration(entry["least_us"]) + ratio


def table(results: dict[str, Any], targets: list[str]) -> str:
    """The markdown table: least batch mean in us, in brackets the median ratio to raw; the goal last.

    A target without a figure in any of the cases has no column.
    """
    targets = [target for target in targets if any("least_us" in row.get(target, {}) for row in results.values())]
    lines = ["| case | " + " | ".join(targets) + " | goal |", "|---" * (len(targets) + 2) + "|"]
    for name, row in results.items():
        goal = CASES[name].goal
        cells = " | ".join(cell(row.get(target)) for target in targets)
        lines.append(f"| {CASES[name].title} | {cells} | {f'≤ {goal}' if goal else ''} |")
    return "\n".join(lines)


def notes(results: dict[str, Any]) -> list[str]:
    """One line for every target that answered wrong or says why it was skipped."""
    found = []
    for name, row in results.items():
        for target, entry in row.items():
            if "wrong" in entry:
                found.append(f"- {name}, {target}: answered wrong, not timed: {entry['wrong']}")
            elif entry.get("skip", "not offered") != "not offered" and not CASES[name].only:
                found.append(f"- {name}, {target}: {entry['skip']}")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="five rounds of short batches")
    parser.add_argument("--cpu", action="store_true", help="count processor time, for a machine that is busy")
    parser.add_argument("--verbose", action="store_true", help="show what the targets print")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    rounds, milliseconds = (5, 15.0) if options.quick else (options.rounds, 45.0)
    targets = [target for target in TARGETS if target in {"raw", *options.targets}]
    workers, missing = start_workers(targets, options)
    results = {}
    try:
        for name in options.cases:
            results[name] = measure(CASES[name], workers, rounds, milliseconds)
            shown = "  ".join(f"{target} {cell(entry)}" for target, entry in results[name].items())
            print(f"{name}: {shown}", file=sys.stderr, flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    about = f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}, {rounds} rounds"
    listed = [target for target in targets if target not in missing]
    clock = ", processor time" if options.cpu else ""
    print(f"{about}{clock}; least batch mean in us (median ratio to raw)\n\n{table(results, listed)}\n")
    print("\n".join([f"- {target}: {reason}" for target, reason in missing.items()] + notes(results)))
    if options.json:
        content = {"about": about, "missing": missing, "cases": results}
        options.json.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
