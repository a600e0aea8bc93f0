"""The preflight: what a browser asks before a page of another site may send a request (Fetch standard, CORS protocol).

Law: everything that does not depend on the question is made at set-up, and what is sent back of it are legal names.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from microasgi.headers import find_header
from microasgi.responses import PlainTextResponse
from microasgi.types import RawHeaders, Scope

__all__ = ["Preflight", "is_token"]

_ALL_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY")
_ALWAYS_ALLOWED: Final = ("Accept", "Accept-Language", "Content-Language", "Content-Type")
_VARY: Final = (
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network"
)

is_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class Preflight:
    """The methods and headers that pages may send; `*` stands for all, `max_age` is in seconds."""

    def __init__(self, methods: Collection[str], headers: Collection[str], private_network: bool, max_age: int) -> None:
        self._methods = frozenset(_ALL_METHODS if "*" in methods else methods)
        names = sorted({*_ALWAYS_ALLOWED, *headers})
        self._names = None if "*" in headers else {name.lower() for name in names}
        self._private_network = private_network
        self._fixed = {
            "vary": _VARY,
            "access-control-allow-methods": ", ".join(sorted(self._methods)),
            "access-control-max-age": str(max_age),
        }
        if self._names is not None:
            self._fixed["access-control-allow-headers"] = ", ".join(names)

    def answer(self, scope: Scope, method: bytes, granted: RawHeaders | None) -> PlainTextResponse:
        """Say what is allowed; or, with 400, what is wrong, which browsers show. `granted` is what the origin gets."""
        headers = {**self._fixed}
        wrong: list[str] = [] if granted else ["origin"]
        for pair in granted or ():
            if pair[0] != b"access-control-expose-headers":
                headers[pair[0].decode()] = pair[1].decode()
        if method.decode("latin-1") not in self._methods:
            wrong.append("method")
        asked = (find_header(scope["headers"], b"access-control-request-headers") or b"").decode("latin-1")
        names = [name for part in asked.split(",") if (name := part.strip(" \t"))]
        if not all(is_token(name) and (self._names is None or name.lower() in self._names) for name in names):
            wrong.append("headers")
        elif names and self._names is None:
            headers["access-control-allow-headers"] = ", ".join(names)
        if find_header(scope["headers"], b"access-control-request-private-network") is not None:
            if self._private_network:
                headers["access-control-allow-private-network"] = "true"
            else:
                wrong.append("private network")
        if wrong:
            return PlainTextResponse(f"Not allowed by CORS: {', '.join(wrong)}", 400, headers)
        return PlainTextResponse("OK", 200, headers)
