"""The surroundings: what a Django view has around it, put around an ASGI application layer by layer.

Law: each part is put around an application once, whoever asks for it how often. What Django itself has around a
request, as inside its URLconf, or answers itself, as a site that is mounted, is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, cast

from django.conf import settings
from django.urls import clear_script_prefix, set_script_prefix

from microasgi.connection import sole_host
from microasgi.dispatch import local_path
from microasgi.django.csrf import CSRFLayer
from microasgi.django.handshake import MessagesLayer, MiddlewareLayer
from microasgi.django.hosts import HostsLayer
from microasgi.django.sessions import SessionLayer
from microasgi.django.site import is_site
from microasgi.django.threads import ThreadsLayer
from microasgi.exceptions import ConfigurationError
from microasgi.hosts import Host
from microasgi.paths import Template
from microasgi.routes import Mount, Route
from microasgi.stack import Middleware
from microasgi.table import Table
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["ROOT", "DjangoMiddleware", "surround"]

ROOT: Final = "microasgi.django_root"
"""In a scope: the path that the Django site stands at, as `asgi` knows it."""
_AROUND: Final = "microasgi.django_around"  # in a scope: the parts that are there
_NONE: Final[frozenset[str]] = frozenset()
_LAYERS: Final[tuple[tuple[str, Callable[[ASGIApp], ASGIApp]], ...]] = (  # innermost first
    ("csrf", CSRFLayer),
    ("messages", MessagesLayer),
    ("sessions", SessionLayer),
    ("all", MiddlewareLayer),
    ("hosts", HostsLayer),
    ("threads", ThreadsLayer),
)
_DEEPEST: Final = 20  # layers that are looked through


class DjangoMiddleware:
    """Give an application what Django's views have: hosts, sessions and users, CSRF, threads, `reverse()`.

    For `MicroASGI(middleware=[DjangoMiddleware])`, or around any ASGI application; `asgi` puts it around all that have
    none. A part is left out with False; `middleware="all"` runs the whole of MIDDLEWARE besides. `mount_root` is the
    path that the Django site stands at, for `reverse()`: found by itself beside Django and around a mounted `site()`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: bool = True,
        sessions: bool = True,
        csrf: bool = True,
        middleware: Literal["all"] | None = None,
        mount_root: str | None = None,
    ) -> None:
        if mount_root and (not mount_root.startswith("/") or mount_root.endswith("/")):
            raise ConfigurationError(f'mount_root is a path such as "/site", or "" for the root, not {mount_root!r}')
        if middleware not in (None, "all"):
            raise ConfigurationError(f'middleware is "all", for the whole of settings.MIDDLEWARE, not {middleware!r}')
        self.app = app
        self._mount_root = mount_root
        self._maps: dict[int, _Map] = {}
        chosen = {"threads": True, "hosts": hosts, "sessions": sessions, "csrf": csrf}
        chosen["all"] = chosen["messages"] = middleware == "all"
        self._parts = frozenset(name for name, is_wanted in chosen.items() if is_wanted)
        self._stacks = {self._parts: _put_around(app, self._parts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one scope with the layers around the application that are not there already."""
        if scope["type"] not in ("http", "websocket"):
            return await self._stacks[self._parts](scope, receive, send)
        there: frozenset[str] = scope.get(_AROUND, _NONE)
        parts = self._parts - there
        if not parts or "django.request" in scope or self._is_sites(scope):
            return await self.app(scope, receive, send)
        stack = self._stacks.get(parts)
        if stack is None:  # another one around this has the rest
            stack = self._stacks[parts] = _put_around(self.app, parts)
        scope[_AROUND] = there | parts
        if there:
            return await stack(scope, receive, send)
        set_script_prefix(f"{self._root(scope)}/")
        try:
            await stack(scope, receive, send)
        finally:
            clear_script_prefix()  # there was none: what is inside of a Django request does not come here
        return None

    def _root(self, scope: Scope) -> str:
        """Return the path that the Django site stands at, without a slash at its end."""
        root = settings.FORCE_SCRIPT_NAME or scope.get(ROOT)
        if root is None:
            outer = scope.get("microasgi.root_path", scope.get("root_path") or "")
            own = self._mount_root
            if own is None:
                own = self._map(scope.get("microasgi.outermost") or scope.get("app")).root
            root = outer.rstrip("/") + own
        return str(root).rstrip("/")

    def _is_sites(self, scope: Scope) -> bool:
        """Tell whether a mounted Django site will answer, which has all of this around itself."""
        return "route" not in scope and self._map(scope.get("app")).leads_to_site(scope)

    def _map(self, owner: object) -> _Map:
        found = self._maps.get(id(owner))
        if found is None:
            found = self._maps[id(owner)] = _Map(owner)
        return found


def _put_around(app: ASGIApp, parts: Iterable[str]) -> ASGIApp:
    for name, layer in _LAYERS:
        app = layer(app) if name in parts else app
    return app


class _Map:
    """Where an application has mounted a Django site. An application whose routes change makes its middleware anew."""

    def __init__(self, owner: Any) -> None:
        self._owner = owner  # kept, so that its id stays its own
        routes = [route for route in getattr(owner, "routes", ()) if isinstance(route, (Route, Mount))]
        sites = [route for route in routes if isinstance(route, Mount) and is_site(route.app)]
        self.root = sites[0].path if sites else ""
        self._has_sites = bool(sites)
        self._hosts = [route for route in routes if isinstance(route, Host)]
        ordered = sorted((route for route in routes if route not in self._hosts), key=_is_mount)
        self._table = Table((template, route in sites) for route in ordered for template in _templates(route))

    def leads_to_site(self, scope: Scope) -> bool:
        """Tell whether this host and this path are a site's."""
        if not self._has_sites:
            return False
        host = self._find_host(scope) if self._hosts else None
        if host is not None:
            return is_site(host.app)
        path = local_path(scope) if scope.get("root_path") else scope["path"]
        exact = self._table.exact.get(path)
        if exact is not None:
            return exact
        found = self._table.find(path)
        return found is not None and found[0]

    def _find_host(self, scope: Scope) -> Host | None:
        """Return the route of the host that was asked for, which goes before all paths."""
        host = sole_host(scope)
        name, _, port = host.rpartition(":")
        name = name if port.isdigit() else host
        return next((route for route in self._hosts if route.match(host, name) is not None), None)


def _is_mount(route: Route | Mount) -> bool:
    return isinstance(route, Mount)


def _templates(route: Route | Mount) -> Iterable[Template]:
    return route.entrances if isinstance(route, Mount) else [route.template]


def surround(app: ASGIApp) -> ASGIApp:
    """Return the application with the middleware around it, unless it is there already, with options of its own."""
    inner: Any = app
    for _ in range(_DEEPEST):
        # Ours, and where Starlette and FastAPI keep theirs.
        stack = cast("Iterable[Middleware]", [*getattr(inner, "_stack", ()), *getattr(inner, "user_middleware", ())])
        if isinstance(inner, DjangoMiddleware) or any(one.cls is DjangoMiddleware for one in stack):
            return app
        inner = getattr(inner, "app", None)
        if inner is None:
            break
    return DjangoMiddleware(app)
