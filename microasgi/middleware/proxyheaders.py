"""ProxyHeadersMiddleware: the client behind the proxies, as far as those proxies can be believed.

Law: a list is read from its end, which the nearest proxy has written, and reading stops at the first entry that is not
from a trusted address, or is no address. What a client has put before that is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from microasgi.middleware.authority import read_authority
from microasgi.middleware.peers import Peers
from microasgi.types import ASGIApp, Receive, Scope, Send
from microasgi.urls import quote_path

__all__ = ["ProxyHeadersMiddleware"]

_SCHEMES: Final = {
    "http": {"http": "http", "https": "https", "ws": "http", "wss": "https"},
    "websocket": {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"},
}
_X_NAMES: Final = {b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"}

_prefix = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~\-]+)+").fullmatch

Told: TypeAlias = tuple[tuple[str, int] | None, str, str, str]
"""What the proxies tell: client, scheme, host and prefix; the empty text for what they do not."""


class ProxyHeadersMiddleware:
    """Take client and scheme from `X-Forwarded-For` and `X-Forwarded-Proto`, if the peer is one of `trusted_hosts`.

    Trusted are addresses and networks, in a list or separated by commas; "unix" is the peer at a unix socket, "*"
    everyone (then the first entry of a list counts, which any client can write). `host` and `prefix` also take the
    Host header from `X-Forwarded-Host` and a root path from `X-Forwarded-Prefix`: only where the proxy sets them.
    With `forwarded`, `Forwarded` (RFC 7239) is read instead of all of those. ConfigurationError for what is no address.
    """

    def __init__(
        self,
        app: ASGIApp,
        trusted_hosts: str | Iterable[str] = "127.0.0.1",
        *,
        host: bool = False,
        prefix: bool = False,
        forwarded: bool = False,
    ) -> None:
        self.app = app
        self._peers = Peers(trusted_hosts)
        self._takes_host, self._takes_prefix = host, prefix
        self._read = self._read_forwarded if forwarded else self._read_x_forwarded
        self._names = {b"forwarded"} if forwarded else _X_NAMES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Correct the scope of a request or a socket that a trusted proxy has sent on."""
        if scope["type"] in _SCHEMES and self._peers.trusts(scope.get("client")):
            lists: dict[bytes, list[str]] = {}
            for name, value in scope["headers"]:
                if name in self._names:
                    lists.setdefault(name, []).extend(value.decode("latin-1").split(","))
            if lists:
                scope = self._corrected(scope, self._read(lists))
        await self.app(scope, receive, send)

    def _read_x_forwarded(self, lists: dict[bytes, list[str]]) -> Told:
        client, hops = self._peers.walk(lists.get(b"x-forwarded-for", ()))
        hop = hops or 1
        proto = _entry(lists.get(b"x-forwarded-proto"), hop)
        host = _entry(lists.get(b"x-forwarded-host"), hop) if self._takes_host else ""
        prefix = _entry(lists.get(b"x-forwarded-prefix"), hop) if self._takes_prefix else ""
        return client, proto, host, prefix

    def _read_forwarded(self, lists: dict[bytes, list[str]]) -> Told:
        elements = [*map(_read_element, lists[b"forwarded"])]
        client, hops = self._peers.walk([element.get("for", "") for element in elements])
        chosen = elements[-(hops or 1)]
        return client, chosen.get("proto", ""), chosen.get("host", "") if self._takes_host else "", ""

    def _corrected(self, scope: Scope, told: Told) -> Scope:
        client, proto, host, prefix = told
        changed: dict[str, Any] = {**scope}
        if client is not None:
            changed["client"] = client
        if scheme := _SCHEMES[scope["type"]].get(proto.lower()):
            changed["scheme"] = scheme
        if host and read_authority(host):
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            changed["headers"] = [(b"host", host.encode("ascii")), *others]
        if prefix and _prefix(prefix.rstrip("/")):
            changed.update(_below(scope, prefix.rstrip("/")))
        return changed


def _entry(entries: list[str] | None, hop: int) -> str:
    """Return the entry that stands as far from the end as the client's, or the first if there are not as many."""
    return entries[-min(hop, len(entries))].strip(" \t") if entries else ""


def _below(scope: Scope, prefix: str) -> dict[str, Any]:
    """Return root path and path with the prefix, which the proxy may have taken off the path (ASGI HTTP, root_path)."""
    path, raw, own = scope["path"], scope.get("raw_path"), scope.get("root_path", "")
    if own == prefix or own.startswith(f"{prefix}/"):
        return {}  # the server has been told already
    root = {"root_path": prefix + own}
    if path == prefix or path.startswith(f"{prefix}/"):
        return root
    return {**root, "path": prefix + path, "raw_path": raw and quote_path(prefix).encode() + raw}


def _read_element(text: str) -> dict[str, str]:
    """Read one element of Forwarded (RFC 7239 section 4); nothing at all from one that is not as it should be.

    A quoted string that holds a comma or a semicolon has been cut in two: no address, host or scheme has either.
    """
    element: dict[str, str] = {}
    for pair in text.split(";"):
        name, equals, value = pair.strip(" \t").partition("=")
        if value[:1] == '"':
            value = value[1:-1] if len(value) > 1 and value[-1] == '"' else '"'
        name = name.lower()
        if not equals or name in element or '"' in value or "\\" in value:
            return {}
        element[name] = value
    return element
