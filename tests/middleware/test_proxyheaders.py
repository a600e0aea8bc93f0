"""ProxyHeadersMiddleware: the client behind the proxies, as far as those proxies can be believed."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import MicroASGI, Middleware, Request
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import ProxyHeadersMiddleware
from microasgi.middleware.peers import Peers, read_peer
from microasgi.testing import http_scope, lifespan_scope, request, websocket_scope
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

PROXY = ("127.0.0.1", 40000)
Headers = list[tuple[str, str]]


async def seen_by(scope: Scope, *args: Any, **options: Any) -> Scope:
    """Return the scope as an application behind the middleware gets it."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None: ...

    await ProxyHeadersMiddleware(app, *args, **options)(scope, receive, send)
    return seen[0]


async def client_of(forwarded_for: str, trusted: str = "127.0.0.1, 10.0.0.0/8") -> Any:
    scope = http_scope(headers=[("x-forwarded-for", forwarded_for)], client=PROXY)
    return (await seen_by(scope, trusted))["client"]


# Whom to believe


@pytest.mark.parametrize("client", [("192.0.2.9", 1), ("127.0.0.2", 1), ("testclient", 1), None, ("", "0")])
async def test_nothing_of_another_peer_is_believed(client: Any) -> None:
    headers = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=192.0.2.1")]
    for options in ({}, {"forwarded": True}):
        scope = http_scope(headers=headers, client=client)
        assert await seen_by(scope, **options) is scope


@pytest.mark.parametrize(
    "trusted, client",
    [
        ("127.0.0.1", PROXY),
        ("127.0.0.1", ("::ffff:127.0.0.1", 1)),
        ("::1", ("0:0:0:0:0:0:0:1", 1)),
        ("10.0.0.1, 127.0.0.1", PROXY),
        (["10.0.0.1", "127.0.0.0/8"], PROXY),
        ("2001:db8::/32", ("2001:db8::7", 1)),
        ("unix", None),
        ("unix", ("", "0")),
        ("*", None),
        ("*", ("testclient", 1)),
        ("*", ["192.0.2.9", 1]),
    ],
)
async def test_a_trusted_peer_is_believed(trusted: Any, client: Any) -> None:
    scope = http_scope(headers=[("x-forwarded-for", "192.0.2.1")], client=client)
    assert (await seen_by(scope, trusted))["client"] == ("192.0.2.1", 0)


async def test_the_scope_of_the_server_stays_as_it_was() -> None:
    scope = http_scope(headers=[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-host", "a.example")], client=PROXY)
    before = {**scope}
    assert await seen_by(scope, host=True) != scope
    assert scope == before


async def test_a_request_that_no_proxy_has_marked_passes_as_it_is() -> None:
    scope = http_scope(client=PROXY)
    assert await seen_by(scope) is scope


async def test_the_lifespan_passes() -> None:
    scope = lifespan_scope()
    assert await seen_by(scope, "*") is scope


def test_what_is_remembered_of_peers_is_bounded() -> None:
    peers = Peers("10.0.0.0/8")
    for number in [*range(1100), *range(1100)]:
        assert peers.trusts((f"10.0.{number % 256}.{number // 256}", 1))
    assert peers._find.cache_info().currsize == 1024


# X-Forwarded-For


@pytest.mark.parametrize(
    "value, client",
    [
        ("192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1:5000", ("192.0.2.1", 5000)),
        ("2001:DB8:0::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]", ("2001:db8::1", 0)),
        ("[2001:db8::1]:5000", ("2001:db8::1", 5000)),
        ("::ffff:192.0.2.1", ("192.0.2.1", 0)),
        ("192.0.2.1, 10.0.0.5", ("192.0.2.1", 0)),
        ("203.0.113.7, 192.0.2.1, 10.0.0.5", ("192.0.2.1", 0)),
        ("10.0.0.6,10.0.0.5", ("10.0.0.6", 0)),
        ("unknown, 10.0.0.5", ("10.0.0.5", 0)),
        ("garbage, 192.0.2.1", ("192.0.2.1", 0)),
        ("203.0.113.7, , 10.0.0.5", ("10.0.0.5", 0)),
    ],
)
async def test_the_client_is_the_last_address_that_is_not_a_proxy(value: str, client: tuple[str, int]) -> None:
    assert await client_of(value) == client


@pytest.mark.parametrize(
    "value",
    [
        "",
        "unknown",
        "_hidden",
        "192.0.2.1,",
        "256.0.0.1",
        "192.0.2.1:99999",
        "192.0.2.1:x",
        "192.0.2.1:²",
        "[::1",
        "[192.0.2.1]",
        "[::1]x",
        "fe80::1%any text",
        "<script>",
        "1" * 100,
        "192.0.2.1 x",
        "3221225985",
    ],
)
async def test_a_malformed_value_leaves_the_peer_as_the_client(value: str) -> None:
    assert await client_of(value) == PROXY


async def test_several_headers_are_one_list() -> None:
    headers = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-for", "192.0.2.1, 127.0.0.1")]
    assert (await seen_by(http_scope(headers=headers, client=PROXY)))["client"] == ("192.0.2.1", 0)


async def test_where_everyone_is_trusted_the_first_address_counts() -> None:
    assert await client_of("203.0.113.7, 192.0.2.1", "*") == ("203.0.113.7", 0)


# X-Forwarded-Proto


async def scheme_of(proto: str, scope: Scope | None = None, forwarded_for: str = "192.0.2.1") -> str:
    given = http_scope() if scope is None else scope
    headers = [(b"x-forwarded-proto", proto.encode("latin-1")), (b"x-forwarded-for", forwarded_for.encode())]
    given.update(client=PROXY, headers=headers)
    found: str = (await seen_by(given, "127.0.0.1, 10.0.0.0/8"))["scheme"]
    return found


@pytest.mark.parametrize(
    "proto, scheme",
    [
        ("https", "https"),
        ("HTTPS", "https"),
        ("http", "http"),
        ("wss", "https"),
        ("gopher", "http"),
        ("", "http"),
        ("https\xe9", "http"),
        ("https https", "http"),
    ],
)
async def test_the_scheme_is_the_proxys_if_it_is_one(proto: str, scheme: str) -> None:
    assert await scheme_of(proto) == scheme


@pytest.mark.parametrize("proto, scheme", [("https", "wss"), ("wss", "wss"), ("http", "ws"), ("x", "ws")])
async def test_the_scheme_of_a_socket_is_ws_or_wss(proto: str, scheme: str) -> None:
    assert await scheme_of(proto, websocket_scope()) == scheme


@pytest.mark.parametrize(
    "proto, forwarded_for, scheme",
    [
        ("https, http", "192.0.2.1", "http"),
        ("https, http", "192.0.2.1, 10.0.0.5", "https"),
        ("https", "192.0.2.1, 10.0.0.5", "https"),
        ("https, http, http", "203.0.113.7, 192.0.2.1, 10.0.0.5", "http"),
        ("https, http", "garbage", "http"),
    ],
)
async def test_of_several_schemes_that_of_the_clients_hop_counts(proto: str, forwarded_for: str, scheme: str) -> None:
    assert await scheme_of(proto, forwarded_for=forwarded_for) == scheme


async def test_the_scheme_needs_no_address() -> None:
    scope = http_scope(headers=[("x-forwarded-proto", "https")], client=PROXY)
    found = await seen_by(scope)
    assert (found["scheme"], found["client"]) == ("https", PROXY)


# X-Forwarded-Host and -Prefix


async def test_host_and_prefix_are_not_believed_unless_asked_for() -> None:
    headers = [("host", "in.example"), ("x-forwarded-host", "out.example"), ("x-forwarded-prefix", "/shop")]
    found = await seen_by(http_scope(headers=headers, client=PROXY))
    assert (found["root_path"], [value for name, value in found["headers"] if name == b"host"]) == ("", [b"in.example"])


@pytest.mark.parametrize(
    "host, seen",
    [
        ("out.example", b"out.example"),
        ("Out.example:8443", b"Out.example:8443"),
        ("evil.example, out.example", b"out.example"),
        ("a/b", b"in.example"),
        ("", b"in.example"),
        ("out.example\xe9", b"in.example"),
    ],
)
async def test_the_host_takes_the_place_of_the_header_if_it_is_legal(host: str, seen: bytes) -> None:
    headers = [("host", "in.example"), ("host", "in.example"), ("x-forwarded-host", host)]
    found = await seen_by(http_scope(headers=headers, client=PROXY), host=True)
    assert {value for name, value in found["headers"] if name == b"host"} == {seen}


@pytest.mark.parametrize(
    "prefix, path, root, whole",
    [
        ("/shop", "/a%2Fb", "/shop", "/shop/a%2Fb"),
        ("/shop/", "/a", "/shop", "/shop/a"),
        ("/a/b", "/a/b/c", "/a/b", "/a/b/c"),
        ("/shop", "/shop", "/shop", "/shop"),
        ("/shop", "/shopping", "/shop", "/shop/shopping"),
        ("/../a", "/a", "", "/a"),
        ("/a/./b", "/a", "", "/a"),
        ("//evil.example", "/a", "", "/a"),
        ("shop", "/a", "", "/a"),
        ("/a b", "/a", "", "/a"),
        ("/a?b", "/a", "", "/a"),
        ("/", "/a", "", "/a"),
        ("", "/a", "", "/a"),
    ],
)
async def test_the_prefix_becomes_the_root_path_if_it_is_a_plain_path(
    prefix: str, path: str, root: str, whole: str
) -> None:
    scope = http_scope(path=path, headers=[("x-forwarded-prefix", prefix)], client=PROXY)
    found = await seen_by(scope, prefix=True)
    assert (found["root_path"], found["raw_path"]) == (root, whole.encode())
    assert found["path"] == whole.replace("%2F", "/")


@pytest.mark.parametrize("own, root, path", [("/shop", "/shop", "/shop/a"), ("/in", "/shop/in", "/shop/shop/a")])
async def test_the_prefix_is_put_before_the_servers_own_root_path_but_not_twice(own: str, root: str, path: str) -> None:
    scope = http_scope(path=f"{own}/a", headers=[("x-forwarded-prefix", "/shop")], client=PROXY, root_path=own)
    scope["raw_path"] = None
    found = await seen_by(scope, prefix=True)
    assert found["root_path"] == root
    assert found["path"] == root + "/a"
    assert found["raw_path"] is None


async def test_urls_and_routes_behind_a_proxy_are_those_that_the_client_sees() -> None:
    app = MicroASGI(middleware=[Middleware(ProxyHeadersMiddleware, host=True, prefix=True)])

    @app.get("/items/{number:int}", name="item")
    async def item(request: Request) -> list[str]:
        return [str(request.url), request.url_path_for("item", number=1), str(request.client and request.client.host)]

    headers = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "out.example")]
    headers.append(("x-forwarded-prefix", "/shop"))
    answer = await request(app, path="/items/7", headers=headers, client=PROXY)
    assert answer.json() == ["https://out.example/shop/items/7", "/shop/items/1", "192.0.2.1"]


# Forwarded


async def forwarded(*values: str, **options: Any) -> Scope:
    headers = [("host", "in.example"), *[("forwarded", value) for value in values]]
    scope = http_scope(headers=headers, client=PROXY)
    return await seen_by(scope, "127.0.0.1, 10.0.0.0/8", forwarded=True, host=True, **options)


@pytest.mark.parametrize(
    "value, client, scheme, host",
    [
        ("for=192.0.2.1;proto=https;host=out.example", ("192.0.2.1", 0), "https", b"out.example"),
        ('For="[2001:db8::1]:4711" ; Proto=HTTPS', ("2001:db8::1", 4711), "https", b"in.example"),
        ('for="192.0.2.1:80";by=10.0.0.5;host="out.example:8443"', ("192.0.2.1", 80), "http", b"out.example:8443"),
        (
            "for=203.0.113.7;proto=http, for=192.0.2.1;proto=https, for=10.0.0.5",
            ("192.0.2.1", 0),
            "https",
            b"in.example",
        ),
        ("for=192.0.2.1;proto=https, for=10.0.0.5;proto=http", ("192.0.2.1", 0), "https", b"in.example"),
        ('for="x, for=192.0.2.1;proto=https', ("192.0.2.1", 0), "https", b"in.example"),
        ('for="x, for="[2001:db8::1]"', ("2001:db8::1", 0), "http", b"in.example"),
        ("proto=https", PROXY, "https", b"in.example"),
        ("for=unknown;proto=https", PROXY, "https", b"in.example"),
        ("for=_hidden, for=10.0.0.5;proto=https", ("10.0.0.5", 0), "https", b"in.example"),
    ],
)
async def test_the_element_of_the_clients_hop_counts(value: str, client: Any, scheme: str, host: bytes) -> None:
    found = await forwarded(value)
    assert (found["client"], found["scheme"], dict(found["headers"])[b"host"]) == (client, scheme, host)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "for",
        "for=192.0.2.1;for=192.0.2.2",
        'for="192.0.2.1',
        'for="',
        'for="192\\.0.2.1"',
        'for=1"92.0.2.1',
        "for=192.0.2.1;",
        "for = 192.0.2.1",
        'host="a;b";for=192.0.2.1',
    ],
)
async def test_a_malformed_element_says_nothing(value: str) -> None:
    found = await forwarded(value)
    assert (found["client"], found["scheme"]) == (PROXY, "http")


async def test_several_forwarded_headers_are_one_list() -> None:
    assert (await forwarded("for=192.0.2.1", "for=10.0.0.5"))["client"] == ("192.0.2.1", 0)


async def test_only_one_family_of_headers_is_read() -> None:
    headers = [("forwarded", "for=203.0.113.7"), ("x-forwarded-for", "192.0.2.1")]
    assert (await seen_by(http_scope(headers=headers, client=PROXY)))["client"] == ("192.0.2.1", 0)
    assert (await seen_by(http_scope(headers=headers, client=PROXY), forwarded=True))["client"] == ("203.0.113.7", 0)


# Whatever comes

octets = st.characters(max_codepoint=255)
entries = st.text(octets, max_size=20) | st.text("0123456789abcdef.:[]%", max_size=24) | st.ip_addresses().map(str)


@given(entries)
def test_any_text_is_a_peer_or_none_and_what_is_one_reads_the_same_again(text: str) -> None:
    found = read_peer(text)
    if found is not None:
        assert ip_address(str(found[0])) == found[0]
        assert read_peer(str(found[0])) == (found[0], 0)
        assert 0 <= found[1] <= 65535


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_is_read_with_its_port(address: Any, port: int) -> None:
    mapped = getattr(address, "ipv4_mapped", None) or address
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    assert read_peer(text) == (mapped, port)


@given(spoofed=st.lists(entries, max_size=5), hops=st.integers(0, 3))
def test_nothing_that_the_client_wrote_changes_what_the_proxies_say(spoofed: list[str], hops: int) -> None:
    chain = [*spoofed, "192.0.2.1", *[f"10.0.0.{hop}" for hop in range(hops)]]
    assert Peers("10.0.0.0/8").walk(",".join(chain).split(",")) == (("192.0.2.1", 0), hops + 1)


@settings(max_examples=100)
@given(
    name=st.sampled_from(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix"]),
    value=st.lists(entries, max_size=4).map(",".join),
    spoofed=st.lists(entries | st.sampled_from(['for="a', "for=1.1.1.1;proto=http"]), max_size=4).map(",".join),
)
def test_whatever_comes_the_scope_stays_legal(name: str, value: str, spoofed: str) -> None:
    scope = http_scope(headers=[(name, value)], client=PROXY)
    found = anyio.run(seen_everything, scope, False)
    assert found["scheme"] in ("http", "https")
    assert found["path"].startswith("/")
    assert ip_address(found["client"][0])
    scope = http_scope(headers=[("forwarded", f"{spoofed},for=192.0.2.1;proto=https")], client=PROXY)
    found = anyio.run(seen_everything, scope, True)
    assert (found["client"], found["scheme"]) == (("192.0.2.1", 0), "https")


async def seen_everything(scope: Scope, forwarded: bool) -> Scope:
    return await seen_by(scope, host=True, prefix=True, forwarded=forwarded)


# Set-up


@pytest.mark.parametrize(
    "trusted, text",
    [
        ("proxy.internal", "names are not looked up"),
        ("10.0.0.0/33", "write an address, a network such as"),
        ("10.0.0.1/8", "write '10.0.0.0/8' for the whole network"),
        ("", "write an address"),
        (["127.0.0.1", ""], "write an address"),
    ],
)
def test_what_is_no_address_is_refused_at_set_up(trusted: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        ProxyHeadersMiddleware(MicroASGI(), trusted)
