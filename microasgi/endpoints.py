"""Handlers: from what the user wrote to what the routing table calls, and from what it returned to a response.

The law of this file: how a handler has to be called is found out once, at registration. Here other ways of writing
handlers, with typed parameters say, are joined on.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.exceptions import ConfigurationError, HTTPException, WebSocketDisconnect
from microasgi.requests import Request
from microasgi.responses import JSONResponse, PlainTextResponse, Response
from microasgi.serialization import decode_json
from microasgi.streaming import StreamingResponse
from microasgi.types import Message, Receive, Scope, Send
from microasgi.websockets import WebSocket

__all__ = [
    "Adapted",
    "CallNext",
    "HTTPEndpoint",
    "WebSocketEndpoint",
    "adapt",
    "as_response",
    "describe",
    "from_middleware",
    "function_of",
    "is_asgi_app",
    "is_class_endpoint",
]

Adapted: TypeAlias = Callable[[Any], Awaitable[Any]]
CallNext: TypeAlias = Callable[[Request[Any]], Awaitable[Response]]
"""What a function middleware is given to call: the next middleware, or the router."""

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")


class HTTPEndpoint:
    """A handler as a class: one method for each HTTP method, named in lower case, taking the request.

    Other methods of HTTP are answered with 405 by the router. One instance is made for each request.
    """

    methods: ClassVar[list[str]] = []

    def __init_subclass__(cls) -> None:
        cls.methods = [method for method in _METHODS if hasattr(cls, method.lower())]
        cls._handlers = {method: adapt(_unbound(getattr(cls, method.lower()))) for method in cls.methods}

    _handlers: ClassVar[dict[str, Callable[..., Awaitable[Any]]]] = {}

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    def dispatch(self, request: Request[Any]) -> Awaitable[Any]:
        """Call the method of the class for the request's method."""
        # From a table, never by attribute: the method is the client's text.
        handler = self._handlers.get(request.method) or (
            self._handlers.get("GET") if request.method == "HEAD" else None
        )
        if handler is None:
            raise HTTPException(405, headers={"allow": ", ".join(self.methods)})
        return handler((self, request))


class WebSocketEndpoint:
    """A websocket handler as a class: `on_connect`, `on_receive`, `on_disconnect`; `encoding` says what data is."""

    encoding: Literal["text", "bytes", "json"] | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send

    async def dispatch(self, websocket: WebSocket[Any]) -> None:
        """Run the socket's life."""
        await self.on_connect(websocket)
        code = 1000
        try:
            while True:
                message = await websocket.receive()
                if message["type"] == "websocket.disconnect":
                    code = 1005 if message.get("code") is None else message["code"]
                    break
                await self.on_receive(websocket, await self.decode(websocket, message))
        except WebSocketDisconnect as disconnect:
            code = disconnect.code
        except Exception:
            code = 1011
            raise
        finally:
            await self.on_disconnect(websocket, code)

    async def decode(self, websocket: WebSocket[Any], message: Message) -> Any:
        """Return the message's data in the endpoint's encoding; what does not fit closes with 1003 or 1007."""
        text, data = message.get("text"), message.get("bytes")
        if self.encoding is None:
            return text if text is not None else data
        wanted = data if self.encoding == "bytes" else text
        if wanted is None and not (self.encoding == "json" and data is not None):
            await websocket.close(1003, f"{self.encoding} expected")
            raise WebSocketDisconnect(1003)
        if self.encoding != "json":
            return wanted
        try:
            return decode_json(data if data is not None else str(text).encode())
        except (HTTPException, UnicodeEncodeError):
            await websocket.close(1007, "not JSON")
            raise WebSocketDisconnect(1007) from None

    async def on_connect(self, websocket: WebSocket[Any]) -> None:
        """Handle the handshake; by default accept it."""
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket[Any], data: Any) -> None:
        """Handle one message."""

    async def on_disconnect(self, websocket: WebSocket[Any], close_code: int) -> None:
        """Clean up."""


def _unbound(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the method as a function of one argument, the pair of instance and request."""
    if inspect.iscoroutinefunction(function):
        return _keep_async(function)
    return lambda pair: function(*pair)


def _keep_async(function: Callable[..., Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    async def call(pair: Any) -> Any:
        return await function(*pair)

    return call


def is_asgi_app(endpoint: object) -> bool:
    """Tell whether this is an ASGI application (an object called with scope, receive, send) and not a handler."""
    if inspect.isroutine(endpoint) or isinstance(endpoint, type) or not callable(endpoint):
        return False
    try:
        inspect.signature(endpoint).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def adapt(handler: Any, *, websocket: bool = False) -> Adapted:
    """Return what the table calls with the request (or socket): a callable whose result is awaitable.

    `async def` runs on the loop, `def` in a worker thread; generators of both kinds are handed on to be streamed.
    A handler that takes nothing is called with nothing. ConfigurationError for one that wants more.
    """
    if is_class_endpoint(handler):
        return _adapt_class(handler)
    function = function_of(handler)
    takes_none = _count_parameters(handler) == 0
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(handler):
        return (lambda _: handler()) if takes_none else handler
    if websocket:
        raise ConfigurationError(f"{describe(handler)}: a websocket handler has to be `async def`")
    target: Callable[[Any], Any] = (lambda _: handler()) if takes_none else handler
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return _call_at_once(target)
    return lambda request: run_in_threadpool(target, request)


def function_of(call: Any) -> Any:
    """Return the function behind a partial, a class (its `__init__`), a callable object or a decorated function."""
    while isinstance(call, partial):
        call = getattr(cast(object, call), "func")  # noqa: B009
    if isinstance(call, type):
        call = cast(Any, call).__init__
    elif not inspect.isroutine(call):
        call = type(call).__call__
    return inspect.unwrap(getattr(call, "__func__", call))


def is_class_endpoint(endpoint: object) -> bool:
    """Tell whether this is a subclass of HTTPEndpoint or WebSocketEndpoint."""
    return isinstance(endpoint, type) and issubclass(endpoint, (HTTPEndpoint, WebSocketEndpoint))


def _adapt_class(endpoint: Any) -> Adapted:
    return lambda connection: endpoint(connection.scope, connection.receive, connection.send_message).dispatch(
        connection
    )


def _call_at_once(handler: Callable[[Any], Any]) -> Adapted:
    async def call(request: Any) -> Any:
        return handler(request)

    return call


def _count_parameters(handler: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(handler).parameters.values()
    except ValueError:  # a built-in without a signature
        return 1
    positional = [p for p in parameters if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL}]
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    if len(needed) > 1 or (needed and not positional):
        raise ConfigurationError(
            f"{describe(handler)}: nobody can fill {', '.join(needed[1:] or needed)}. A handler takes the request (or "
            "the websocket) and nothing else; the path's parameters are in request.path_params."
        )
    return len(positional)


def describe(handler: Any) -> str:
    """Return the handler's name and where it stands; of a route, its handler's."""
    handler = getattr(handler, "endpoint", handler)
    code = getattr(inspect.unwrap(handler), "__code__", None)
    name = getattr(handler, "__qualname__", repr(handler))
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else name


_MAKERS: dict[type, Callable[..., Response]] = {str: PlainTextResponse, dict: JSONResponse, list: JSONResponse}


def as_response(result: Any, handler: Any = None) -> Response:
    """Return the response that a handler's result stands for; TypeError names the handler where it is none."""
    kind = result.__class__
    if kind in _MAKERS:
        return _MAKERS[kind](result)
    if result is None:
        return Response(status_code=204)
    if kind is tuple and len(result) in {2, 3} and isinstance(result[1], int):
        return _with_status(handler, *result)
    if isinstance(result, Response):
        return result
    if isinstance(result, (bytes, bytearray, memoryview)):
        return Response(result, media_type="application/octet-stream")
    if isinstance(result, (AsyncGenerator, Generator)):
        return StreamingResponse(cast(Any, result), media_type="text/plain")
    if isinstance(result, str):
        return PlainTextResponse(result)
    if isinstance(result, (dict, list)) or _is_model(kind):
        return JSONResponse(result)
    raise TypeError(
        f"{describe(handler) if handler else 'a handler'} returned {kind.__qualname__}, which is no response: return "
        "a Response, text, bytes, a dict, a list, a dataclass, a generator, None, (value, status) or "
        "(value, status, headers); or say what it returns, as in `-> int`, which is answered as JSON"
    )


def from_middleware(result: Any, middleware: Any) -> Response:
    """Return the response that a function middleware's result stands for; TypeError for None, a forgotten `return`."""
    if result is None:
        raise TypeError(
            f"middleware {describe(middleware)} returned None: return what `await call_next(request)` gave it, or a "
            "response of its own"
        )
    return as_response(result, middleware)


def _with_status(handler: Any, value: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    maker = _MAKERS.get(value.__class__)
    if maker is not None:
        return maker(value, status, headers)
    return as_response(value, handler).with_status(status, headers)


def _is_model(kind: type) -> bool:
    names = ("__dataclass_fields__", "__struct_fields__", "model_dump", "__attrs_attrs__")
    return any(hasattr(kind, name) for name in names)
