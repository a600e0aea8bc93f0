"""A project's own page for requests without a token."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden


def own_page(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Say why."""
    return HttpResponseForbidden(f"own: {reason}")
