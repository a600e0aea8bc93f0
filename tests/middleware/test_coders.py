"""Coders: what goes in comes out again, at once, whatever the chunks; and what a process may lack."""

from __future__ import annotations

import sys
import types
from enum import Enum
from typing import Any, ClassVar

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware.coders import CODINGS, Levels, make_coders
from tests.middleware.decoders import decode, decoder

LEVELS = Levels(6, 4, 3)
each_coding = pytest.mark.parametrize("coding", CODINGS)


@each_coding
@settings(max_examples=25)
@given(chunks=st.lists(st.binary(max_size=3000) | st.text("ab ", max_size=3000).map(str.encode), max_size=8))
def test_a_stream_of_any_chunks_is_decoded_to_what_it_was(coding: str, chunks: list[bytes]) -> None:
    write = make_coders([coding], LEVELS)[coding].stream()
    body = b"".join([write(chunk, False) for chunk in chunks]) + write(b"", True)
    assert decode(coding, body) == b"".join(chunks)


@each_coding
@settings(max_examples=25)
@given(chunks=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8))
def test_a_chunk_can_be_read_before_the_next_one_comes(coding: str, chunks: list[bytes]) -> None:
    write, read = make_coders([coding], LEVELS)[coding].stream(), decoder(coding)
    for chunk in chunks[:-1]:
        assert read(write(chunk, False)) == chunk
    assert read(write(chunks[-1], True)) == chunks[-1]


@each_coding
@settings(max_examples=25)
@given(body=st.binary(max_size=5000) | st.text("ab ", max_size=5000).map(str.encode))
def test_a_whole_body_is_decoded_to_what_it_was(coding: str, body: bytes) -> None:
    assert decode(coding, make_coders([coding], LEVELS)[coding].whole(body)) == body


@each_coding
def test_a_large_body_becomes_smaller(coding: str) -> None:
    body = b"".join(b"line %d of a log\n" % number for number in range(20_000))
    encoded = make_coders([coding], LEVELS)[coding].whole(body)
    assert decode(coding, encoded) == body
    assert len(encoded) < len(body) / 4


@each_coding
def test_a_stream_asks_its_client_for_no_more_than_256_kib(coding: str) -> None:
    write = make_coders([coding], LEVELS)[coding].stream()
    body = write(bytes(1_000_000), False) + write(b"", True)
    if coding == "zstd":
        assert zstandard.get_frame_parameters(body).window_size <= 2**18
    assert len(decode(coding, body)) == 1_000_000


def test_all_that_is_installed_is_offered_the_best_first() -> None:
    assert list(make_coders(None, LEVELS)) == ["zstd", "br", "gzip"]


def test_the_order_is_that_of_the_list() -> None:
    assert list(make_coders(["gzip", "br"], LEVELS)) == ["gzip", "br"]


@pytest.mark.parametrize("names", [["deflate"], [], "gzip", ["gzip", "brotli"]])
def test_what_is_no_list_of_codings_is_refused(names: Any) -> None:
    with pytest.raises(ConfigurationError, match="'zstd', 'br', 'gzip'"):
        make_coders(names, LEVELS)


@pytest.mark.parametrize(
    "levels, name", [((10, 4, 3), "gzip_level"), ((6, 12, 3), "brotli"), ((6, 4, 20), "zstd"), (("6", 4, 3), "gzip")]
)
def test_a_level_that_there_is_not_is_refused(levels: Any, name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        make_coders(None, Levels(*levels))


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


def test_what_is_not_installed_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "brotli", "zstandard", "compression.zstd")
    assert list(make_coders(None, LEVELS)) == ["gzip"]


@pytest.mark.parametrize("coding, package", [("br", "brotli"), ("zstd", "zstandard")])
def test_what_is_asked_for_by_name_has_to_be_installed(
    monkeypatch: pytest.MonkeyPatch, coding: str, package: str
) -> None:
    without(monkeypatch, package, "compression.zstd")
    with pytest.raises(MissingPackage, match=r'pip install "microasgi\[compression\]"'):
        make_coders([coding], LEVELS)


class StandardZstd:
    """What `compression.zstd` of Python 3.14 looks like, made of zstandard."""

    class CompressionParameter(Enum):
        compression_level = 1
        window_log = 2

    class ZstdCompressor:
        FLUSH_BLOCK: ClassVar[int] = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        FLUSH_FRAME: ClassVar[int] = zstandard.COMPRESSOBJ_FLUSH_FINISH

        def __init__(self, *, options: dict[Any, int]) -> None:
            named = {key.name: value for key, value in options.items()}
            assert named == {"compression_level": 3, "window_log": 18}
            self._encoder = zstandard.ZstdCompressor().compressobj()

        def compress(self, data: bytes, mode: int) -> bytes:
            return self._encoder.compress(data) + self._encoder.flush(mode)

    @staticmethod
    def compress(data: bytes, level: int) -> bytes:
        return zstandard.ZstdCompressor(level=level).compress(data)


def test_python_s_own_zstd_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("compression.zstd")
    vars(module).update({name: value for name, value in vars(StandardZstd).items() if not name.startswith("_")})
    module.compress = StandardZstd.compress  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "compression", types.ModuleType("compression"))
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    without(monkeypatch, "zstandard")
    coder = make_coders(["zstd"], LEVELS)["zstd"]
    write = coder.stream()
    assert decode("zstd", write(b"one ", False) + write(b"two", True)) == b"one two"
    assert decode("zstd", coder.whole(b"whole")) == b"whole"
