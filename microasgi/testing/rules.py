"""What the lint checks with: the violation, the checker every scope type starts from, and the rules for plain values.

Law: a checker keeps its own state right even when a violation is only recorded, so one mistake is told once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast

from microasgi.types import Message, Scope

__all__ = ["ASGIViolation", "Checker", "Report", "header_faults", "value_fault"]

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LINE_BREAKING = re.compile(rb"[\r\n\x00]")
_INT64 = 2**63


class ASGIViolation(AssertionError):
    """One rule of ASGI was broken: `rule` says which and how, `section` where it is written."""

    def __init__(self, rule: str, section: str) -> None:
        super().__init__(f"{rule} [{section}]")
        self.rule = rule
        self.section = section


Report = Callable[[ASGIViolation], None]


class Checker:
    """Follow one scope's conversation; the base of the state machines, and the one for a scope type nobody knows."""

    def __init__(self, scope: Scope, report: Report, strict: bool) -> None:
        self.scope = scope
        self.strict = strict
        self.offered: Collection[str] = frozenset(scope.get("extensions") or {})
        self._report = report

    def fail(self, rule: str, section: str) -> None:
        """Report one broken rule."""
        self._report(ASGIViolation(rule, section))

    def require(self, condition: bool, rule: str, section: str) -> None:
        """Report the rule unless the condition holds."""
        if not condition:
            self.fail(rule, section)

    def require_extension(self, kind: str, extension: str) -> None:
        """Report a message whose extension the server did not offer in `scope["extensions"]`."""
        self.require(
            extension in self.offered,
            f"{kind!r} was sent, but the server does not offer {extension!r}: look in scope['extensions'] first",
            "ASGI, Extensions",
        )

    def spec_version(self) -> tuple[int, ...]:
        """Return the scope's `asgi.spec_version` as numbers; one that is missing means 2.0."""
        asgi = cast("dict[str, object]", self.scope.get("asgi") or {})
        return tuple(int(part) for part in str(asgi.get("spec_version", "2.0")).split("."))

    def receiving(self) -> None:
        """Check that the application may call `receive` now."""
        self._unknown()

    def received(self, message: Message) -> None:
        """Check a message from the server."""

    def sending(self, message: Message) -> None:
        """Check a message from the application."""
        self._unknown()

    def send_failed(self) -> None:
        """Note that the server raised out of `send`: the peer is gone."""

    def returned(self) -> None:
        """Check that the conversation was complete when the application returned."""
        self._unknown()

    def _unknown(self) -> None:
        self.fail(
            f"scope type {self.scope.get('type')!r} is unknown to this application: raise before anything else",
            "ASGI, Applications",
        )


def value_fault(value: object, where: str) -> str | None:
    """Return what makes a message's value illegal, or None: ASGI carries plain data, and `bytes` exactly."""
    if value is None or isinstance(value, (str, bool)) or type(value) is bytes:
        return None
    if isinstance(value, int):
        return None if -_INT64 <= value < _INT64 else f"{where} does not fit in 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{where} is {value}, which is not a finite number"
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        return _first(value_fault(item, f"{where}[{index}]") for index, item in enumerate(items))
    if isinstance(value, dict):
        return _first(_entry_faults(cast("dict[object, object]", value), where))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{where} is {_kind(cast(object, value))}, not bytes: write bytes(...)"
    return f"{where} is {_kind(value)}, which no ASGI message can carry"


def _entry_faults(entries: dict[object, object], where: str) -> Iterator[str | None]:
    for key, value in entries.items():
        yield None if isinstance(key, str) else f"{where} has the key {key!r}, which is not a str"
        yield value_fault(value, f"{where}[{key!r}]")


def header_faults(headers: object, forbidden: Collection[bytes] = ()) -> Iterator[str]:
    """Yield what is wrong with a message's headers: a list of (name, value) pairs of bytes, names in lower case."""
    if not isinstance(headers, list):
        yield f"headers must be a list of (name, value) pairs, not {_kind(headers)}"
        return
    for item in cast("list[object]", headers):
        if not isinstance(item, (tuple, list)) or len(cast("list[object]", item)) != 2:
            yield f"a header must be a (name, value) pair, not {item!r}"
            continue
        name, value = cast("tuple[object, object]", item)
        if type(name) is not bytes or type(value) is not bytes:
            yield f"header name and value must be bytes, not {_kind(name)} and {_kind(value)}: {item!r}"
            continue
        yield from _field_faults(name, value, forbidden)


def _field_faults(name: bytes, value: bytes, forbidden: Collection[bytes]) -> Iterator[str]:
    lowered = name.lower()
    if name.startswith(b":"):
        yield f"{name!r} is a pseudo header: the server writes those"
    elif not _TOKEN.fullmatch(name):
        yield f"{name!r} is not a header name (RFC 9110 section 5.1)"
    elif name != lowered:
        yield f"header names are lower case: write {lowered!r}, not {name!r}"
    if lowered in forbidden:
        yield f"the header {lowered!r} belongs to the server: leave it out"
    if _LINE_BREAKING.search(value):
        yield f"the value of {name!r} holds CR, LF or NUL: {value!r}"


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _first(faults: Iterator[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)
