"""The bridge: an ASGI application in a Django URLconf, with Django's whole middleware chain around it.

Law: Django answers for the request, and the application for what is below the path. What either of them says about
the other's errors, cookies, bodies and cancellations gets there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, TypeAlias, cast

from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, re_path
from django.views.decorators.csrf import csrf_exempt

from microasgi.concurrency import current_loop
from microasgi.django.bridged_body import RequestBody
from microasgi.django.bridged_csrf import refuse_forgery
from microasgi.django.bridged_exchange import Exchange
from microasgi.django.bridged_response import Chunks, make_response
from microasgi.django.bridged_scope import bridged_scope, is_wsgi
from microasgi.django.bridged_wsgi import answer_wsgi
from microasgi.django.named import load_app
from microasgi.django.threads import ThreadsLayer
from microasgi.exceptions import ConfigurationError
from microasgi.routes import Mount
from microasgi.routing import Router
from microasgi.types import ASGIApp

__all__ = ["Bridge", "bridge"]

Included: TypeAlias = tuple[list[URLPattern | URLResolver], str | None, str | None]
View: TypeAlias = Callable[..., Awaitable[HttpResponseBase]]


def bridge(app: ASGIApp | str, *, name: str | None = None, csrf: bool | Literal["django"] = True) -> Included:
    """Return what `path()` takes for an application, in a URLconf: `path("api/", bridge("shop.api:app"))`.

    Everything below the path goes to the application, an ASGI application or "package.module:attribute". `name` is
    a namespace: `reverse("name:root")` is the path itself, `reverse("name:path", kwargs={"path": "items/1"})` one
    below it. `csrf=True` asks for Django's token where an unsafe request brings the session's cookie, `False` never,
    "django" leaves it to the project's CsrfViewMiddleware, for every unsafe request. ConfigurationError if there is
    no such application.
    """
    if csrf not in (True, False, "django"):
        raise ConfigurationError(f'bridge(csrf=...) is True, False or "django", not {csrf!r}')
    view = _as_view(Bridge(load_app(app, "the application of bridge()"), csrf is True), csrf == "django")
    names = ("root", "path") if name else (None, None)
    patterns: list[URLPattern | URLResolver] = [
        # The path is given here too: parameters before the bridge must not be taken for it.
        re_path(r"^\Z", cast(Any, view), {"path": ""}, name=names[0]),
        re_path(r"^(?P<path>[\s\S]+)\Z", cast(Any, view), name=names[1]),
    ]
    return patterns, name, name


class Bridge:
    """An application behind a view. Its lifespan starts before its first answer, once for each event loop."""

    def __init__(self, app: ASGIApp, checks_csrf: bool) -> None:
        self.app = app
        self._checks_csrf = checks_csrf
        # A router starts by itself where no server asks for it; it does so for another application too.
        self._router: Any = app if isinstance(app, Router) else Router([Mount("/", app)])
        self._served = ThreadsLayer(self._router)

    async def answer(self, request: HttpRequest, path: str = "", **params: Any) -> HttpResponseBase:
        """Answer a request for `path` below the bridge; raise what the application raises."""
        if self._checks_csrf:
            refusal = await refuse_forgery(request)
            if refusal is not None:
                return refusal
        scope = bridged_scope(request, path, params)
        if not self._is_run_by_server():
            scope.pop("state", None)  # of other applications: this one has the state that its own lifespan yields
        if is_wsgi(request):
            return await sync_to_async(partial(answer_wsgi, self._served))(scope, request)
        exchange = Exchange(self._served, scope, RequestBody(request))
        try:
            await exchange.begin()
            return make_response(exchange, Chunks(exchange) if exchange.streams else None)
        except BaseException:
            await exchange.cancel()
            raise

    def _is_run_by_server(self) -> bool:
        """Tell whether the application stands beside Django as well, so that its lifespan runs there."""
        return self._router._running.get(current_loop(), self) is None


def _as_view(bridge: Bridge, is_guarded: bool) -> View:
    async def view(request: HttpRequest, path: str = "", **params: Any) -> HttpResponseBase:
        return await bridge.answer(request, path, **params)

    result: Any = view if is_guarded else csrf_exempt(view)
    for alias in connections:  # ATOMIC_REQUESTS knows no async views, and would keep a transaction open while streaming
        result = transaction.non_atomic_requests(using=alias)(result)
    result.bridge = bridge
    return cast(View, result)
