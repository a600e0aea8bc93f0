"""The authority of a request: the host and port that its Host header names (RFC 9110 section 7.2).

Law: what comes out is legal and in one form; for anything else, whatever the client sent, there is None.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final, NamedTuple
from urllib.parse import unquote

from microasgi.connection import query_text
from microasgi.types import Scope
from microasgi.urls import URL, quote_path

__all__ = ["Authority", "read_authority", "same_target", "sole_authority"]

_LONGEST: Final = 300  # a name has 253 characters at most (RFC 1035), a port five
# No two parts can match the same character, so that there is nothing to backtrack into.
_split = re.compile(
    r"([a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*)\.?(?::([0-9]{0,5}))?|\[([0-9a-f:.]+)\](?::([0-9]{0,5}))?"
).fullmatch


class Authority(NamedTuple):
    """A host in lower case (IPv6 in brackets, shortest form; no dot at the end) and a port, "" for none."""

    host: str
    port: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def read_authority(value: bytes | str) -> Authority | None:
    """Read what a Host header holds: a name or an address, with or without a port; None if it is not legal."""
    if len(value) > _LONGEST:
        return None
    found = _split((value.decode("latin-1") if isinstance(value, bytes) else value).lower())
    if not found:
        return None
    name, port, address, address_port = found.groups()
    port = port or address_port or ""
    if port and int(port) > 65535:
        return None
    if address is not None:
        try:
            name = f"[{IPv6Address(address).compressed}]"
        except AddressValueError:
            return None
    return Authority(name, str(int(port)) if port else "")


def sole_authority(scope: Scope) -> Authority | None:
    """Read the one Host header of a request; None where there is none, or several: which would it be?"""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    return read_authority(hosts[0]) if len(hosts) == 1 else None


def same_target(scope: Scope, authority: str, scheme: str = "") -> str:
    """Return the URL of this request's path and query on another authority; without a scheme, relative to the page's.

    The path is what the client wrote, "%2F" and all, where the server has kept it.
    """
    path: str = scope["path"]
    raw = (scope.get("raw_path") or b"").decode("latin-1")
    path = raw if unquote(raw) == path and "?" not in raw else quote_path(path)
    return str(URL(scheme=scheme, netloc=authority, path=path, query=query_text(scope)))
