"""The router: a registry of routes that is an ASGI application itself, with its lifespan and its middleware.

It builds its tables and its stack before the first scope is answered and, if routes were added since, before the next.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar, Unpack

import anyio

from microasgi.background import Tasks
from microasgi.concurrency import current_loop, spawn
from microasgi.dispatch import Dispatch
from microasgi.draining import OUTER, Draining
from microasgi.entrance import Entrance
from microasgi.errors import Errors
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.foreign import respond
from microasgi.hosts import Host
from microasgi.lifespan import Enter, answer_lifespan, as_context, run_together
from microasgi.options import MiddlewareList, OperationOptions
from microasgi.registry import Registry
from microasgi.responses import PlainTextResponse
from microasgi.routes import BaseRoute, Mount, Route, WebSocketRoute
from microasgi.signals import StopSignals
from microasgi.sockets import deny
from microasgi.stack import Call, Layer, fold
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BaseRoute", "Host", "Mount", "Route", "Router", "WebSocketRoute"]

F = TypeVar("F", bound=Callable[..., Any])
logger = logging.getLogger("microasgi")


_GRACE = 10.0  # seconds that app.tasks are given at shutdown


class Router(Registry, Entrance):
    """Routes to be included in an application, mounted in one, or served as they are.

    `default` answers what no route does, in place of 404 and 405; `lifespan` is an async context manager factory;
    `max_body_size`, in bytes, is for its routes that have none of their own.
    """

    role: ClassVar[str] = "router"

    def __init__(
        self,
        routes: Iterable[BaseRoute] | None = None,
        redirect_slashes: bool = True,
        default: ASGIApp | None = None,
        lifespan: Callable[..., Any] | None = None,
        *,
        middleware: MiddlewareList | None = None,
        max_body_size: int | None = None,
        errors: Errors | None = None,
    ) -> None:
        self.errors = errors or Errors(delegate=True)
        self.max_body_size = max_body_size
        self.redirect_slashes = redirect_slashes
        self.default = default
        self.tasks = Tasks()
        self.draining = Draining()
        self._lifespans: list[Enter] = []
        # The loops on which the lifespan runs: None where the server asked for it.
        self._running: dict[object, _LazyRun | None] = {}
        self._served = False
        # The rest of what an Entrance has is made by `freeze`.
        self._owner, self._role = self, self.role
        self._outermost: ASGIApp | None = None
        Registry.__init__(self, routes or (), middleware or ())
        self._detour = self._begin
        if lifespan is not None:
            self.lifespan(lifespan)

    def lifespan(self, function: F) -> F:
        """Run this around the application's life; several are entered in order and left in reverse.

        It is an async context manager factory, or an async generator function, of the application or of nothing. A
        mapping that it yields becomes part of `request.state`.
        """
        if self._served:
            raise ConfigurationError("a lifespan has to be added before the application starts")
        self._lifespans.append(as_context(function, self))
        return function

    async def drain(self, grace: float | None = None) -> None:
        """End what lives long, as for a stop of the process, and wait for that and for `tasks`.

        Streams and websockets have `grace` seconds, `draining.grace` by default. It is not to be taken back: handshakes
        are refused from now on. RuntimeError while the lifespan does not run.
        """
        await self.draining.end_all(grace)
        await self.tasks.settle(_GRACE)

    def include(
        self,
        router: Registry,
        prefix: str = "",
        middleware: MiddlewareList | None = None,
        **options: Unpack[OperationOptions],
    ) -> None:
        """Take over a router's routes, below a prefix, with its middleware around them; and its lifespans.

        The options, such as `tags` and `dependencies`, go around those that the routes have.
        """
        super().include(router, prefix, middleware, **options)
        if isinstance(router, Router):
            self._lifespans += router._lifespans

    def freeze(self) -> None:
        """Build the tables and the stack now, so that mistakes in them show now; serving does it by itself."""
        dispatch = Dispatch(
            self._routes,
            self.errors,
            redirect_slashes=self.redirect_slashes,
            serve=self._serve,
            guard_app=self._guard_app,
            default=self.default,
            shared_refusals=not any(middleware.is_function for middleware in self._stack),
        )
        folded = fold(
            self._stack,
            dispatch.call,
            self._others(dispatch.socket),
            serve=self._serve,
            respond=respond,
            guard=self.errors.guard,
            guard_layer=self.errors.guard_layer,
            guard_app=self._guard_app,
        )
        self._call, self._app, self._outermost, self._layer = folded
        self._inside = folded.outermost or self._serve(folded.call, folded.app, folded.layer)

    def _serve(self, call: Call, app: ASGIApp, layer: Layer | None) -> ASGIApp:
        return Entrance(self, self.role, self.errors, call, app, layer)

    def _guard_app(self, app: ASGIApp) -> ASGIApp:
        return partial(self._go_round, app)

    def _others(self, socket: ASGIApp) -> ASGIApp:
        """Return what answers the scopes that are no http requests."""

        def answer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == "websocket":
                return socket(scope, receive, send)
            if scope["type"] == "lifespan":
                return answer_lifespan(scope, receive, send, partial(self._enter, scope.get(OUTER)))
            raise ValueError(f"{scope['type']!r} is no ASGI scope that this application knows")

        return answer

    def _routes_changed(self) -> None:
        self._detour = self._begin

    def _make_router(self, routes: Iterable[BaseRoute]) -> ASGIApp:
        return Router(routes, self.redirect_slashes)

    async def _begin(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the first scope: build, see to it that the lifespan runs, and stand aside."""
        self.freeze()
        self._served = True
        by_server = scope["type"] == "lifespan" or any(run is None for run in self._running.values())
        self._detour = self._outermost if by_server else self._ensure_started
        if self.draining.is_set():
            self._part()
        await self(scope, receive, send)

    async def _ensure_started(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer on a server that has no lifespan protocol: it starts before the first answer, once for each loop."""
        loop = current_loop()
        run = self._running.get(loop)
        if scope["type"] == "lifespan" or (run is None and loop in self._running):
            self._detour = self._outermost
            await self(scope, receive, send)
            return
        if run is None:
            logger.info("the server has no lifespan: starting the application before its first answer")
            run = self._running[loop] = _LazyRun()
            run.task = spawn(partial(run.hold, self._enter))
        if not run.started.is_set():
            await run.started.wait()
        if run.failure is not None:
            await self._refuse_unstarted(scope, receive, send)
            return
        scope.setdefault("state", dict(run.state))
        with self.draining.waiting():
            await self._inside(scope, receive, send)

    async def _refuse_unstarted(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await deny(scope, receive, send, HTTPException(503))
        else:
            await PlainTextResponse("Service Unavailable", 503)(scope, receive, send)

    def _part(self) -> None:
        """Have the connections closed from now on that answers go out on."""
        self._detour = partial(self._answer_and_close, self._detour or self._inside)

    async def _answer_and_close(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        # HTTP/2 has no such header, and says the same in its own way (RFC 9113 section 8.2.2).
        if scope["type"] == "http" and scope["http_version"].startswith("1") and self.draining.is_set():
            send = partial(_send_and_close, send)
        await app(scope, receive, send)

    async def _stop(self, signals: StopSignals) -> None:
        """Drain because the process is asked to stop, and let the server hear of it then."""
        await self.draining.finish()
        run = self._running.get(current_loop())
        if run is None:
            signals.release()  # the server ends the lifespan
        else:
            run.leave.set()  # such a server would wait for nothing: the signal is released when the lifespan is over

    @asynccontextmanager
    async def _enter(self, outer: Draining | None = None) -> AsyncGenerator[dict[str, Any]]:
        """Run the lifespan: of this application and of all that is mounted in it."""
        loop = current_loop()
        self._running.setdefault(loop, None)
        mounted = [(route.path or repr(route), route.app) for route in self._routes if isinstance(route, Mount)]
        try:
            tasks = partial(self.tasks.running, _GRACE)
            async with (
                self.draining.running(outer, self._part, self._stop),
                run_together(self._lifespans, mounted, tasks, {OUTER: self.draining}) as state,
            ):
                yield state
                await self.draining.end_all()
        finally:
            self._running.pop(loop, None)
            self._detour = self._begin


async def _send_and_close(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        others = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"connection"]
        message = {**message, "headers": [*others, (b"connection", b"close")]}
    await send(message)


class _LazyRun:
    """A lifespan that was started without the server's asking; it lasts as long as the event loop."""

    def __init__(self) -> None:
        self.started = anyio.Event()
        self.leave = anyio.Event()
        self.state: dict[str, Any] = {}
        self.failure: Exception | None = None
        self.task: object = None

    async def hold(self, enter: Enter) -> None:
        """Enter the lifespan and stay in it."""
        try:
            async with enter() as state:
                self.state.update(state or {})
                self.started.set()
                await self.leave.wait()
        except Exception as error:
            self.failure = error
            logger.exception("the application's lifespan failed")
        finally:
            self.started.set()
