"""Tests of users, with both clients and at ASGI level."""

from __future__ import annotations

from typing import Any, assert_type

import httpx

from microasgi import MicroASGI
from microasgi.testing import (
    AsyncTestClient,
    AsyncWebSocketTestSession,
    Exchange,
    Faults,
    RawResponse,
    TestClient,
    WebSocketTestSession,
    http_scope,
    lint,
    request,
)
from microasgi.types import ASGIApp

app = MicroASGI()
checked: ASGIApp = lint(app, strict=True)


def use_sync_client() -> None:
    with TestClient(app, base_url="https://a.example", raise_server_exceptions=False, headers={"a": "b"}) as client:
        assert_type(client, TestClient)
        response: httpx.Response = client.post("/", json={"a": 1}, files={"f": b"x"})
        assert_type(response.status_code, int)
        with client.websocket_connect("/ws", subprotocols=["a"], headers={"origin": "null"}) as session:
            assert_type(session, WebSocketTestSession)
            session.send_text("a")
            assert_type(session.receive_text(), str)
            assert_type(session.accepted_subprotocol, str | None)
        assert_type(client.app_state, dict[str, Any])


async def use_async_client() -> None:
    async with AsyncTestClient(app) as client:
        response: httpx.Response = await client.get("/", follow_redirects=False)
        assert_type(response.text, str)
        async with client.websocket_connect("/ws") as session:
            assert_type(session, AsyncWebSocketTestSession)
            assert_type(await session.receive_bytes(), bytes)


async def use_asgi() -> None:
    answer = await request(app, "POST", "/", body=b"a", faults=Faults(leave_after_bytes=1))
    assert_type(answer, RawResponse)
    assert_type(answer.header(b"a"), bytes | None)
    async with Exchange(app, http_scope("GET", "/", headers={"a": "b"})) as exchange:
        await exchange.send_input({"type": "http.request"})
        message = await exchange.receive_output()
        assert_type(message["status"], Any)
