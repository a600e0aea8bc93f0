"""Peers: the addresses that are believed, and the walk from the nearest proxy to the client.

Law: addresses are compared as numbers, never as text, and an IPv4 address within IPv6 is that IPv4 address.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple

from microasgi.exceptions import ConfigurationError

__all__ = ["Peers", "read_peer"]

_REMEMBERED: Final = 1024  # peers, and what is thought of them: reading an address takes microseconds
_LONGEST: Final = 64  # characters of an address with its port


class Peer(NamedTuple):
    """An address in its usual form, with its port or 0, and whether it is believed."""

    client: tuple[str, int]
    trusted: bool


class Peers:
    """Trusted addresses and networks, "unix" for a peer without an address, "*" for all."""

    def __init__(self, trusted: str | Iterable[str]) -> None:
        texts = [text.strip() for text in (trusted.split(",") if isinstance(trusted, str) else trusted)]
        self._all = "*" in texts
        self._unix = self._all or "unix" in texts
        self._networks = [_read_network(text) for text in texts if text not in ("*", "unix")]
        self._find = lru_cache(_REMEMBERED)(self._judge)

    def trusts(self, client: Any) -> bool:
        """Tell whether the `client` of a scope is trusted: a pair of host and port, or None."""
        host: str = client[0] if client else ""
        if self._all or not host:
            return self._unix
        found = self._find(host)
        return found is not None and found.trusted

    def _judge(self, text: str) -> Peer | None:
        found = read_peer(text)
        if found is None:
            return None
        address, port = found
        return Peer((str(address), port), self._all or any(address in network for network in self._networks))

    def walk(self, entries: Sequence[str]) -> tuple[tuple[str, int] | None, int]:
        """Go from the last entry towards the first while addresses are trusted.

        Returns the farthest address that is known, with its port or 0, and how far from the end it stands (1: last).
        """
        client, hops = None, 0
        for entry in reversed(entries):
            text = entry.strip(" \t")
            found = self._find(text) if len(text) <= _LONGEST else None  # nothing long is remembered
            if found is None:
                break
            client, hops = found.client, hops + 1
            if not found.trusted:
                break
        return client, hops


def read_peer(text: str) -> tuple[IPv4Address | IPv6Address, int] | None:
    """Read an address, an IPv6 one also in brackets, with a port or without (then 0); None for anything else."""
    if len(text) > _LONGEST or "%" in text:  # a zone can hold any text, and means nothing on another machine
        return None
    host, port = text, ""
    if text[:1] == "[":
        host, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in host or port[:1] not in ("", ":"):
            return None
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address, int(port or 0)


def _read_network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        cure = "write an address, a network such as '10.0.0.0/8', 'unix' or '*'; names are not looked up"
        if "host bits" in str(error):
            cure = f"write {str(ip_network(text, strict=False))!r} for the whole network"
        raise ConfigurationError(f"trusted_hosts: {text!r} is no address or network: {cure}") from None
