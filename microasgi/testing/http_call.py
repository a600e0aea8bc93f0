"""One HTTP request of a client, as the sync and the async transport both play it.

Law: what the application raised comes out once, as itself, wherever the client happens to be in the response.
"""

from __future__ import annotations

from typing import Any

from microasgi.testing.exchange import Exchange, Spawn
from microasgi.testing.httpx_package import httpx
from microasgi.testing.rules import ASGIViolation
from microasgi.types import Message, RawHeaders

__all__ = ["HTTPCall"]


class HTTPCall:
    """One request on its way: pulled message by message, fed with the request's body when the application asks."""

    def __init__(self, exchange: Exchange, request: httpx.Request, *, raise_errors: bool) -> None:
        self.exchange = exchange
        self.status = 0
        self.headers: RawHeaders = []
        self.extensions: dict[str, Any] = {}
        self.hungry = False
        self._request = request
        self._raise_errors = raise_errors
        self._uploaded = False
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether the response has started, and no exception is about to take its place."""
        return self.status > 0 and (self.exchange.error is None or not self._raise_errors)

    async def open(self, spawn: Spawn | None = None) -> None:
        """Start the application."""
        await self.exchange.open(spawn)

    async def feed(self, chunk: bytes | None) -> None:
        """Hand the application a chunk of the request's body; None: that was all."""
        self._uploaded = chunk is None
        await self._hand_over(chunk or b"")

    async def feed_all(self, body: bytes) -> None:
        """Hand the application the whole body."""
        self._uploaded = True
        await self._hand_over(body)

    async def pull(self) -> bytes | None:
        """Take the application's next message: bytes of the body, b"" for anything else, None at the end.

        Afterwards `hungry` says whether it waits for `feed`. Raises httpx.ReadTimeout, or the application's exception.
        """
        self.hungry = False
        if self._ended:
            return None
        try:
            message = await self.exchange.advance(feeding=not self._uploaded)
        except TimeoutError as exc:
            if self.exchange.complete:
                self.exchange.cancel()
            raise httpx.ReadTimeout(str(exc), request=self._request) from exc
        if message is not None:
            return self._take(message)
        if not self.exchange.finished:
            self.hungry = True
            return b""
        self._ended = True
        self._finish()
        return None

    async def close(self) -> None:
        """Leave: the application receives `http.disconnect` if its response is not complete."""
        try:
            await self.exchange.close()
        except TimeoutError as exc:
            raise httpx.ReadTimeout(str(exc), request=self._request) from exc
        if not self.exchange.error_told and self._tells():
            self.exchange.raise_error()

    def describe(self, response: httpx.Response) -> None:
        """Give a response what the application has told besides: extensions, and Starlette's names for a template."""
        response.extensions = self.extensions
        for name in ("template", "context"):
            if name in self.extensions.get("debug", ()):
                setattr(response, name, self.extensions["debug"][name])

    async def _hand_over(self, body: bytes) -> None:
        await self.exchange.send_input({"type": "http.request", "body": body, "more_body": not self._uploaded})

    def _take(self, message: Message) -> bytes:
        match message["type"]:
            case "http.response.start":
                self.status = message["status"]
                self.headers = list(message.get("headers", ()))
                if message.get("trailers", False):
                    self.extensions["trailers"] = self.extensions["http.response.trailers"] = []
            case "http.response.body":
                return b"" if self._request.method == "HEAD" else bytes(message.get("body", b""))
            case "http.response.trailers":
                self.extensions["trailers"].extend(message.get("headers", ()))
            case "http.response.early_hint":
                self.extensions.setdefault("early_hints", []).extend(message["links"])
            case "http.response.debug":
                self.extensions["debug"] = self.extensions["http.response.debug"] = message["info"]
            case _:
                pass
        return b""

    def _finish(self) -> None:
        """End the response as the application's end demands: with its exception, a 500, or a broken connection."""
        if self._tells():
            self.exchange.raise_error()
        if self.status and not self.exchange.complete:
            raise httpx.RemoteProtocolError("the application ended before its response was complete")
        if self.status:
            return
        if self._raise_errors:
            raise ASGIViolation("the application returned without a response", "ASGI HTTP, Response Start")
        self.status = 500

    def _tells(self) -> bool:
        return self._raise_errors or isinstance(self.exchange.error, ASGIViolation)
