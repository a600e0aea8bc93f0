"""Coders: what turns a body into gzip, brotli or zstandard, whole or chunk by chunk.

Law: whatever goes into a stream can be read by the client before the next chunk comes, and a stream holds no more
than a window of 256 KiB. Third-party packages are imported here alone, when a coder is made.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from importlib import import_module
from threading import local
from typing import Any, Final, NamedTuple, TypeAlias, cast

from microasgi.exceptions import ConfigurationError, MissingPackage

__all__ = ["CODINGS", "Coder", "Levels", "Stream", "make_coders"]

Stream: TypeAlias = Callable[[bytes, bool], bytes]
"""The next chunk, and whether it is the last one, in; everything that is encoded by then out."""

CODINGS: Final = ("zstd", "br", "gzip")
"""What can be offered, the best first."""

_WINDOW: Final = 18  # two to the power of; what it costs against the usual one: 0.5 % of the size
_GZIP: Final = 16 + zlib.MAX_WBITS
_SMALL: Final = 64 * 1024
_ZSTD_MODULES: Final = ("compression.zstd", "zstandard")  # Python 3.14 has its own


class Coder(NamedTuple):
    """One content coding: `whole` encodes a body, `stream` makes an encoder for one body in chunks."""

    name: str
    whole: Callable[[bytes], bytes]
    stream: Callable[[], Stream]


class Levels(NamedTuple):
    """How hard to try: gzip 0 to 9, brotli 0 to 11, zstd 1 to 19 (RFC 9659 bounds the window of those above)."""

    gzip: int
    brotli: int
    zstd: int


def make_coders(names: Iterable[str] | None, levels: Levels) -> dict[str, Coder]:
    """Make the coders of that name, in that order; None: all whose package is installed, the best first.

    ConfigurationError for an unknown name or level, MissingPackage for a coder that was asked for by name.
    """
    _check(levels)
    wanted = CODINGS if names is None else tuple(names)
    unknown = [name for name in wanted if name not in CODINGS]
    if unknown or not wanted or isinstance(names, str):
        raise ConfigurationError(f"encodings={names!r}: give a list of {', '.join(map(repr, CODINGS))}")
    makers = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}
    coders: dict[str, Coder] = {}
    for name in wanted:
        try:
            coders[name] = makers[name](levels)
        except MissingPackage:
            if names is not None:
                raise
    return coders


def _check(levels: Levels) -> None:
    bounds = {"gzip_level": (0, 9), "brotli_quality": (0, 11), "zstd_level": (1, 19)}
    for level, (name, (low, high)) in zip(levels, bounds.items(), strict=True):
        if not isinstance(cast(object, level), int) or not low <= level <= high:
            raise ConfigurationError(f"{name} is a number from {low} to {high}, not {level!r}")


def _gzip(levels: Levels) -> Coder:
    level = levels.gzip

    def stream() -> Stream:
        encoder = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
        return lambda data, last: encoder.compress(data) + encoder.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    def whole(data: bytes) -> bytes:
        return zlib.compress(data, level, _GZIP)

    return Coder("gzip", whole, stream)


def _brotli(levels: Levels) -> Coder:
    try:
        brotli: Any = import_module("brotli")
    except ImportError:
        raise MissingPackage("brotli", "compression", "for the encoding 'br'") from None
    quality = levels.brotli

    def stream() -> Stream:
        encoder = brotli.Compressor(quality=quality, lgwin=_WINDOW)
        return lambda data, last: encoder.process(data) + (encoder.finish() if last else encoder.flush())

    def whole(data: bytes) -> bytes:
        return bytes(brotli.compress(data, quality=quality))

    return Coder("br", whole, stream)


def _zstd(levels: Levels) -> Coder:
    for name in _ZSTD_MODULES:
        try:
            module = import_module(name)
        except ImportError:
            continue
        return (_zstandard if name == "zstandard" else _standard_zstd)(module, levels.zstd)
    raise MissingPackage("zstandard", "compression", "for the encoding 'zstd'")


def _zstandard(zstandard: Any, level: int) -> Coder:
    parameters = zstandard.ZstdCompressionParameters.from_level(level, window_log=_WINDOW)
    kept = local()  # making one takes twice the time of a small body; they are for one thread at a time

    def whole(data: bytes) -> bytes:
        if len(data) > _SMALL:  # one that has seen a large body keeps its megabytes
            return bytes(zstandard.ZstdCompressor(level=level).compress(data))
        try:
            compressor = kept.compressor
        except AttributeError:
            compressor = kept.compressor = zstandard.ZstdCompressor(level=level)
        return bytes(compressor.compress(data))

    def stream() -> Stream:
        encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        block, finish = zstandard.COMPRESSOBJ_FLUSH_BLOCK, zstandard.COMPRESSOBJ_FLUSH_FINISH
        return lambda data, last: encoder.compress(data) + encoder.flush(finish if last else block)

    return Coder("zstd", whole, stream)


def _standard_zstd(zstd: Any, level: int) -> Coder:
    parameter = zstd.CompressionParameter
    options = {parameter.compression_level: level, parameter.window_log: _WINDOW}

    def stream() -> Stream:
        encoder = zstd.ZstdCompressor(options=options)
        return lambda data, last: encoder.compress(data, encoder.FLUSH_FRAME if last else encoder.FLUSH_BLOCK)

    def whole(data: bytes) -> bytes:
        return bytes(zstd.compress(data, level))

    return Coder("zstd", whole, stream)
