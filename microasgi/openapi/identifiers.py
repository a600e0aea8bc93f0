"""Identifiers: the operation ids of a document, from which clients make the names of their functions.

The law of this file: they are unique, and an id stays what it is when routes are added in another place. Hence two
that would be the same are both given their path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from microasgi.exceptions import ConfigurationError
from microasgi.openapi.inventory import Subject

__all__ = ["identify"]

_odd: Final = re.compile(r"[^A-Za-z0-9]+")


def identify(subjects: Sequence[Subject]) -> list[str]:
    """Return an operation id for each; ConfigurationError for an `operation_id` that is given twice."""
    taken: dict[str, Subject] = {}
    for subject in subjects:
        explicit = _explicit(subject)
        other = None if explicit is None else taken.setdefault(explicit, subject)
        if other is not None and other is not subject:
            raise ConfigurationError(
                f"{subject.where}: operation_id={explicit!r} of {subject.method} {subject.location.path} belongs to "
                f"{other.method} {other.location.path} at {other.where} already. Give one of them another."
            )
    found = {id(subject): name for name, subject in taken.items()}
    return [found.get(id(subject)) or name for subject, name in zip(subjects, _derive(subjects, taken), strict=True)]


def _explicit(subject: Subject) -> str | None:
    given: str | None = subject.options.get("operation_id")
    return f"{given}_{subject.method.lower()}" if given and subject.shares_route else given


def _derive(subjects: Sequence[Subject], taken: dict[str, Subject]) -> Iterator[str]:
    """Yield the shortest of each one's candidates that no other one has."""
    candidates = [_candidates(subject) for subject in subjects]
    derived = [some for subject, some in zip(subjects, candidates, strict=True) if _explicit(subject) is None]
    counts: dict[str, int] = dict.fromkeys(taken, 1)
    for some in derived:
        for name in dict.fromkeys(some):
            counts[name] = counts.get(name, 0) + 1
    used = set(taken)
    for some in candidates:
        name = next((name for name in some if counts.get(name) == 1), some[-1])
        number = 2
        while name in used:
            name, number = f"{some[-1]}_{number}", number + 1
        used.add(name)
        yield name


def _candidates(subject: Subject) -> list[str]:
    name = _odd.sub("_", subject.route.name).strip("_") or "operation"
    path = _odd.sub("_", subject.location.path).strip("_") or "root"
    method = subject.method.lower()
    short = f"{name}_{method}" if subject.shares_route else name
    return [short, f"{name}_{path}", f"{name}_{path}_{method}"]
