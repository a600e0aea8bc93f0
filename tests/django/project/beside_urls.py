"""The project's pages, and one that takes its time."""

from __future__ import annotations

import time

from django.http import HttpRequest, HttpResponse
from django.urls import path

from tests.django.project.urls import urlpatterns as ordinary


def slow(request: HttpRequest) -> HttpResponse:
    """Answer after a while."""
    time.sleep(0.5)
    return HttpResponse("slow")


urlpatterns = [*ordinary, path("slow/", slow)]
