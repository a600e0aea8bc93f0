"""TrustedHostMiddleware: only requests to hosts that are named.

Law: what is compared is one legal Host header in one form, and no redirect goes to a host that is not in the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from microasgi.connection import HTTPConnection
from microasgi.errors import problem
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.middleware.authority import Authority, read_authority, same_target
from microasgi.responses import Response
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["TrustedHostMiddleware"]

_REFUSED: Final = "This server does not answer for the host that was asked for."
_REMEMBERED: Final = 1024  # Host headers


class TrustedHostMiddleware:
    """Answer 400 unless the request has exactly one Host header, and names one of `allowed_hosts` in it.

    A host is `example.com` (any port), `example.com:8000` (that port), `*.example.com` (every name below it, not
    itself), an address such as `192.0.2.1` or `[::1]`, or `*` (also the default) for any legal host. With
    `www_redirect` a host that is allowed only with "www." before it is sent there. ConfigurationError for other forms.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] | None = None, www_redirect: bool = True) -> None:
        if isinstance(allowed_hosts, str):
            raise ConfigurationError(f"allowed_hosts is a list, write allowed_hosts=[{allowed_hosts!r}]")
        hosts = ["*"] if allowed_hosts is None else list(allowed_hosts)
        if not hosts:
            raise ConfigurationError('allowed_hosts is empty, so every request would be refused: name hosts, or ["*"]')
        self.app = app
        self.www_redirect = www_redirect
        self._any = "*" in hosts
        named = [_read_pattern(host) for host in hosts if host != "*"]
        self._exact = {pattern for wild, pattern in named if not wild}
        self._below = [(f".{pattern.host}", pattern.port) for wild, pattern in named if wild]
        self._known = {str(pattern).encode() for pattern in self._exact}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request to an allowed host through; refuse, or redirect, another."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and (hosts[0] in self._known or self._allows(hosts[0])):
            return await self.app(scope, receive, send)
        if scope["type"] == "websocket":
            return await deny(scope, receive, send, HTTPException(400, _REFUSED))
        return await self._answer(scope, hosts)(scope, receive, send)

    def _allows(self, value: bytes) -> bool:
        found = read_authority(value)
        if found is None or not (self._any or self._is_named(found)):
            return False
        if len(self._known) < _REMEMBERED:
            self._known.add(value)
        return True

    def _is_named(self, found: Authority) -> bool:
        return (
            found in self._exact
            or Authority(found.host, "") in self._exact
            or any(found.host.endswith(end) and port in ("", found.port) for end, port in self._below)
        )

    def _answer(self, scope: Scope, hosts: list[bytes]) -> Response:
        found = read_authority(hosts[0]) if len(hosts) == 1 else None
        if found is not None and self.www_redirect:
            www = Authority(f"www.{found.host}", found.port)
            if www in self._exact or Authority(www.host, "") in self._exact:
                # Relative to the page's scheme: behind a proxy that ends TLS the server does not know it.
                return Response(status_code=307, headers={"location": same_target(scope, str(www))})
        return problem(HTTPConnection(scope), 400, _REFUSED)


def _read_pattern(text: str) -> tuple[bool, Authority]:
    """Return whether the pattern is for all names below its host, and the host; ConfigurationError if it is none."""
    wild = text.startswith("*.")
    bare_address = text.count(":") > 1 and not text.startswith("[")
    pattern = read_authority(f"[{text}]" if bare_address else text[2:] if wild else text)
    if pattern is not None:
        return wild, pattern
    if "://" in text or "/" in text:
        cure = "leave scheme and path out, as in 'example.com'"
    elif "*" in text:
        cure = "a wildcard stands for all names below a host and comes first, as in '*.example.com'"
    elif not text.isascii():
        cure = f"browsers send it encoded; write {_encoded(text)!r}"
    else:
        cure = "write 'example.com', 'example.com:8000', '*.example.com', '192.0.2.1', '[::1]' or '*'"
    raise ConfigurationError(f"TrustedHostMiddleware: {text!r} in allowed_hosts is no host: {cure}")


def _encoded(text: str) -> str:
    try:
        return text.encode("idna").decode()
    except UnicodeError:
        return "xn--..."
