"""The tree of routes: what an application answers, through mounts and hosts, with the whole path of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from microasgi.hosts import Host
from microasgi.routes import BaseRoute, Mount
from microasgi.stack import Middleware

__all__ = ["Found", "stack_of", "unwrap", "walk"]

_DEEPEST = 20  # layers around layers: one that holds itself ends


@dataclass(frozen=True)
class Found:
    """A route with its whole path, the host it is for, and the middleware around it, outermost first.

    `owners` are the applications and routers that it is in, from the outside; `inner` tells that it is in a mount.
    """

    route: BaseRoute
    path: str
    host: str
    middleware: tuple[Any, ...]
    owners: tuple[Any, ...]

    @property
    def inner(self) -> bool:
        """Tell whether it is in a mount."""
        return len(self.owners) > 1

    @property
    def methods(self) -> list[str]:
        """The methods that it answers, as a table shows them; HEAD comes with GET."""
        methods: frozenset[str] | None = getattr(self.route, "methods", None)
        if getattr(self.route, "websocket", False):
            return ["WS"]
        if methods is None:
            return ["*"]
        return sorted(methods - ({"HEAD"} if "GET" in methods else set[str]()))


def unwrap(app: Any) -> Any:
    """Return the application with routes that hand-made layers (`app = Layer(app)`) are around, or the app itself."""
    inner = app
    for _ in range(_DEEPEST):
        if hasattr(inner, "routes"):
            return inner
        inner = getattr(inner, "app", None)
    return app


def stack_of(app: Any) -> list[Middleware]:
    """Return the middleware of an application or a router, outermost first; of Starlette's as well."""
    stack: Any = getattr(app, "_stack", None)
    if stack is None:
        stack = getattr(app, "user_middleware", None)
    return list(stack or ())


def walk(app: Any) -> Iterator[Found]:
    """Yield every route: a mount, then what is in it."""
    yield from _walk(unwrap(app), "", "", (), ())


def _walk(app: Any, prefix: str, host: str, around: tuple[Any, ...], owners: tuple[Any, ...]) -> Iterator[Found]:
    if any(app is owner for owner in owners):  # it is mounted in itself
        return
    around, owners = (*around, *stack_of(app)), (*owners, app)
    for route in getattr(app, "routes", None) or ():
        if not isinstance(route, BaseRoute):
            continue  # a mounted application of another kind: its routes are its own affair
        own = (*around, *route.middleware)
        on_host = route.host.text if isinstance(route, Host) else host
        yield Found(route, prefix + route.path, on_host, own, owners)
        if isinstance(route, Mount):
            yield from _walk(unwrap(route.app), prefix + route.path, on_host, own, owners)
