"""A foreign ASGI application's answer, as a response that function middleware can look at and change.

The application runs in the task of the request. With middleware around it, it is run up to its response's start,
kept there while the middleware goes on, and run on while the response is sent: nothing is buffered.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import anyio

from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.stepper import Stepper
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["AppResponse", "respond"]


# Messages that may come before the response's start.
_BEFORE_START: Final = frozenset({"http.response.early_hint", "http.response.push", "http.response.debug"})
_CHUNK: Final = 256 * 1024


class AppResponse(Response):
    """The response of an ASGI application to this request.

    Until `begin` it is only a promise: sending it then runs the application directly. After it, status and headers
    are there and may be changed, and `body_iterator` gives the body's chunks.
    """

    def __init__(self, app: ASGIApp, request: Request[Any], scope: Scope) -> None:
        self.status_code = 200
        self.raw_headers = []
        self.background: Callable[[], Awaitable[None]] | None = None
        self._body = b""
        self._app, self._request, self._scope = app, request, scope
        self._stepper = Stepper()
        self._begun = False
        self._start: Message = {}
        self._through: Send | None = None  # set once the response is being sent: messages go straight on
        self._abandoned = False
        self.started = False

    _is_own = True

    async def begin(self) -> None:
        """Run the application up to its response's start."""
        if self._begun:
            return
        self._begun = True
        self._request.on_close(self.abandon)
        self._stepper.start(self._call_app(self._take))
        if not await self._stepper.advance():
            raise RuntimeError(f"{self._app!r} ended without sending a response")

    @property
    def body_iterator(self) -> AsyncIterator[bytes]:
        """The body's chunks, as the application sends them."""
        return self._chunks()

    @property
    def body(self) -> bytes:
        """Not there: the application sends its body while the response is sent."""
        raise RuntimeError("a mounted application's body comes in chunks: read body_iterator, or return a new Response")

    @body.setter
    def body(self, body: bytes) -> None:
        raise RuntimeError("a mounted application sends its own body: return a new Response instead")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response on, or run the application if it has not begun."""
        self._through = send
        if not self._begun:
            await self._call_app(self._take)
            if not self.started and not await self._request.is_disconnected():
                raise RuntimeError(f"{self._app!r} ended without sending a response")
        else:
            self.started = True
            await send({**self._start, "status": self.status_code, "headers": list(self.raw_headers)})
            while await self._stepper.advance():  # a task of the application's that sent before `_through` was set
                await send(self._stepper.handed)
        if self.background is not None:
            await self.background()

    async def abandon(self) -> None:
        """End the application without its response being sent: to it, the client has left."""
        if self._stepper.ended:
            return
        self._abandoned, self._through = True, None
        try:
            while await self._stepper.advance():
                pass
        except Exception:
            pass

    async def _call_app(self, send: Send) -> None:
        await self._app(self._scope, self._receive, send)

    async def _chunks(self) -> AsyncIterator[bytes]:
        await self.begin()
        while await self._stepper.advance():
            message = self._stepper.handed
            if message["type"] == "http.response.pathsend":
                async for chunk in _read(message["path"]):
                    yield chunk
            elif message.get("body"):
                yield message["body"]

    async def _receive(self) -> Message:
        if self._abandoned:
            return {"type": "http.disconnect"}
        return await self._request.replay()

    async def _take(self, message: Message) -> None:
        if self._through is not None:
            self.started = self.started or message["type"] == "http.response.start"
            await self._through(message)
            return
        if message["type"] == "http.response.start":
            self._start = message
            self.status_code = message["status"]
            self.raw_headers = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
        elif message["type"] in _BEFORE_START:
            await self._request.send_message(message)
            return
        elif not self._start:
            raise RuntimeError(f"{self._app!r} sent {message['type']} before http.response.start (ASGI HTTP)")
        if not self._abandoned:
            await self._stepper.pause(message)
        if self._abandoned:
            raise OSError("the response was replaced, as if the client had left")


async def _read(path: str) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while chunk := await file.read(_CHUNK):
            yield chunk


def respond(app: ASGIApp) -> Callable[[Request[Any]], Awaitable[Response]]:
    """Return a call that answers a request with the application's response."""

    async def call(request: Request[Any]) -> Response:
        return AppResponse(app, request, request.scope)

    return call
