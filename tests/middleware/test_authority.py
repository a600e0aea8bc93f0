"""The authority of a request: host and port of its Host header, in one form or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.middleware.authority import Authority, read_authority, same_target, sole_authority
from microasgi.testing import http_scope
from microasgi.urls import URL

labels = st.text("abcXYZ019-_", min_size=1, max_size=8)
ports = st.integers(0, 65535)


@given(labels=st.lists(labels, min_size=1, max_size=4), port=st.none() | ports, dot=st.booleans())
def test_every_name_is_read_in_lower_case_without_the_last_dot(labels: list[str], port: int | None, dot: bool) -> None:
    name = ".".join(labels)
    text = name + "." * dot + ("" if port is None else f":{port}")
    assert read_authority(text) == Authority(name.lower(), "" if port is None else str(port))


@given(address=st.ip_addresses(v=6), port=ports)
def test_every_ipv6_address_has_one_form(address: object, port: int) -> None:
    spellings = {str(address), str(address).upper(), address.exploded}  # type: ignore[attr-defined]
    assert {read_authority(f"[{spelling}]:{port}") for spelling in spellings} == {Authority(f"[{address}]", str(port))}


@given(address=st.ip_addresses(v=4))
def test_every_ipv4_address_is_a_host(address: object) -> None:
    assert read_authority(str(address)) == Authority(str(address), "")


@given(st.text(st.characters(max_codepoint=255), max_size=40) | st.text("a.:[]1-%@/ ", max_size=30))
def test_any_text_is_an_authority_or_none_and_what_is_one_reads_the_same_again(text: str) -> None:
    found = read_authority(text)
    assert found == read_authority(text.encode("latin-1"))
    if found is not None:
        assert read_authority(str(found)) == found
        assert URL(f"http://{found}/").hostname == found.host.strip("[]")
        assert not set(str(found)) & set("/?#@\\ %,")


@pytest.mark.parametrize(
    "text", ["", ":80", "a..b", ".a", "a:b", "a:655360", "a:65536", "[]", "[1]", "[::1", "x" * 301]
)
def test_what_is_not_legal_is_none(text: str) -> None:
    assert read_authority(text) is None


def test_a_scope_with_one_host_has_its_authority_and_one_with_two_has_none() -> None:
    assert sole_authority(http_scope(headers=[("host", "A.example:80")])) == Authority("a.example", "80")
    assert sole_authority(http_scope(headers=[("host", "a"), ("host", "a")])) is None


@pytest.mark.parametrize(
    "changed, target",
    [
        ({}, "https://b.example/a/b?x=1"),
        ({"raw_path": b"/a%2Fb"}, "https://b.example/a%2Fb?x=1"),
        ({"raw_path": b"/other"}, "https://b.example/a/b?x=1"),
        ({"raw_path": None}, "https://b.example/a/b?x=1"),
        ({"path": "/ü ?#"}, "https://b.example/%C3%BC%20%3F%23?x=1"),
        ({"path": "http://evil.example/"}, "https://b.example/http://evil.example/?x=1"),
        ({"path": "/?", "raw_path": b"/?"}, "https://b.example/%3F?x=1"),
        ({"query_string": b"a=\r\n&b=\xff#"}, "https://b.example/a/b?a=%0D%0A&b=%FF%23"),
        ({"query_string": b""}, "https://b.example/a/b"),
    ],
)
def test_path_and_query_go_along_to_another_authority(changed: dict[str, object], target: str) -> None:
    assert same_target({**http_scope(path="/a/b?x=1"), **changed}, "b.example", "https") == target
