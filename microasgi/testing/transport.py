"""How an httpx client reaches an application without a network: each request is an exchange of its own.

Law: the application's task lives until its response is closed, and it is never more than one message ahead of the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, cast

from microasgi.testing.exchange import Exchange, Spawn
from microasgi.testing.http_call import HTTPCall
from microasgi.testing.httpx_package import httpx
from microasgi.testing.portal import LoopThread
from microasgi.testing.scopes import http_scope, websocket_scope
from microasgi.testing.streamed import AsyncResponse
from microasgi.testing.websockets import AsyncWebSocketTestSession, WebSocketTestSession
from microasgi.types import ASGIApp, Scope

__all__ = ["AppUnderTest", "AsyncTransport", "SyncTransport"]

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_HTTP_EXTENSIONS = ("http.response.debug", "http.response.trailers", "http.response.early_hint")


@dataclass(slots=True)
class AppUnderTest:
    """An application and how a client treats it; makes the exchange for each of its requests."""

    app: ASGIApp
    raise_errors: bool
    root_path: str
    client: tuple[str, int]
    state: dict[str, Any]
    lint: bool

    def http(self, request: httpx.Request) -> HTTPCall:
        """Return the exchange for an HTTP request."""
        shared = self._shared_keys(request)
        scope = http_scope(request.method, **shared, extensions={name: {} for name in _HTTP_EXTENSIONS})
        return HTTPCall(self._exchange(scope, request, window=0), request, raise_errors=self.raise_errors)

    def websocket(self, request: httpx.Request) -> AsyncWebSocketTestSession:
        """Return the session for a handshake."""
        offers = request.headers.get("sec-websocket-protocol", "").split(",")
        scope = websocket_scope(
            **self._shared_keys(request), subprotocols=[offer.strip() for offer in offers if offer.strip()]
        )
        return AsyncWebSocketTestSession(self._exchange(scope, request, window=256), raise_errors=self.raise_errors)

    def _exchange(self, scope: Scope, request: httpx.Request, window: int) -> Exchange:
        timeouts = cast("dict[str, float | None]", request.extensions.get("timeout") or {})
        return Exchange(
            self.app,
            scope,
            lint=self.lint,
            window=window,
            timeout=timeouts.get("read"),
            hears_errors=self.raise_errors,
        )

    def _shared_keys(self, request: httpx.Request) -> dict[str, Any]:
        url = request.url
        return {
            "scheme": url.scheme,
            "path": url.raw_path.decode("ascii"),  # the target: the scope is made of it, as servers do
            "root_path": self.root_path,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": self.client,
            "server": (url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 80)),
            "state": self.state.copy(),
        }


class SyncTransport(httpx.BaseTransport):
    """Serve a sync client's requests on the loop of its thread."""

    def __init__(self, target: AppUnderTest, loop: LoopThread) -> None:
        self._target = target
        self._loop = loop
        self._open: set[_SyncBody] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Start the request's exchange and return when its response has started."""
        portal = self._loop.portal
        if request.url.scheme in ("ws", "wss"):
            session = WebSocketTestSession(portal, self._target.websocket(request))
            return httpx.Response(101, extensions={"websocket": session}, request=request)
        body = _SyncBody(self._target.http(request), request, self._loop, self._open)
        try:
            body.start()
        except BaseException:
            body.close()
            raise
        response = httpx.Response(body.call.status, headers=body.call.headers, stream=body, request=request)
        body.call.describe(response)
        return response

    def close(self) -> None:
        """Leave every response that is still open."""
        for body in list(self._open):
            body.close()


class _SyncBody(httpx.SyncByteStream):
    def __init__(self, call: HTTPCall, request: httpx.Request, loop: LoopThread, registry: set[_SyncBody]) -> None:
        self.call = call
        self._stream = cast(httpx.SyncByteStream, request.stream)
        self._upload: Iterator[bytes] = iter(())
        self._portal = loop.portal
        self._registry = registry
        registry.add(self)

    def start(self) -> None:
        self._portal.start_task_soon(self.call.exchange.run)
        if isinstance(self._stream, httpx.ByteStream):
            self._portal.call(self.call.feed_all, b"".join(self._stream))
        else:
            self._upload = iter(self._stream)
        while not self.call.ready and self._pull() is not None:
            pass

    def __iter__(self) -> Iterator[bytes]:
        while (data := self._pull()) is not None:
            if data:
                yield data

    def close(self) -> None:
        if self in self._registry:
            self._registry.discard(self)
            self._portal.call(self.call.close)

    def _pull(self) -> bytes | None:
        data = self._portal.call(self.call.pull)
        if self.call.hungry:
            self._portal.call(self.call.feed, next(self._upload, None))
        return data


class AsyncTransport(httpx.AsyncBaseTransport):
    """Serve an async client's requests on the loop of the test, in `spawn`'s task group once there is one."""

    def __init__(self, target: AppUnderTest) -> None:
        self.spawn: Spawn | None = None
        self._target = target
        self._open: set[_AsyncBody] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Start the request's exchange and return when its response has started."""
        if request.url.scheme in ("ws", "wss"):
            return httpx.Response(101, extensions={"websocket": self._target.websocket(request)}, request=request)
        body = _AsyncBody(self._target.http(request), request, self._open)
        try:
            await body.start(self.spawn)
        except BaseException:
            await body.aclose()
            raise
        response = AsyncResponse(body.call.status, headers=body.call.headers, stream=body, request=request)
        body.call.describe(response)
        return response

    async def aclose(self) -> None:
        """Leave every response that is still open."""
        for body in list(self._open):
            await body.aclose()


class _AsyncBody(httpx.AsyncByteStream):
    def __init__(self, call: HTTPCall, request: httpx.Request, registry: set[_AsyncBody]) -> None:
        self.call = call
        self._stream = cast(httpx.AsyncByteStream, request.stream)
        self._upload: AsyncIterator[bytes] | None = None
        self._registry = registry
        registry.add(self)

    async def start(self, spawn: Spawn | None) -> None:
        await self.call.open(spawn)
        if isinstance(self._stream, httpx.ByteStream):
            await self.call.feed_all(b"".join(self._stream))
        else:
            self._upload = aiter(self._stream)
        while not self.call.ready and await self._pull() is not None:
            pass

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        # No generator: one that a test reads in part would have to be closed by somebody.
        while (data := await self._pull()) is not None:
            if data:
                return data
        raise StopAsyncIteration

    async def aclose(self) -> None:
        if self in self._registry:
            self._registry.discard(self)
            await self.call.close()

    async def _pull(self) -> bytes | None:
        data = await self.call.pull()
        if self.call.hungry and self._upload is not None:
            await self.call.feed(await anext(self._upload, None))
        return data
