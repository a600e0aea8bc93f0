"""The project's own pages: what a Django site has."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from tests.django.project.notes.models import Note


def home(request: HttpRequest) -> HttpResponse:
    """Say hello."""
    return HttpResponse("django")


def count(request: HttpRequest) -> HttpResponse:
    """Count the notes."""
    return JsonResponse({"count": Note.objects.count()})


def whoami(request: HttpRequest) -> HttpResponse:
    """Name the user, and what the server said of the request."""
    return JsonResponse(
        {"user": str(request.user), "path": request.path, "script": request.META.get("SCRIPT_NAME", "")}
    )


@csrf_exempt
def echo(request: HttpRequest) -> HttpResponse:
    """Send the body back."""
    return HttpResponse(request.body, content_type=request.content_type)


urlpatterns = [
    path("", home, name="home"),
    path("count/", count, name="count"),
    path("whoami/", whoami, name="whoami"),
    path("echo/", echo, name="echo"),
    path("admin/", admin.site.urls),
]
