"""Strict JSON: what handlers take without an engine, refused where an engine would refuse it."""

from __future__ import annotations

import json
from typing import Any

from microasgi.exceptions import InvalidJSON
from microasgi.serialization import decode_json

__all__ = ["decode_strictly"]


def decode_strictly(data: bytes) -> Any:
    """Return the value of a JSON text; InvalidJSON also for half of a surrogate pair, which no text in UTF-8 can hold.

    RFC 8259 section 8.2 leaves that open; a database, or another service, would fail on it later.
    """
    value = decode_json(data)
    if b"\\u" in data:  # only an escape can bring one in
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise InvalidJSON("invalid JSON: a text has half of a surrogate pair") from None
    return value
