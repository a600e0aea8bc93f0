"""A URLconf with bridges in it."""

from __future__ import annotations

from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, JsonResponse
from django.urls import include, path

from microasgi.django.bridge import bridge
from tests.django.project import bridged
from tests.django.project.urls import urlpatterns as own


async def plain(request: HttpRequest) -> JsonResponse:
    """What a bridge is compared with."""
    return JsonResponse({"at": "/api"})


urlpatterns = [
    *own,
    path("plain/", plain),
    path("api/", bridge("tests.django.project.bridged:app", name="api")),
    path("no-slash", bridge(bridged.app)),
    path("unguarded/", bridge(bridged.app, csrf=False)),
    path("guarded/", bridge(bridged.app, csrf="django")),
    path("silent/", bridge(bridged.silent_app)),
    path("starting/", bridge(bridged.starting)),
    path("not-started/", bridge(bridged.not_started)),
    path("both/", bridge(bridged.both)),
    path("surrounded/", bridge(bridged.surrounded)),
    path("page/", bridge(bridged.page_then_raise)),
    path("confused/", bridge(bridged.confused)),
    path("receiver/", bridge(bridged.receiver)),
    path("deep/", include([path("<slug:tenant>/<int:year>/api/", bridge(bridged.app, name="deep"))])),
    *i18n_patterns(path("told/", bridge(bridged.app))),
]
