"""Mounted applications: what is beside the Django site and inside its URLconf, for checks, commands and links.

Law: it is read from where the project says it, ASGI_APPLICATION and ROOT_URLCONF, and kept nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from microasgi.django.beside import Beside
from microasgi.django.bridge import Bridge
from microasgi.django.site import Site
from microasgi.routes import Mount, WebSocketRoute

__all__ = [
    "Mounted",
    "application_name",
    "asgi_application",
    "has_sockets",
    "mounted_apps",
    "mounted_sites",
    "unwrapped",
]

ROOT_PATTERN = r"^\Z"
_DEEPEST = 20  # layers around layers: one that holds itself ends


@dataclass(frozen=True)
class Mounted:
    """An ASGI application and where it stands: below `prefix`, without the path that the whole site stands at.

    `way` is how it was mounted: "beside" by `asgi`, "inside" by `bridge`, "around" the Django site that it has mounted.
    A prefix of "inside" may have parameters, as in "shops/<int:shop>".
    """

    prefix: str
    app: Any
    way: Literal["beside", "inside", "around"]


def application_name() -> str | None:
    """Return the dotted path of the project's application: settings.ASGI_APPLICATION, else `application` in asgi.py.

    That is the module beside ROOT_URLCONF's, as `startproject` makes it. None if there is neither.
    """
    name = getattr(settings, "ASGI_APPLICATION", None)
    if name:
        return str(name)
    package = str(getattr(settings, "ROOT_URLCONF", "")).rpartition(".")[0]
    return f"{package}.asgi.application" if package and find_spec(f"{package}.asgi") else None


def asgi_application() -> Any:
    """Return the project's application, None if there is none; ImportError if it is not where its name says."""
    name = application_name()
    return import_string(name) if name else None


def mounted_apps() -> list[Mounted]:
    """Return the applications of the project, those beside it first."""
    outermost = unwrapped(asgi_application(), Beside)
    found: list[Mounted] = []
    if isinstance(outermost, Beside):
        found += [Mounted(prefix, app, "beside") for prefix, app in outermost.apps.items()]
    elif any(mounted_sites(outermost)):
        found.append(Mounted("", outermost, "around"))
    if getattr(settings, "ROOT_URLCONF", None):
        found += _inside(get_resolver().url_patterns, "", 0)
    return found


def mounted_sites(app: Any) -> Iterator[str]:
    """Yield the paths at which an application has mounted the Django site itself."""
    for route in getattr(unwrapped(app), "routes", None) or ():
        if isinstance(route, Mount) and isinstance(unwrapped(route.app, Site), Site):
            yield route.path


def has_sockets(app: Any, depth: int = 0) -> bool:
    """Tell whether the application has a route for websockets, itself or in what it mounts."""
    for route in getattr(unwrapped(app), "routes", None) or ():
        if isinstance(route, WebSocketRoute):
            return True
        if isinstance(route, Mount) and depth < _DEEPEST and has_sockets(route.app, depth + 1):
            return True
    return False


def unwrapped(app: Any, kind: type | None = None) -> Any:
    """Return the first application within its layers that is of a kind, or has routes; or the application itself."""
    inner = app
    for _ in range(_DEEPEST):
        if inner is None or (kind is not None and isinstance(inner, kind)) or hasattr(inner, "routes"):
            return inner
        inner = getattr(inner, "app", None)
    return app


def _inside(patterns: Iterable[URLPattern | URLResolver], prefix: str, depth: int) -> Iterator[Mounted]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver) and depth < _DEEPEST:
            yield from _inside(pattern.url_patterns, f"{prefix}{pattern.pattern}", depth + 1)
            continue
        bridge = getattr(getattr(pattern, "callback", None), "bridge", None)
        if isinstance(bridge, Bridge) and str(pattern.pattern) == ROOT_PATTERN:  # its other pattern is of what is below
            yield Mounted(f"/{prefix.strip('/')}".rstrip("/"), bridge.app, "inside")
