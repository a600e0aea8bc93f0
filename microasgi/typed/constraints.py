"""Constraints: what a parameter's value has to be besides its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Constraints"]


@dataclass(frozen=True, slots=True)
class Constraints:
    """Bounds of a number, bounds of a length, a pattern; None where there is none."""

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    multiple_of: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
