"""What a client accepts, and how gladly: the weights of `Accept` and of its kin (RFC 9110 section 12.4.2).

Law: linear in the length of the header, and no header makes it raise.
"""

from __future__ import annotations

import re

__all__ = ["prefers_json", "read_weight"]

_quality = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?").fullmatch


def read_weight(value: str) -> float:
    """Return what `q=` says: 0 where it is no number from 0 to 1 with at most three decimals."""
    value = value.strip()
    return float(value) if _quality(value) else 0.0


def prefers_json(accept: bytes | None) -> bool:
    """Tell whether JSON is asked for by name, and HTML is not asked for as much (RFC 9110 section 12.5.1).

    `*/*` asks for nothing by name: a browser and a plain HTTP client get text, `application/json, */*` gets JSON.
    """
    if not accept or b"json" not in accept.lower():
        return False
    json = html = 0.0
    for part in accept.decode("latin-1").lower().split(","):
        media, _, parameters = part.partition(";")
        media = media.strip()
        if media == "application/json" or media.endswith("+json"):
            json = max(json, _weight(parameters))
        elif media == "text/html":
            html = max(html, _weight(parameters))
    return json > html


def _weight(parameters: str) -> float:
    """The q of a media range: 1 when there is none."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return read_weight(value)
    return 1.0
