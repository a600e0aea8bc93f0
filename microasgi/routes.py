"""Routes: what stands at a path. A handler for http or for websockets, or a mounted application."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import FrameType
from typing import Any, Unpack, cast

from microasgi.binding import Binding, bind
from microasgi.endpoints import Adapted, HTTPEndpoint, WebSocketEndpoint, describe, is_asgi_app
from microasgi.exceptions import ConfigurationError, NoMatchFound
from microasgi.foreign import AppResponse
from microasgi.options import MiddlewareList, OperationOptions, check_options, merge_options
from microasgi.paths import Template
from microasgi.requests import Request
from microasgi.stack import Middleware, as_middleware
from microasgi.types import ASGIApp, Receive, Scope, Send
from microasgi.urls import URLPath

__all__ = ["BaseRoute", "Mount", "Route", "WebSocketRoute", "whereabouts"]

_PACKAGE = __name__.partition(".")[0]


def whereabouts() -> str:
    """Return file:line of the nearest caller outside of this package."""
    return _place(_caller())


def _caller() -> FrameType:
    frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    return frame


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class BaseRoute:
    """What all kinds have: a path template, a name, a place in the user's code, and the way back to a URL."""

    template: Template
    name: str
    where: str
    middleware: list[Middleware]

    @property
    def path(self) -> str:
        """The path template, as text."""
        return self.template.text

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of this route for these parameters; NoMatchFound if name or parameters are not its own."""
        if name != self.name or path_params.keys() != self.template.parameters.keys():
            raise NoMatchFound(f"{name!r} with {sorted(path_params)} is not {self!r}")
        return URLPath(self.template.write(path_params), protocol="http")


class Route(BaseRoute):
    """A handler at a path: for http with the methods it answers, or for websockets.

    `methods` defaults to GET, for a class endpoint to those it defines, for an ASGI application to all; GET brings
    HEAD along. The limits default to the application's: `max_body_size` and `max_message_size` in bytes,
    `body_timeout` in seconds, `allowed_origins` for websocket handshakes. The rest is `OperationOptions`.
    ConfigurationError for what cannot work.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Iterable[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
        middleware: MiddlewareList | None = None,
        websocket: bool = False,
        max_body_size: int | None = None,
        body_timeout: float | None = None,
        max_message_size: int | None = None,
        allowed_origins: Sequence[str] | None = None,
        **options: Unpack[OperationOptions],
    ) -> None:
        caller = _caller()
        self.where = _place(caller)
        check_options(options, self.where)
        if not path.startswith("/"):
            raise ConfigurationError(f"{self.where}: a path begins with a slash, write {'/' + path!r}")
        self.template = Template(path)
        self.endpoint = endpoint
        self.name = _name_of(endpoint) if name is None else name
        self.include_in_schema = include_in_schema
        self.middleware = as_middleware(middleware or ())
        self.websocket = websocket
        self.max_body_size = max_body_size
        self.body_timeout = body_timeout
        self.max_message_size = max_message_size
        self.allowed_origins = allowed_origins
        self.app: ASGIApp | None = cast(ASGIApp, endpoint) if is_asgi_app(endpoint) else None
        self.methods = None if websocket else _methods(endpoint, methods, self.app is not None)
        self.options: Mapping[str, Any] = options
        self.binding: Binding | None = None
        self.call: Adapted = self._call_app
        if self.app is None:
            # The names where the handler is registered: a model may stand beside it inside a function.
            self.call, self.binding = bind(self, caller.f_locals)

    def _call_app(self, connection: Any) -> Awaitable[Any]:
        return _promise(cast(ASGIApp, self.app), connection, connection.scope)

    def under(self, prefix: str, max_body_size: int | None, options: Mapping[str, Any]) -> Route:
        """Return the same route below a prefix, with this limit if it has none, and these options around its own."""
        route = object.__new__(type(self))
        route.__dict__.update(self.__dict__)
        route.template = Template(prefix + self.path)
        route.max_body_size = max_body_size if self.max_body_size is None else self.max_body_size
        route.options = merge_options(options, self.options)
        if self.binding is not None:
            route.binding = self.binding.again(route)
            route.call = route.binding.call
        elif self.app is None:
            route.call, route.binding = bind(route, {})
        return route

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of this route for these parameters; NoMatchFound if name or parameters are not its own."""
        path = super().url_path_for(name, **path_params)
        return URLPath(str(path), protocol="websocket") if self.websocket else path

    def __repr__(self) -> str:
        methods = "" if self.methods is None else f", methods={sorted(self.methods)}"
        return f"{type(self).__name__}({self.path!r}, name={self.name!r}{methods})"


class WebSocketRoute(Route):
    """A websocket handler at a path."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        name: str | None = None,
        middleware: MiddlewareList | None = None,
        max_message_size: int | None = None,
        allowed_origins: Sequence[str] | None = None,
        dependencies: Sequence[Any] = (),
    ) -> None:
        options: OperationOptions = {"dependencies": dependencies} if dependencies else {}
        super().__init__(
            path,
            endpoint,
            name=name,
            middleware=middleware,
            websocket=True,
            max_message_size=max_message_size,
            allowed_origins=allowed_origins,
            **options,
        )


class Mount(BaseRoute):
    """An ASGI application, or a list of routes, that answers everything at and below a path, http and websocket.

    The application sees the whole path, with the part that belongs to the mount in `root_path` (ASGI HTTP). Its
    lifespan runs inside the parent's. `max_body_size`, in bytes, is for routes below that have none.
    """

    def __init__(
        self,
        path: str,
        app: ASGIApp | None = None,
        routes: Iterable[BaseRoute] | None = None,
        name: str | None = None,
        *,
        middleware: MiddlewareList | None = None,
        max_body_size: int | None = None,
    ) -> None:
        self.where = whereabouts()
        if (app is None) == (routes is None):
            raise ConfigurationError(f"{self.where}: a mount takes an ASGI application or routes, one of the two")
        path = path.rstrip("/")
        if path and not path.startswith("/"):
            raise ConfigurationError(f"{self.where}: a mount's path begins with a slash, write {'/' + path!r}")
        self.template = Template(path)
        if self.template.tail is not None:
            raise ConfigurationError(f"{self.where}: a mount's path cannot hold a `path` parameter: {path!r}")
        self.app: ASGIApp = _not_added if app is None else app
        self.pending = None if routes is None else list(routes)  # until a router is made of them
        self.max_body_size = max_body_size
        self.name = name or ""
        self.middleware = as_middleware(middleware or ())
        # The two templates that stand for the mount in the table; the tail's name is not one that a user can take.
        self.entrances = [self.template, Template(path + "/{_:path}")] if path else [Template("/{_:path}")]

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the application, where it shows them."""
        return list(getattr(self.app, "routes", None) or ())

    def child_scope(self, scope: Scope) -> Scope:
        """Return the scope for the application: the mount's part of the path moves to `root_path`."""
        params: dict[str, Any] = {**(scope.get("path_params") or {})}
        rest: str | None = params.pop("_", None)
        path: str = scope["path"]
        inner = path if rest is None else path[: len(path) - len(rest) - 1]
        outermost = scope.get("microasgi.outermost") or scope.get("app") or scope.get("router")
        child: Scope = {
            **scope,
            "path_params": params,
            "root_path": inner,
            "microasgi.root_path": scope.get("microasgi.root_path", scope.get("root_path", "")),
            "microasgi.outermost": outermost,
            "microasgi.outer": scope,
        }
        if self.max_body_size is not None:
            child["microasgi.max_body_size"] = self.max_body_size
        child.pop("router", None)
        child.pop("route", None)
        child.pop("endpoint", None)
        return child

    def call(self, request: Request[Any]) -> Awaitable[AppResponse]:
        """Return the application's response."""
        return _promise(self.app, request, self.child_scope(request.scope))

    async def enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for a scope of this mount."""
        await self.app(self.child_scope(scope), receive, send)

    def under(self, prefix: str, max_body_size: int | None, options: Mapping[str, Any]) -> Mount:
        """Return the same mount below a prefix, with this limit if it has none; the options stay outside of it."""
        limit = max_body_size if self.max_body_size is None else self.max_body_size
        mount = Mount(prefix + self.path, self.app, name=self.name, max_body_size=limit)
        mount.middleware = self.middleware
        mount.where = self.where
        return mount

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return a path below the mount: of `name:path=...`, or of a route of the application as `name:route`."""
        own = {key: path_params[key] for key in self.template.parameters if key in path_params}
        if own.keys() != self.template.parameters.keys():
            raise NoMatchFound(f"{name!r} lacks parameters of {self!r}")
        rest = {key: value for key, value in path_params.items() if key not in own}
        prefix = self.template.write(own)
        if self.name and name == self.name and rest.keys() == {"path"}:
            below = Template("/{path:path}").write({"path": str(rest["path"]).removeprefix("/")})
            return URLPath(prefix + below, protocol="http")
        inner = name.removeprefix(f"{self.name}:") if self.name else name
        find: Callable[..., URLPath] | None = getattr(self.app, "url_path_for", None)
        if (self.name and inner == name) or find is None:
            raise NoMatchFound(f"{name!r} is not below {self!r}")
        path = find(inner, **rest)
        return URLPath(prefix + str(path), protocol=path.protocol, host=path.host)

    def __repr__(self) -> str:
        return f"Mount({self.path!r}, name={self.name!r}, app={self.app!r})"


async def _not_added(scope: Scope, receive: Receive, send: Send) -> None:
    raise ConfigurationError("a Mount with routes has to be added to an application or a router")


async def _promise(app: ASGIApp, request: Request[Any], scope: Scope) -> AppResponse:
    return AppResponse(app, request, scope)


def _methods(endpoint: object, methods: Iterable[str] | None, is_app: bool) -> frozenset[str] | None:
    if isinstance(methods, str):
        raise ConfigurationError(f"methods is a list, write methods=[{methods!r}]")
    if methods is None and isinstance(endpoint, type):
        if issubclass(endpoint, WebSocketEndpoint):
            raise ConfigurationError(f"{describe(endpoint)} answers websockets: write WebSocketRoute(path, endpoint)")
        methods = endpoint.methods if issubclass(endpoint, HTTPEndpoint) else None
    if methods is None:
        if is_app:
            return None
        methods = ["GET"]
    named = frozenset(method.upper() for method in methods)
    if not named:
        raise ConfigurationError(f"{describe(endpoint)}: a route without methods would answer nothing")
    return named | {"HEAD"} if "GET" in named else named


def _name_of(endpoint: Any) -> str:
    return getattr(endpoint, "__name__", None) or type(endpoint).__name__
