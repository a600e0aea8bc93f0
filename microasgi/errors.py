"""The one place where exceptions become responses.

A handler is looked up by the error's status, if it has one, then along its class' MRO. What nobody handles is
answered with 500, says nothing about the inside, and is logged once.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from traceback import extract_tb
from typing import Any, Final, TypeAlias, cast

from microasgi.concurrency import run_in_threadpool
from microasgi.connection import HTTPConnection
from microasgi.endpoints import as_response, describe, from_middleware
from microasgi.exceptions import ClientDisconnect, ConfigurationError, HTTPException, WebSocketException
from microasgi.foreign import AppResponse
from microasgi.headers import find_header
from microasgi.negotiation import prefers_json
from microasgi.requests import Request
from microasgi.responses import PlainTextResponse, Response
from microasgi.types import Receive, Scope, Send

__all__ = ["Errors", "HandlerKey", "answer_error", "errors_inside", "problem", "problem_of", "report", "sole_error"]

HandlerKey: TypeAlias = int | type[Exception]
Call: TypeAlias = Callable[[Any], Awaitable[Any]]
Handler: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

logger = logging.getLogger("microasgi")
_STDLIB: Final = os.path.dirname(os.__file__) + os.sep
_REPORTED: Final = "_microasgi_reported_for"
_PACKAGE: Final = os.path.dirname(__file__)  # pathlib takes 2 ms to import


class Errors:
    """The table of exception handlers, and the answer where it has none.

    `delegate=True` is for a router: mounted in an application, it answers errors as that does.
    """

    def __init__(self, debug: bool = False, *, delegate: bool = False) -> None:
        self.debug = debug
        self._delegate = delegate
        self._handlers: dict[HandlerKey, Handler] = {}
        self._found: dict[type[Exception], tuple[Handler | None, bool]] = {}

    def of(self, scope: Scope) -> Errors:
        """Return the table that answers in this scope: this one, or the application's around a mounted router."""
        if not self._delegate:
            return self
        outer = getattr(scope.get("app"), "errors", None)
        return outer if isinstance(outer, Errors) else self

    def add(self, key: HandlerKey, handler: Callable[[Any, Any], Any]) -> None:
        """Handle this status or exception class, and its subclasses, with `handler(request, error)`, sync or async."""
        if not (400 <= key <= 599 if isinstance(key, int) else _is_exception_class(key)):
            raise ConfigurationError(f"handlers are for Exception classes and statuses of 400 to 599, not for {key!r}")
        is_async = inspect.iscoroutinefunction(handler)
        self._handlers[key] = cast(Handler, handler if is_async else partial(_in_thread, handler))
        self._found.clear()

    def may_handle(self, error: Exception) -> bool:
        """Tell whether a handler could answer this error: known only at a request where errors are delegated."""
        return self._delegate or self.find(error)[0] is not None

    def find(self, error: Exception) -> tuple[Handler | None, bool]:
        """Return the handler for this error, or None, and whether the error is expected: not to be logged."""
        if isinstance(error, HTTPException) and error.status_code in self._handlers:
            return self._handlers[error.status_code], True
        kind = type(error)
        found = self._found.get(kind)
        if found is None:
            found = self._found[kind] = self._search(kind)
        return found

    def _search(self, kind: type[Exception]) -> tuple[Handler | None, bool]:
        for base in kind.__mro__[: kind.__mro__.index(Exception)]:
            if base in self._handlers:
                return self._handlers[base], True
        if issubclass(kind, (HTTPException, WebSocketException, ClientDisconnect)):
            return None, True
        # What nobody expected: the handler for 500, or for Exception, answers it, and the log has it.
        return self._handlers.get(500) or self._handlers.get(Exception), False

    async def respond(self, request: Request[Any], error: Exception) -> Response:
        """Return the response for an error that a handler or a middleware raised."""
        if self._delegate:
            table = self.of(request.scope)
            if table is not self:
                return await table.respond(request, error)
        error = sole_error(error)
        handler, expected = self.find(error)
        if not expected:
            report(request, error)
        if handler is not None:
            try:
                result = await handler(request, error)
                return result if isinstance(result, Response) else as_response(result, handler)
            except Exception as second:
                if not isinstance(second, HTTPException) and (second is not error or expected):
                    report(request, second)
                error = second
        try:
            return self._answer(request, error)
        except Exception as broken:  # a status or a header that no response can have
            report(request, broken)
            return problem(request, 500, "Internal Server Error")

    def _answer(self, request: Request[Any], error: Exception) -> Response:
        page = _debug_page(request, error) if self.debug else None
        if page is not None:
            return page
        if isinstance(error, HTTPException):
            error.__traceback__ = None  # one that is raised again and again would gather those of all requests
            return problem_of(request, error)
        if isinstance(error, ClientDisconnect):
            return problem(request, 400, "the client left")  # nobody is there to read it
        return problem(request, 500, "Internal Server Error")

    def guard(self, call: Call) -> Call:
        """Return a call from which every result comes as a response that has begun, and every error as one too."""
        respond = self.respond

        async def guarded(request: Request[Any]) -> Response:
            try:
                result = await call(request)
                if not isinstance(result, Response):
                    return as_response(result, request.scope.get("route"))
                response = result.as_returned()
                if isinstance(response, AppResponse):
                    await response.begin()
            except Exception as error:
                return await respond(request, error)
            return response

        return guarded

    def guard_layer(self, middleware: Callable[..., Awaitable[Any]], call_next: Call) -> Call:
        """Return a call of a function middleware that answers as `guard` says; one coroutine less than both."""
        respond = self.respond

        async def guarded(request: Request[Any]) -> Response:
            try:
                response = await middleware(request, call_next)
                return response if isinstance(response, Response) else from_middleware(response, middleware)
            except Exception as error:
                return await respond(request, error)

        return guarded


def _is_exception_class(key: object) -> bool:
    return isinstance(key, type) and issubclass(key, Exception)


def sole_error(error: Exception) -> Exception:
    """Return the one error that a task group has wrapped, or the error itself."""
    inside = errors_inside(error)
    return sole_error(inside[0]) if len(inside) == 1 else error


def errors_inside(error: object) -> tuple[Exception, ...]:
    """Return the errors of a group; none of any other error."""
    return cast(ExceptionGroup[Exception], error).exceptions if isinstance(error, ExceptionGroup) else ()


async def _in_thread(handler: Callable[[Any, Any], Any], connection: Any, error: Any) -> Any:
    return await run_in_threadpool(handler, connection, error)


def problem(
    connection: HTTPConnection[Any],
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Return an error as text, or as problem details (RFC 9457) where the client prefers JSON.

    Where the handler has typed parameters a client that takes anything gets JSON; with `members` everybody does.
    """
    if not members and not _wants_json(connection.scope):
        return PlainTextResponse(detail, status, headers)
    title = HTTPException(status).detail
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail != title:
        document["detail"] = detail
    if members:
        document.update(members)
    return Response(json.dumps(document), status, headers, "application/problem+json")


def problem_of(connection: HTTPConnection[Any], error: HTTPException) -> Response:
    """Return the response that says what an HTTPException does."""
    detail: Any = error.detail
    if isinstance(detail, str):
        return problem(connection, error.status_code, detail, error.headers, error.members)
    members = {"detail": detail, **error.members}
    return problem(connection, error.status_code, HTTPException(error.status_code).detail, error.headers, members)


def _wants_json(scope: Scope) -> bool:
    accept = find_header(scope["headers"], b"accept")
    if accept is None or accept == b"*/*":
        return getattr(scope.get("route"), "binding", None) is not None
    return b"json" in accept and prefers_json(accept)


async def answer_error(scope: Scope, receive: Receive, send: Send, error: HTTPException) -> None:
    """Answer a request with an error, as the application's exception handlers want it: for ASGI applications inside."""
    request: Request[Any] = Request(scope, receive, send)
    table = getattr(scope.get("app"), "errors", None)
    if isinstance(table, Errors):
        response = await table.respond(request, error)
    else:
        response = problem_of(request, error)
    await response(scope, receive, send)


def report(connection: HTTPConnection[Any], error: Exception) -> None:
    """Log an error that nobody expected: one record for a request, the user's own line first."""
    scope = connection.scope
    if getattr(error, _REPORTED, None) is scope["headers"]:  # on its way out it has been seen by two layers
        return
    setattr(error, _REPORTED, scope["headers"])
    observe = scope.get("microasgi.on_error")
    if observe is not None:  # a test client that raises what the application raised
        observe(error)
    subject = f"{scope.get('method', scope['type'])} {scope['path']!r}"
    logger.error("%s in %s%s", type(error).__name__, subject, _user_line(error) or _route_place(scope), exc_info=error)


def _user_line(error: Exception) -> str:
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_PACKAGE)]
    others = [frame for frame in frames if not frame.filename.startswith(_STDLIB)]
    own = [frame for frame in others if "site-packages" not in frame.filename] or others or frames
    return f" at {own[-1].filename}:{own[-1].lineno} in {own[-1].name}" if own else ""


def _route_place(scope: Scope) -> str:
    route = scope.get("route")
    return f", answered by {describe(route)}" if hasattr(route, "endpoint") else ""


def _debug_page(request: Request[Any], error: Exception) -> Response | None:
    from microasgi.debugpage import debug_page  # only a mistake pays for it

    return debug_page(request, error)
