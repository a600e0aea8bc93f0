"""The client's end of a socket: the handshake made, messages sent and received, and every end told as what it is.

Law: the sync session is the async one, called through a portal; there is one behaviour.
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Literal, Self, cast

from anyio.from_thread import BlockingPortal

from microasgi.exceptions import WebSocketDisconnect
from microasgi.testing.exchange import Exchange
from microasgi.testing.httpx_package import httpx
from microasgi.testing.rules import ASGIViolation
from microasgi.types import Message, RawHeaders, Scope

__all__ = ["AsyncWebSocketTestSession", "WebSocketDenialResponse", "WebSocketTestSession"]

_ABNORMAL = 1006
_INTERNAL_ERROR = 1011


class WebSocketDenialResponse(httpx.Response, WebSocketDisconnect):  # type: ignore[misc]  # two __setstate__
    """The HTTP response an application answered the handshake with instead of accepting it; raised by the client."""


class AsyncWebSocketTestSession:
    """A socket to the application; `async with` makes the handshake, and leaves with code 1000.

    Receiving raises WebSocketDisconnect when the application has closed, the application's exception when it ended
    in one, and TimeoutError when it sends nothing for the client's `timeout` seconds.
    """

    __test__ = False

    def __init__(self, exchange: Exchange, *, raise_errors: bool) -> None:
        self.exchange = exchange
        self.accepted_subprotocol: str | None = None
        self.extra_headers: RawHeaders = []
        self._raise_errors = raise_errors

    @property
    def scope(self) -> Scope:
        """The scope that the application was called with."""
        return self.exchange.scope

    async def __aenter__(self) -> Self:
        await self.exchange.open()
        await self.shake_hands()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await self.leave(failed=kind is not None)

    async def shake_hands(self) -> None:
        """Connect; raise WebSocketDisconnect or WebSocketDenialResponse when the application does not accept."""
        try:
            await self.exchange.send_input({"type": "websocket.connect"})
            answer = await self.receive()
            if answer["type"] == "websocket.http.response.start":
                raise await self._denial(answer)
            _raise_on_close(answer)
        except BaseException:
            await self.exchange.close()
            raise
        self.accepted_subprotocol = answer.get("subprotocol")
        self.extra_headers = list(answer.get("headers") or [])

    async def leave(self, *, failed: bool) -> None:
        """Leave the socket and wait for the application; raise its exception unless the test has `failed` anyway."""
        self.exchange.disconnect(1000)
        try:
            await self.exchange.close()
        finally:
            if not failed and not self.exchange.error_told and self._tells(self.exchange.error):
                self.exchange.raise_error()

    async def send(self, message: Message) -> None:
        """Send an ASGI message as the client's server would hand it on: `websocket.receive` or `.disconnect`."""
        if message["type"] == "websocket.disconnect":
            await self.close(message.get("code") or 1005, message.get("reason"))
        else:
            await self.exchange.send_input(message)

    async def send_text(self, data: str) -> None:
        """Send a text frame."""
        await self.send({"type": "websocket.receive", "text": data})

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        await self.send({"type": "websocket.receive", "bytes": data})

    async def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send a value as JSON, in a text or a binary frame."""
        text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        await (self.send_text(text) if mode == "text" else self.send_bytes(text.encode()))

    async def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close from the client's side: the application receives `websocket.disconnect`."""
        self.exchange.disconnect(code, reason or "")

    async def receive(self) -> Message:
        """Return the application's next ASGI message, a `websocket.close` included."""
        try:
            message = await self.exchange.receive_output()
        except EOFError:
            raise WebSocketDisconnect(_ABNORMAL, "the application returned without closing the socket") from None
        except BaseException as exc:
            if exc is not self.exchange.error or self._tells(exc):
                raise
            raise WebSocketDisconnect(_INTERNAL_ERROR, "the application raised an exception") from exc
        if message["type"] == "websocket.close" and message.get("code") == _INTERNAL_ERROR:
            await self._raise_reported()
        return message

    async def receive_text(self) -> str:
        """Return the next text frame."""
        return cast(str, await self._payload("text"))

    async def receive_bytes(self) -> bytes:
        """Return the next binary frame."""
        return cast(bytes, await self._payload("bytes"))

    async def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the next frame's value, parsed as JSON."""
        return json.loads(await self._payload("text" if mode == "text" else "bytes"))

    async def _payload(self, key: Literal["text", "bytes"]) -> str | bytes:
        message = await self.receive()
        _raise_on_close(message)
        if message.get(key) is None:
            other = "bytes" if key == "text" else "text"
            raise TypeError(f"the application sent {other}, not {key}: call receive_{other}()")
        return cast("str | bytes", message[key])

    async def _denial(self, start: Message) -> WebSocketDenialResponse:
        body = b""
        message: Message = {"more_body": True}
        while message.get("more_body", False):
            message = await self.receive()
            body += message.get("body", b"")
        await self._raise_reported()
        return WebSocketDenialResponse(start["status"], headers=start.get("headers", []), content=body)

    async def _raise_reported(self) -> None:
        """Raise the application's exception if its answer comes with one; the report may follow the answer."""
        exchange = self.exchange
        try:
            await exchange.wait_until(lambda: exchange.finished or exchange.error is not None, "its end", 1.0)
        except TimeoutError:
            return
        if self._tells(exchange.error):
            exchange.raise_error()

    def _tells(self, error: BaseException | None) -> bool:
        return self._raise_errors or isinstance(error, ASGIViolation)


class WebSocketTestSession:
    """A socket to the application, for a test that is no coroutine; see `AsyncWebSocketTestSession`."""

    __test__ = False

    def __init__(self, portal: BlockingPortal, session: AsyncWebSocketTestSession) -> None:
        self._portal = portal
        self._session = session
        self.client: object = None  # lives as long as its socket: the loop is the client's

    def __enter__(self) -> Self:
        self._portal.start_task_soon(self._session.exchange.run)
        self._portal.call(self._session.shake_hands)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._portal.call(partial(self._session.leave, failed=kind is not None))

    @property
    def exchange(self) -> Exchange:
        """The ASGI conversation below: its scope and the messages so far."""
        return self._session.exchange

    @property
    def scope(self) -> Scope:
        """The scope that the application was called with."""
        return self._session.exchange.scope

    @property
    def accepted_subprotocol(self) -> str | None:
        """The subprotocol the application chose."""
        return self._session.accepted_subprotocol

    @property
    def extra_headers(self) -> RawHeaders:
        """The headers the application accepted with."""
        return self._session.extra_headers

    def send(self, message: Message) -> None:
        """Send an ASGI message as the client's server would hand it on."""
        self._portal.call(self._session.send, message)

    def send_text(self, data: str) -> None:
        """Send a text frame."""
        self._portal.call(self._session.send_text, data)

    def send_bytes(self, data: bytes) -> None:
        """Send a binary frame."""
        self._portal.call(self._session.send_bytes, data)

    def send_json(self, data: Any, mode: Literal["text", "binary"] = "text") -> None:
        """Send a value as JSON, in a text or a binary frame."""
        self._portal.call(self._session.send_json, data, mode)

    def close(self, code: int = 1000, reason: str | None = None) -> None:
        """Close from the client's side: the application receives `websocket.disconnect`."""
        self._portal.call(self._session.close, code, reason)

    def receive(self) -> Message:
        """Return the application's next ASGI message, a `websocket.close` included."""
        return self._portal.call(self._session.receive)

    def receive_text(self) -> str:
        """Return the next text frame."""
        return self._portal.call(self._session.receive_text)

    def receive_bytes(self) -> bytes:
        """Return the next binary frame."""
        return self._portal.call(self._session.receive_bytes)

    def receive_json(self, mode: Literal["text", "binary"] = "text") -> Any:
        """Return the next frame's value, parsed as JSON."""
        return self._portal.call(self._session.receive_json, mode)


def _raise_on_close(message: Message) -> None:
    if message["type"] == "websocket.close":
        raise WebSocketDisconnect(message.get("code", 1000), message.get("reason"))
