"""HTTPSRedirectMiddleware: what comes by http or ws is sent to https or wss, with path and query as they were."""

from __future__ import annotations

from typing import Final

from microasgi.connection import HTTPConnection
from microasgi.errors import problem
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.middleware.authority import read_authority, same_target, sole_authority
from microasgi.responses import Response
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["HTTPSRedirectMiddleware"]

_SECURE: Final = {"http": "https", "ws": "wss"}
_DEFAULTS: Final = {"http": "http", "websocket": "ws"}
_NO_HOST: Final = "A request by http needs one legal Host header, to be sent on to https."


class HTTPSRedirectMiddleware:
    """Redirect requests that did not come by TLS; the method and the body stay (RFC 9110 section 15.4).

    `status_code` is 307 or, to be remembered by clients, 308. The redirect goes to `host`, where that is given, else to
    the request's own host, without the port if it is 80 or 443. Without one legal Host header the answer is 400. Behind
    a proxy that ends TLS, `ProxyHeadersMiddleware` has to stand around it: else it redirects for ever.
    """

    def __init__(self, app: ASGIApp, status_code: int = 307, host: str | None = None) -> None:
        if status_code not in (307, 308):
            raise ConfigurationError(f"HTTPSRedirectMiddleware: status_code is 307 or 308, not {status_code!r}")
        authority = None if host is None else read_authority(host)
        if host is not None and authority is None:
            raise ConfigurationError(f"HTTPSRedirectMiddleware: {host!r} is no host; write host='example.com'")
        self.app = app
        self.status_code = status_code
        self._authority = authority

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Redirect a request by http or ws; let everything else through."""
        kind = scope["type"]
        if kind not in _DEFAULTS:
            return await self.app(scope, receive, send)
        scheme = _SECURE.get(scope.get("scheme") or _DEFAULTS[kind])
        if scheme is None:
            return await self.app(scope, receive, send)
        authority = self._authority or sole_authority(scope)
        if authority is None:
            if kind == "websocket":
                return await deny(scope, receive, send, HTTPException(400, _NO_HOST))
            return await problem(HTTPConnection(scope), 400, _NO_HOST)(scope, receive, send)
        netloc = authority.host if authority.port in ("80", "443") else str(authority)
        headers = {"location": same_target(scope, netloc, scheme)}
        if kind == "websocket":
            return await deny(scope, receive, send, HTTPException(self.status_code, headers=headers))
        return await Response(status_code=self.status_code, headers=headers)(scope, receive, send)
