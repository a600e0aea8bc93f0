"""Names: of media types, of downloads, of packed siblings, with hashes; pure tables and parsers."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.files.codings import wanted_codings
from microasgi.files.fingerprints import with_fingerprint, without_fingerprint
from microasgi.files.mediatypes import content_disposition, guess_media_type
from microasgi.headers import encode_header, parse_options


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a.js", "text/javascript"),
        ("a.MJS", "text/javascript"),
        ("site.css.map", "application/json"),
        ("a.tar.gz", "application/gzip"),
        ("a.woff2", "font/woff2"),
        ("/x.css/README", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a.py", "text/x-python"),
        ("a.rtf", "application/rtf"),
    ],
)
def test_a_media_type_goes_by_the_last_suffix(name: str, expected: str) -> None:
    assert guess_media_type(name) == expected


def test_a_plain_name_is_quoted() -> None:
    assert content_disposition("attachment", "report 1.pdf") == 'attachment; filename="report 1.pdf"'


def test_any_other_name_comes_in_two_forms() -> None:
    expected = "inline; filename=\"_ 50_.txt\"; filename*=UTF-8''%E2%82%AC%2050%25.txt"
    assert content_disposition("inline", "€ 50%.txt") == expected


@pytest.mark.parametrize("kind", ["", "attachment; x=y", "a\r\nb", "in line"])
def test_a_disposition_is_a_token(kind: str) -> None:
    with pytest.raises(ValueError, match="inline"):
        content_disposition(kind, "a")


@given(st.text())
def test_no_name_gets_out_of_its_header(name: str) -> None:
    value = content_disposition("attachment", name)
    encode_header("content-disposition", value)
    kind, options = parse_options(value)
    assert kind == "attachment"
    assert set(options) <= {"filename", "filename*"}
    if "filename*" in options:
        assert unquote(options["filename*"].removeprefix("UTF-8''")) == name.encode("utf-8", "replace").decode()
    else:
        assert options["filename"] == name


@pytest.mark.parametrize(
    "accept, expected",
    [
        (None, ()),
        (b"", ()),
        (b"gzip", ("gzip",)),
        (b"gzip, deflate, br, zstd", ("br", "zstd", "gzip")),
        (b"gzip;q=1.0, br;q=0.5", ("gzip", "br")),
        (b"br;q=0, gzip", ("gzip",)),
        (b"GZIP ; Q=0.2", ("gzip",)),
        (b"x-gzip", ("gzip",)),
        (b"*", ("br", "zstd", "gzip")),
        (b"*;q=0", ()),
        (b"*;q=0, gzip", ("gzip",)),
        (b"identity, gzip;q=0.5", ()),
        (b"identity;q=0.5, gzip;q=0.5", ("gzip",)),
        (b"gzip;q=2, br;q=x, zstd;q=", ()),
        (b"gzip;level=9", ("gzip",)),
    ],
)
def test_the_client_says_which_codings_it_wants(accept: bytes | None, expected: tuple[str, ...]) -> None:
    assert wanted_codings(accept) == expected


@given(st.binary(max_size=400))
def test_any_accept_encoding_is_read(accept: bytes) -> None:
    assert set(wanted_codings(accept)) <= {"br", "zstd", "gzip"}


def test_what_is_remembered_of_accept_encoding_is_bounded() -> None:
    for number in range(600):
        assert wanted_codings(b"gzip, x%d" % number) == ("gzip",)
    assert wanted_codings(b"gzip" + b" " * 1000) == ("gzip",)


@pytest.mark.parametrize("name", ["site.css", "LICENSE", "a.tar.gz", "a.css.map"])
def test_a_hash_is_put_before_the_last_suffix_and_found_again(name: str) -> None:
    marked = with_fingerprint(name, "0123456789ab")
    assert (name, "0123456789ab") in list(without_fingerprint(marked))


@pytest.mark.parametrize("name", ["site.css", "site.0123456789AB.css", "site.0123.css", ".0123456789ab", "a..b"])
def test_other_names_have_no_hash(name: str) -> None:
    assert list(without_fingerprint(name)) == []
