"""URLs and query strings: parts stay in their places, odd input is no error."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi.exceptions import HTTPException
from microasgi.urls import URL, URLPath, parse_query, quote_path

FULL = "http://user:secret@example.org:8080/a/b?q=1&q=2#top"

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
query_text = st.text(st.sampled_from("ab&=+%2fC3é€;# \x00"), max_size=30)


def scope(**changes: Any) -> dict[str, Any]:
    """The scope of a request for http://example.org/ with something else in it."""
    base: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"example.org")],
        "server": ("10.0.0.1", 8000),
    }
    return base | changes


# parse_query


@given(query_text | plain_text)
def test_a_query_is_read_as_the_standard_library_reads_it(query: str) -> None:
    assert parse_query(query) == parse_qsl(query, keep_blank_values=True)


@given(st.lists(st.tuples(plain_text, plain_text), max_size=5))
def test_a_query_comes_back_as_it_was_encoded(pairs: list[tuple[str, str]]) -> None:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert parse_query(query) == pairs


@given(st.text(st.characters(max_codepoint=0xFFFF)))
def test_any_text_can_be_read_as_a_query(query: str) -> None:
    for name, value in parse_query(query):
        assert isinstance(name, str)
        assert isinstance(value, str)


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("&&", []),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=b", [("", "b")]),
        ("a=b=c", [("a", "b=c")]),
        ("a=1&a=2", [("a", "1"), ("a", "2")]),
        ("a+b=c+d", [("a b", "c d")]),
        ("a=%2B+%26%3D", [("a", "+ &=")]),
        ("a=%", [("a", "%")]),
        ("a=%4&b=%zz%41%", [("a", "%4"), ("b", "%zzA%")]),
        ("a=%e2%82%AC", [("a", "€")]),
        ("a=%ff%fe", [("a", "\ufffd\ufffd")]),
        ("a=1;b=2", [("a", "1;b=2")]),
        ("a=%2541", [("a", "%41")]),
    ],
)
def test_a_query_is_read_literally(query: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_query(query) == pairs


@pytest.mark.parametrize(
    ("query", "options", "why"),
    [
        ("&".join(["a=1"] * 1001), {}, "more than 1000 keys"),
        ("&" * 60_000, {}, "more than 1000 keys"),
        ("&" * 100_000, {}, "longer than 65536 characters"),
        ("a" * 65537, {}, "longer than 65536 characters"),
        ("a&b&c", {"max_pairs": 2}, "more than 2 keys"),
        ("abc", {"max_length": 2}, "longer than 2 characters"),
    ],
)
def test_a_query_over_a_limit_is_a_bad_request(query: str, options: dict[str, int], why: str) -> None:
    with pytest.raises(HTTPException, match=why) as caught:
        parse_query(query, **options)
    assert caught.value.status_code == 400


def test_a_query_at_the_limits_is_read() -> None:
    assert len(parse_query("&".join(["a=1"] * 1000))) == 1000
    assert len(parse_query("a" * 65536)) == 1
    assert parse_query("a&b&c", 3, 5) == [("a", ""), ("b", ""), ("c", "")]


@pytest.mark.parametrize("piece", ["%", "%2", "%41", "+", "=", "%ff"])
def test_a_long_query_is_read_too(piece: str) -> None:
    assert len(parse_query(piece * 20_000, max_length=100_000)) == 1


# quoting


@given(plain_text)
def test_a_quoted_path_comes_back_and_has_no_other_part(path: str) -> None:
    quoted = quote_path(path)
    assert unquote(quoted) == path
    assert quoted.isascii()
    assert quoted.isprintable()
    assert not set(quoted) & set('?# "<>\\^`{|}')
    assert quoted.count("/") == path.count("/")


def test_what_a_segment_may_have_is_not_quoted() -> None:
    assert quote_path("/aZ09-._~!$&'()*+,;=:@/") == "/aZ09-._~!$&'()*+,;=:@/"


def test_a_lone_surrogate_never_leaves() -> None:
    assert quote_path("/\ud800") == "/%ED%A0%80"


# URL: text and parts


def test_a_url_has_its_parts() -> None:
    url = URL(FULL)
    assert str(url) == FULL
    assert (url.scheme, url.netloc, url.path) == ("http", "user:secret@example.org:8080", "/a/b")
    assert (url.query, url.fragment) == ("q=1&q=2", "top")
    assert (url.username, url.password, url.hostname, url.port) == ("user", "secret", "example.org", 8080)
    assert url.components == ("http", "user:secret@example.org:8080", "/a/b", "q=1&q=2", "top")
    assert not url.is_secure


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("WSS", True), ("ws", False), ("", False)])
def test_a_url_is_secure_by_its_scheme(scheme: str, secure: bool) -> None:
    assert URL(f"{scheme}://a").is_secure is secure


@pytest.mark.parametrize(
    ("netloc", "expected"),
    [
        ("", (None, None, None, None)),
        ("EXAMPLE.org", (None, None, "example.org", None)),
        ("a:", (None, None, "a", None)),
        ("u@a", ("u", None, "a", None)),
        ("u:@a", ("u", "", "a", None)),
        (":p@a", ("", "p", "a", None)),
        ("u@v:p@a:1", ("u@v", "p", "a", 1)),
        ("[::1]", (None, None, "::1", None)),
        ("[::1]:80", (None, None, "::1", 80)),
        ("u:p@[FE80::1]:80", ("u", "p", "fe80::1", 80)),
        ("[::1", (None, None, None, None)),
        ("a:99999", (None, None, "a", None)),
        ("a:" + "9" * 5000, (None, None, "a", None)),
        ("a:x", (None, None, "a", None)),
        ("a:٣", (None, None, "a", None)),
        ("a:1:2", (None, None, "a", None)),
    ],
)
def test_odd_hosts_and_ports_are_no_error(netloc: str, expected: tuple[Any, ...]) -> None:
    url = URL(f"http://{netloc}/x")
    assert (url.username, url.password, url.hostname, url.port) == expected
    assert url.path == "/x"
    assert url.replace(path="/y").path == "/y"


@given(st.text() | st.text(st.sampled_from("ab:/?#@[]%.\\ "), max_size=20))
def test_any_text_is_a_url(text: str) -> None:
    url = URL(text)
    assert str(url) == text
    for part in (url.hostname, url.username, url.password):
        assert part is None or isinstance(part, str)
    assert url.port is None or 0 <= url.port <= 65535
    assert repr(url)
    assert url.replace(fragment="x").fragment == "x"


@given(st.text(st.sampled_from("abB1:/?#@%.-"), max_size=20).map(lambda text: f"http://host/{text}"))
def test_a_url_is_split_as_the_standard_library_splits_it(text: str) -> None:
    assert URL(text).components == tuple(urlsplit(text))


def test_a_url_equals_its_text_and_has_its_hash() -> None:
    assert URL(FULL) == FULL == URL(FULL)
    assert hash(URL(FULL)) == hash(FULL)
    assert URL(FULL) != URL("http://other")
    assert URL(FULL) != 5


def test_a_url_does_not_show_its_password() -> None:
    assert repr(URL(FULL)) == "URL('http://user:********@example.org:8080/a/b?q=1&q=2#top')"
    assert repr(URL("http://user@a")) == "URL('http://user@a')"


def test_a_url_comes_from_one_place() -> None:
    with pytest.raises(TypeError, match="one place"):
        URL("http://a", scope=scope())
    with pytest.raises(TypeError, match="one place"):
        URL("http://a", path="/x")
    assert str(URL()) == ""


def test_a_url_is_made_from_parts() -> None:
    assert str(URL(scheme="https", hostname="example.org", port=444, path="/a", query="b=c", fragment="d")) == (
        "https://example.org:444/a?b=c#d"
    )
    assert str(URL(netloc="a", path="b")) == "//a/b"
    assert str(URL(hostname="::1", port="80", username="u", password="p")) == "//u:p@[::1]:80"


# URL.replace


@pytest.mark.parametrize(
    ("components", "expected"),
    [
        ({}, FULL),
        ({"scheme": "https"}, "https://user:secret@example.org:8080/a/b?q=1&q=2#top"),
        ({"port": None}, "http://user:secret@example.org/a/b?q=1&q=2#top"),
        ({"port": 1}, "http://user:secret@example.org:1/a/b?q=1&q=2#top"),
        ({"hostname": "a"}, "http://user:secret@a:8080/a/b?q=1&q=2#top"),
        ({"hostname": "::1"}, "http://user:secret@[::1]:8080/a/b?q=1&q=2#top"),
        ({"hostname": "[::1]"}, "http://user:secret@[::1]:8080/a/b?q=1&q=2#top"),
        ({"username": None}, "http://example.org:8080/a/b?q=1&q=2#top"),
        ({"password": None}, "http://user@example.org:8080/a/b?q=1&q=2#top"),
        ({"username": "a%40b"}, "http://a%40b:secret@example.org:8080/a/b?q=1&q=2#top"),
        ({"netloc": "n", "port": 5}, "http://n:5/a/b?q=1&q=2#top"),
        ({"query": "", "fragment": None}, "http://user:secret@example.org:8080/a/b"),
    ],
)
def test_a_part_is_replaced(components: dict[str, Any], expected: str) -> None:
    assert str(URL(FULL).replace(**components)) == expected


legal_parts = st.fixed_dictionaries(
    {
        "scheme": st.sampled_from(["", "http", "wss", "a+b.c-1"]),
        "hostname": st.sampled_from(["", "a", "example.org", "1.2.3.4", "::1"]),
        "port": st.none() | st.integers(0, 65535),
        "path": st.text(st.sampled_from("ab/:%2F@.é"), max_size=8).map(lambda path: f"/{path}"),
        "query": st.text(st.sampled_from("ab=&/?:@%+"), max_size=8),
        "fragment": st.text(st.sampled_from("ab/?:@%"), max_size=8),
    }
)


@given(legal_parts)
def test_replaced_parts_are_what_was_given(parts: dict[str, Any]) -> None:
    url = URL(FULL).replace(**parts)
    assert url.scheme == parts["scheme"]
    assert url.hostname == (parts["hostname"] or None)
    assert url.port == parts["port"]
    assert url.path == parts["path"].replace("é", "%C3%A9")
    assert (url.query, url.fragment) == (parts["query"], parts["fragment"])
    assert URL(str(url)) == url.replace(path=url.path)


@given(st.sampled_from(["path", "query", "fragment", "netloc", "hostname", "username", "password"]), st.text())
def test_a_replaced_part_never_becomes_another(name: str, value: str) -> None:
    before = URL(FULL)
    after = before.replace(**{name: value})
    changed = "netloc" if name in ("netloc", "hostname", "username", "password") else name
    if name in ("hostname", "netloc") and not after.netloc:
        return
    for part, old, new in zip(before.components._fields, before.components, after.components, strict=True):
        assert part == changed or old == new
    assert str(after).isascii()
    assert str(after).isprintable()


@given(st.text(st.sampled_from("a/:?#@."), max_size=10))
def test_a_path_without_a_host_never_becomes_one(path: str) -> None:
    url = URL().replace(path=path)
    assert (url.scheme, url.netloc, url.query, url.fragment) == ("", "", "", "")
    assert not str(url).startswith(("//", "/\\"))


def test_an_illegal_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="'java script' is no scheme"):
        URL(FULL).replace(scheme="java script")


@pytest.mark.parametrize("port", [70000, "x", -1, "9" * 5000])
def test_an_illegal_port_is_refused(port: Any) -> None:
    with pytest.raises(ValueError, match="is no port"):
        URL(FULL).replace(port=port)


def test_an_illegal_port_that_is_there_stays() -> None:
    assert str(URL("http://a:99999/").replace(hostname="b")) == "http://b:99999/"


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match="a URL has no 'host'; it has scheme, netloc, path, query, fragment, username"):
        URL(FULL).replace(host="a")


# query parameters of a URL


def test_query_parameters_are_set_replaced_and_removed() -> None:
    url = URL("http://a/?q=1&q=2&r=3")
    assert str(url.include_query_params(q=4, s="é &")) == "http://a/?r=3&q=4&s=%C3%A9+%26"
    assert str(url.replace_query_params(a=1, b="x/y")) == "http://a/?a=1&b=x%2Fy"
    assert str(url.remove_query_params("q")) == "http://a/?r=3"
    assert str(url.remove_query_params(["q", "r"])) == "http://a/"


@given(st.dictionaries(plain_text, plain_text, max_size=4))
def test_query_parameters_come_back_as_they_were_given(params: dict[str, str]) -> None:
    url = URL(FULL).replace_query_params(**params)
    assert parse_query(url.query) == list(params.items())
    assert url.fragment == "top"


def test_a_query_over_the_limit_is_a_bad_request() -> None:
    with pytest.raises(HTTPException):
        URL("http://a/?" + "&" * 2000).include_query_params(a=1)


# URL of a scope


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "http://example.org/"),
        ({"headers": [(b"host", b"example.org:8080")]}, "http://example.org:8080/"),
        ({"headers": [(b"Host", b"A.b")]}, "http://A.b/"),
        ({"headers": [(b"host", b"[::1]:80")]}, "http://[::1]:80/"),
        ({"headers": [(b"host", b"example.org:")]}, "http://example.org/"),
        ({"headers": []}, "http://10.0.0.1:8000/"),
        ({"headers": None}, "http://10.0.0.1:8000/"),
        ({"headers": [], "server": ("a", 80)}, "http://a/"),
        ({"headers": [], "server": ["a", "80"]}, "http://a/"),
        ({"headers": [], "server": ("a", "8000")}, "http://a:8000/"),
        ({"headers": [], "server": ("a", 443), "scheme": "https"}, "https://a/"),
        ({"headers": [], "server": ("a", None)}, "http://a/"),
        ({"headers": [], "server": ("a",)}, "http://a/"),
        ({"headers": [], "server": ("a", 99999)}, "http://a/"),
        ({"headers": [], "server": ("::1", 8000)}, "http://[::1]:8000/"),
        ({"headers": [], "server": ("/run/app.sock", None)}, "/"),
        ({"headers": [], "server": ("", "0")}, "/"),
        ({"headers": [], "server": None}, "/"),
        ({"headers": [], "server": None, "path": "//evil"}, "/.//evil"),
        ({"path": "//evil"}, "http://example.org//evil"),
        ({"path": "@evil/x"}, "http://example.org/@evil/x"),
        ({"path": ".evil"}, "http://example.org/.evil"),
        ({"path": "http://evil/x"}, "http://example.org/http://evil/x"),
        ({"path": "*"}, "http://example.org/*"),
        ({"path": ""}, "http://example.org/"),
        ({"path": "/a?b#c%\\é\n"}, "http://example.org/a%3Fb%23c%25%5C%C3%A9%0A"),
        ({"query_string": b"a=1&b=%20?/"}, "http://example.org/?a=1&b=%20?/"),
        ({"query_string": "a=1"}, "http://example.org/?a=1"),
        ({"query_string": b'a=#b \r\n<>"'}, "http://example.org/?a=%23b%20%0D%0A%3C%3E%22"),
        ({"query_string": b"a=\xc3\xa9\xff"}, "http://example.org/?a=%C3%A9%FF"),
        ({"query_string": "a=é\ud800"}, "http://example.org/?a=%C3%A9%ED%A0%80"),
        ({"path": "/\udcff"}, "http://example.org/%FF"),
        ({"query_string": None}, "http://example.org/"),
        ({"scheme": "https"}, "https://example.org/"),
        ({"scheme": ""}, "http://example.org/"),
        ({"scheme": "evil://x"}, "http://example.org/"),
        ({"type": "websocket", "scheme": None}, "ws://example.org/"),
    ],
)
def test_the_url_of_a_scope(changes: dict[str, Any], expected: str) -> None:
    assert str(URL(scope=scope(**changes))) == expected


def test_a_scope_of_nothing_has_a_url() -> None:
    assert str(URL(scope={})) == "/"
    assert str(URL(scope={"type": "websocket", "headers": [(b"host", b"a")]})) == "ws://a/"


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b" ",
        b"evil.org ",
        b"evil.org/x",
        b"evil.org?x",
        b"evil.org#x",
        b"a@evil.org",
        b"evil%2eorg",
        b"evil\\x",
        b"evil.org:99999",
        b"evil.org:" + b"9" * 10_000,
        b"evil.org:x",
        b"evil.org:1:2",
        b"[::1",
        b"::1",
        b"[evil]",
        b"[::1]x",
        b"[::1%25eth0]",
        b"evil.org\n",
        b"evil,org",
        b"'evil'",
        b"\xe9vil.org",
        b":80",
    ],
)
def test_an_illegal_host_header_is_not_used(host: bytes) -> None:
    assert str(URL(scope=scope(headers=[(b"host", host)]))) == "http://10.0.0.1:8000/"


def test_two_host_headers_are_not_used() -> None:
    headers = [(b"host", b"example.org"), (b"HOST", b"evil.org")]
    assert str(URL(scope=scope(headers=headers))) == "http://10.0.0.1:8000/"


@given(
    host=st.binary(max_size=12) | st.text(st.sampled_from("ab.:[]@/?#%1 "), max_size=12).map(str.encode),
    path=st.text() | st.text(st.sampled_from("a/?#@:\\%."), max_size=10),
    query=st.binary() | st.text(),
    server=st.sampled_from([None, ("a", 1), ("", "0"), ("/x", None), ["::1", "80"]]),
)
@settings(deadline=None)
def test_host_path_and_query_never_change_places(host: bytes, path: str, query: bytes | str, server: Any) -> None:
    url = URL(scope=scope(headers=[(b"host", host)], path=path, query_string=query, server=server))
    text = str(url)
    assert text.isascii()
    assert text.isprintable()
    assert url.netloc in (host.decode("latin-1"), host.decode("latin-1")[:-1], "a:1", "[::1]", "")
    assert url.scheme == ("http" if url.netloc else "")
    decoded = url.path if url.netloc else url.path.removeprefix("/.") if url.path.startswith("/.//") else url.path
    if path.isprintable():  # a lone surrogate is one way only
        assert unquote(decoded) == (path if path.startswith("/") else f"/{path}")
    assert bool(url.query) == bool(query)
    assert url.fragment == ""
    assert urlsplit(text).path == url.path


# URLPath


def test_a_path_is_text_with_a_protocol_and_a_host() -> None:
    path = URLPath("/a", protocol="http", host="example.org")
    assert path == "/a"
    assert (path.protocol, path.host) == ("http", "example.org")
    assert (URLPath("/a").protocol, URLPath("/a").host) == ("", "")


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="protocol is 'http', 'websocket' or '', not 'ftp'"):
        URLPath("/a", protocol="ftp")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "base", "expected"),
    [
        (URLPath("/a"), "https://b", "https://b/a"),
        (URLPath("/a"), "https://b/root/?x=1#y", "https://b/root/a"),
        (URLPath("/a", "http"), "ws://b", "http://b/a"),
        (URLPath("/a", "http"), "wss://b", "https://b/a"),
        (URLPath("/a", "websocket"), "http://b", "ws://b/a"),
        (URLPath("/a", "websocket"), URL("https://b"), "wss://b/a"),
        (URLPath("/a", host="c:80"), "http://b", "http://c:80/a"),
        (URLPath("/a?b", "http"), "http://b", "http://b/a%3Fb"),
        (URLPath("//evil"), "/", "/.//evil"),
    ],
)
def test_a_path_becomes_a_url_under_a_base(path: URLPath, base: str | URL, expected: str) -> None:
    assert str(path.make_absolute_url(base)) == expected
