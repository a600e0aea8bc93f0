"""Tests of the lending library as its authors wrote them for Starlette's client; executed with other imports too."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect


def check_the_lifespan_runs_around_the_block(app: Any) -> None:
    client = TestClient(app)
    with client:
        assert app.state.journal == ["opened"]
        assert client.app_state["motto"] == "lend, mend, return"
        assert client.get("/").status_code == 200
    assert app.state.journal == ["opened", "closed"]


def check_a_client_can_be_used_without_its_block(app: Any) -> None:
    async def hello(request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    client = TestClient(Starlette(routes=[Route("/", hello)]))
    assert client.get("/").text == "hello"
    assert client.post("/").status_code == 405


def check_errors_of_the_application_are_raised_in_the_test(app: Any) -> None:
    with TestClient(app) as client:
        with pytest.raises(RuntimeError, match="on fire"):
            client.get("/fail")


def check_errors_can_be_responses(app: Any) -> None:
    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/fail")
        assert (response.status_code, response.text) == (500, "sorry: RuntimeError")


def check_cookies_stay_with_the_client(app: Any) -> None:
    with TestClient(app, cookies={"member": "Zoe"}) as client:
        assert client.get("/me").json()["member"] == "Zoe"
        client.cookies.clear()
        client.post("/join", data={"name": "Ada"})
        assert client.cookies["member"] == "Ada"
        assert client.get("/me").json()["member"] == "Ada"


def check_redirects_are_followed_unless_told_otherwise(app: Any) -> None:
    with TestClient(app, follow_redirects=False) as client:
        assert client.get("/leave").status_code == 307
        assert client.get("/leave", follow_redirects=True).status_code == 200


def check_the_client_has_an_address_headers_and_a_base_url(app: Any) -> None:
    client = TestClient(app, base_url="https://shop.example", headers={"X-Missing": "here"}, client=("192.0.2.1", 4321))
    with client:
        seen = client.get("/inspect/x").json()
    assert seen["client"] == ["192.0.2.1", 4321]
    assert seen["base"] == "https://shop.example/"
    assert seen["missing"] == "here"
    assert seen["agent"] == "testclient"


def check_an_application_below_a_root_path(app: Any) -> None:
    with TestClient(app, root_path="/shop") as client:
        assert client.get("/shop/admin/report/3", headers={"X-Key": "k3y"}).json() == {
            "year": 3,
            "root": "/shop/admin",
            "home": "http://testserver/shop/",
            "self": "http://testserver/shop/admin/report/2000",
        }


def check_a_response_is_streamed(app: Any) -> None:
    with TestClient(app) as client:
        with client.stream("GET", "/countdown") as response:
            assert b"".join(response.iter_bytes()) == b"3 2 1 "


def check_trio_runs_it_too(app: Any) -> None:
    with TestClient(app, backend="trio") as client:
        assert client.get("/thread").text == "6"
        assert client.post("/remind").status_code == 200
        assert client.get("/reminded").json() == ["#mail", "log"]


def check_a_socket_in_a_session(app: Any) -> None:
    with TestClient(app) as client:
        with client.websocket_connect("/ws/count") as session:
            session.send_json({"add": 5})
            assert session.receive_json() == {"total": 5}
        assert app.state.journal[-1] == "counted 5, closed 1000"


def check_a_closed_socket_raises(app: Any) -> None:
    with TestClient(app) as client:
        with pytest.raises(WebSocketDisconnect) as closed:
            with client.websocket_connect("/ws/guarded"):
                pass
        assert (closed.value.code, closed.value.reason) == (1008, "no token")


def check_a_denied_handshake_raises_its_response(app: Any) -> None:
    with TestClient(app) as client:
        with pytest.raises(WebSocketDenialResponse) as denied:
            with client.websocket_connect("/ws/refuse"):
                pass
        assert denied.value.status_code == 409
        assert denied.value.json() == {"reason": "full"}


def check_messages_can_be_sent_and_received_as_asgi(app: Any) -> None:
    async def mirror(websocket: WebSocket) -> None:
        assert (await websocket.receive())["type"] == "websocket.connect"
        await websocket.accept()
        message = await websocket.receive()
        await websocket.send({"type": "websocket.send", "bytes": message["bytes"]})
        await websocket.close(3000)

    client = TestClient(Starlette(routes=[WebSocketRoute("/", mirror)]))
    with client.websocket_connect("/") as session:
        session.send({"type": "websocket.receive", "bytes": b"a"})
        assert session.receive() == {"type": "websocket.send", "bytes": b"a"}
        assert session.receive() == {"type": "websocket.close", "code": 3000, "reason": ""}


def check_a_failing_lifespan_fails_the_test(app: Any) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        raise RuntimeError("no power")
        yield

    with pytest.raises(RuntimeError, match="no power"):
        with TestClient(Starlette(lifespan=lifespan)):
            pass
