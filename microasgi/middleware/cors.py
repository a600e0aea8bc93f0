"""CORSMiddleware: which other sites' pages may read what is here (Fetch standard, CORS protocol).

Law: a response that depends on the Origin says so in Vary, also where there was none in the request.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from microasgi.exceptions import ConfigurationError
from microasgi.headers import MutableHeaders, encode_header, find_header
from microasgi.middleware.preflight import Preflight, is_token
from microasgi.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send

__all__ = ["CORSMiddleware"]

_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_LONGEST: Final = 512  # bytes of an Origin that the pattern is asked about
_VARY: Final = (b"vary", b"Origin")

_origin = re.compile(r"([a-z][a-z0-9+.\-]*)://(\[[0-9a-f:.]+\]|[^/?#@:\s*]+)(:[0-9]+)?").fullmatch
_visible = re.compile(rb"[!-~]+").fullmatch


class CORSMiddleware:
    """Let pages of `allow_origins`, and of origins that `allow_origin_regex` matches in full, read the responses.

    An origin is `https://example.com`, with a port if it is not the scheme's; `*` stands for all, and is refused with
    `allow_credentials`, as is a pattern that matches everything. Allowed for requests that need a preflight:
    `allow_methods` and `allow_headers` (`*`: all). `max_age` is in seconds. Where a request with all its cookies is
    allowed, and not by `*`, `scope["microasgi.cors_allows"]` is True. ConfigurationError for what cannot work.
    """

    def __init__(
        self,
        app: ASGIApp,
        allow_origins: Collection[str] = (),
        allow_methods: Collection[str] = ("GET",),
        allow_headers: Collection[str] = (),
        allow_credentials: bool = False,
        allow_origin_regex: str | None = None,
        allow_private_network: bool = False,
        expose_headers: Collection[str] = (),
        max_age: int = 600,
    ) -> None:
        _check_list("allow_origins", allow_origins)
        names = {"allow_methods": allow_methods, "allow_headers": allow_headers, "expose_headers": expose_headers}
        for name, values in names.items():
            _check_list(name, values, of_tokens=True)
        self.app = app
        self._pattern = _compiled(allow_origin_regex)
        origins = [_read_origin(origin) for origin in allow_origins if origin != "*"]
        if allow_credentials and ("*" in allow_origins or "null" in origins or self._matches(b"https://all.invalid")):
            raise ConfigurationError(
                "CORSMiddleware: with allow_credentials=True, every site could read what the user sees: name the "
                "origins, as in allow_origins=['https://example.com'], not '*', 'null' or a pattern that matches all"
            )
        self._credentials = allow_credentials
        self._preflight = Preflight(allow_methods, allow_headers, allow_private_network, max_age)
        self._granted = [encode_header("access-control-allow-credentials", "true")] if allow_credentials else []
        if expose_headers:
            self._granted.append(encode_header("access-control-expose-headers", ", ".join(expose_headers)))
        self._origins = {origin.encode(): self._grant(origin.encode()) for origin in origins}
        self._to_all = self._grant(b"*") if "*" in allow_origins else None

    def _grant(self, origin: bytes) -> RawHeaders:
        return [(b"access-control-allow-origin", origin), *self._granted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight, add the headers to every other response."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        to_all, granted = self._to_all, None
        origin = find_header(scope["headers"], b"origin")
        if origin is not None:
            granted = self._allowed(origin)
            if granted is not None and (self._credentials or find_header(scope["headers"], b"cookie") is None):
                scope["microasgi.cors_allows"] = True
            if scope["method"] == "OPTIONS":
                method = find_header(scope["headers"], b"access-control-request-method")
                if method is not None:
                    return await self._preflight.answer(scope, method, to_all or granted)(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = _merged(message.get("headers") or (), to_all or granted, to_all is None)
                message = {**message, "headers": headers}
            await send(message)

        return await self.app(scope, receive, with_headers)

    def _allowed(self, origin: bytes) -> RawHeaders | None:
        """Return the headers for an origin that is allowed by name or pattern, not for one that `*` alone allows."""
        return self._origins.get(origin) or (self._grant(origin) if self._matches(origin) else None)

    def _matches(self, origin: bytes) -> bool:
        # Whoever wrote the pattern, what it is asked about is short, and safe to send back.
        if self._pattern is None or len(origin) > _LONGEST or not _visible(origin):
            return False
        return self._pattern.fullmatch(origin.decode("ascii")) is not None


def _merged(headers: Iterable[tuple[bytes, bytes]], added: RawHeaders | None, varies: bool) -> RawHeaders:
    """Return the response's headers with the added ones in place of its own."""
    raw = [*headers]
    names = {name for name, _ in raw}
    if added is not None:
        own = {name for name, _ in added}
        raw = [*raw, *added] if own.isdisjoint(names) else [*[pair for pair in raw if pair[0] not in own], *added]
    if varies and b"vary" in names:
        MutableHeaders(raw=raw).add_vary_header("Origin")
    elif varies:
        raw.append(_VARY)
    return raw


def _check_list(name: str, values: Collection[str], *, of_tokens: bool = False) -> None:
    if isinstance(values, str):
        raise ConfigurationError(f"CORSMiddleware: {name} is a list, write {name}=[{values!r}]")
    for value in values:
        if of_tokens and not is_token(value):
            raise ConfigurationError(f"CORSMiddleware: {value!r} in {name} is no name; write one in each text")


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    try:
        return None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise ConfigurationError(f"CORSMiddleware: allow_origin_regex={pattern!r} is no pattern: {error}") from None


def _read_origin(text: str) -> str:
    """Return an origin as browsers write it: in lower case, without the scheme's own port."""
    if text == "null":
        return text
    found = _origin(text.lower())
    if found and text.isascii():
        scheme, host, port = found.groups()
        return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS.get(scheme) else port or ''}"
    cure = "an origin is scheme and host, without a path or a slash at the end, as in 'https://example.com'"
    if "*" in text:
        cure = r"write a pattern, as in allow_origin_regex=r'https://[a-z0-9\-]+\.example\.com'"
    raise ConfigurationError(f"CORSMiddleware: {text!r} in allow_origins can match no request: {cure}")
