"""HTTPSRedirectMiddleware: what comes by http or ws is sent to https or wss."""

from __future__ import annotations

from typing import Any

import pytest

from microasgi import MicroASGI, Middleware, WebSocket
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import HTTPSRedirectMiddleware
from microasgi.testing import Exchange, TestClient, request, websocket_scope
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio


def site(**options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(HTTPSRedirectMiddleware, **options)])

    @app.get("/")
    async def home() -> str:
        return "home"

    @app.websocket("/ws")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    return app


async def nothing(scope: Scope, receive: Receive, send: Send) -> None: ...


async def handshake(app: MicroASGI, **changes: Any) -> Message:
    async with Exchange(app, websocket_scope("/ws?a=1", **changes)) as exchange:
        await exchange.send_input({"type": "websocket.connect"})
        return await exchange.receive_output()


@pytest.mark.parametrize(
    "host, path, location",
    [
        ("example.com", "/", "https://example.com/"),
        ("example.com:80", "/", "https://example.com/"),
        ("example.com:8000", "/", "https://example.com:8000/"),
        ("Example.com.", "/", "https://example.com/"),
        ("[::1]:80", "/", "https://[::1]/"),
        ("example.com", "/a%2Fb/%C3%BC?q=%2F&q=a+b", "https://example.com/a%2Fb/%C3%BC?q=%2F&q=a+b"),
        ("example.com", "//evil.example/", "https://example.com//evil.example/"),
    ],
)
async def test_a_request_by_http_is_sent_on_with_path_and_query(host: str, path: str, location: str) -> None:
    answer = await request(site(), "POST", path, headers={"host": host})
    assert (answer.status, answer.header(b"location"), answer.body) == (307, location.encode(), b"")


async def test_it_may_be_permanent_and_go_to_one_host() -> None:
    answer = await request(site(status_code=308, host="example.com:8443"), path="/a", headers={"host": "a, b"})
    assert (answer.status, answer.header(b"location")) == (308, b"https://example.com:8443/a")


async def test_a_request_by_https_passes() -> None:
    assert (await request(site(), scheme="https")).body == b"home"


async def test_a_scope_without_a_scheme_is_http() -> None:
    assert (await request(site(), omit=["scheme"], lint=False)).status == 307


@pytest.mark.parametrize("headers", [[("host", "a/b")], [("host", "a"), ("host", "b")], [("host", "")]])
async def test_without_one_legal_host_it_is_400(headers: list[tuple[str, str]]) -> None:
    assert (await request(site(), headers=headers, lint=False)).status == 400


async def test_a_socket_by_ws_is_sent_to_wss() -> None:
    message = await handshake(site(), headers={"host": "a.example:80"})
    assert (message["status"], dict(message["headers"])[b"location"]) == (307, b"wss://a.example/ws?a=1")


async def test_a_socket_by_wss_passes() -> None:
    assert (await handshake(site(), scheme="wss"))["type"] == "websocket.accept"


async def test_a_socket_without_a_legal_host_is_refused() -> None:
    assert (await handshake(site(), headers={"host": "a b"}))["status"] == 400


async def test_a_socket_is_closed_where_the_server_sends_no_denial() -> None:
    assert (await handshake(site(), extensions={}))["type"] == "websocket.close"


def test_the_lifespan_passes() -> None:
    with TestClient(site(), base_url="https://testserver") as client:
        assert client.get("/").text == "home"


@pytest.mark.parametrize(
    "options, text",
    [
        ({"status_code": 302}, "status_code is 307 or 308, not 302"),
        ({"host": "https://example.com"}, "write host='example.com'"),
    ],
)
def test_what_cannot_work_is_refused_at_set_up(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        HTTPSRedirectMiddleware(nothing, **options)
