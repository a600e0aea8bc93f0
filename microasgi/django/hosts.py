"""Hosts: only requests to the hosts of ALLOWED_HOSTS, as Django itself would have them.

Law: Django's own `get_host` decides, so what its settings mean is decided in one place.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from django.core.exceptions import DisallowedHost
from django.core.signals import setting_changed
from django.http import HttpRequest

from microasgi.errors import answer_error
from microasgi.exceptions import HTTPException
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostsLayer"]

logger = logging.getLogger("django.security.DisallowedHost")  # where sites silence it or have it mailed
_REMEMBERED: Final = 1024
_LONGEST: Final = 259  # a name has at most 253 characters (RFC 1035), a port five and its colon
_allowed: Final[set[bytes]] = set()
"""Host headers that were found to be allowed where they stood alone: 6 us for the next one that are saved."""
_HEADERS: Final = {b"host": "HTTP_HOST", b"x-forwarded-host": "HTTP_X_FORWARDED_HOST"}


class HostsLayer:
    """Answer 400, also to handshakes, unless the request is for a host of ALLOWED_HOSTS.

    With DEBUG and an empty list those are the names of this machine; USE_X_FORWARDED_HOST counts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request to an allowed host through; refuse another."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        named = [pair for pair in scope["headers"] if pair[0] in _HEADERS]
        host = named[0][1] if len(named) == 1 and named[0][0] == b"host" else None
        reason = None if host in _allowed else _refusal(scope, host)
        if reason is None:
            return await self.app(scope, receive, send)
        # One line, without the traceback that Django logs: the mistake is the client's.
        logger.error(reason, extra={"status_code": 400})
        refusal = HTTPException(400, "This site does not answer for the host that was asked for.")
        if scope["type"] == "websocket":
            return await deny(scope, receive, send, refusal)
        return await answer_error(scope, receive, send, refusal)


def _refusal(scope: Scope, host: bytes | None) -> str | None:
    """Return Django's reason to refuse, None if it has none."""
    try:
        _Addressed(scope).get_host()
    except DisallowedHost as error:
        return str(error)
    if host is not None and len(host) <= _LONGEST and len(_allowed) < _REMEMBERED:
        _allowed.add(host)
    return None


def _forget(**_: Any) -> None:
    _allowed.clear()


setting_changed.connect(_forget)  # sent in tests; elsewhere settings stay as they are


class _Addressed(HttpRequest):
    """As much of a Django request as its host needs."""

    def __init__(self, scope: Scope) -> None:
        meta: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = _HEADERS.get(name)
            if key is not None:  # several values are joined, as Django does: no host is written like that
                meta[key] = f"{meta[key]},{value.decode('latin-1')}" if key in meta else value.decode("latin-1")
        name, port = scope.get("server") or ("unknown", 0)
        meta["SERVER_NAME"], meta["SERVER_PORT"] = name, str(port or 0)
        self.META = meta
        self._secure = scope.get("scheme") in ("https", "wss")

    def _get_scheme(self) -> str:
        return "https" if self._secure else "http"
