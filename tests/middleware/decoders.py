"""Decoding what was encoded, by other functions than those that encoded it: as a client would, chunk by chunk."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import brotli
import zstandard

__all__ = ["decode", "decoder"]


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """Return what decodes the next piece of a body as far as it goes."""
    if coding == "gzip":
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    if coding == "br":
        process: Any = brotli.Decompressor().process
        return lambda data: bytes(process(data))
    return zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj().decompress


def decode(coding: str, body: bytes) -> bytes:
    """Return the whole body; fails unless it is complete and nothing follows it."""
    if coding == "gzip":
        stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        whole = stream.decompress(body)
        assert stream.eof
        assert not stream.unused_data
        return whole
    if coding == "br":
        decompressor: Any = brotli.Decompressor()
        whole = bytes(decompressor.process(body))
        assert decompressor.is_finished()
        return whole
    frame = zstandard.ZstdDecompressor().decompressobj()
    whole = frame.decompress(body)
    assert frame.eof
    assert not frame.unused_data
    return whole
