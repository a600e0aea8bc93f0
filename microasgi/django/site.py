"""The site: Django's own application as a good neighbour, for http, handshakes and the lifespan.

Law: Django is asked for what it can do, which is http; the rest is answered for it.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from functools import partial
from typing import Any, Final, cast

from asgiref.sync import sync_to_async
from django import setup
from django.apps import apps
from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, set_script_prefix

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.lifespan import answer_lifespan
from microasgi.sockets import deny
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Site", "is_site", "site", "site_root"]

_DEEPEST: Final = 20  # layers that are looked through


def site(django: ASGIApp | None = None, *, static: bool | None = None) -> ASGIApp:
    """Return a Django site to be mounted: `app.mount("/", site())`.

    `django` is its ASGI application, made here if there is none. `static` serves the files of STATICFILES, by default
    with DEBUG. ConfigurationError if the project's settings are not there.
    """
    return Site(django, static)


def site_root(scope: Scope) -> str:
    """Return the path that Django is mounted at in this scope, "" for the root of the host."""
    return str(settings.FORCE_SCRIPT_NAME or scope.get("root_path") or "").rstrip("/")


def is_site(app: Any) -> bool:
    """Tell whether this is a Django site, also where layers are around it."""
    for _ in range(_DEEPEST):
        if app is None or isinstance(app, Site):
            break
        app = getattr(app, "app", None)
    return isinstance(app, Site)


class Site:
    """A Django project as an ASGI application that answers lifespans and refuses websockets."""

    def __init__(self, django: ASGIApp | None = None, static: bool | None = None) -> None:
        _check_settings()
        if django is None:
            from django.core.asgi import get_asgi_application  # asks for the settings

            django = cast(ASGIApp, get_asgi_application())
        elif not apps.ready:
            setup(set_prefix=False)
        self.app = django
        self._static = _serves_static(static)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let Django answer http; deny a handshake with 404; complete a lifespan."""
        kind = scope["type"]
        if kind == "http":
            if (scope.get("root_path") or "").endswith("/"):  # Django would take the path's first slash away with it
                scope = {**scope, "root_path": scope["root_path"].rstrip("/")}
            if self._static:
                self._add_static(scope)
            await self.app(scope, receive, partial(_send_legal, send, scope["method"] == "HEAD"))
        elif kind == "websocket":
            await deny(scope, receive, send, HTTPException(404))
        elif kind == "lifespan":
            await answer_lifespan(scope, receive, send, nullcontext)
        else:
            raise ValueError(f"{kind!r} is no ASGI scope that a Django site knows")

    def _add_static(self, scope: Scope) -> None:
        """Put Django's handler of static files around it.

        Not before a request: a relative STATIC_URL stands below the root path, which the server says, and Django keeps
        what it reads first.
        """
        before = get_script_prefix()
        set_script_prefix(f"{site_root(scope)}/")
        try:
            self.app = _with_static(self.app)
        finally:
            set_script_prefix(before)
        self._static = False


def _with_static(app: ASGIApp) -> ASGIApp:
    """Return Django's handler of static files around it, which lets errors of paths that lead out of them pass."""
    from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

    class Static(ASGIStaticFilesHandler):
        async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
            try:
                return await super().get_response_async(request)
            except SuspiciousOperation as error:
                return await sync_to_async(response_for_exception)(request, error)

    return cast(ASGIApp, Static(cast(Any, app)))


async def _send_legal(send: Send, is_head: bool, message: Message) -> None:
    """Send on as ASGI asks: header names in lower case, which Django capitalises, and no body for HEAD."""
    if message["type"] == "http.response.start":
        message = {**message, "headers": [(name.lower(), value) for name, value in message.get("headers", ())]}
    elif is_head and message["type"] == "http.response.body":
        message = {**message, "body": b""}
    await send(message)


def _check_settings() -> None:
    if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE"):
        return
    raise ConfigurationError(
        "Django's settings are not known yet: before this, write "
        'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")'
    )


def _serves_static(wanted: bool | None) -> bool:
    installed = apps.is_installed("django.contrib.staticfiles")
    if wanted and not installed:
        raise ConfigurationError(
            'static=True needs "django.contrib.staticfiles" in INSTALLED_APPS: add it, or leave static out'
        )
    return bool(settings.DEBUG and installed) if wanted is None else wanted
