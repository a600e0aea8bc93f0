"""ProxyHeadersMiddleware: the client behind the proxies, as far as those proxies can be believed.

Law: a list is read from its end, which the nearest proxy has written, and reading stops at the first entry that is not
from a trusted address, or is no address. What a client has put before that is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

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


class Told(NamedTuple):
    """What the proxies tell of a request; the empty text for what they do not."""

    client: tuple[str, int] | None
    proto: str
    host: str
    prefix: str


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

        def entry(name: bytes) -> str:
            """The entry as far from the end as the client's, or the first if there are not as many."""
            entries = lists.get(name)
            return entries[-min(max(hops, 1), len(entries))].strip(" \t") if entries else ""

        proto, host, prefix = map(entry, (b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-prefix"))
        return Told(client, proto, host, prefix)

    def _read_forwarded(self, lists: dict[bytes, list[str]]) -> Told:
        elements = [*map(_read_element, lists[b"forwarded"])]
        client, hops = self._peers.walk([element.get("for", "") for element in elements])
        chosen = elements[-max(hops, 1)]
        return Told(client, chosen.get("proto", ""), chosen.get("host", ""), "")

    def _corrected(self, scope: Scope, told: Told) -> Scope:
        changed: dict[str, Any] = {**scope}
        if told.client is not None:
            changed["client"] = told.client
        if scheme := _SCHEMES[scope["type"]].get(told.proto.lower()):
            changed["scheme"] = scheme
        if self._takes_host and read_authority(told.host):
            others = [pair for pair in scope["headers"] if pair[0] != b"host"]
            changed["headers"] = [(b"host", told.host.encode("ascii")), *others]
        prefix = told.prefix.rstrip("/")
        if self._takes_prefix and _prefix(prefix):
            changed.update(_below(scope, prefix))
        return changed


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
