"""The middleware stack, as a fold: the list, outermost first, becomes one callable before the first request.

Two kinds stand in one list. An ASGI class or factory takes an application and returns one. A function
`async def middleware(request, call_next)` returns a response; functions that follow each other call each other
directly, in the same task. The law of this file: which kind something is gets decided here, never per request.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp

__all__ = ["Call", "Folded", "Layer", "Middleware", "as_middleware", "fold"]

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
"""A request in, a response out."""
Layer: TypeAlias = Callable[[Any, Call], Awaitable[Any]]
"""A function middleware: a request and the call of what is inside in, a response out."""


class Middleware:
    """A middleware and its arguments, to be made when the stack is built.

    `Middleware(SomeASGIClass, option=1)` calls `SomeASGIClass(app, option=1)`; `Middleware(function)` is a function
    middleware. Iterating gives class, positional and keyword arguments.
    """

    __slots__ = ("args", "cls", "kwargs")

    def __init__(self, cls: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self.cls = cls
        self.args = args
        self.kwargs = kwargs

    def __iter__(self) -> Iterator[Any]:
        return iter((self.cls, self.args, self.kwargs))

    def __repr__(self) -> str:
        arguments = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        return f"{type(self).__name__}({', '.join([getattr(self.cls, '__name__', repr(self.cls)), *arguments])})"

    @property
    def is_function(self) -> bool:
        """Tell whether this is a function middleware: an async callable of (request, call_next)."""
        if isinstance(self.cls, type):
            return False
        call = self.cls if inspect.isroutine(self.cls) else getattr(self.cls, "__call__", self.cls)  # noqa: B004
        return inspect.iscoroutinefunction(inspect.unwrap(call)) or inspect.iscoroutinefunction(self.cls)

    def as_layer(self) -> Layer:
        """Return the function middleware, its own arguments bound to it."""
        return partial(self.cls, *self.args, **self.kwargs) if self.args or self.kwargs else self.cls


def as_middleware(items: Iterable[Middleware | Callable[..., Any]]) -> list[Middleware]:
    """Return the list with bare classes and functions wrapped; ConfigurationError for what is no middleware."""
    out: list[Middleware] = []
    for item in items:
        middleware = item if isinstance(item, Middleware) else Middleware(item)
        if not callable(middleware.cls):
            raise ConfigurationError(
                f"{middleware.cls!r} is not a middleware: give a class or factory that takes the application, "
                "or an `async def` of (request, call_next)"
            )
        if middleware.is_function and not middleware.args and not middleware.kwargs:
            _check_signature(middleware.cls)
        out.append(middleware)
    return out


def _check_signature(function: Callable[..., Any]) -> None:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise ConfigurationError(
            f"function middleware {getattr(function, '__qualname__', function)!r} takes (request, call_next): "
            "async def middleware(request, call_next): return await call_next(request)"
        ) from None


class Folded(NamedTuple):
    """A built stack: `call` for http where the outermost layers are functions, `app` for every other scope.

    `outermost` is set where the outermost layer is an ASGI application: then that answers everything.
    """

    call: Call
    app: ASGIApp
    outermost: ASGIApp | None


def fold(
    stack: list[Middleware],
    call: Call,
    app: ASGIApp,
    *,
    serve: Callable[[Call, ASGIApp], ASGIApp],
    respond: Callable[[ASGIApp], Call],
    guard: Callable[[Call], Call],
    guard_layer: Callable[[Layer, Call], Call],
) -> Folded:
    """Build the stack around `call`, which answers http requests, and `app`, which answers other scopes.

    `serve` makes an ASGI application of both, `respond` turns an application into a call. `guard` wraps a call so that
    every exception leaves it as a response, `guard_layer` the same for a function middleware and what it calls next.
    The outermost function is not guarded: whoever calls it is.
    """
    outermost: ASGIApp | None = None
    layer: Layer | None = None  # the function middleware that `call` is, if it is one
    call_next = call
    for middleware in reversed(stack):
        if middleware.is_function:
            call_next = guard(call) if layer is None else guard_layer(layer, call_next)
            layer = middleware.as_layer()
            call = partial(_call_layer, layer, call_next)
            outermost = None
            continue
        app = outermost = middleware.cls(outermost or serve(call, app), *middleware.args, **middleware.kwargs)
        if not callable(outermost):
            raise ConfigurationError(f"{middleware!r} returned {outermost!r}, which is not an ASGI application")
        call, layer = respond(outermost), None
    return Folded(call, app, outermost)


def _call_layer(layer: Layer, call_next: Call, request: Any) -> Awaitable[Any]:
    return layer(request, call_next)
