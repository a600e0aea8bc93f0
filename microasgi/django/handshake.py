"""The project's whole MIDDLEWARE, run on handshakes and on requests that Django does not answer.

Law: the chain runs before the application and around no body. What it lets pass goes on with the request that it has
made ready; what it answers itself is the answer.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, Final, cast

from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import ResolverMatch

from microasgi.concurrency import iterate_in_threadpool
from microasgi.django.djangorequest import HELD, Held, ScopeRequest, raw_headers, set_cookies
from microasgi.django.threads import in_django_thread
from microasgi.headers import MutableHeaders
from microasgi.socketrules import speaks
from microasgi.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from microasgi.websockets import WebSocket

__all__ = ["MessagesLayer", "MiddlewareLayer"]

_STARTS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_WITHOUT_BODY: Final = frozenset({204, 304})  # RFC 9110 section 6.4.1
# They speak of the body, which the chain does not see.
_OF_BODIES: Final = frozenset({b"content-encoding", b"content-length", b"content-type", b"etag", b"last-modified"})


class MiddlewareLayer:
    """Run settings.MIDDLEWARE before the application, for requests and handshakes.

    Its `request.session` and `request.user` become the connection's, in a SessionLayer inside. What a middleware
    answers is sent, to a handshake as a denial. Headers and cookies that the chain adds are those of the application's
    response, whose own come first. No middleware sees the application's status, body or errors: where that is needed,
    `bridge` puts the application into the URLconf.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    @cached_property
    def _chain(self) -> _Chain:
        return _Chain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or "django.request" in scope:
            await self.app(scope, receive, send)
            return
        held: Held = scope.setdefault(HELD, Held())
        held.request = request = ScopeRequest(scope)
        response = await self._chain.get_response_async(request)
        if not isinstance(response, _Passed):
            await _answer(response, scope, receive, send)
            return
        session = getattr(request, "session", None)
        if session is not None:
            session.modified = False  # the chain has saved it
        added = [pair for pair in raw_headers(response) if pair[0] not in _OF_BODIES]

        async def finishing(message: Message) -> None:
            if message["type"] in _STARTS:
                message = _with_headers(message, scope, added)
            await send(message)

        await self.app(scope, receive, finishing)


class MessagesLayer:
    """Keep the messages that the application adds, and forget those that it has shown: the chain has run before it.

    Inside of the SessionLayer, whose session may keep them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: Held | None = scope.get(HELD)
        messages: Any = None if held is None else getattr(held.request, "_messages", None)
        if messages is None:
            await self.app(scope, receive, send)
            return

        async def finishing(message: Message) -> None:
            if message["type"] in _STARTS and (messages.used or messages.added_new):
                response = HttpResponse()
                await in_django_thread(partial(messages.update, response))
                message = _with_headers(message, scope, set_cookies(response))
            await send(message)

        await self.app(scope, receive, finishing)


class _Passed(StreamingHttpResponse):
    """What the chain gets for an answer. It is streamed, so that nobody measures, stores or compresses it."""


def application(request: HttpRequest) -> HttpResponseBase:
    """Stand for the application where middleware looks at the view: every path leads to it."""
    return _Passed()


application.csrf_exempt = True  # type: ignore[attr-defined]  # CSRFLayer asks for the token, which may be in the body


class _Chain(ASGIHandler):
    """Django's handler with its middleware, and no views."""

    async def _get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        request.resolver_match = ResolverMatch(application, (), {}, route=request.path_info.removeprefix("/"))
        rules: list[Any] = cast(Any, self)._view_middleware
        for process_view in rules:
            response = await process_view(request, application, (), {})
            if response is not None:
                is_late = callable(getattr(response, "render", None))
                return cast(HttpResponseBase, await in_django_thread(response.render) if is_late else response)
        return application(request)


def _with_headers(message: Message, scope: Scope, added: RawHeaders) -> Message:
    headers = MutableHeaders(raw=list(message.get("headers", ())))
    if message["type"] == "websocket.accept":
        cookies = [pair for pair in added if pair[0] == b"set-cookie"]
        return {**message, "headers": [*cookies, *headers.raw]} if cookies and speaks(scope, (2, 1)) else message
    own = {name.lower() for name, _ in headers.raw}
    # The application's cookies come last: of two with one name browsers keep that one.
    before = [pair for pair in added if pair[0] == b"set-cookie"]
    after = [pair for pair in added if pair[0] not in own and pair[0] not in (b"set-cookie", b"vary")]
    headers = MutableHeaders(raw=[*before, *headers.raw, *after])
    for name, value in added:
        if name == b"vary":
            headers.add_vary_header(value.decode("latin-1"))
    return {**message, "headers": headers.raw}


async def _answer(response: HttpResponseBase, scope: Scope, receive: Receive, send: Send) -> None:
    """Send what the chain has answered."""
    given: Any = response

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{kind}.start", "status": given.status_code, "headers": raw_headers(given)})
        is_empty = scope.get("method") == "HEAD" or given.status_code in _WITHOUT_BODY
        if given.streaming and not is_empty:
            content = given.streaming_content
            async for part in content if given.is_async else iterate_in_threadpool(content):
                await send({"type": f"{kind}.body", "body": part, "more_body": True})
        await send({"type": f"{kind}.body", "body": b"" if given.streaming or is_empty else given.content})

    try:
        if scope["type"] == "websocket":
            websocket: WebSocket[Any] = WebSocket(scope, receive, send)
            await websocket.send_denial_response(answer)
        else:
            await answer(scope, receive, send)
    finally:
        await in_django_thread(given.close)
