"""Accept-Encoding: which of the codings on offer a client likes best (RFC 9110 section 12.5.3).

Law: pure, linear in the length of the header, and no header makes it raise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from microasgi.negotiation import read_weight

__all__ = ["Choice", "choose_coding"]

_ALIASES: Final = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3


class Choice(NamedTuple):
    """The coding to use, or None for none; `forced` if the client refuses what is not encoded."""

    coding: str | None
    forced: bool


def choose_coding(accept: bytes, offered: Sequence[str]) -> Choice:
    """Choose the offered coding with the highest weight, of equal ones the first; nothing for what nobody offers.

    "identity" is acceptable unless it or "*" is given the weight 0, and preferred only where its weight is higher.
    """
    weights = _weights(accept.decode("latin-1").lower())
    others = weights.get("*", 0.0)
    coding, best = None, 0.0
    for name in offered:
        weight = weights.get(name, others)
        if weight > best:
            coding, best = name, weight
    identity = weights.get("identity", weights.get("*", 1.0))
    if coding is None or weights.get("identity", 0.0) > best:
        return Choice(None, False)
    return Choice(coding, identity == 0.0)


def _weights(accept: str) -> dict[str, float]:
    """Return each coding's weight; 0 for one that is no number from 0 to 1, the first of a name counts."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        name, _, parameters = part.partition(";")
        name = name.strip()
        weights.setdefault(_ALIASES.get(name, name), _weight(parameters))
    return weights


def _weight(parameters: str) -> float:
    name, _, value = parameters.partition("=")
    if name.strip() != "q":
        return 0.0 if parameters.strip() else 1.0
    return read_weight(value)
