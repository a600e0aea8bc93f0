"""The one place where exceptions become responses.

A handler is looked up by the error's status, if it has one, then along its class' MRO. What nobody handles is
answered with 500, says nothing about the inside, and is logged once.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from traceback import extract_tb
from typing import Any, TypeAlias

from microasgi.concurrency import run_in_threadpool
from microasgi.endpoints import as_response
from microasgi.exceptions import ClientDisconnect, ConfigurationError, HTTPException
from microasgi.foreign import AppResponse
from microasgi.headers import find_header, prefers_json
from microasgi.requests import Request
from microasgi.responses import HTMLResponse, PlainTextResponse, Response

__all__ = ["Errors", "HandlerKey", "report"]

HandlerKey: TypeAlias = int | type[Exception]
Call: TypeAlias = Callable[[Any], Awaitable[Any]]
Handler: TypeAlias = Callable[[Any, Any], Awaitable[Any]]

logger = logging.getLogger("microasgi")


class Errors:
    """The table of exception handlers, and the answer where it has none."""

    def __init__(self, debug: bool = False) -> None:
        self.debug = debug
        self._handlers: dict[HandlerKey, Handler] = {}
        self._found: dict[HandlerKey, Handler | None] = {}

    def add(self, key: HandlerKey, handler: Callable[[Any, Any], Any]) -> None:
        """Handle this status or exception class, and its subclasses, with `handler(request, error)`, sync or async."""
        is_class = isinstance(key, type) and issubclass(key, Exception)
        if not is_class and not (isinstance(key, int) and 400 <= key <= 599):
            raise ConfigurationError(
                f"an exception handler is for an Exception class or a status of 400-599, not {key!r}"
            )
        self._handlers[key] = handler if inspect.iscoroutinefunction(handler) else partial(run_in_threadpool, handler)
        self._found.clear()

    def handles(self, status: int) -> bool:
        """Tell whether a handler is there for an HTTPException with this status."""
        return self.find(HTTPException(status)) is not None

    def find(self, error: Exception) -> Handler | None:
        """Return the handler for this error, or None."""
        if isinstance(error, HTTPException) and error.status_code in self._handlers:
            return self._handlers[error.status_code]
        kind = type(error)
        if kind not in self._found:
            self._found[kind] = self._search(kind)
        return self._found[kind]

    def _search(self, kind: type[Exception]) -> Handler | None:
        for base in kind.__mro__:
            # A handler for Exception is for what nobody expected, as one for 500 is.
            if base is Exception or (base in self._handlers and base is not object):
                break
        if base is not Exception:
            return self._handlers[base]  # type: ignore[index]
        if issubclass(kind, (HTTPException, ClientDisconnect)):
            return None
        return self._handlers.get(500) or self._handlers.get(Exception)

    def expects(self, error: Exception) -> bool:
        """Tell whether this error is part of the program: answered without a record in the log."""
        handler = self.find(error)
        if handler is None:
            return isinstance(error, (HTTPException, ClientDisconnect))
        return isinstance(error, HTTPException) or handler not in (
            self._handlers.get(500),
            self._handlers.get(Exception),
        )

    async def respond(self, request: Request[Any], error: Exception) -> Response:
        """Return the response for an error that a handler or a middleware raised."""
        handler = self.find(error)
        if not self.expects(error):
            report(request, error)
        if handler is not None:
            try:
                result = await handler(request, error)
                return result if isinstance(result, Response) else as_response(result, handler)
            except Exception as second:
                if not isinstance(second, HTTPException):
                    report(request, second)
                error = second
        if isinstance(error, HTTPException):
            return problem(request, error.status_code, error.detail, error.headers)
        if isinstance(error, ClientDisconnect):
            return problem(request, 400, "the client left")  # nobody is there to read it
        if self.debug:
            return _debug_page(request, error)
        return problem(request, 500, "Internal Server Error")

    def guard(self, call: Call) -> Call:
        """Return a call from which every result comes as a response that has begun, and every error as one too."""
        respond = self.respond

        async def guarded(request: Request[Any]) -> Response:
            try:
                response = await call(request)
                if not isinstance(response, Response):
                    return as_response(response, request.scope.get("route"))
                if response.__class__ is AppResponse:
                    await response.begin()
                return response
            except Exception as error:
                return await respond(request, error)

        return guarded


def problem(request: Request[Any], status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error as text, or as problem details (RFC 9457) where the client prefers JSON."""
    accept = find_header(request.scope["headers"], b"accept")
    if accept is None or b"json" not in accept or not prefers_json(accept):
        return PlainTextResponse(detail, status, headers)
    title = HTTPException(status).detail
    document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
    if detail != title:
        document["detail"] = detail
    return Response(json.dumps(document), status, headers, "application/problem+json")


def report(connection: Any, error: Exception) -> None:
    """Log an error that nobody expected, once, with the user's own line first."""
    scope = connection.scope
    observe = scope.get("microasgi.on_error")
    if observe is not None:
        observe(error)
    where = ""
    for frame in extract_tb(error.__traceback__):
        if "site-packages" not in frame.filename and "/microasgi/" not in frame.filename:
            where = f" at {frame.filename}:{frame.lineno} in {frame.name}"
    subject = f"{scope.get('method', scope['type'])} {scope['path']!r}"
    logger.error("%s in %s%s", type(error).__name__, subject, where, exc_info=error)


def _debug_page(request: Request[Any], error: Exception) -> Response:
    from html import escape
    from traceback import format_exception

    text = "".join(format_exception(error))
    accept = find_header(request.scope["headers"], b"accept") or b""
    if b"text/html" not in accept:
        return PlainTextResponse(text.encode(errors="backslashreplace"), 500)
    title = escape(f"{type(error).__name__}: {error}")
    page = (
        f"<!doctype html><meta charset=utf-8><title>{title}</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:70rem}h1{font-size:1.3rem}"
        "pre{background:#f4f4f5;padding:1rem;overflow:auto;border-radius:.5rem;font-size:.85rem}</style>"
        f"<h1>{title}</h1><p>{escape(request.method)} {escape(str(request.url))}</p><pre>{escape(text)}</pre>"
    )
    return HTMLResponse(page.encode(errors="backslashreplace"), 500)
