"""Beside Django: applications at prefixes, the Django site everywhere else, in one ASGI application.

Law: what can be wrong with a prefix or an application is said at set-up. A request is compared with the prefixes,
longest first, and handed on, nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from microasgi.django.lifespans import OwnState
from microasgi.django.named import load_app
from microasgi.django.site import Site
from microasgi.django.surroundings import ROOT, surround
from microasgi.draining import Draining
from microasgi.entrance import with_root_path
from microasgi.exceptions import ConfigurationError
from microasgi.routes import Mount
from microasgi.routing import Router
from microasgi.stack import Middleware
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["Beside", "asgi"]


def asgi(apps: Mapping[str, ASGIApp | str], *, django: ASGIApp | None = None, static: bool | None = None) -> ASGIApp:
    """Return the ASGI application of a Django project: `apps` at and below their prefixes, Django everywhere else.

    An application is an object, or "package.module:name", imported when Django is ready: then it may import models.
    Each has `DjangoMiddleware` around it. `django` is the site's own application, made here if there is none; `static`
    serves the files of STATICFILES, by default with DEBUG. ConfigurationError for a prefix or an application that
    cannot work.
    """
    return Beside(apps, Site(django, static))


class Beside(Router):
    """Applications beside a Django site. `apps` are they by prefix, as they are; `site` is Django.

    It runs their lifespans, in order, and drains them together: with the longest grace that one of them asks for.
    """

    def __init__(self, apps: Mapping[str, ASGIApp | str], site: Site) -> None:
        prefixes = [_prefix(text) for text in apps]
        twice = sorted({prefix for prefix in prefixes if prefixes.count(prefix) > 1})
        if twice:
            raise ConfigurationError(f"two applications stand at {twice[0]!r}: give one of them another prefix")
        self.site = site
        self.apps = {
            prefix: load_app(app, f"the application at {prefix!r}")
            for prefix, app in zip(prefixes, apps.values(), strict=True)
        }
        around: dict[int, OwnState] = {}  # an application at two prefixes is one
        for app in self.apps.values():
            around.setdefault(id(app), OwnState(surround(app), app, self._take_grace))
        places = {prefix: around[id(app)] for prefix, app in self.apps.items()}
        super().__init__(
            [Mount(prefix, app) for prefix, app in places.items()],
            middleware=[Middleware(_Prefixes, site=site, places=places)],
        )

    def _take_grace(self) -> None:
        graces = [_grace(app) for app in self.apps.values()]
        self.draining.grace = max((grace for grace in graces if grace is not None), default=self.draining.grace)


class _Prefixes:
    """The way to the applications: by the part of the path below the root path."""

    def __init__(self, app: ASGIApp, *, site: Site, places: Mapping[str, ASGIApp]) -> None:
        self.app = app
        self._site = site
        longest_first = sorted(places, key=len, reverse=True)
        self._places = [(prefix, f"{prefix}/", places[prefix]) for prefix in longest_first]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the scope to the application whose it is; lifespans go on to the router."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        forced = settings.FORCE_SCRIPT_NAME
        if forced and forced != scope.get("root_path"):
            scope = with_root_path({**scope, "root_path": forced})
        root = (scope.get("root_path") or "").rstrip("/")
        path: str = scope["path"]
        path = path[len(root) :] if root and (path == root or path.startswith(f"{root}/")) else path
        for prefix, below, app in self._places:
            if path == prefix or path.startswith(below):
                return await app(_child(scope, root, prefix), receive, send)
        return await self._site(scope, receive, send)


def _child(scope: Scope, root: str, prefix: str) -> Scope:
    """Return the scope for an application: it finds what it would if it were served alone with this root path."""
    own = root + prefix
    child: Scope = {**scope, "root_path": own, "microasgi.root_path": own, ROOT: root}
    child.pop("router", None)
    return child


def _grace(app: object) -> float | None:
    draining: Any = getattr(app, "draining", None)
    return draining.grace if isinstance(draining, Draining) else None


def _prefix(text: object) -> str:
    """Return the prefix without a slash at its end; ConfigurationError for what is none."""
    if not isinstance(text, str) or not text.startswith("/"):
        shown = f"/{text}" if isinstance(text, str) else "/api"
        raise ConfigurationError(f"a prefix begins with a slash: write {shown!r}, not {text!r}")
    prefix = text.removesuffix("/")
    if not prefix:
        raise ConfigurationError(
            'at "/" an application would leave nothing to Django: '
            'mount the site in it instead, with app.mount("/", microasgi.django.site())'
        )
    if "{" in prefix or "//" in prefix or "%" in prefix or prefix.endswith("/"):
        raise ConfigurationError(f"a prefix is plain text such as '/api', without parameters or '//', not {text!r}")
    return prefix
