"""The application: a router with middleware, exception handlers, limits and state. What users import first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

from microasgi.connection import State
from microasgi.errors import Errors, HandlerKey
from microasgi.exceptions import ConfigurationError
from microasgi.options import MiddlewareList
from microasgi.routes import whereabouts
from microasgi.routing import BaseRoute, Route, Router
from microasgi.stack import Middleware, as_middleware

__all__ = ["MicroASGI"]

F = TypeVar("F", bound=Callable[..., Any])


class MicroASGI(Router):
    """An ASGI 3.0 application: routes, middleware, exception handlers, a lifespan and background tasks in one object.

    `middleware` is outermost first. `exception_handlers` maps statuses and exception classes to handlers of (request,
    error). `debug` shows tracebacks to the client. The limits hold for every route that has none of its own:
    `max_body_size` (None: no limit) and `max_message_size` (websockets) in bytes, `body_timeout` in seconds between
    two chunks, and `allowed_origins`, as in "https://example.org", for websocket handshakes from other sites ("*":
    from all).
    """

    role: ClassVar[str] = "app"

    def __init__(
        self,
        *,
        routes: Iterable[BaseRoute] | None = None,
        middleware: MiddlewareList | None = None,
        exception_handlers: Mapping[Any, Callable[[Any, Any], Any]] | None = None,
        lifespan: Callable[..., Any] | None = None,
        debug: bool = False,
        redirect_slashes: bool = True,
        max_body_size: int | None = 16 * 1024 * 1024,
        body_timeout: float = 30.0,
        max_message_size: int = 1024 * 1024,
        allowed_origins: Iterable[str] = (),
    ) -> None:
        if isinstance(allowed_origins, str):
            raise ConfigurationError(f"allowed_origins is a list, write allowed_origins=[{allowed_origins!r}]")
        self.state = State()
        self.body_timeout = body_timeout
        self.max_message_size = max_message_size
        self.allowed_origins = tuple(allowed_origins)
        self.dependency_overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        """For tests: what is called in place of a dependency of typed handlers."""
        super().__init__(
            routes,
            middleware=middleware,
            redirect_slashes=redirect_slashes,
            lifespan=lifespan,
            max_body_size=sys.maxsize if max_body_size is None else max_body_size,
            errors=Errors(debug),
        )
        for key, handler in (exception_handlers or {}).items():
            self.add_exception_handler(key, handler)

    def _add(self, route: BaseRoute) -> None:
        if isinstance(route, Route) and route.binding is not None:
            route.binding.settle()  # here its path is whole: a router may be included below a prefix
        super()._add(route)

    @property
    def debug(self) -> bool:
        """Whether tracebacks are shown to the client."""
        return self.errors.debug

    @property
    def router(self) -> MicroASGI:
        """The application itself, which is its own router."""
        return self

    def middleware(self, function: F) -> F:
        """Add the decorated `async def middleware(request, call_next)` around all that were added before it."""
        if isinstance(function, str):
            raise ConfigurationError(f"{whereabouts()}: write `@app.middleware`, without a call: it is for http")
        self.add_middleware(function)
        return function

    def add_middleware(self, middleware: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Add an ASGI class with its arguments, or a function middleware, around all that were added before it.

        ConfigurationError once the application has started: the stack is built by then.
        """
        if self._served:
            raise ConfigurationError(f"{whereabouts()}: middleware has to be added before the application starts")
        one = middleware if isinstance(middleware, Middleware) else Middleware(middleware, *args, **kwargs)
        self._stack[:0] = as_middleware([one])

    def exception_handler(self, key: HandlerKey) -> Callable[[F], F]:
        """Let the decorated function of (request, error) answer for a status or for an exception class."""

        def register(handler: F) -> F:
            self.add_exception_handler(key, handler)
            return handler

        return register

    def add_exception_handler(self, key: HandlerKey, handler: Callable[..., Any]) -> None:
        """Let `handler(request, error)` answer for a status (400-599) or for an exception class and its subclasses.

        It returns what a route's handler may return. For a websocket it is called with the socket.
        """
        self.errors.add(key, handler)
