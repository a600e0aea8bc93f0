"""Visitors: what the clients of a test know of Django, which is its application, its sessions and its tokens.

Law: a visitor has what a browser has, cookies and headers. Nothing in the application is told that it is under test.
"""

from __future__ import annotations

from http.cookiejar import Cookie
from importlib import import_module
from typing import Any, cast

from django.conf import settings

from microasgi.django.mounted import asgi_application
from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp

__all__ = ["Visitor", "find_application"]

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SECRET_LENGTH = 32  # of Django's CSRF secrets


def find_application(application: ASGIApp | None) -> ASGIApp:
    """Return the application, or the project's own; ConfigurationError if it has none."""
    found = asgi_application() if application is None else application
    if found is None:
        raise ConfigurationError(
            'which application? Write ASGI_APPLICATION = "mysite.asgi.application" in the settings, or give it: '
            "DjangoTestClient(application)"
        )
    return cast(ASGIApp, found)


class Visitor:
    """A client of httpx that can be logged in, and that sends CSRF tokens unless they are what is tested."""

    enforce_csrf_checks: bool

    def build_request(self, method: str, url: Any, **options: Any) -> Any:
        """Build a request; one that changes something carries the token that a page would have given it."""
        if not self.enforce_csrf_checks and method.upper() not in _SAFE:
            options["headers"] = {**self._token_headers(), **dict(options.get("headers") or {})}
        return cast(Any, super()).build_request(method, url, **options)

    @property
    def _as_client(self) -> Any:
        return self

    @property
    def session(self) -> Any:
        """The session as it is stored: a store of settings.SESSION_ENGINE. What is changed in it has to be saved."""
        store = _store(self._cookie(settings.SESSION_COOKIE_NAME))
        if store.session_key is None:
            store.save()
            self._set_cookie(settings.SESSION_COOKIE_NAME, str(store.session_key), settings.SESSION_COOKIE_PATH)
        return store

    def _visit(self, credentials: dict[str, Any]) -> bool:
        from django.contrib.auth import authenticate

        user = authenticate(**credentials)
        if user is None:
            return False
        self._begin_session(user, cast(Any, user).backend)
        return True

    def _begin_session(self, user: Any, backend: str | None) -> None:
        from django.contrib.auth import login
        from django.http import HttpRequest
        from django.middleware.csrf import CSRF_SESSION_KEY

        request = HttpRequest()
        request.session = session = _store(self._cookie(settings.SESSION_COOKIE_NAME))
        login(request, user, backend or _first_backend())
        if settings.CSRF_USE_SESSIONS:
            session[CSRF_SESSION_KEY] = self._token()
        session.save()
        self._set_cookie(settings.SESSION_COOKIE_NAME, str(session.session_key), settings.SESSION_COOKIE_PATH)

    def _end_session(self) -> None:
        key = self._cookie(settings.SESSION_COOKIE_NAME)
        if key is not None:
            _store(key).flush()
        self._as_client.cookies.clear()

    def _token_headers(self) -> dict[str, str]:
        from django.http.request import HttpHeaders

        name = HttpHeaders.parse_header_name(settings.CSRF_HEADER_NAME) or "X-CSRFToken"
        headers = {name: self._token()}
        base = self._as_client.base_url
        if base.scheme == "https":
            headers["Referer"] = str(base)
        return headers

    def _token(self) -> str:
        """Return the CSRF secret, which counts as a token, and see to it that the cookie has it."""
        from django.utils.crypto import get_random_string

        token = self._cookie(settings.CSRF_COOKIE_NAME)
        if token is None:
            token = get_random_string(_SECRET_LENGTH)
            self._set_cookie(settings.CSRF_COOKIE_NAME, token, settings.CSRF_COOKIE_PATH)
        return token

    def _cookie(self, name: str) -> str | None:
        jar: list[Cookie] = list(self._as_client.cookies.jar)
        return next((cookie.value for cookie in jar if cookie.name == name), None)

    def _set_cookie(self, name: str, value: str, path: str) -> None:
        host: str = self._as_client.base_url.host
        # As the jar names what a server sets, so that the server's next one takes the place of this one.
        domain = host if "." in host else f"{host}.local"
        self._as_client.cookies.set(name, value, domain=domain, path=path)


def _store(key: str | None) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


def _first_backend() -> str:
    return str(settings.AUTHENTICATION_BACKENDS[0])
