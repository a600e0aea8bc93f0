"""Origin protection: what changes something has to come from the site itself, or from no web page at all.

Browsers say by `Sec-Fetch-Site` and `Origin` where a request was made; no page can forge either. So forms need no
tokens. Handshakes of websockets count among what changes something: cookies come with them, and no preflight asks. The
law of this file: nothing but these two headers decides, and the body is not touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable

from microasgi.connection import is_own_host
from microasgi.dispatch import local_path
from microasgi.exceptions import ConfigurationError
from microasgi.headers import find_header
from microasgi.middleware.refusal import refuse
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["SAFE_METHODS", "OriginMiddleware", "path_filter"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""They change nothing (RFC 9110 section 9.2.1)."""
_REFUSALS = {
    "http": "a page of another site may not send this request",
    "websocket": "a page of another site may not open this websocket",
}
_OF_SOCKETS = {"ws": "http", "wss": "https"}

_origin = re.compile(r"[a-z][a-z0-9+.\-]*://[a-z0-9.\-_\[\]:]+").fullmatch


class OriginMiddleware:
    """Refuse with 403 what a browser sends for a page of another site: unsafe requests, and handshakes of websockets.

    GET, HEAD, OPTIONS and TRACE are safe. `allowed_origins` may send everything: "https://partner.example", with the
    port if it is not the default one; those of the application may open websockets. Paths in `exempt` take requests
    from everywhere: "/callback" is that path, "/hooks/" all below it. What CORSMiddleware allows around this passes,
    and so does a client that sends neither `Sec-Fetch-Site` nor `Origin`: no browser. ConfigurationError for an origin
    or a path that is none.
    """

    def __init__(self, app: ASGIApp, allowed_origins: Iterable[str] = (), exempt: Iterable[str] = ()) -> None:
        if isinstance(allowed_origins, str):
            raise ConfigurationError(f"allowed_origins is a list of origins; write [{allowed_origins!r}]")
        self.app = app
        self._allowed = frozenset(map(_checked, allowed_origins))
        self._is_exempt = path_filter(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "websocket":
            passes = self._may_pass(scope) or self._may_open(scope)
        else:
            passes = kind != "http" or scope["method"] in SAFE_METHODS or self._may_pass(scope)
        if passes:
            await self.app(scope, receive, send)
        else:
            await refuse(scope, receive, send, 403, _REFUSALS[kind])

    def _may_pass(self, scope: Scope) -> bool:
        headers = scope["headers"]
        site = find_header(headers, b"sec-fetch-site")
        if site in (b"same-origin", b"none"):
            return True
        origin = find_header(headers, b"origin")
        if site is None and origin is None:
            return True
        if scope.get("microasgi.cors_allows") is True or self._is_exempt(scope):
            return True
        name = (origin or b"").decode("latin-1").lower()
        # A page of a sibling host is of the same site, and one of another port too: its origin has to be ours.
        return name in self._allowed or (site != b"cross-site" and _is_own(scope, name))

    def _may_open(self, scope: Scope) -> bool:
        """Tell whether the application lets this origin open websockets; it may stand around this, or inside."""
        allowed: Collection[str] = getattr(scope.get("app", self.app), "allowed_origins", ())
        origin = find_header(scope["headers"], b"origin")
        return "*" in allowed or (origin is not None and origin.decode("latin-1") in allowed)


def _is_own(scope: Scope, origin: str) -> bool:
    """Tell whether this is the origin that the request was sent to.

    A page that came by https may always send: where a proxy ends TLS, the server sees http. Not the other way round.
    """
    scheme, found, authority = origin.partition("://")
    own = scope.get("scheme", "http")
    if not found or scheme not in (_OF_SOCKETS.get(own, own), "https"):
        return False
    return is_own_host(scope, scheme, authority)


def _checked(origin: object) -> str:
    if origin == "*":
        raise ConfigurationError(
            'allowed_origins=["*"] lets every site send requests in the name of your users; name the origins, or leave '
            "the protection out (SessionMiddleware: origin_protection=False)"
        )
    name = origin.lower() if isinstance(origin, str) else ""
    if not _origin(name):
        raise ConfigurationError(
            f"allowed_origins has {origin!r}; an origin is a scheme and a host without path or slash at its end: "
            '"https://partner.example" or "http://localhost:5173"'
        )
    return name


def path_filter(paths: Iterable[str]) -> Callable[[Scope], bool]:
    """Return a test for scopes: is the path one of these, or below one that ends in "/"? Paths begin below `root_path`.

    ConfigurationError for a path that does not begin with "/", and for "/", which everything is below.
    """
    if isinstance(paths, str):
        raise ConfigurationError(f"exempt is a list of paths; write [{paths!r}]")
    given = list(paths)
    for path in given:
        if not path.startswith("/") or path == "/":
            raise ConfigurationError(f'exempt has {path!r}; write a path as "/callback", or "/hooks/" for all below it')
    exact = frozenset(given)
    prefixes = tuple(path for path in given if path.endswith("/"))

    def is_among(scope: Scope) -> bool:
        path = local_path(scope) if scope.get("root_path") else scope["path"]
        return path in exact or path.startswith(prefixes)

    return is_among
