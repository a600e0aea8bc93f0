"""The entrance: where a scope comes in and its answer goes out. The hot path of everything is in this file.

The law of this file: one coroutine for a request. What could be decided before is not decided here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from microasgi.body import BODIES
from microasgi.endpoints import as_response, from_middleware
from microasgi.errors import Errors, report
from microasgi.exceptions import ClientDisconnect, StreamCut
from microasgi.foreign import AppResponse
from microasgi.requests import Request
from microasgi.responses import PLAIN_RESULTS, PREPARED_LENGTHS, Response, content_length
from microasgi.stack import Layer
from microasgi.types import ASGIApp, Message, Receive, Scope, Send
from microasgi.urls import quote_path

__all__ = ["Entrance"]

Call: TypeAlias = Callable[[Any], Awaitable[Any]]


class Entrance:
    """An ASGI application made of `call`, which answers http requests, and `app`, which answers other scopes.

    Where `detour` is set, it answers everything: an ASGI middleware around this, or what has to be done first.
    """

    _role = "app"

    def __init__(self, owner: object, role: str, errors: Errors, call: Call, app: ASGIApp, layer: Layer | None) -> None:
        self._owner, self._role, self.errors = owner, role, errors
        self._call, self._app = call, app
        self._layer = layer  # the function middleware that `call` is
        self._detour: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scope (ASGI 3.0)."""
        scope = with_root_path(scope) if scope.get("root_path") else scope
        if self._detour is not None:
            return await self._go_round(self._detour, scope, receive, send)
        scope[self._role] = self._owner
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request: Request[Any] = Request(scope, receive, send)
        response: Response | None = None
        body, length, content_type = b"", PREPARED_LENGTHS[0], PREPARED_LENGTHS[0]
        try:
            try:
                result = await self._call(request)
                plain = PLAIN_RESULTS.get(result.__class__)
                if plain is None:
                    response = result if isinstance(result, Response) else self._as_response(result, scope)
                else:  # no Response object for what needs none: 1.1 us instead of 1.7
                    render, content_type = plain
                    body = render(result)
                    length = PREPARED_LENGTHS[len(body)] if len(body) < 2048 else content_length(len(body))
            except Exception as error:
                response = await self.errors.respond(request, error)
            if response is None:
                await send({"type": "http.response.start", "status": 200, "headers": [length, content_type]})
            elif response.sends_itself:
                return await response(scope, request.watch, send)
            else:  # what Response.__call__ does, without its coroutine
                body, headers = response.body, [*response.raw_headers]
                await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})
            if response is not None and response.background is not None:
                await response.background()
        except Exception as error:
            if not await self._settle(error, request, response):
                raise
        finally:
            if request.closing is not None:
                await request.close()
        return None

    def _as_response(self, result: Any, scope: Scope) -> Response:
        if self._layer is not None:
            return from_middleware(result, self._layer)
        return as_response(result, scope.get("route"))

    async def _settle(self, error: Exception, request: Request[Any], response: Response | None) -> bool:
        """Deal with an error while sending; False if it has to end the connection, because something was sent."""
        if isinstance(response, AppResponse):
            if response.started:  # the application that failed has the word on its own error, if anyone hears it
                return self._swallow(error, request)
            answer = await self.errors.respond(request, error)
            await answer(request.scope, request.receive, request.send_message)
            return True
        if isinstance(error, ClientDisconnect) or (isinstance(error, OSError) and not _streams(response)):
            return True  # a server may say by an OSError out of `send` that the client has left (ASGI HTTP 2.4)
        if not isinstance(error, StreamCut):
            report(request, error)
        return _cannot_cut(request.scope)

    def _swallow(self, error: Exception, request: Request[Any]) -> bool:
        if _cannot_cut(request.scope):
            report(request, error)
            return True
        return False

    async def _go_round(self, detour: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let an ASGI middleware, or what has to be done first, answer; if it fails before it has, answer for it."""
        scope[self._role] = self._owner  # a middleware that refuses answers as this says
        if scope["type"] != "http":
            return await detour(scope, receive, send)
        started = False

        async def observed(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await detour(scope, receive, observed)
        except Exception as error:
            if started:
                raise
            request: Request[Any] = Request(scope, receive, send)
            response = await self.errors.respond(request, error)
            await response(scope, request.watch, send)
        finally:
            for body in scope.get(BODIES, ()):  # a middleware may have made requests of its own
                await body.stop()
        return None


def _cannot_cut(scope: Scope) -> bool:
    """Tell whether an error would not end the connection: Daphne, the one without a `spec_version`, is harmed by it."""
    return "spec_version" not in (scope.get("asgi") or {})


def _streams(response: Response | None) -> bool:
    return response is not None and response.sends_itself


def with_root_path(scope: Scope) -> Scope:
    """Return the scope with its root path in the path, where some servers put it and others do not (ASGI HTTP).

    Done once, by the outermost application, so that everything inside sees one form.
    """
    root: str = scope["root_path"].rstrip("/")
    path: str = scope["path"]
    if "microasgi.root_path" in scope or path == root or path.startswith(f"{root}/"):
        return scope
    raw = scope.get("raw_path")
    return {**scope, "path": root + path, "raw_path": raw and quote_path(root).encode() + raw}
