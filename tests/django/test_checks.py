"""The system checks: each finds its mistake, says what to write, and says nothing of a project without it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.checks.registry import registry
from django.test import override_settings
from django.urls import include, path

from microasgi import MicroASGI, Middleware, Mount, WebSocket
from microasgi.django import checks
from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge
from microasgi.django.mounted import Mounted, mounted_apps
from microasgi.django.site import Site
from microasgi.django.surroundings import DjangoMiddleware
from tests.django.loaded import urls

app = MicroASGI()
with_sockets = MicroASGI()


@with_sockets.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


with_all = MicroASGI(middleware=[Middleware(DjangoMiddleware, middleware="all")])
mounts_sockets = MicroASGI(routes=[Mount("/inner", app=with_sockets)])

urlpatterns = [
    *urls.urlpatterns,
    path("api/", bridge(app)),
    path("deep/<int:shop>/", include([path("live/", bridge(mounts_sockets))])),
]

_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """Return an ASGI application that settings name, made when Django is ready."""
    makers: dict[str, Any] = {
        "beside": lambda: asgi({"/live": mounts_sockets}),
        "beside_all": lambda: asgi({"/live": with_all}),
        "beside_wrapped": lambda: Layer(asgi({"/live": mounts_sockets})),
        "around": lambda: MicroASGI(routes=[Mount("/old", app=Site()), Mount("/", app=app)]),
        "around_root": lambda: MicroASGI(routes=[Mount("/", app=Site())]),
    }
    if name not in makers:
        raise AttributeError(name)
    return _made.setdefault(name, makers[name]())


class Layer:
    def __init__(self, app: Any) -> None:
        self.app = app


HERE = __name__
BESIDE: dict[str, Any] = {"ASGI_APPLICATION": f"{HERE}.beside"}
INSIDE: dict[str, Any] = {"ROOT_URLCONF": HERE}
AROUND: dict[str, Any] = {"ASGI_APPLICATION": f"{HERE}.around"}


@pytest.fixture(autouse=True)
def command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of `manage.py check`."""
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])


def found(deploy: bool = False, **settings: Any) -> dict[str, str]:
    """Return the ids that a project with these settings gets, each with its text and hint."""
    with override_settings(**settings):
        messages = [
            message
            for check, is_for_deployment in checks.CHECKS
            if deploy or not is_for_deployment
            for message in check()
        ]
    assert all(
        (message.hint and message.msg.endswith((".", "404."))) or message.id == "microasgi.E003" for message in messages
    )
    return {str(message.id).removeprefix("microasgi."): f"{message.msg} {message.hint}" for message in messages}


@pytest.mark.parametrize("settings", [{}, BESIDE, {"ASGI_APPLICATION": f"{HERE}.around_root"}])
def test_a_project_without_mistakes_gets_nothing(settings: dict[str, Any]) -> None:
    assert found(deploy=True, **settings) == {}


def test_the_checks_run_with_the_projects() -> None:
    from microasgi.django.apps import MicroasgiConfig

    before = set(registry.registered_checks), set(registry.deployment_checks)
    MicroasgiConfig("microasgi.django", sys.modules["microasgi.django"]).ready()
    try:
        with override_settings(MICROASGI={"THREAD": 8}):
            assert [message.id for message in run_checks(tags=[checks.TAG])] == ["microasgi.E001"]
    finally:
        registry.registered_checks, registry.deployment_checks = before


class TestSetting:
    def test_a_wrong_name_is_told_with_the_right_ones(self) -> None:
        assert found(MICROASGI={"THREAD": 8}) == {"E001": "settings.MICROASGI has no 'THREAD'. It has LANES, THREADS."}

    def test_what_is_no_mapping_is_told(self) -> None:
        assert "is a list, not a dict" in found(MICROASGI=["THREADS"])["E001"]

    @pytest.mark.parametrize("value", [0, -1, True, "8", 1.5, None])
    def test_what_is_no_number_of_threads_is_told(self, value: object) -> None:
        assert f"is {value!r}, which is no number" in found(MICROASGI={"THREADS": value})["E002"]

    def test_numbers_are_right(self) -> None:
        assert found(MICROASGI={"THREADS": 1, "LANES": 20}) == {}


def test_an_application_that_cannot_be_imported_is_told() -> None:
    text = found(ASGI_APPLICATION="mysite.nowhere.application")["E003"]
    assert "'mysite.nowhere.application', cannot be imported: No module named 'mysite'" in text


class TestRunserver:
    @pytest.fixture(autouse=True)
    def command(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["manage.py", "runserver", "8001"])

    @pytest.mark.parametrize("settings", [BESIDE, AROUND, {"ASGI_APPLICATION": f"{HERE}.beside_wrapped"}])
    def test_applications_that_it_does_not_serve_are_told(self, settings: dict[str, Any]) -> None:
        text = found(**settings)["W001"]
        assert "runserver speaks WSGI" in text
        assert "manage.py microasgi run" in text

    def test_applications_inside_the_urlconf_are_served(self) -> None:
        assert "W001" not in found(**INSIDE)

    def test_the_runserver_of_daphne_speaks_asgi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks.apps, "is_installed", lambda name: name == "daphne")
        assert "W001" not in found(**BESIDE)


class TestSockets:
    def test_sockets_inside_the_urlconf_are_told(self) -> None:
        text = found(**INSIDE)["W002"]
        assert "The application at '/deep/<int:shop>/live' has websockets" in text

    def test_an_application_that_stands_beside_too_is_reached(self) -> None:
        assert "W002" not in found(**INSIDE, **BESIDE)


class TestDeployment:
    def test_any_host_is_told(self) -> None:
        assert "any page whose name leads here" in found(deploy=True, ALLOWED_HOSTS=["*"], **BESIDE)["W003"]

    def test_any_host_is_djangos_affair_without_applications(self) -> None:
        assert found(deploy=True, ALLOWED_HOSTS=["*"]) == {}

    def test_any_host_is_right_on_this_machine(self) -> None:
        assert found(ALLOWED_HOSTS=["*"], **BESIDE) == {}


class TestStaticURL:
    def test_a_relative_one_is_told_for_a_site_below_a_path(self) -> None:
        text = found(STATIC_URL="static/", **AROUND)["W004"]
        assert "STATIC_URL = '/old/static/'" in text

    @pytest.mark.parametrize("url", ["/old/static/", "https://cdn.example/"])
    def test_an_absolute_one_is_right(self, url: str) -> None:
        assert "W004" not in found(STATIC_URL=url, **AROUND)

    def test_it_is_right_with_a_script_name(self) -> None:
        assert "W004" not in found(STATIC_URL="static/", FORCE_SCRIPT_NAME="/old", **AROUND)

    def test_it_is_right_at_the_root(self) -> None:
        assert "W004" not in found(STATIC_URL="static/", ASGI_APPLICATION=f"{HERE}.around_root")
        assert "W004" not in found(STATIC_URL="static/", **BESIDE)


class TestDatabases:
    def databases(self, **options: Any) -> dict[str, Any]:
        return {"DATABASES": {"default": {"ENGINE": "django.db.backends.dummy", **options}}}

    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    def test_atomic_requests_are_told(self) -> None:
        text = found(**self.databases(ATOMIC_REQUESTS=True), **BESIDE)["W005"]
        assert "'default'" in text
        assert "@atomic" in text

    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    def test_atomic_requests_are_right_without_applications(self) -> None:
        assert found(**self.databases(ATOMIC_REQUESTS=True)) == {}

    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    @pytest.mark.parametrize("pool, size", [(True, 4), ({"min_size": 2, "max_size": 11}, 11), ({"min_size": 3}, 3)])
    def test_a_small_pool_is_told(self, pool: Any, size: int) -> None:
        text = found(**self.databases(OPTIONS={"pool": pool}), **BESIDE)["W006"]
        assert f"has {size} connections, and 12 threads want one" in text

    @pytest.mark.filterwarnings("ignore:Overriding setting DATABASES")
    def test_a_pool_for_all_threads_is_right(self) -> None:
        assert "W006" not in found(**self.databases(OPTIONS={"pool": {"max_size": 12}}), **BESIDE)
        fewer = {"MICROASGI": {"THREADS": 3, "LANES": 1}}
        assert "W006" not in found(**self.databases(OPTIONS={"pool": True}), **BESIDE, **fewer)


class TestASiteThatWantsALogin:
    middleware = ("django.contrib.auth.middleware.LoginRequiredMiddleware",)

    def test_an_application_that_it_does_not_guard_is_told(self) -> None:
        text = found(MIDDLEWARE=[*settings.MIDDLEWARE, *self.middleware], **BESIDE)["W007"]
        assert "'/live'" in text
        assert 'middleware="all"' in text

    def test_an_application_with_the_whole_middleware_is_right(self) -> None:
        found_there = found(MIDDLEWARE=[*settings.MIDDLEWARE, *self.middleware], ASGI_APPLICATION=f"{HERE}.beside_all")
        assert "W007" not in found_there


def test_applications_are_found_where_the_project_says_it() -> None:
    with override_settings(**BESIDE, **INSIDE):
        assert mounted_apps() == [
            Mounted("/live", mounts_sockets, "beside"),
            Mounted("/api", app, "inside"),
            Mounted("/deep/<int:shop>/live", mounts_sockets, "inside"),
        ]
    with override_settings(**AROUND):
        assert [(one.prefix, one.way) for one in mounted_apps()] == [("", "around")]
