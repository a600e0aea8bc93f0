"""Play everything on every server and print what came of it as a Markdown table: python -m tests.conformance.table"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.differences import DIFFERENCES, expected_of, unfixed_reason
from tests.conformance.lives import LIVES
from tests.conformance.script import judge
from tests.conformance.servers import SERVERS, Running, Server
from tests.conformance.trial import exchanges_for, try_exchange

__all__ = ["main"]

Outcome = tuple[str, list[str]]


def _outcomes(server: Server, directory: Path) -> Iterator[Outcome]:
    """Yield the name of every exchange with what was not as expected."""
    for root_path in ("", "/pre"):
        running = Running(server, directory, root_path=root_path)
        try:
            running.wait_until_listening()
            for exchange in exchanges_for(root_path):
                yield exchange.name, try_exchange(running, exchange)
        finally:
            running.stop()
    for name, (live, seen) in LIVES.items():
        yield name, judge(expected_of(server.name, name, seen), live(server, directory))


def _row(server: Server, outcomes: list[Outcome]) -> str:
    known = len(DIFFERENCES.get(server.name, {}))
    failed = [name for name, faults in outcomes if faults]
    unfixed = sum(bool(unfixed_reason(server.name, name)) for name in failed)
    total = len(outcomes)
    passed = f"{total - len(failed) - known} of {total}"
    return f"| {server.name} | {server.version} | {passed} | {known} | {unfixed} | {len(failed) - unfixed} |"


def _differences(server: Server) -> list[str]:
    """Return a line for each reason, with what is seen because of it."""
    by_reason: dict[str, list[str]] = {}
    for name, (instead, reason) in DIFFERENCES.get(server.name, {}).items():
        facts = ", ".join(f"{fact} {value!r}" for fact, value in instead.items())
        by_reason.setdefault(reason, []).append(f"{name} ({facts})")
    return [f"- {server.name} {reason}: {'; '.join(names)}" for reason, names in by_reason.items()]


def _failures(server: Server, outcomes: list[Outcome]) -> list[str]:
    lines: list[str] = []
    for name, faults in outcomes:
        if faults:
            reason = unfixed_reason(server.name, name)
            lines.append(f"- {server.name}, {name}: {reason or '; '.join(faults):.500}")
    return lines


def main() -> None:
    """Print the table, then the differences and their reasons."""
    rows, differences, failures = list[str](), list[str](), list[str]()
    with tempfile.TemporaryDirectory() as directory:
        for server in SERVERS:
            if not server.installed:
                rows.append(f"| {server.name} | not installed | | | | |")
                continue
            outcomes = list(_outcomes(server, Path(directory)))
            rows.append(_row(server, outcomes))
            differences += _differences(server)
            failures += _failures(server, outcomes)
    print("| server | version | as specified | known differences | not fixed yet | failed |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))
    print("\nKnown differences:\n")
    print("\n".join(differences))
    if failures:
        print("\nNot fixed yet, or failed:\n")
        print("\n".join(failures))


if __name__ == "__main__":
    main()
