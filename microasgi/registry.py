"""The registry: the decorators and calls by which routes are added, and the names by which they are found again.

The law of this file: what cannot work is refused here, with the place in the user's code, and not at a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar, Unpack, cast

from microasgi.exceptions import ConfigurationError, NoMatchFound, RouteConflict
from microasgi.hosts import Host
from microasgi.options import (
    MiddlewareList,
    OperationOptions,
    RouteLimits,
    RouteOptions,
    SocketLimits,
    SocketOptions,
    check_options,
)
from microasgi.routes import BaseRoute, Mount, Route, WebSocketRoute, whereabouts
from microasgi.stack import Middleware, as_middleware
from microasgi.types import ASGIApp
from microasgi.urls import URLPath

__all__ = ["Registry"]

F = TypeVar("F", bound=Callable[..., Any])


class Registry:
    """An ordered list of routes. Decorators return the function as it is."""

    max_body_size: int | None = None

    def __init__(self, routes: Iterable[BaseRoute] = (), middleware: MiddlewareList = ()) -> None:
        self._routes: list[Route | Mount] = []
        self._taken: dict[tuple[Any, ...], BaseRoute] = {}
        self._stack: list[Middleware] = as_middleware(middleware)
        for route in routes:
            self._add(route)

    @property
    def routes(self) -> tuple[BaseRoute, ...]:
        """The routes, in the order of registration; `add_route` and the like add to them."""
        return tuple(self._routes)

    def get(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer GET and HEAD at this path with the decorated function."""
        return self.route(path, methods=["GET"], **options)

    def post(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer POST at this path with the decorated function."""
        return self.route(path, methods=["POST"], **options)

    def put(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer PUT at this path with the decorated function."""
        return self.route(path, methods=["PUT"], **options)

    def patch(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer PATCH at this path with the decorated function."""
        return self.route(path, methods=["PATCH"], **options)

    def delete(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer DELETE at this path with the decorated function."""
        return self.route(path, methods=["DELETE"], **options)

    def head(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer HEAD at this path with the decorated function, where GET's would not do."""
        return self.route(path, methods=["HEAD"], **options)

    def options(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer OPTIONS at this path with the decorated function, where the list of methods would not do."""
        return self.route(path, methods=["OPTIONS"], **options)

    def query(self, path: str, **options: Unpack[RouteOptions]) -> Callable[[F], F]:
        """Answer QUERY, a safe method with a body, at this path with the decorated function."""
        return self.route(path, methods=["QUERY"], **options)

    def route(
        self, path: str, methods: Iterable[str] | None = None, **options: Unpack[RouteOptions]
    ) -> Callable[[F], F]:
        """Answer these methods (default: GET) at this path with the decorated function or class."""

        def register(endpoint: F) -> F:
            self._add(Route(path, endpoint, methods=methods, **options))
            return endpoint

        return register

    def websocket(self, path: str, **options: Unpack[SocketOptions]) -> Callable[[F], F]:
        """Answer websocket handshakes at this path with the decorated function or class."""

        def register(endpoint: F) -> F:
            self._add(WebSocketRoute(path, endpoint, **options))
            return endpoint

        return register

    def add_route(
        self,
        path: str,
        endpoint: Callable[..., Any],
        methods: Iterable[str] | None = None,
        name: str | None = None,
        include_in_schema: bool = True,
        **limits: Unpack[RouteLimits],
    ) -> None:
        """Answer these methods at this path with a function, a class endpoint or an ASGI application."""
        route = Route(path, endpoint, methods=methods, name=name, include_in_schema=include_in_schema, **limits)
        self._add(route)

    def add_websocket_route(
        self, path: str, endpoint: Callable[..., Any], name: str | None = None, **limits: Unpack[SocketLimits]
    ) -> None:
        """Answer websocket handshakes at this path with a function or class endpoint."""
        self._add(WebSocketRoute(path, endpoint, name=name, **limits))

    def mount(self, path: str, app: ASGIApp, name: str | None = None, middleware: MiddlewareList | None = None) -> None:
        """Let an ASGI application answer everything at and below this path; its lifespan runs inside this one's."""
        self._add(Mount(path, app, name=name, middleware=middleware))

    def host(self, host: str, app: ASGIApp, name: str | None = None) -> None:
        """Let an ASGI application answer everything that is sent to this host, `{name}.example.org` for many."""
        self._add(Host(host, app, name=name))

    def include(
        self,
        router: Registry,
        prefix: str = "",
        middleware: MiddlewareList | None = None,
        **options: Unpack[OperationOptions],
    ) -> None:
        """Take over a router's routes as they are now, below a prefix, with its middleware around all of them.

        The options, such as `tags` and `dependencies`, go around those that the routes have.
        """
        check_options(options, whereabouts())
        prefix = prefix.rstrip("/")
        if prefix and not prefix.startswith("/"):
            raise ConfigurationError(f"{whereabouts()}: a prefix begins with a slash, write {'/' + prefix!r}")
        stack = [one.shared() for one in [*as_middleware(middleware or ()), *router._stack]]
        copies: dict[Middleware, Middleware] = {}  # what a router in the router shares, it shares anew here
        for route in router._routes:
            if isinstance(route, Host):
                raise ConfigurationError(
                    f"{route.where}: {route!r} cannot be included, add it to the application itself"
                )
            new = route.under(prefix, router.max_body_size, options)
            inner = [copies.setdefault(one, one.again()) for one in new.middleware]
            new.middleware = [*stack, *inner]
            self._add(new)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of the route with this name and exactly these parameters; NoMatchFound if there is none.

        Values are written by their convertors and percent-encoded. `mount:route` names a route below a mount.
        """
        for route in self._routes:
            # By name first: the route itself answers by an exception.
            if route.name == name or isinstance(route, Mount):
                try:
                    return route.url_path_for(name, **path_params)
                except NoMatchFound:
                    continue
        raise NoMatchFound(self._explain(name, path_params))

    def _explain(self, name: str, path_params: dict[str, Any]) -> str:
        same = [route for route in self._routes if route.name == name]
        if same:
            needs = " or ".join(str(sorted(route.template.parameters)) for route in same)
            return f"route {name!r} takes {needs}, given {sorted(path_params)}: {path_params!r}"
        from difflib import get_close_matches  # only a mistake pays for it

        near = get_close_matches(name, [route.name for route in self._routes])
        return f"no route is named {name!r}" + (f"; did you mean {' or '.join(map(repr, near))}?" if near else "")

    def _add(self, route: BaseRoute) -> None:
        if not isinstance(route, (Route, Mount)):
            raise ConfigurationError(f"routes are Route, WebSocketRoute, Mount or Host objects, not {route!r}")
        if isinstance(route, Mount) and cast(object, route.app) is self:
            raise ConfigurationError(f"{route.where}: an application cannot be mounted in itself")
        if isinstance(route, Mount) and route.pending is not None:
            route.app, route.pending = self._make_router(route.pending), None
        claims, mark, rival = _claims(route)
        for key in (*claims, rival):
            other = self._taken.get(key)
            if other is not None:
                raise RouteConflict(
                    f"{route.where}: {route!r} answers what {other!r} at {other.where} answers already. "
                    "Give one of them another path or method."
                )
        self._taken.update(dict.fromkeys((*claims, mark), route))
        self._routes.append(route)
        self._routes_changed()

    def _make_router(self, routes: Iterable[BaseRoute]) -> ASGIApp:
        """Hook: return the application for a mount that was given routes."""
        raise NotImplementedError

    def _routes_changed(self) -> None:
        """Hook: the list of routes is another one now."""


Key: TypeAlias = tuple[Any, ...]


def _claims(route: Route | Mount) -> tuple[list[Key], Key, Key]:
    """Return what only one route may stand for, what else it stands for, and what no other may stand for beside it."""
    if isinstance(route, Host):
        return [("host", route.host.key)], (), ("none",)
    if isinstance(route, Mount):
        return [("mount", route.template.key)], (), ("none",)
    key = route.template.key
    if route.websocket:
        return [("websocket", key)], (), ("none",)
    if route.methods is None:  # nothing would be left to a route with methods, and nothing to this one of those
        return [("any", key)], (), ("some", key)
    # GET's own HEAD gives way to a route for HEAD.
    implied = {"HEAD"} if "GET" in route.methods else set[str]()
    return [(method, key) for method in sorted(route.methods - implied)], ("some", key), ("any", key)
