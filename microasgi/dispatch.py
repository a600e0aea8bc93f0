"""Dispatch: from a request or a socket to its route, by tables made once from the list of routes.

There is one table for each method, so that a look-up finds only what can answer, and one over all of them, asked only
after a miss. What refuses a request (404, 405) or answers OPTIONS is an ordinary target, prepared here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from microasgi.connection import query_text, sole_host
from microasgi.endpoints import from_middleware
from microasgi.errors import Errors
from microasgi.exceptions import HTTPException
from microasgi.foreign import respond
from microasgi.hosts import Host
from microasgi.overlap import are_disjoint
from microasgi.paths import Template
from microasgi.refusals import Refusal
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.routes import BaseRoute, Mount, Route
from microasgi.sockets import deny, socket_app
from microasgi.stack import Folded, Layer, fold
from microasgi.table import Table
from microasgi.types import ASGIApp, Receive, Scope, Send
from microasgi.urls import quote_path

__all__ = ["Dispatch"]

Call: TypeAlias = Callable[[Any], Awaitable[Any]]
_OTHER: Final = "*"  # stands for the methods that no route names


class Target:
    """What a table leads to: the route, how it answers a request, and how any other scope."""

    __slots__ = ("app", "call", "endpoint", "route")

    def __init__(self, route: BaseRoute | None, call: Call, app: ASGIApp) -> None:
        self.route, self.call, self.app = route, call, app
        self.endpoint = getattr(route, "endpoint", app)


class Entry(NamedTuple):
    """One template with its target and methods (None: all)."""

    template: Template
    target: Target
    methods: frozenset[str] | None


class Dispatch:
    """The tables of one application or router.

    `call` answers requests, `socket` answers websockets; both find the route first. `serve` makes an ASGI
    application of a call, for middleware of a route; `default` answers what no route does. `shared_refusals` is for
    routes without function middleware around them, which could change a response.
    """

    def __init__(
        self,
        routes: Iterable[BaseRoute],
        errors: Errors,
        *,
        redirect_slashes: bool,
        serve: Callable[[Call, ASGIApp, Layer | None], ASGIApp],
        guard_app: Callable[[ASGIApp], ASGIApp],
        default: ASGIApp | None = None,
        shared_refusals: bool = False,
    ) -> None:
        self._errors, self._redirect_slashes, self._serve, self._guard_app = errors, redirect_slashes, serve, guard_app
        # Of equal templates the first one counts: a route before a mount.
        ordered = sorted(routes, key=lambda route: isinstance(route, Mount))
        hosts = [route for route in ordered if isinstance(route, Host)]
        self._hosts = [(route, self._target(route, route.call, route.enter)) for route in hosts]
        entries = [entry for route in ordered for entry in self._entries(route)]
        requests = [entry for entry in entries if _answers(entry, websocket=False)]
        self._sockets = _table(entry for entry in entries if _answers(entry, websocket=True))
        # Whether a path could match with a slash at its end and not without.
        self._slashes = any(entry.template.tail or entry.template.text[1:].endswith("/") for entry in requests)
        self._shared = shared_refusals
        self._not_found = Refusal(errors, 404, None, shared=shared_refusals)
        self._refusals: dict[str, Target] = {}
        self._fallback = Target(None, self._miss, self._deny)
        if default is not None:
            self._fallback = Target(None, respond(default), default)
        self._every = _table(requests)
        self._prepared = default is None and are_disjoint({one.template.key: one.template for one in requests}.values())
        self._tables = self._by_method(requests)
        self._other = self._tables[_OTHER]
        if default is None:
            self._refuse_exact_paths()
        self.call: Call = self._call_by_host if self._hosts else self._call_by_path

    def _entries(self, route: BaseRoute) -> list[Entry]:
        if isinstance(route, Route):
            app = route.app or socket_app(route.call, self._errors, route.allowed_origins)
            return [Entry(route.template, self._target(route, route.call, app), route.methods)]
        if isinstance(route, Mount) and not isinstance(route, Host):
            target = self._target(route, route.call, route.enter)
            return [Entry(template, target, None) for template in route.entrances]
        return []

    def _target(self, route: BaseRoute, call: Call, app: ASGIApp) -> Target:
        """Put the route's own middleware around its call and its application."""
        if not route.middleware:
            return Target(route, call, app)
        folded = fold(
            route.middleware,
            call,
            app,
            serve=self._serve,
            respond=respond,
            guard=self._errors.guard,
            guard_layer=self._errors.guard_layer,
            guard_app=self._guard_app,
            route=route,
        )
        return Target(route, _checked(folded), folded.app)

    def _call_by_path(self, request: Request[Any]) -> Awaitable[Any]:
        """Find the route and return what it awaits to answer. Hot: nothing here but the look-up."""
        scope = request.scope
        below = scope.get("root_path")
        path = local_path(scope) if below else (scope["path"] or "/")
        table = self._tables.get(scope["method"], self._other)
        target = table.exact.get(path)
        if target is None:
            found = table.find(path)
            if found is None:
                return self._fallback.call(request)
            target, params = found
            inherited = scope.get("path_params")
            scope["path_params"] = {**inherited, **params} if inherited else params
        scope["route"] = target.route
        scope["endpoint"] = target.endpoint
        if below:
            tell_outside(scope)
        return target.call(request)

    def _call_by_host(self, request: Request[Any]) -> Awaitable[Any]:
        target = self._find_host(request.scope)
        return self._call_by_path(request) if target is None else target.call(request)

    def socket(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a websocket scope."""
        path = (scope["path"] or "/") if not scope.get("root_path") else local_path(scope)
        target = self._find_host(scope) if self._hosts else None
        target = target or self._sockets.exact.get(path)
        if target is None:
            found = self._sockets.find(path)
            if found is None:
                return self._fallback.app(scope, receive, send)
            target, params = found
            scope["path_params"] = {**(scope.get("path_params") or {}), **params}
        scope["route"] = target.route
        scope["endpoint"] = target.endpoint
        if scope.get("root_path"):
            tell_outside(scope)
        return target.app(scope, receive, send)

    def _find_host(self, scope: Scope) -> Target | None:
        host = sole_host(scope)
        name, _, port = host.rpartition(":")
        for route, target in self._hosts:
            params = route.match(host, name if port.isdigit() else host)
            if params is not None:
                scope["path_params"] = {**(scope.get("path_params") or {}), **params}
                return target
        return None

    def _by_method(self, entries: list[Entry]) -> dict[str, Table[Target]]:
        """Return a table for every method that a route names, and one for all others.

        Where no path can match two templates, each table also has the other methods' templates, which lead to 405: a
        refusal then costs what a hit does. GET and HEAD share one table where they have the same routes.
        """
        methods: dict[Any, set[str]] = {}
        for entry in entries:
            methods.setdefault(entry.template.key, set()).update(entry.methods or ())
        refusals = [Entry(one.template, self._refusal(methods[one.template.key]), None) for one in entries]
        tables: dict[str, Table[Target]] = {}
        for method in sorted({_OTHER}.union(*methods.values())):
            if method == "HEAD" and "GET" in tables and not _only_head(entries):
                tables[method] = tables["GET"]
                continue
            chosen = [entry for entry in entries if entry.methods is None or method in entry.methods]
            if method == "HEAD":  # of equal templates the one that was written for HEAD counts, not GET's
                chosen.sort(key=lambda entry: entry.methods is None or "GET" in entry.methods)
            if self._prepared:
                known = {entry.template.key for entry in chosen}
                chosen += [one for one in refusals if one.template.parameters and one.template.key not in known]
            tables[method] = _table(chosen)
        return tables

    def _refuse_exact_paths(self) -> None:
        """Put 405 where a path without parameters has no route for a table's method."""
        for path in self._every.exact:
            allow: set[str] | None = None
            for table in {id(table): table for table in self._tables.values()}.values():
                if _route_of(table, path) is None:
                    allow = self._allow(path) if allow is None else allow
                    table.exact[path] = self._refusal(allow)

    def _refusal(self, methods: set[str]) -> Target:
        allow = ", ".join(sorted(methods))
        target = self._refusals.get(allow)
        if target is None:
            refusal = Refusal(self._errors, 405, {"allow": allow}, shared=self._shared)
            target = self._refusals[allow] = Target(None, refusal, self._deny)
        return target

    def _allow(self, path: str) -> set[str]:
        """Return the methods of all routes that this path matches."""
        return {name for name, table in self._tables.items() if name != _OTHER and _route_of(table, path) is not None}

    def _miss(self, request: Request[Any]) -> Awaitable[Any]:
        """Answer a path that its method's table does not know: 405 or OPTIONS, a redirect, or 404."""
        scope = request.scope
        path = (scope["path"] or "/") if not scope.get("root_path") else local_path(scope)
        if not self._prepared and _look_up(self._every, path) is not None:
            return self._refusal(self._allow(path)).call(request)
        if self._redirect_slashes and (self._slashes or path.endswith("/")) and scope["method"] in {"GET", "HEAD"}:
            other = path[:-1] if path.endswith("/") else f"{path}/"
            # What begins with two slashes would name a host where it stands in a Location (RFC 3986 section 4.2).
            if not scope["path"].startswith("//") and _look_up(self._every, other or "/") is not None:
                return _redirect(request, path, other)
        return self._not_found(request)

    async def _deny(self, scope: Scope, receive: Receive, send: Send) -> None:
        await deny(scope, receive, send, HTTPException(404))


def _checked(folded: Folded) -> Call:
    call, layer = folded.call, folded.layer
    if layer is None:
        return call

    async def checked(request: Request[Any]) -> Any:
        return from_middleware(await call(request), layer)

    return checked


def tell_outside(scope: Scope) -> None:
    """Show what was found below a mount to the middleware around it, which names traces and errors after it."""
    outer = scope.get("microasgi.outer")
    while outer is not None:
        outer["route"], outer["endpoint"] = scope["route"], scope["endpoint"]
        outer = outer.get("microasgi.outer")


def local_path(scope: Scope) -> str:
    """Return the path below `root_path`, from "/" on (ASGI HTTP, `root_path`)."""
    root: str = scope["root_path"].rstrip("/")
    path: str = scope["path"]
    if path == root or path.startswith(f"{root}/"):
        path = path[len(root) :]
    return path or "/"


def _look_up(table: Table[Target], path: str) -> tuple[Target, dict[str, Any]] | None:
    target = table.exact.get(path)
    return table.find(path) if target is None else (target, {})


def _route_of(table: Table[Target], path: str) -> BaseRoute | None:
    found = _look_up(table, path)
    return None if found is None else found[0].route


def _table(entries: Iterable[Entry]) -> Table[Target]:
    return Table((entry.template, entry.target) for entry in entries)


def _answers(entry: Entry, *, websocket: bool) -> bool:
    route = entry.target.route
    return not isinstance(route, Route) or route.websocket is websocket


def _only_head(entries: list[Entry]) -> bool:
    return any("HEAD" in entry.methods and "GET" not in entry.methods for entry in entries if entry.methods is not None)


async def _redirect(request: Request[Any], path: str, other: str) -> Response:
    """Send the client to the same path with its last slash added or taken away, as a path on the same host."""
    scope = request.scope
    whole: str = scope["path"]
    location = quote_path(whole[: len(whole) - len(path)] + other)
    query = query_text(scope)
    return Response(status_code=307, headers={"location": f"{location}?{query}" if query else location})
