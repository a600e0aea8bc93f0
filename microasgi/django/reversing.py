"""Links across both sides: Django's `reverse()` for a handler, and the paths of mounted applications for Django.

Law: a link is a path on the whole site, below whatever path the server or the project has put it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from django import urls
from django.conf import settings
from django.urls import get_script_prefix, set_script_prefix

from microasgi.connection import HTTPConnection
from microasgi.django.mounted import Mounted, application_name, mounted_apps, mounted_sites
from microasgi.django.surroundings import ROOT
from microasgi.exceptions import NoMatchFound
from microasgi.types import Scope

__all__ = ["below_site", "reverse", "url_path_for"]

_PARAMETER = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
_PLAIN = re.compile(r"(?:[^^$()\\?*+\[\]|<>]|<[^<>]+>)*")  # no regular expression


def reverse(
    connection: HTTPConnection[Any],
    viewname: Any,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    urlconf: Any = None,
    current_app: str | None = None,
) -> str:
    """Return the path of a Django view, as Django's `reverse` does: `reverse(request, "admin:index")`.

    With the path that the Django site stands at, wherever it is called. Raises Django's NoReverseMatch.
    """
    with below_site(connection.scope):
        return urls.reverse(viewname, urlconf, args, kwargs, current_app)  # type: ignore[arg-type]


@contextmanager
def below_site(scope: Scope) -> Generator[None]:
    """Let links that Django makes in the block begin with the path that the site stands at in this scope."""
    if "django.request" in scope or "microasgi.django_around" in scope:  # then they do already
        yield
        return
    root = settings.FORCE_SCRIPT_NAME
    if root is None:
        root = scope.get(ROOT, scope.get("microasgi.root_path", scope.get("root_path") or ""))
    before = get_script_prefix()
    set_script_prefix(f"{str(root).rstrip('/')}/")
    try:
        yield
    finally:
        set_script_prefix(before)


def url_path_for(name: str, /, *, mounted_at: str | None = None, **path_params: Any) -> str:
    """Return the path of the named route of a mounted application, from Django's code: views, models, commands.

    Applications are asked in order, those beside Django first, or only the one that is `mounted_at` this prefix.
    Raises NoMatchFound.
    """
    found = _applications(application_name(), getattr(settings, "ROOT_URLCONF", None))
    asked = [one for one in found if mounted_at is None or one.prefix == f"/{mounted_at.strip('/')}".rstrip("/")]
    for mounted in asked:
        try:
            return _path_in(mounted, name, path_params)
        except NoMatchFound:
            continue
    places = ", ".join(one.prefix or "/" for one in found) or "none"
    where = "" if mounted_at is None else f" at {mounted_at!r}"
    raise NoMatchFound(f"no application{where} has a route {name!r} with {sorted(path_params)}; mounted are: {places}")


@lru_cache(maxsize=8)
def _applications(application: str | None, urlconf: Any) -> list[Mounted]:
    return mounted_apps()


def _path_in(mounted: Mounted, name: str, path_params: dict[str, Any]) -> str:
    if not _PLAIN.fullmatch(mounted.prefix):
        raise NoMatchFound(f"{mounted.prefix!r} is a regular expression")
    names: list[str] = _PARAMETER.findall(mounted.prefix)
    if not set(names) <= path_params.keys():
        raise NoMatchFound(f"{mounted.prefix!r} has other parameters")
    find: Any = getattr(mounted.app, "url_path_for", None)
    if find is None:
        raise NoMatchFound(f"{mounted.app!r} has no names of routes")
    own = {key: value for key, value in path_params.items() if key not in names}
    path = find(name, **own)
    prefix = _PARAMETER.sub(lambda match: quote(str(path_params[match[1]]), safe=""), mounted.prefix)
    return f"{_root(mounted)}{prefix}{path}"


def _root(mounted: Mounted) -> str:
    """Return the path that the whole site stands at, which Django knows with its own."""
    root = get_script_prefix().rstrip("/")
    for site in mounted_sites(mounted.app) if mounted.way == "around" else ():
        if site and root.endswith(site):
            return root.removesuffix(site)
    return root
