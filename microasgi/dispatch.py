"""Dispatch: from a request or a socket to its route, by tables made once from the list of routes.

One table for each method, so that a look-up finds only what can answer; one over all of them, for 405 and for
redirects, asked only after a miss. HEAD, OPTIONS, 404 and 405 are ordinary targets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from microasgi.connection import query_text
from microasgi.errors import Errors, problem
from microasgi.exceptions import HTTPException
from microasgi.foreign import respond
from microasgi.headers import find_header
from microasgi.paths import Template
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.routes import BaseRoute, Host, Mount, Route
from microasgi.sockets import deny, socket_app
from microasgi.stack import fold
from microasgi.table import Table
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["Dispatch"]

Call: TypeAlias = Callable[[Any], Awaitable[Any]]


class Target:
    """What a table leads to: the route, how it answers a request, and how any other scope."""

    __slots__ = ("app", "call", "route")

    def __init__(self, route: BaseRoute | None, call: Call, app: ASGIApp) -> None:
        self.route, self.call, self.app = route, call, app


class Entry(NamedTuple):
    """One template with its target and methods (None: all)."""

    template: Template
    target: Target
    methods: frozenset[str] | None


class Dispatch:
    """The tables of one application or router.

    `call` answers requests, `socket` answers websockets; both find the route first.
    """

    def __init__(
        self,
        routes: Iterable[BaseRoute],
        errors: Errors,
        *,
        redirect_slashes: bool,
        serve: Callable[[Call, ASGIApp], ASGIApp],
        default: ASGIApp | None = None,
    ) -> None:
        self._errors, self._redirect_slashes, self._serve = errors, redirect_slashes, serve
        # Of equal templates the first one counts: a route before a mount.
        ordered = sorted(routes, key=lambda route: isinstance(route, Mount))
        self._hosts = [
            (route, self._target(route, route.call, route.enter)) for route in ordered if isinstance(route, Host)
        ]
        entries = [entry for route in ordered for entry in self._entries(route)]
        sockets = [entry for entry in entries if _answers(entry.target.route, websocket=True)]
        requests = [entry for entry in entries if _answers(entry.target.route, websocket=False)]
        self._tables = _by_method(requests)
        self._any = Table((entry.template, entry.target) for entry in requests if entry.methods is None)
        get = self._tables.get("GET")
        self._every = get if get and set(self._tables) == {"GET", "HEAD"} else _table(requests)
        self._sockets = _table(sockets)
        self._fallback = Target(None, self._miss, self._deny)
        if default is not None:
            self._fallback = Target(None, respond(default), default)
        self.call: Call = self._call_by_host if self._hosts else self._call_by_path

    def _entries(self, route: BaseRoute) -> list[Entry]:
        if isinstance(route, Mount):
            target = self._target(route, route.call, route.enter)
            return [] if isinstance(route, Host) else [Entry(one, target, None) for one in route.entrances]
        if not isinstance(route, Route):
            return []
        app = route.app or socket_app(route.call, self._errors, route.allowed_origins)
        return [Entry(route.template, self._target(route, route.call, app), route.methods)]

    def _target(self, route: BaseRoute, call: Call, app: ASGIApp) -> Target:
        """Put the route's own middleware around its call and its application."""
        if not route.middleware:
            return Target(route, call, app)
        folded = fold(route.middleware, call, app, serve=self._serve, respond=respond, guard=self._errors.guard)
        return Target(route, folded.call, folded.app)

    def _call_by_path(self, request: Request[Any]) -> Awaitable[Any]:
        """Find the route and return what it awaits to answer. Hot: nothing here but the look-up."""
        scope = request.scope
        path = scope["path"] if not scope.get("root_path") else local_path(scope)
        table = self._tables.get(scope["method"], self._any)
        target = table.exact.get(path)
        if target is None:
            found = table.find(path)
            if found is None:
                return self._fallback.call(request)
            target, params = found
            inherited = scope.get("path_params")
            scope["path_params"] = {**inherited, **params} if inherited else params
        scope["route"] = target.route
        return target.call(request)

    def _call_by_host(self, request: Request[Any]) -> Awaitable[Any]:
        target = self._find_host(request.scope)
        return self._call_by_path(request) if target is None else target.call(request)

    async def socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a websocket scope."""
        target = self._find_host(scope) if self._hosts else None
        if target is None:
            path = local_path(scope) if scope.get("root_path") else scope["path"]
            found = _find(self._sockets, path)
            if found is None:
                await self._fallback.app(scope, receive, send)
                return
            target, params = found
            scope["path_params"] = {**(scope.get("path_params") or {}), **params}
        scope["route"] = target.route
        await target.app(scope, receive, send)

    def _find_host(self, scope: Scope) -> Target | None:
        host = (find_header(scope["headers"], b"host") or b"").decode("latin-1").lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        for route, target in self._hosts:
            params = route.match(host, name)
            if params is not None:
                scope["path_params"] = {**(scope.get("path_params") or {}), **params}
                return target
        return None

    async def _miss(self, request: Request[Any]) -> Response:
        """Answer a path that has no route for this method: 405 or OPTIONS, a redirect, or 404."""
        scope = request.scope
        path, method = local_path(scope), scope["method"]
        if _find(self._every, path) is not None:
            allow = ", ".join(sorted(name for name, table in self._tables.items() if _find(table, path) is not None))
            if method == "OPTIONS":
                return Response(status_code=204, headers={"allow": allow})
            return self._refuse(request, 405, {"allow": allow})
        if self._redirect_slashes and method in {"GET", "HEAD"} and path not in {"", "/"}:
            other = path[:-1] if path.endswith("/") else f"{path}/"
            if not scope["path"].startswith("//") and _find(self._every, other) is not None:
                return _redirect(scope, path, other)
        return self._refuse(request, 404)

    def _refuse(self, request: Request[Any], status: int, headers: dict[str, str] | None = None) -> Response:
        error = HTTPException(status, headers=headers)
        if self._errors.of(request.scope).find(error) is not None:
            raise error
        return problem(request, status, error.detail, headers)

    async def _deny(self, scope: Scope, receive: Receive, send: Send) -> None:
        await deny(scope, receive, send, HTTPException(404))


def local_path(scope: Scope) -> str:
    """Return the path below `root_path`, from "/" on.

    For the outermost application, servers differ in whether `path` holds the root path: it is put in where it is
    missing (ASGI HTTP), so that everything inside sees one form.
    """
    root: str = scope.get("root_path", "").rstrip("/")
    path: str = scope["path"]
    if not root:
        return path or "/"
    if path != root and not path.startswith(f"{root}/"):
        if "app_root_path" in scope:
            return path
        path = scope["path"] = root + path
        raw = scope.get("raw_path")
        if raw:
            scope["raw_path"] = quote(root).encode() + raw
    return path[len(root) :] or "/"


def _find(table: Table[Target], path: str) -> tuple[Target, dict[str, Any]] | None:
    target = table.exact.get(path)
    return table.find(path) if target is None else (target, {})


def _table(entries: Iterable[Entry]) -> Table[Target]:
    return Table((entry.template, entry.target) for entry in entries)


def _answers(route: BaseRoute | None, *, websocket: bool) -> bool:
    return not isinstance(route, Route) or route.websocket is websocket


def _by_method(entries: list[Entry]) -> dict[str, Table[Target]]:
    """Return a table for every method that a route names; GET and HEAD share one where they have the same routes."""
    methods = {method for entry in entries for method in entry.methods or ()}
    tables: dict[str, Table[Target]] = {}
    for method in sorted(methods):
        if method == "HEAD" and "GET" in tables and not _differ(entries):
            tables[method] = tables["GET"]
            continue
        chosen = [entry for entry in entries if entry.methods is None or method in entry.methods]
        if method == "HEAD":  # of equal templates the one that was written for HEAD counts, not GET's
            chosen.sort(key=lambda entry: entry.methods is None or "GET" in entry.methods)
        tables[method] = _table(chosen)
    return tables


def _differ(entries: list[Entry]) -> bool:
    return any(
        entry.methods is not None and "HEAD" in entry.methods and "GET" not in entry.methods for entry in entries
    )


def _redirect(scope: Scope, path: str, other: str) -> Response:
    whole = scope["path"]
    location = quote(whole[: len(whole) - len(path)] + other, safe="/~!$&'()*+,;=:@")
    query = query_text(scope)
    if query:
        location = f"{location}?{query}"
    return Response(status_code=307, headers={"location": location})
