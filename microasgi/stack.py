"""The middleware stack, as a fold: the list, outermost first, becomes one callable before the first request.

Two kinds stand in one list. An ASGI class or factory takes an application and returns one. A function
`async def middleware(request, call_next)` returns a response; functions that follow each other call each other
directly, in the same task. The law of this file: which kind something is gets decided here, never per request.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import wraps
from typing import Any, NamedTuple, TypeAlias, cast

from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["Call", "Folded", "Layer", "Middleware", "SharedMiddleware", "as_middleware", "fold"]

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
        return f"Middleware({', '.join([getattr(self.cls, '__qualname__', repr(self.cls)), *arguments])})"

    def make(self, app: ASGIApp, route: object) -> Any:
        """Return the middleware around `app`, which answers for this route (None: for all)."""
        return self.cls(app, *self.args, **self.kwargs)

    def shared(self) -> SharedMiddleware:
        """Return this as one instance for several routes."""
        return SharedMiddleware(self.cls, *self.args, **self.kwargs)

    def again(self) -> Middleware:
        """Return what stands for this where the routes that it is around are taken over."""
        return self

    @property
    def is_function(self) -> bool:
        """Tell whether this is a function middleware: an async callable of (request, call_next)."""
        if isinstance(self.cls, type):
            return False
        call = self.cls if inspect.isroutine(self.cls) else getattr(self.cls, "__call__", self.cls)  # noqa: B004
        return inspect.iscoroutinefunction(inspect.unwrap(call)) or inspect.iscoroutinefunction(self.cls)

    def as_layer(self) -> Layer:
        """Return the function middleware, with its own arguments after the request and `call_next`."""
        function, args, kwargs = self
        if not args and not kwargs:
            return self.cls

        def layer(request: Any, call_next: Call) -> Any:
            return function(request, call_next, *args, **kwargs)

        return cast(Layer, wraps(function)(layer))


class SharedMiddleware(Middleware):
    """One instance around several routes: what it counts or keeps is theirs together."""

    __slots__ = ("_inside", "_instance")

    def __init__(self, cls: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__(cls, *args, **kwargs)
        self._instance: Any = None
        self._inside: dict[object, ASGIApp] = {}

    def again(self) -> Middleware:
        """Return one with an instance of its own."""
        return self.shared()

    def make(self, app: ASGIApp, route: object) -> Any:
        """Return the one instance; for requests of this route, `app` stands inside."""
        self._inside[route] = app
        if self._instance is None:
            self._instance = super().make(_Inside(self._inside), route)
        return self._instance


class _Inside:
    """What stands inside of a shared middleware: an object, for Sentry and OpenTelemetry take a method for ASGI 2."""

    def __init__(self, apps: dict[object, ASGIApp]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._apps[scope["route"]](scope, receive, send)


def as_middleware(items: Iterable[Middleware | Callable[..., Any]]) -> list[Middleware]:
    """Return the list with bare classes and functions wrapped; ConfigurationError for what is no middleware."""
    stack = [item if isinstance(item, Middleware) else Middleware(item) for item in items]
    for middleware in stack:
        _check(middleware)
    return stack


def _check(middleware: Middleware) -> None:
    if not callable(middleware.cls):
        raise ConfigurationError(
            f"{middleware.cls!r} is not a middleware: give a class or factory that takes the application, "
            "or an `async def` of (request, call_next)"
        )
    leading = (None, None) if middleware.is_function else (None,)
    try:
        inspect.signature(middleware.cls).bind(*leading, *middleware.args, **middleware.kwargs)
    except ValueError:  # a built-in without a signature
        return
    except TypeError as error:
        how = (
            "function middleware takes (request, call_next): "
            "async def middleware(request, call_next): return await call_next(request)"
            if middleware.is_function
            else "an ASGI middleware takes the application first; a function middleware is `async def`"
        )
        raise ConfigurationError(f"{middleware!r} cannot be called ({error}): {how}") from None


class Folded(NamedTuple):
    """A built stack: `call` for http where the outermost layers are functions, `app` for every other scope.

    `outermost` is set where the outermost layer is an ASGI application: then that answers everything. `layer` is the
    outermost layer where that is a function.
    """

    call: Call
    app: ASGIApp
    outermost: ASGIApp | None
    layer: Layer | None


def fold(
    stack: list[Middleware],
    call: Call,
    app: ASGIApp,
    *,
    serve: Callable[[Call, ASGIApp, Layer | None], ASGIApp],
    respond: Callable[[ASGIApp], Call],
    guard: Callable[[Call], Call],
    guard_layer: Callable[[Layer, Call], Call],
    guard_app: Callable[[ASGIApp], ASGIApp],
    route: object = None,
) -> Folded:
    """Build the stack around `call`, which answers http requests, and `app`, which answers other scopes.

    `serve` makes an ASGI application of both and the layer that `call` is, `respond` turns an application into a
    call. `guard` wraps a call so that every exception leaves it as a response, `guard_layer` the same for a function
    middleware and what it calls next, `guard_app` the same for an ASGI middleware in another one. The outermost is not
    guarded: whoever calls it is. `route` is whose middleware it is.
    """
    outermost: ASGIApp | None = None
    layer: Layer | None = None  # the function middleware that `call` is, if it is one
    call_next = call
    for middleware in reversed(stack):
        if middleware.is_function:
            call_next = guard(call) if layer is None else guard_layer(layer, call_next)
            layer = middleware.as_layer()
            call = _bind(layer, call_next)
            outermost = None
            continue
        inside = serve(call, app, layer) if outermost is None else guard_app(outermost)
        app = outermost = middleware.make(inside, route)
        if not callable(outermost):
            raise ConfigurationError(f"{middleware!r} returned {outermost!r}, which is not an ASGI application")
        call, layer = respond(outermost), None
    return Folded(call, app, outermost, layer)


def _bind(layer: Layer, call_next: Call) -> Call:
    return lambda request: layer(request, call_next)
