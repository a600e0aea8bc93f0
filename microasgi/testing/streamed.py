"""A response whose body an async test may stop reading anywhere.

httpx reads a body through a chain of async generators and closes none of them; Trio warns about each that is left.
Law: when the response is closed, so is every generator it has handed out or read through.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from microasgi.testing.httpx_package import httpx

__all__ = ["AsyncResponse"]

_T = TypeVar("_T")


class AsyncResponse(httpx.Response):
    """httpx.Response for an async client, leaving nothing for the collector."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._generators: list[Any] = []
        super().__init__(*args, **kwargs)

    def aiter_raw(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the bytes as the application sent them."""
        self.stream = _KeptStream(self.stream, self._generators)
        return self._kept(super().aiter_raw(chunk_size))

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """Iterate over the decoded bytes."""
        return self._kept(super().aiter_bytes(chunk_size))

    def aiter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """Iterate over the body as text."""
        return self._kept(super().aiter_text(chunk_size))

    def aiter_lines(self) -> AsyncIterator[str]:
        """Iterate over the body's lines."""
        return self._kept(super().aiter_lines())

    async def aclose(self) -> None:
        """Close the response and whatever still reads it; the application receives `http.disconnect`."""
        for generator in self._generators:
            # A generator that reads to the end closes the response itself, from inside.
            if not generator.ag_running:
                await generator.aclose()
        await super().aclose()

    def _kept(self, generator: AsyncIterator[_T]) -> AsyncIterator[_T]:
        self._generators.append(generator)
        return generator


class _KeptStream(httpx.AsyncByteStream):
    def __init__(self, stream: Any, generators: list[Any]) -> None:
        self._stream = stream
        self._generators = generators

    def __aiter__(self) -> AsyncIterator[bytes]:
        generator: AsyncIterator[bytes] = aiter(self._stream)
        self._generators.append(generator)
        return generator

    async def aclose(self) -> None:
        await self._stream.aclose()
