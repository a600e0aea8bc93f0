"""CompressionMiddleware: bodies in the coding that the client likes best, of zstandard, brotli and gzip.

Law: what is not worth it, cannot be, or would give a secret away goes through as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from microasgi.middleware.acceptencoding import choose_coding
from microasgi.middleware.coders import Levels, make_coders
from microasgi.middleware.encodable import DEFAULT_EXCLUDED_CONTENT_TYPES, Encodable
from microasgi.middleware.encodedanswer import Coding, EncodedAnswer
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["DEFAULT_EXCLUDED_CONTENT_TYPES", "CompressionMiddleware"]

_ZEROCOPY: Final = "http.response.zerocopysend"
_REMEMBERED: Final = 256
_REMEMBERED_LENGTH: Final = 128


class CompressionMiddleware:
    """Compress the bodies of responses of at least `minimum_size` bytes, or of unknown size.

    `encodings` are offered in that order where the client has no preference; by default `zstd`, `br` and `gzip`, as far
    as their packages are installed. Left alone: `exclude_content_types`, statuses without a whole body, what is encoded
    already, `Cache-Control: no-transform`, and what sets a cookie, unless `compress_set_cookie`. Chunks of
    `thread_minimum_size` bytes and more are compressed in a worker thread.
    """

    def __init__(
        self,
        app: ASGIApp,
        minimum_size: int = 500,
        *,
        gzip_level: int = 6,
        brotli_quality: int = 4,
        zstd_level: int = 3,
        encodings: Iterable[str] | None = None,
        exclude_content_types: Iterable[str] = DEFAULT_EXCLUDED_CONTENT_TYPES,
        compress_set_cookie: bool = False,
        thread_minimum_size: int = 64 * 1024,
    ) -> None:
        self.app = app
        self._encodable = Encodable(minimum_size, exclude_content_types, compress_set_cookie)
        self._coders = make_coders(encodings, Levels(gzip_level, brotli_quality, zstd_level))
        self._thread_minimum_size = thread_minimum_size
        self._nothing = Coding(None, False, thread_minimum_size)
        self._known: dict[bytes, Coding] = {b"": self._nothing}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, compressed if that is wanted; let everything else through."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        accept = b",".join([value for name, value in scope["headers"] if name == b"accept-encoding"])
        coding = self._known.get(accept) or self._choose(accept)
        extensions = scope.get("extensions")
        if extensions and _ZEROCOPY in extensions:  # it may stand among the chunks of a body
            scope = {**scope, "extensions": {key: extensions[key] for key in extensions if key != _ZEROCOPY}}
        answer = EncodedAnswer(self._encodable, coding, scope, send)
        return await self.app(scope, receive, answer.pass_on)

    def _choose(self, accept: bytes) -> Coding:
        name, forced = choose_coding(accept, tuple(self._coders))
        coding = Coding(self._coders[name], forced, self._thread_minimum_size) if name else self._nothing
        if len(accept) <= _REMEMBERED_LENGTH and len(self._known) < _REMEMBERED:
            self._known[accept] = coding
        return coding
