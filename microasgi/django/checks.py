"""The system checks: what a project has written that cannot work, or works otherwise than it looks.

Law: only what is known for sure. A check that has to guess is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from microasgi.django.lanes import LANES, THREADS
from microasgi.django.mounted import (
    Mounted,
    application_name,
    asgi_application,
    has_sockets,
    mounted_apps,
    mounted_sites,
)
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.stack import Middleware

__all__ = ["CHECKS", "SETTINGS", "TAG", "register_checks"]

TAG: Final = "microasgi"
SETTINGS: Final = {"LANES": LANES, "THREADS": THREADS}
"""The keys of settings.MICROASGI, and what holds without them."""


def register_checks() -> None:
    """Register all checks with Django, under the tag "microasgi"."""
    for check, is_for_deployment in CHECKS:
        register(check, TAG, deploy=is_for_deployment)


def check_setting(**_: Any) -> list[CheckMessage]:
    """E001, E002: settings.MICROASGI is a mapping of known names to numbers of threads."""
    given: Any = getattr(settings, "MICROASGI", {})
    if not isinstance(given, dict):
        text = f"settings.MICROASGI is a {type(given).__name__}, not a dict."
        return [Error(text, 'Write MICROASGI = {"THREADS": 8, "LANES": 4}, or leave it out.', id="microasgi.E001")]
    found: list[CheckMessage] = []
    pairs = cast("dict[str, Any]", given)
    for name, value in pairs.items():
        if name not in SETTINGS:
            known = ", ".join(SETTINGS)
            found.append(Error(f"settings.MICROASGI has no {name!r}.", f"It has {known}.", id="microasgi.E001"))
        elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
            text = f"settings.MICROASGI[{name!r}] is {value!r}, which is no number of threads."
            found.append(
                Error(text, f"Write a number from 1 on; the usual one is {SETTINGS[name]}.", id="microasgi.E002")
            )
    return found


def check_application(**_: Any) -> list[CheckMessage]:
    """E003: the project's ASGI application can be imported."""
    try:
        asgi_application()
    except Exception as error:
        text = f"The project's ASGI application, {application_name()!r}, cannot be imported: {error}"
        hint = 'Is the name right? ASGI_APPLICATION is a dotted path, as in "mysite.asgi.application".'
        return [Error(text, hint, id="microasgi.E003")]
    return []


def check_runserver(**_: Any) -> list[CheckMessage]:
    """W001: `manage.py runserver` serves WSGI, where no application stands beside Django."""
    if sys.argv[1:2] != ["runserver"] or apps.is_installed("daphne"):
        return []
    names = [mounted.prefix or "/" for mounted in _mounted() if mounted.way != "inside"]
    if not names:
        return []
    text = f"runserver speaks WSGI: it does not serve the applications at {_listed(names)}, nor their websockets."
    hint = "Use `python manage.py microasgi run`, which starts again after changes just as well."
    return [Warning(text, hint, id="microasgi.W001")]


def check_sockets(**_: Any) -> list[CheckMessage]:
    """W002: websockets do not reach an application inside the URLconf."""
    mounted = _mounted()
    reached = [one.app for one in mounted if one.way != "inside"]
    unreached = [
        one.prefix or "/"
        for one in mounted
        if one.way == "inside" and has_sockets(one.app) and not any(one.app is other for other in reached)
    ]
    if not unreached:
        return []
    text = f"The application at {_listed(unreached)} has websockets, which never reach a URLconf: they get 404."
    hint = "Mount it beside Django: application = asgi({...}) in asgi.py. It may stand in both places."
    return [Warning(text, hint, id="microasgi.W002")]


def check_hosts(**_: Any) -> list[CheckMessage]:
    """W003, for deployments: with every host allowed, a page of any name can open sockets as the user."""
    if "*" not in settings.ALLOWED_HOSTS or not _mounted():
        return []
    text = 'ALLOWED_HOSTS has "*": a socket is taken from any page whose name leads here, with the user\'s cookies.'
    return [Warning(text, 'Name the hosts, as in ALLOWED_HOSTS = ["example.org"].', id="microasgi.W003")]


def check_static_url(**_: Any) -> list[CheckMessage]:
    """W004: a relative STATIC_URL is taken once, for the path that Django is first asked under."""
    # The raw value: what `settings` returns has the script prefix of this moment in it, and keeps it.
    url: Any = getattr(settings._wrapped, "STATIC_URL", None)
    if not url or settings.FORCE_SCRIPT_NAME or str(url).startswith(("/", "http:", "https:")):
        return []
    try:
        paths = [path for path in mounted_sites(asgi_application()) if path]
    except Exception:
        return []  # E003 tells
    if not paths:
        return []
    text = f"STATIC_URL is relative ({url!r}), the site is mounted at {paths[0]!r}: the first request decides for all."
    hint = f"Write it out: STATIC_URL = {f'{paths[0]}/{url}'!r}, or set FORCE_SCRIPT_NAME = {paths[0]!r}."
    return [Warning(text, hint, id="microasgi.W004")]


def check_atomic_requests(**_: Any) -> list[CheckMessage]:
    """W005: ATOMIC_REQUESTS does not reach the handlers of mounted applications."""
    aliases = [alias for alias, options in settings.DATABASES.items() if options.get("ATOMIC_REQUESTS")]
    if not aliases or not _mounted():
        return []
    text = (
        f"ATOMIC_REQUESTS of database {_listed(aliases)} is for Django's views alone: "
        "of a mounted application's handler that fails, what it has written stays."
    )
    hint = (
        "Write what belongs together in one sync function with @atomic; "
        'then silence this: SILENCED_SYSTEM_CHECKS = ["microasgi.W005"].'
    )
    return [Warning(text, hint, id="microasgi.W005")]


def check_pools(**_: Any) -> list[CheckMessage]:
    """W006: a connection pool that is smaller than the number of threads lets them wait for each other."""
    given: Any = getattr(settings, "MICROASGI", {})
    if check_setting() or not _mounted():
        return []
    needed = sum({**SETTINGS, **given}.values())
    return [
        Warning(
            f"The pool of database {alias!r} has {size} connections, and {needed} threads want one.",
            f'Write OPTIONS["pool"] = {{"max_size": {needed}}}, or smaller numbers in settings.MICROASGI.',
            id="microasgi.W006",
        )
        for alias, size in _pools()
        if size < needed
    ]


def check_site_wide_login(**_: Any) -> list[CheckMessage]:
    """W007: LoginRequiredMiddleware does not stand around an application beside Django, unless all middleware does."""
    if not any(name.endswith(".LoginRequiredMiddleware") for name in settings.MIDDLEWARE):
        return []
    open_ones = [one.prefix or "/" for one in _mounted() if one.way == "beside" and not _has_whole_middleware(one.app)]
    if not open_ones:
        return []
    text = (
        f"LoginRequiredMiddleware does not guard the application at {_listed(open_ones)}, which stands beside Django."
    )
    hint = (
        'Give the application Middleware(DjangoMiddleware, middleware="all"), or put @login_required on its handlers; '
        'then silence this: SILENCED_SYSTEM_CHECKS = ["microasgi.W007"].'
    )
    return [Warning(text, hint, id="microasgi.W007")]


def _has_whole_middleware(app: Any) -> bool:
    stack: list[Middleware] = getattr(app, "_stack", [])
    return any(one.cls is DjangoMiddleware and one.kwargs.get("middleware") == "all" for one in stack)


def _pools() -> Iterator[tuple[str, int]]:
    """Yield the databases with a pool of psycopg's, and how many connections it has at most."""
    for alias, options in settings.DATABASES.items():
        pool: Any = options.get("OPTIONS", {}).get("pool")
        if not pool:
            continue
        asked = cast("dict[str, Any]", pool) if isinstance(pool, dict) else {}
        smallest: int = asked.get("min_size", 4)
        yield alias, asked.get("max_size") or smallest


def _mounted() -> list[Mounted]:
    try:
        return mounted_apps()
    except Exception:
        return []  # Django's own checks tell what is wrong with a URLconf, E003 with the application


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


CHECKS: Final[list[tuple[Callable[..., list[CheckMessage]], bool]]] = [
    (check_setting, False),
    (check_application, False),
    (check_runserver, False),
    (check_sockets, False),
    (check_hosts, True),
    (check_static_url, False),
    (check_atomic_requests, False),
    (check_pools, False),
    (check_site_wide_login, False),
]
