"""TrustedHostMiddleware: only requests to hosts that are named."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import MicroASGI, Middleware, WebSocket
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import CORSMiddleware, TrustedHostMiddleware
from microasgi.testing import Exchange, TestClient, request, websocket_scope
from microasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


def site(allowed_hosts: list[str] | None = None, **options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(TrustedHostMiddleware, allowed_hosts, **options)])

    @app.get("/{path:path}")
    async def home() -> str:
        return "home"

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    return app


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


@pytest.mark.parametrize(
    "allowed, host",
    [
        ("example.com", "example.com"),
        ("example.com", "example.com:8000"),
        ("example.com", "EXAMPLE.com"),
        ("example.com", "example.com."),
        ("example.com", "example.com.:443"),
        ("example.com", "example.com:"),
        ("Example.COM.", "example.com"),
        ("example.com:8000", "example.com:8000"),
        ("*.example.com", "a.example.com"),
        ("*.example.com", "a.b.example.com:8000"),
        ("*.example.com:8000", "a.example.com:8000"),
        ("192.0.2.1", "192.0.2.1:80"),
        ("[::1]", "[::1]"),
        ("::1", "[::1]:8000"),
        ("[2001:db8::1]", "[2001:0DB8:0:0::1]"),
        ("[::1]:8000", "[::1]:08000"),
        ("*", "anything.example:1"),
        ("my_service", "my_service"),
    ],
)
async def test_an_allowed_host_is_answered(allowed: str, host: str) -> None:
    app = site([allowed])
    for _ in range(2):  # the second time it is known
        assert (await request(app, headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "allowed, host",
    [
        ("example.com", "example.org"),
        ("example.com", "example.com.evil.org"),
        ("example.com", "evilexample.com"),
        ("example.com", "example.com@evil.org"),
        ("example.com", "example.com/evil"),
        ("example.com", "example.com, evil.org"),
        ("example.com", "example.com:80:80"),
        ("example.com", "example.com:99999"),
        ("example.com", "example.com:8o"),
        ("example.com", "example.com.."),
        ("example.com", "example.com\n"),
        ("example.com", ""),
        ("example.com:8000", "example.com"),
        ("example.com:8000", "example.com:8001"),
        ("*.example.com", "example.com"),
        ("*.example.com", ".example.com"),
        ("*.example.com", "a..example.com"),
        ("*.example.com", "a.example.com.evil.org"),
        ("*.example.com:8000", "a.example.com"),
        ("[::1]", "::1"),
        ("[::1]", "[::2]"),
        ("[::1]", "[::1%25eth0]"),
        ("[::1]", "[:::1]"),
        ("*", "a/b"),
        ("*", ""),
        ("*", "x" * 301),
    ],
)
async def test_another_host_is_refused_with_400(allowed: str, host: str) -> None:
    answer = await request(site([allowed]), headers=[("host", host)], lint=False)
    assert (answer.status, b"does not answer for the host" in answer.body) == (400, True)
    assert host == "" or host.encode() not in answer.body


async def test_two_host_headers_are_refused_even_if_both_are_allowed() -> None:
    answer = await request(site(["a.example"]), headers=[("host", "a.example"), ("host", "a.example")], lint=False)
    assert answer.status == 400


async def test_a_request_without_host_is_refused() -> None:
    app = TrustedHostMiddleware(site(), ["*"])
    async with Exchange(app, {**websocket_scope(), "headers": []}) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        assert (await exchange.receive_output())["status"] == 400


async def test_without_a_list_any_legal_host_is_answered() -> None:
    assert (await request(site(), headers={"host": "any.example"})).status == 200


async def test_a_client_that_prefers_json_is_refused_in_json() -> None:
    answer = await request(site(["a.example"]), headers={"host": "b.example", "accept": "application/json"})
    assert answer.json()["status"] == 400


async def test_a_refusal_has_the_headers_of_the_middleware_around_it() -> None:
    app = MicroASGI(middleware=[Middleware(CORSMiddleware, ["*"]), Middleware(TrustedHostMiddleware, ["a.example"])])
    answer = await request(app, headers={"host": "b.example"})
    assert (answer.status, answer.header(b"access-control-allow-origin")) == (400, b"*")


async def test_what_is_remembered_of_hosts_is_bounded() -> None:
    middleware = TrustedHostMiddleware(site(["*"]), ["*.example.com"])
    for number in range(1100):
        assert middleware._allows(f"a{number}.example.com".encode())
    assert len(middleware._known) == 1024


# www


@pytest.mark.parametrize(
    "allowed, host, path, location",
    [
        ("www.example.com", "example.com", "/a?b=1&b=2", "//www.example.com/a?b=1&b=2"),
        ("www.example.com", "EXAMPLE.com.:8000", "/", "//www.example.com:8000/"),
        ("www.example.com:8000", "example.com:8000", "/", "//www.example.com:8000/"),
        ("www.example.com", "example.com", "/a%2Fb%20c", "//www.example.com/a%2Fb%20c"),
        ("www.example.com", "example.com", "//evil.example/x", "//www.example.com//evil.example/x"),
    ],
)
async def test_a_host_that_lacks_its_www_is_sent_to_the_one_that_is_allowed(
    allowed: str, host: str, path: str, location: str
) -> None:
    answer = await request(site([allowed]), "POST", path, headers={"host": host})
    assert (answer.status, answer.header(b"location")) == (307, location.encode())


@pytest.mark.parametrize(
    "allowed, host",
    [
        (["www.example.com"], "evil.com"),
        (["*.example.com"], "example.com"),
        (["www.example.com:8000"], "example.com"),
        (["www.example.com"], "example.com, evil.com"),
    ],
)
async def test_no_redirect_goes_to_a_host_that_is_not_named(allowed: list[str], host: str) -> None:
    assert (await request(site(allowed), headers={"host": host})).status == 400


async def test_the_redirect_can_be_turned_off() -> None:
    assert (await request(site(["www.a.example"], www_redirect=False), headers={"host": "a.example"})).status == 400


# Sockets


@pytest.mark.parametrize("host", ["b.example", "a.example"])
async def test_a_handshake_to_another_host_is_refused_and_never_redirected(host: str) -> None:
    async with Exchange(site(["www.a.example"]), websocket_scope("/ws", headers={"host": host})) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        message = await exchange.receive_output()
    assert (message["type"], message["status"]) == ("websocket.http.response.start", 400)


async def test_a_handshake_to_an_allowed_host_is_answered() -> None:
    with TestClient(site(["testserver"])).websocket_connect("/ws"):
        pass


def test_the_lifespan_passes() -> None:
    with TestClient(site(["testserver"])) as client:
        assert client.get("/").status_code == 200


# Set-up


@pytest.mark.parametrize(
    "hosts, text",
    [
        ("example.com", r"allowed_hosts is a list, write allowed_hosts=\['example.com'\]"),
        ([], "allowed_hosts is empty"),
        (["https://example.com"], "leave scheme and path out"),
        (["example.com/"], "leave scheme and path out"),
        (["*example.com"], "a wildcard stands for all names below a host"),
        (["a.*.example.com"], "a wildcard stands for all names below a host"),
        (["bücher.example"], "write 'xn--bcher-kva.example'"),
        (["ü..example"], "xn--"),
        (["exa mple.com"], "write 'example.com'"),
        (["1::2::3"], "write 'example.com'"),
        ([""], "write 'example.com'"),
    ],
)
def test_a_host_that_is_none_is_refused_at_set_up(hosts: Any, text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        TrustedHostMiddleware(nothing, hosts)
