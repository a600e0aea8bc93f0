"""`check`: what is legal but wrong. Each finding says where, what, and the cure; a comment waves one through.

A rule is a function in the table of a `rules_*` module, with a code of its own.
"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import NamedTuple

from microasgi.cli import rules_files, rules_handlers, rules_middleware, rules_routes
from microasgi.cli.complaints import count, show_path
from microasgi.cli.inspection import Finding, Inspection, Rule
from microasgi.cli.loading import load
from microasgi.cli.sources import is_ignored
from microasgi.cli.targets import find_target

__all__ = ["RULES", "Coded", "check", "find_all"]

RULES: list[Rule] = sorted(
    [*rules_routes.RULES, *rules_middleware.RULES, *rules_handlers.RULES, *rules_files.RULES],
    key=lambda rule: rule.code,
)


class Coded(NamedTuple):
    """A finding with the code of its rule."""

    code: str
    finding: Finding

    def __str__(self) -> str:
        place, what, cure = self.finding
        return f"{show_path(place.file)}:{place.line}: {self.code} {what}\n    {cure}"

    def as_dict(self) -> dict[str, str | int]:
        """Return it as plain data."""
        place, what, cure = self.finding
        return {"file": show_path(place.file), "line": place.line, "code": self.code, "what": what, "cure": cure}


def check(arguments: Namespace) -> int:
    """Run the command: print the findings; 1 if there are any."""
    if arguments.rules:
        print("\n".join(f"{rule.code}  {rule.title}{' (--deploy)' if rule.deploy else ''}" for rule in RULES))
        return 0
    loaded = load(find_target(arguments.app, factory=arguments.factory))
    inspection = Inspection(loaded, deploy=arguments.deploy)
    found = find_all(inspection)
    if arguments.json:
        print(json.dumps([one.as_dict() for one in found], indent=2, ensure_ascii=False))
    else:
        print(*found, sep="\n", end="\n" if found else "")
        rules = sum(not rule.deploy or arguments.deploy for rule in RULES)
        number = count(len(found), "finding") if found else "nothing found"
        print(f"{number} ({count(len(inspection.routes), 'route')}, {rules} rules)")
    return 1 if found else 0


def find_all(inspection: Inspection) -> list[Coded]:
    """Return what all rules have found, without what comments wave through, by place."""
    rules = [rule for rule in RULES if inspection.deploy or not rule.deploy]
    found = {Coded(rule.code, finding) for rule in rules for finding in rule.find(inspection)}
    kept = [one for one in found if not is_ignored(*one.finding.place, one.code)]
    return sorted(kept, key=lambda one: (one.finding.place, one.code, one.finding.what))
