"""The clients of a test: httpx's interface in front of an ASGI application, with sockets and the lifespan.

Law: `with` runs the lifespan, a request without it does not; every message either way goes through the lint.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, cast

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal

from microasgi.testing.httpx_package import httpx
from microasgi.testing.lifespan import LifespanRun
from microasgi.testing.overrides import Overriding
from microasgi.testing.portal import LoopThread
from microasgi.testing.transport import AppUnderTest, AsyncTransport, SyncTransport
from microasgi.testing.websockets import AsyncWebSocketTestSession, WebSocketTestSession
from microasgi.types import ASGIApp

__all__ = ["AsyncTestClient", "TestClient"]

_Cookies: TypeAlias = httpx.Cookies | dict[str, str] | list[tuple[str, str]]


class TestClient(Overriding, httpx.Client):
    """Talk to an ASGI application from a plain test function: `with TestClient(app) as client: client.get("/")`.

    The application runs on one event loop in a thread of its own, from the first use until the client is left or
    closed. `with` runs its lifespan, whose state is `app_state`. What the application raises is raised here, unless
    `raise_server_exceptions` is False. `lint` checks every message (ASGIViolation). `timeout` is how many seconds to
    wait for the application at any point: httpx.ReadTimeout, for sockets and the lifespan TimeoutError.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        backend: Literal["asyncio", "trio"] = "asyncio",
        backend_options: dict[str, Any] | None = None,
        cookies: _Cookies | None = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        *,
        lint: bool = True,
        timeout: float | None = 10.0,
    ) -> None:
        self.app = app
        self.app_state: dict[str, Any] = {}
        self._lint = lint
        self._seconds = timeout
        self._loop = self._make_loop(backend, backend_options)
        self._lifespan: LifespanRun | None = None
        self._responses = SyncTransport(
            AppUnderTest(app, raise_server_exceptions, root_path, client, self.app_state, lint), self._loop
        )
        super().__init__(
            base_url=base_url,
            headers=_client_headers(headers),
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=self._responses,
            trust_env=False,
        )

    def _make_loop(self, backend: str, backend_options: dict[str, Any] | None) -> LoopThread:
        return LoopThread(backend, backend_options)

    @property
    def portal(self) -> BlockingPortal:
        """The way to call something on the application's loop: `client.portal.call(fn, *args)`."""
        return self._loop.portal

    def __enter__(self) -> Self:
        if self._lifespan is not None:
            raise RuntimeError("this TestClient is already entered: leave its `with` block first, or build another")
        lifespan = LifespanRun(self.app, self.app_state, lint=self._lint, timeout=self._seconds)
        try:
            self.portal.start_task_soon(lifespan.exchange.run)
            self.portal.call(lifespan.startup)
        except BaseException:
            self._loop.stop()
            raise
        self._lifespan = lifespan
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._leave()

    def close(self) -> None:
        """Leave open responses, stop the lifespan if it runs, and end the loop: the client is of no more use."""
        try:
            self._leave()
        finally:
            super().close()

    def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> WebSocketTestSession:
        """Return a socket to the application, connected by `with`; keywords as for `client.get`."""
        target = _socket_url(self, url)
        headers = _handshake(kwargs.pop("headers", None), subprotocols)
        response = self.get(target, headers=headers, **kwargs)
        session = cast(WebSocketTestSession, response.extensions["websocket"])
        session.client = self
        return session

    def _leave(self) -> None:
        lifespan, self._lifespan = self._lifespan, None
        try:
            self._responses.close()
            if lifespan is not None:
                self.portal.call(lifespan.shutdown)
        finally:
            self._loop.stop()


class AsyncTestClient(Overriding, httpx.AsyncClient):
    """Talk to an ASGI application from a coroutine, on its own event loop (asyncio or trio).

    Everything is as in `TestClient`, with `async with` and `await`; responses are not buffered.
    """

    __test__ = False

    def __init__(
        self,
        app: ASGIApp,
        base_url: str = "http://testserver",
        raise_server_exceptions: bool = True,
        root_path: str = "",
        cookies: _Cookies | None = None,
        headers: Mapping[str, str] | None = None,
        follow_redirects: bool = True,
        client: tuple[str, int] = ("testclient", 50000),
        *,
        lint: bool = True,
        timeout: float | None = 10.0,
    ) -> None:
        self.app = app
        self.app_state: dict[str, Any] = {}
        self._lint = lint
        self._seconds = timeout
        self._lifespan: LifespanRun | None = None
        self._group: TaskGroup | None = None
        self._responses = AsyncTransport(
            AppUnderTest(app, raise_server_exceptions, root_path, client, self.app_state, lint)
        )
        super().__init__(
            base_url=base_url,
            headers=_client_headers(headers),
            cookies=cookies,
            follow_redirects=follow_redirects,
            timeout=timeout,
            transport=self._responses,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise RuntimeError("this AsyncTestClient is already entered: leave its block first, or build another")
        lifespan = LifespanRun(self.app, self.app_state, lint=self._lint, timeout=self._seconds)
        group = anyio.create_task_group()
        await group.__aenter__()
        try:
            await lifespan.exchange.open(group.start_soon)
            await lifespan.startup()
        except BaseException:
            await group.__aexit__(None, None, None)
            raise
        self._lifespan, self._group = lifespan, group
        self._responses.spawn = group.start_soon
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._leave()

    async def aclose(self) -> None:
        """Leave open responses and stop the lifespan if it runs: the client is of no more use."""
        try:
            await self._leave()
        finally:
            await super().aclose()

    @asynccontextmanager
    async def websocket_connect(
        self, url: str, subprotocols: Sequence[str] | None = None, **kwargs: Any
    ) -> AsyncGenerator[AsyncWebSocketTestSession, None]:
        """Connect a socket to the application for one `async with` block; keywords as for `client.get`."""
        target = _socket_url(self, url)
        headers = _handshake(kwargs.pop("headers", None), subprotocols)
        response = await self.get(target, headers=headers, **kwargs)
        async with cast(AsyncWebSocketTestSession, response.extensions["websocket"]) as session:
            yield session

    async def _leave(self) -> None:
        lifespan, self._lifespan = self._lifespan, None
        group, self._group = self._group, None
        self._responses.spawn = None
        try:
            with anyio.CancelScope(shield=True):
                await self._responses.aclose()
                if lifespan is not None:
                    await lifespan.shutdown()
        finally:
            if group is not None:
                await group.__aexit__(None, None, None)


def _client_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {"user-agent": "testclient", **{name.lower(): value for name, value in (headers or {}).items()}}


def _handshake(headers: Any, subprotocols: Sequence[str] | None) -> httpx.Headers:
    merged = httpx.Headers(headers)
    merged.setdefault("connection", "upgrade")
    merged.setdefault("upgrade", "websocket")
    merged.setdefault("sec-websocket-key", "dGVzdHNlcnZlciBrZXkhIQ==")
    merged.setdefault("sec-websocket-version", "13")
    if subprotocols is not None:
        merged.setdefault("sec-websocket-protocol", ", ".join(subprotocols))
    return merged


def _socket_url(client: httpx.Client | httpx.AsyncClient, url: str) -> httpx.URL:
    """Return the URL against the client's base URL, as `ws` or `wss`."""
    target = client.build_request("GET", url).url
    return target.copy_with(scheme={"https": "wss", "http": "ws"}.get(target.scheme, target.scheme))
