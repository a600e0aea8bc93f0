"""Websockets, as functions and as classes."""

from __future__ import annotations

from typing import Any, TypedDict, assert_type

from microasgi import (
    JSONResponse,
    MicroASGI,
    WebSocket,
    WebSocketDisconnect,
    WebSocketEndpoint,
    WebSocketException,
    WebSocketState,
)


class MyState(TypedDict):
    """What the lifespan yields."""

    rooms: dict[str, list[str]]


app = MicroASGI(max_message_size=10)


@app.websocket("/echo", allowed_origins=["*"], max_message_size=100)
async def echo(websocket: WebSocket[MyState]) -> None:
    if "a" not in websocket.state["rooms"]:
        raise WebSocketException(1008, "no room")
    await websocket.accept(subprotocol="a", headers=[(b"x", b"y")])
    async for text in websocket.iter_text():
        assert_type(text, str)
        await websocket.send_text(text)
    try:
        assert_type(await websocket.receive_bytes(), bytes)
        await websocket.send_json(await websocket.receive_json())
    except WebSocketDisconnect as left:
        assert_type(left.code, int)
    assert_type(websocket.path_params, dict[str, Any])


@app.websocket("/denied")
async def denied(websocket: WebSocket) -> None:
    await websocket.send_denial_response(JSONResponse({"a": 1}, 409))
    await websocket.close(1000, "bye")


@app.websocket("/class")
class Endpoint(WebSocketEndpoint):
    """A socket as a class."""

    encoding = "json"

    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: Any) -> None:
        await websocket.send_json(data, mode="binary")

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        assert_type(close_code, int)


connecting: WebSocketState = WebSocketState.CONNECTING
endpoint: type[Endpoint] = Endpoint
