"""The websockets of the application under test."""

from __future__ import annotations

import anyio

from microasgi import HTTPException, Router, WebSocket, WebSocketDisconnect
from tests.conformance.records import DeliberateError, record

__all__ = ["router"]

MESSAGE_LIMIT = 64

router = Router()


@router.websocket("/ws/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            message = await ws.receive()
            if message["type"] == "websocket.disconnect":
                record(ws, f"disconnect {message.get('code')} {message.get('reason') or ''}".rstrip())
                return
            if message.get("text") is not None:
                await ws.send_text(message["text"])
            else:
                await ws.send_bytes(message["bytes"])
    finally:
        record(ws, "handler left")


@router.websocket("/ws/leaving")
async def leaving(ws: WebSocket) -> None:
    await ws.accept()
    try:
        await ws.receive_text()
    except WebSocketDisconnect as left:
        record(ws, f"WebSocketDisconnect {left.code} {left.reason or ''}".rstrip())
        raise


@router.websocket("/ws/returns")
async def returns(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("bye")


@router.websocket("/ws/returns-unaccepted")
async def returns_unaccepted(ws: WebSocket) -> None:
    return None


@router.websocket("/ws/fails")
async def fails(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("soon")
    raise DeliberateError(ws.headers.get("x-exchange", ""))


@router.websocket("/ws/fails-unaccepted")
async def fails_unaccepted(ws: WebSocket) -> None:
    raise DeliberateError(ws.headers.get("x-exchange", ""))


@router.websocket("/ws/text", max_message_size=MESSAGE_LIMIT)
async def text(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_text():
        await ws.send_text(message)


@router.websocket("/ws/json")
async def json(ws: WebSocket) -> None:
    await ws.accept()
    async for message in ws.iter_json():
        await ws.send_json(message)


@router.websocket("/ws/closes")
async def closes(ws: WebSocket) -> None:
    await ws.accept()
    await ws.close(4001, "enough")


@router.websocket("/ws/closes-unaccepted")
async def closes_unaccepted(ws: WebSocket) -> None:
    await ws.close(4001, "never seen")


@router.websocket("/ws/teapot")
async def teapot(ws: WebSocket) -> None:
    raise HTTPException(418, "short and stout")


@router.websocket("/ws/subprotocol")
async def subprotocol(ws: WebSocket) -> None:
    await ws.accept(subprotocol=ws.subprotocols[-1] if ws.subprotocols else None)
    await ws.send_text(f"offered: {' '.join(ws.subprotocols)}")


@router.websocket("/ws/accept-headers")
async def accept_headers(ws: WebSocket) -> None:
    await ws.accept(headers={"x-accepted": "yes"})


@router.websocket("/ws/sender")
async def sender(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text("tick")
            await anyio.sleep(0.02)
    finally:
        record(ws, "handler left")


@router.websocket("/ws/state")
async def state(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_json({"answer": ws.state.answer, "path": ws.scope["path"], "url": str(ws.url)})
