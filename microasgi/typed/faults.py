"""Faults: what is wrong with a request's parameters, and the one answer that lists all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from microasgi.exceptions import HTTPException

__all__ = ["Fault", "Faulty", "ValidationError", "parts_of"]

_ORDER: Final = ("path", "query", "header", "cookie", "form", "body")


class Faulty(ValueError):
    """A value does not fit: pairs of a JSON pointer into it (RFC 6901; "" for the whole) and a reason."""

    def __init__(self, *parts: str | tuple[str, str]) -> None:
        self.parts = tuple(("", part) if isinstance(part, str) else part for part in parts)
        super().__init__("; ".join(f"{pointer}: {reason}" if pointer else reason for pointer, reason in self.parts))


def parts_of(error: ValueError) -> tuple[tuple[str, str], ...]:
    """Return the pointers and reasons of an error; of any other ValueError, its text for the whole value."""
    return error.parts if isinstance(error, Faulty) else (("", str(error)),)


@dataclass(frozen=True, slots=True)
class Fault:
    """One faulty parameter: its place, its name there, the reason, and a JSON pointer to the faulty part of it."""

    place: str
    name: str
    reason: str
    pointer: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it as a member of the `errors` of a problem document."""
        if self.place == "body":
            return {"in": "body", "pointer": f"#{self.pointer}", "detail": self.reason}
        entry = {"in": self.place, "name": self.name, "detail": self.reason}
        return {**entry, "pointer": f"#{self.pointer}"} if self.pointer else entry


class ValidationError(HTTPException):
    """Parameters of the request do not fit: 422 with a problem document (RFC 9457) whose `errors` has every fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: _ORDER.index(fault.place)))
        count = len(self.faults)
        super().__init__(422, "1 parameter is faulty" if count == 1 else f"{count} parameters are faulty")

    @property
    def members(self) -> dict[str, Any]:
        """What the problem document has besides the members that all of them have."""
        return {"errors": [fault.as_dict() for fault in self.faults]}

    def __str__(self) -> str:
        listed = "; ".join(f"{fault.place} {fault.name or fault.pointer}: {fault.reason}" for fault in self.faults)
        return f"{self.status_code}: {self.detail}: {listed}"
