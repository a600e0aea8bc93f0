"""Middleware of a project: what handshakes and requests beside Django go through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.utils.decorators import sync_only_middleware


@sync_only_middleware
def maintenance(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Answer in place of the site, in sync code."""

    def answer(request: HttpRequest) -> Any:
        if request.headers.get("X-Closed") == "stream":
            return StreamingHttpResponse([b"closed ", b"today"], status=503)
        if "X-Closed" in request.headers:
            response = HttpResponse("closed", status=503, headers={"Retry-After": "60"})
            response.set_cookie("seen", "1")
            return response
        if "X-Broken" in request.headers:
            raise RuntimeError("a secret of the inside")
        passed = get_response(request)
        passed.headers["X-Project"] = "shop"
        passed.set_cookie("visited", "1")
        return passed

    return answer


class TokenUsers:
    """Know users by a header."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        from django.contrib.auth import get_user_model

        name = request.headers.get("X-User")
        if name:
            request.user = get_user_model()(username=name)
        return self.get_response(request)


class Entered:
    """Look at the view that is to answer, as toolbars and access rules do."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        match: Any = request.resolver_match
        if request.headers.get("X-Barred") == "page":
            return TemplateResponse(request, engines["django"].from_string("{{ 1 }} page"), status=403)
        if "X-Barred" in request.headers:
            return HttpResponse(f"barred from {match.view_name}", status=403)
        request.META["entered"] = (view is match.func, args, kwargs, match.route)
        return None
