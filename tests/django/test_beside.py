"""Applications beside a Django site: whose a request is, what it finds, and what is refused at set-up."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from microasgi import MicroASGI, Request, WebSocket
from microasgi.django.beside import Beside, asgi
from microasgi.django.site import Site
from microasgi.exceptions import ConfigurationError, NoMatchFound
from microasgi.testing import TestClient, WebSocketDenialResponse
from microasgi.types import ASGIApp, Receive, Scope, Send


def named(name: str) -> MicroASGI:
    app = MicroASGI()

    @app.get("/{rest:path}", name="all")
    async def where(request: Request) -> dict[str, Any]:
        return {
            "app": name,
            "root": request.scope["root_path"],
            "path": request.scope["path"],
            "rest": request.path_params["rest"],
            "url": str(request.url_for("all", rest="x")),
            "base": str(request.base_url),
        }

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(f"{name}: {await websocket.receive_text()}")

    return app


def client(apps: dict[str, Any], **options: Any) -> TestClient:
    return TestClient(asgi(apps), **options)


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/notes"])
def test_the_prefix_and_what_is_below_it_are_the_applications(path: str) -> None:
    with client({"/api": named("api")}) as http:
        assert http.get(path).json()["app"] == "api"


@pytest.mark.parametrize("path", ["/apix", "/", "/ap", "/x/api", "//api", "/API/x", "/%61pi%2fx/../y", "/api%00"])
def test_everything_else_is_djangos(path: str) -> None:
    with client({"/api": named("api")}) as http:
        response = http.get(path)
        assert response.headers["x-frame-options"] == "DENY"  # Django's middleware


def test_of_nested_prefixes_the_longest_wins() -> None:
    with client({"/api": named("outer"), "/api/v2": named("inner")}) as http:
        assert http.get("/api/v2/x").json()["app"] == "inner"
        assert http.get("/api/v2x").json()["app"] == "outer"


def test_an_application_finds_its_prefix_in_the_root_path() -> None:
    with client({"/api": named("api")}) as http:
        assert http.get("/api/a%20b").json() == {
            "app": "api",
            "root": "/api",
            "path": "/api/a b",
            "rest": "a b",
            "url": "http://testserver/api/x",
            "base": "http://testserver/api/",
        }


@pytest.mark.parametrize("path", ["/api/x", "/pre/api/x"])
def test_below_a_servers_root_path_both_forms_of_the_path_are_understood(path: str) -> None:
    with client({"/api": named("api")}, root_path="/pre") as http:
        found = http.get(path).json()
        assert (found["root"], found["path"], found["rest"]) == ("/pre/api", "/pre/api/x", "x")
        assert found["url"] == "http://testserver/pre/api/x"
        assert http.get("/whoami/").json() == {"user": "AnonymousUser", "path": "/pre/whoami/", "script": "/pre"}


@pytest.mark.parametrize(("root", "script"), [("/", ""), ("/pre/", "/pre")])
def test_a_root_path_with_a_slash_at_its_end_means_the_same(root: str, script: str) -> None:
    with client({"/api": named("api")}, root_path=root) as http:
        assert http.get(f"{script}/api/x").json()["root"] == f"{script}/api"
        assert http.get(f"{script}/whoami/").json() == {
            "user": "AnonymousUser",
            "path": f"{script}/whoami/",
            "script": script,
        }


def test_force_script_name_stands_for_a_root_path() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/forced"), client({"/api": named("api")}) as http:
        assert http.get("/api/x").json()["root"] == "/forced/api"
        assert http.get("/forced/api/x").json()["rest"] == "x"
        assert http.get("/whoami/").json()["path"] == "/forced/whoami/"


def test_a_mount_inside_an_application_makes_right_urls() -> None:
    app, inner = MicroASGI(), MicroASGI()

    @app.get("/top", name="top")
    @inner.get("/deep", name="deep")
    async def urls(request: Request) -> list[str]:
        return [request.url_path_for("top"), request.url_path_for("deep")]

    app.mount("/in", inner)
    with client({"/api": app}, root_path="/pre") as http:
        assert http.get("/api/in/deep").json() == ["/pre/api/top", "/pre/api/in/deep"]


def test_the_whole_knows_the_names_of_its_applications() -> None:
    application = asgi({"/api": named("api"), "/foreign": _foreign})
    assert isinstance(application, Beside)
    assert application.url_path_for("all", rest="x") == "/api/x"
    with pytest.raises(NoMatchFound):
        application.url_path_for("none")


def test_a_socket_goes_to_its_application() -> None:
    with client({"/live": named("live")}) as http, http.websocket_connect("/live/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "live: hello"


def test_a_socket_outside_of_all_applications_is_denied_with_404() -> None:
    with client({"/live": named("live")}) as http, pytest.raises(WebSocketDenialResponse) as denied:
        http.websocket_connect("/elsewhere").__enter__()
    assert denied.value.status_code == 404


async def _foreign(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http", "it has no lifespan"
    body = f"{scope['root_path']} {scope['path']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def test_an_application_of_any_kind_will_do() -> None:
    with client({"/foreign": _foreign}) as http:
        assert http.get("/foreign/x").text == "/foreign /foreign/x"


def test_the_sites_own_application_can_be_handed_in() -> None:
    with TestClient(asgi({}, django=_foreign)) as http:
        assert http.get("/x").text == " /x"


MODULE = """
from tests.django.project.notes.models import Note
from microasgi import MicroASGI
app = MicroASGI()
class v1:
    app = app
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "beside_shop.py").write_text(MODULE)
    (tmp_path / "beside_broken.py").write_text("import no_such_module_at_all")
    monkeypatch.syspath_prepend(tmp_path)
    yield "beside_shop"
    sys.modules.pop("beside_shop", None)


def test_an_application_is_imported_by_its_name(shop: str) -> None:
    application = asgi({"/api": f"{shop}:app", "/v1": f"{shop}:v1.app"})
    assert isinstance(application, Beside)
    assert application.apps["/api"] is sys.modules[shop].app
    assert application.apps["/v1"] is sys.modules[shop].app


@pytest.mark.parametrize(
    ("apps", "teaches"),
    [
        ({"api": _foreign}, r"write '/api', not 'api'"),
        ({"": _foreign}, r"begins with a slash"),
        ({"/": _foreign}, r'app.mount\("/", microasgi.django.site\(\)\)'),
        ({"/a//b": _foreign}, r"plain text"),
        ({"/{tenant}": _foreign}, r"plain text such as '/api', without parameters"),
        ({"/api": _foreign, "/api/": _foreign}, r"two applications stand at '/api'"),
        ({"/api": None}, r"None, which cannot be called"),
        ({"/api": "beside_shop"}, r"'package.module:name', not 'beside_shop'"),
        ({"/api": "beside_shop:ap"}, r"'beside_shop' has no 'ap', .*did you mean 'app'"),
        ({"/api": "beside_shop:v1.nothing"}, r"has no 'nothing'"),
        ({"/api": "no_such_shop:app"}, r"'no_such_shop'.*at '/api', cannot be imported: No module named"),
        ({"/api": "beside_broken:app"}, r"cannot be imported: No module named 'no_such_module_at_all'"),
    ],
)
def test_what_cannot_work_is_said_at_set_up(shop: str, apps: dict[str, Any], teaches: str) -> None:
    with pytest.raises(ConfigurationError, match=teaches):
        asgi(apps)


def test_no_static_files_without_their_application() -> None:
    with (
        override_settings(INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"]),
        pytest.raises(ConfigurationError, match="django.contrib.staticfiles"),
    ):
        asgi({}, static=True)


@pytest.mark.parametrize(
    ("debug", "static", "status"), [(False, None, 404), (True, None, 200), (False, True, 200), (True, False, 404)]
)
def test_static_files_are_served_with_debug_or_as_told(debug: bool, static: bool | None, status: int) -> None:
    with override_settings(DEBUG=debug), TestClient(asgi({}, static=static)) as http:
        response = http.get("/static/admin/css/base.css")
        assert response.status_code == status


def test_a_relative_static_url_stands_below_the_root_path() -> None:
    with (
        override_settings(STATIC_URL="static/"),
        TestClient(asgi({}, static=True), root_path="/pre") as http,
    ):
        assert http.get("/static/admin/css/base.css").status_code == 200


def test_the_site_may_not_be_asked_for_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'other' is no ASGI scope"):
        _run(Site(_foreign), {"type": "other"})


def _run(app: ASGIApp, scope: Scope) -> None:
    async def receive() -> Any: ...

    async def send(message: Any) -> None: ...

    app(scope, receive, send).__await__().send(None)
