"""The client's network: whose requests are counted together where nobody has said who they are."""

from __future__ import annotations

from socket import AF_INET6, inet_ntoa, inet_pton
from typing import Any, Final

from microasgi.connection import HTTPConnection

__all__ = ["client_network"]

_MAPPED: Final = bytes(10) + b"\xff\xff"  # RFC 4291 section 2.5.5.2


def client_network(connection: HTTPConnection[Any]) -> str:
    """Return the client's address, of IPv6 the first 64 bits: a client has as many of those as it likes.

    "unknown" where the server has none, on a unix socket.
    """
    client = connection.scope.get("client")
    host: str = client[0] if client and client[0] else "unknown"
    if ":" not in host:
        return host
    try:
        packed = inet_pton(AF_INET6, host)
    except (OSError, ValueError):
        return host
    return inet_ntoa(packed[12:]) if packed.startswith(_MAPPED) else f"{packed[:8].hex()}/64"
