"""ALLOWED_HOSTS around an application: the same answer that a Django view would give, for handshakes too."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.test import Client, override_settings

from microasgi import MicroASGI, Request, WebSocket
from microasgi.django import hosts
from microasgi.django.hosts import HostsLayer
from microasgi.testing import TestClient, WebSocketDenialResponse
from microasgi.types import ASGIApp, Message, Receive, Scope, Send


def plain() -> MicroASGI:
    app = MicroASGI()

    @app.get("/")
    async def index(request: Request) -> str:
        return "fine"

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    return app


def status(settings: dict[str, Any], headers: dict[str, str], app: ASGIApp | None = None) -> int:
    with override_settings(**settings), TestClient(app or HostsLayer(plain())) as client:
        return client.get("/", headers=headers).status_code


CASES: list[tuple[dict[str, Any], dict[str, str], int]] = [
    ({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "shop.test"}, 200),
    ({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "SHOP.test.:8000"}, 200),
    ({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "www.shop.test"}, 400),
    ({"ALLOWED_HOSTS": [".shop.test"]}, {"host": "www.shop.test"}, 200),
    ({"ALLOWED_HOSTS": ["*"]}, {"host": "any.test"}, 200),
    ({"ALLOWED_HOSTS": ["*"]}, {"host": "any test"}, 400),
    ({"ALLOWED_HOSTS": ["[::1]"]}, {"host": "[::1]:8000"}, 200),
    ({"ALLOWED_HOSTS": []}, {"host": "localhost"}, 400),
    ({"ALLOWED_HOSTS": [], "DEBUG": True}, {"host": "localhost"}, 200),
    ({"ALLOWED_HOSTS": [], "DEBUG": True}, {"host": "shop.test"}, 400),
    ({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "shop.test", "x-forwarded-host": "evil.test"}, 200),
    ({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "inner", "x-forwarded-host": "shop.test"}, 400),
    (
        {"ALLOWED_HOSTS": ["shop.test"], "USE_X_FORWARDED_HOST": True},
        {"host": "inner", "x-forwarded-host": "shop.test"},
        200,
    ),
]


@pytest.mark.parametrize(("settings", "headers", "expected"), CASES)
def test_the_answer_is_the_one_of_django(settings: dict[str, Any], headers: dict[str, str], expected: int) -> None:
    assert status(settings, headers) == expected
    meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    with override_settings(**settings):
        assert Client().get("/", **meta).status_code == expected  # type: ignore[arg-type]


def test_an_allowed_host_is_remembered_only_where_it_stands_alone_and_while_settings_stay() -> None:
    with TestClient(HostsLayer(plain())) as client:
        for allowed, forwarded, expected in [
            (["shop.test"], {}, 200),
            (["shop.test"], {}, 200),
            (["other.test"], {}, 400),
            (["shop.test"], {"x-forwarded-host": "evil.test"}, 400),
        ]:
            with override_settings(ALLOWED_HOSTS=allowed, USE_X_FORWARDED_HOST=True):
                response = client.get("/", headers={"host": "shop.test", **forwarded})
            assert response.status_code == expected


def test_what_is_too_long_for_a_name_is_not_remembered() -> None:
    long = "a" * 60_000 + ".shop.test"
    with override_settings(ALLOWED_HOSTS=[".shop.test"]), TestClient(HostsLayer(plain())) as client:
        for host in (long, "www.shop.test:8000"):
            assert client.get("/", headers={"host": host}).status_code == 200
        assert hosts._allowed == {b"www.shop.test:8000"}


def test_the_refusal_goes_to_the_log_of_django(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "django.security.DisallowedHost"):
        assert status({"ALLOWED_HOSTS": ["shop.test"]}, {"host": "evil.test"}) == 400
    assert "Invalid HTTP_HOST header: 'evil.test'" in caplog.text


def test_a_client_that_prefers_json_reads_why_in_json() -> None:
    with TestClient(HostsLayer(plain())) as client:
        response = client.get("/", headers={"host": "evil.test", "accept": "application/json"})
        assert response.json()["status"] == 400


def test_a_handshake_for_another_host_is_denied() -> None:
    with TestClient(HostsLayer(plain())) as client:
        with pytest.raises(WebSocketDenialResponse) as denied:
            client.websocket_connect("/", headers={"host": "evil.test"}).__enter__()
        assert denied.value.status_code == 400
        with client.websocket_connect("/"):
            pass


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "server", "expected"),
    [
        ([(b"host", b"shop.test"), (b"host", b"evil.test")], None, 400),
        ([(b"host", b"shop.test"), (b"host", b"shop.test")], None, 400),
        ([], ("shop.test", 8000), 200),
        ([], ("evil.test", 8000), 400),
        ([], None, 400),
        ([], ("/run/socket", None), 400),
        ([(b"host", b"\xff\xfe")], None, 400),
        ([(b"host", b"")], None, 400),
    ],
)
async def test_what_no_browser_sends_is_decided_too(headers: Any, server: Any, expected: int) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": headers}
    with override_settings(ALLOWED_HOSTS=["shop.test"]):
        await HostsLayer(app)({**scope, "server": server}, receive, send)
    assert sent[0]["status"] == expected
