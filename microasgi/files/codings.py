"""Codings: which packed sibling of a file a client wants by its `Accept-Encoding` (RFC 9110 section 12.5.3).

Pure. The law of this file: linear time, and what was worked out for a header is remembered, up to a bound.
"""

from __future__ import annotations

from typing import Final

from microasgi.negotiation import read_weight

__all__ = ["SUFFIXES", "wanted_codings"]

SUFFIXES: Final = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}
"""The codings, the best one first, and what their files are called."""
_REMEMBERED: Final = 256
_LONGEST: Final = 256
_known: dict[bytes, tuple[str, ...]] = {}


def wanted_codings(accept: bytes | None) -> tuple[str, ...]:
    """Return the codings that the client would rather have than none, in the order in which to look for them."""
    if not accept:
        return ()
    wanted = _known.get(accept)
    if wanted is None:
        wanted = _parse(accept.decode("latin-1"))
        if len(accept) <= _LONGEST:
            if len(_known) >= _REMEMBERED:
                _known.clear()
            _known[accept] = wanted
    return wanted


def _parse(accept: str) -> tuple[str, ...]:
    weights: dict[str, float] = {}
    for part in accept.lower().split(","):
        coding, _, parameter = part.partition(";")
        weights[coding.strip().removeprefix("x-")] = _quality(parameter)
    others = weights.get("*", 0.0)
    least = weights.get("identity", others)
    ranked = [(weights.get(coding, others), coding) for coding in SUFFIXES]
    ranked.sort(key=lambda pair: -pair[0])  # stable: of equal weights our order counts
    return tuple(coding for weight, coding in ranked if weight > 0 and weight >= least)


def _quality(parameter: str) -> float:
    name, _, value = parameter.partition("=")
    if name.strip() != "q":
        return 1.0
    return read_weight(value)
