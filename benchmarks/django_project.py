"""One Django project with the same work done in six ways: `django_sites.py` serves it and asks for each.

The work is one read by the ORM and a small answer in JSON. The middleware is that of `django-admin startproject`.
"""

import os
from typing import Any

from django.conf import settings

settings.configure(
    SECRET_KEY="a key for a benchmark, nobody's secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_project",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["BENCHMARK_DATABASE"],
            "CONN_MAX_AGE": int(os.environ.get("BENCHMARK_CONN_MAX_AGE", "0")),
            "OPTIONS": {"timeout": 20},
        }
    },
    USE_TZ=True,
)

import django  # noqa: E402

django.setup()

from django.contrib.auth.models import Group  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI  # noqa: E402

from microasgi import MicroASGI  # noqa: E402
from microasgi.django import asgi, bridge  # noqa: E402

NUMBER = 7


def make_database() -> None:
    """Make the tables and the rows that are read."""
    call_command("migrate", verbosity=0)
    Group.objects.bulk_create(Group(pk=number, name=f"group {number}") for number in range(1, 100))


def as_json(group: Group) -> dict[str, Any]:
    """The answer of all six."""
    return {"id": group.pk, "name": group.name}


def view(request: HttpRequest, number: int) -> JsonResponse:
    """Django, sync."""
    return JsonResponse(as_json(Group.objects.get(pk=number)))


async def async_view(request: HttpRequest, number: int) -> JsonResponse:
    """Django, async."""
    return JsonResponse(as_json(await Group.objects.aget(pk=number)))


ninja = NinjaAPI(docs_url=None)


@ninja.get("/sync/{number}")
def ninja_view(request: HttpRequest, number: int) -> dict[str, Any]:
    """Django Ninja, sync."""
    return as_json(Group.objects.get(pk=number))


@ninja.get("/async/{number}")
async def ninja_async_view(request: HttpRequest, number: int) -> dict[str, Any]:
    """Django Ninja, async."""
    return as_json(await Group.objects.aget(pk=number))


app = MicroASGI()


@app.get("/sync/{number:int}")
def handler(number: int) -> dict[str, Any]:
    """microasgi, sync."""
    return as_json(Group.objects.get(pk=number))


@app.get("/async/{number:int}")
async def async_handler(number: int) -> dict[str, Any]:
    """microasgi, async."""
    return as_json(await Group.objects.aget(pk=number))


urlpatterns = [
    path("django/sync/<int:number>", view),
    path("django/async/<int:number>", async_view),
    path("ninja/", ninja.urls),
    path("inside/", bridge(app)),
]
application = asgi({"/beside": app})
