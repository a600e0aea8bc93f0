"""GZipMiddleware: compression by gzip alone, under the name that ports know. CompressionMiddleware does the work."""

from __future__ import annotations

from collections.abc import Iterable

from microasgi.middleware.compression import CompressionMiddleware
from microasgi.middleware.encodable import DEFAULT_EXCLUDED_CONTENT_TYPES
from microasgi.types import ASGIApp

__all__ = ["GZipMiddleware"]


class GZipMiddleware(CompressionMiddleware):
    """Compress the bodies of responses of at least `minimum_size` bytes with gzip of level `compresslevel`, 0 to 9."""

    def __init__(
        self,
        app: ASGIApp,
        minimum_size: int = 500,
        compresslevel: int = 9,
        thread_minimum_size: int = 64 * 1024,
        *,
        exclude_content_types: Iterable[str] = DEFAULT_EXCLUDED_CONTENT_TYPES,
        compress_set_cookie: bool = False,
    ) -> None:
        super().__init__(
            app,
            minimum_size,
            gzip_level=compresslevel,
            encodings=("gzip",),
            exclude_content_types=exclude_content_types,
            compress_set_cookie=compress_set_cookie,
            thread_minimum_size=thread_minimum_size,
        )
