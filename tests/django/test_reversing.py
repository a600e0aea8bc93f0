"""Links across: Django's from handlers, the mounted applications' from views and templates, below any path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client, override_settings
from django.urls import NoReverseMatch, get_script_prefix, path, re_path, set_script_prefix

from microasgi import MicroASGI, Mount, Request, WebSocket
from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge
from microasgi.django.reversing import reverse, url_path_for
from microasgi.django.site import Site
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.exceptions import NoMatchFound
from microasgi.testing import TestClient
from microasgi.types import ASGIApp
from tests.django.loaded import urls

HERE = __name__


def links(connection: Any) -> dict[str, str]:
    return {"admin": reverse(connection, "admin:index"), "user": reverse(connection, "admin:auth_user_change", [3])}


app = MicroASGI()


@app.get("/links")
async def links_of_async(request: Request) -> dict[str, str]:
    return links(request)


@app.get("/links-sync")
def links_of_sync(request: Request) -> dict[str, str]:
    return links(request)


@app.get("/items/{id:int}", name="item")
async def item(request: Request) -> dict[str, str]:
    return {"own": str(request.url_path_for("item", id=1))}


@app.websocket("/ws", name="live")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json(links(websocket))
    await websocket.close()


shop = MicroASGI()


@shop.get("/carts/{cart}", name="cart")
async def cart(request: Request, cart: str) -> dict[str, str]:
    return links(request)


around_app = MicroASGI()


@around_app.get("/top", name="top")
async def top(request: Request) -> dict[str, str]:
    return links(request)


def page(request: HttpRequest) -> HttpResponse:
    """Show what a template links to."""
    source = (
        '{% load microasgi %}{% microasgi_url "item" id=3 %} {% microasgi_url "cart" shop=2 cart="a&b" as c %}{{ c }}'
    )
    return HttpResponse(engines["django"].from_string(source).render({}, request))


def top_page(request: HttpRequest) -> HttpResponse:
    """Name a route of what is around the site."""
    return HttpResponse(url_path_for("top"))


urlpatterns = [
    *urls.urlpatterns,
    path("page/", page),
    path("top-page/", top_page),
    path("inside/", bridge(app)),
    path("shops/<int:shop>/", bridge(shop)),
    re_path(r"^odd/[a-z]+/", bridge(MicroASGI())),
]
_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """Return an ASGI application that settings name, made when Django is ready."""
    if name == "beside":
        return _made.setdefault(name, asgi({"/api": app}))
    if name == "around":
        around = MicroASGI(routes=[*around_app.routes, Mount("/old", app=Site())], middleware=[DjangoMiddleware])
        return _made.setdefault(name, around)
    raise AttributeError(name)


@pytest.fixture(autouse=True)
def site() -> Iterator[None]:
    templates = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "NAME": "django",
            "OPTIONS": {"libraries": {"microasgi": "microasgi.django.templatetags.microasgi"}},
        }
    ]
    with override_settings(ROOT_URLCONF=HERE, ASGI_APPLICATION=f"{HERE}.beside", TEMPLATES=templates):
        yield
    assert get_script_prefix() == "/"


def application(name: str) -> ASGIApp:
    return __getattr__(name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("root", ["", "/pre"])
@pytest.mark.parametrize("kind", ["links", "links-sync"])
def test_a_handler_beside_links_to_django_below_the_servers_path(root: str, kind: str) -> None:
    with TestClient(application("beside"), root_path=root) as client:
        assert client.get(f"{root}/api/{kind}").json() == {
            "admin": f"{root}/admin/",
            "user": f"{root}/admin/auth/user/3/change/",
        }


def test_a_socket_links_to_django() -> None:
    with TestClient(application("beside"), root_path="/pre") as client:
        with client.websocket_connect("/pre/api/ws") as ws:
            assert ws.receive_json()["admin"] == "/pre/admin/"


def test_a_handler_around_links_to_the_mounted_site() -> None:
    with TestClient(application("around")) as client:
        assert client.get("/top").json()["admin"] == "/old/admin/"


@pytest.mark.parametrize("kind", ["links", "links-sync"])
def test_a_handler_inside_links_to_django(kind: str) -> None:
    assert Client().get(f"/inside/{kind}").json()["admin"] == "/admin/"
    with TestClient(application("beside"), root_path="/pre") as client:
        assert client.get(f"/pre/inside/{kind}").json()["admin"] == "/pre/admin/"


def test_an_application_alone_links_below_its_own_path() -> None:
    with TestClient(app, root_path="/own") as client:
        assert client.get("/own/links").json()["admin"] == "/own/admin/"


@override_settings(FORCE_SCRIPT_NAME="/forced")
def test_a_forced_script_name_is_the_path() -> None:
    with TestClient(app) as client:
        assert client.get("/links").json()["admin"] == "/forced/admin/"


def test_a_name_that_is_not_there_is_djangos_error() -> None:
    with pytest.raises(NoReverseMatch):
        reverse(Request({"type": "http", "path": "/", "headers": []}), "nothing")


def test_django_links_to_an_application_beside() -> None:
    assert url_path_for("item", id=3) == "/api/items/3"
    assert url_path_for("live") == "/api/ws"


def test_django_links_to_the_application_that_is_meant() -> None:
    assert url_path_for("item", mounted_at="inside", id=3) == "/inside/items/3"


def test_parameters_of_the_urlconf_are_filled_in() -> None:
    assert url_path_for("cart", shop=2, cart="a b") == "/shops/2/carts/a%20b"


def test_django_links_below_its_own_path() -> None:
    set_script_prefix("/pre/")
    try:
        assert url_path_for("item", id=3) == "/pre/api/items/3"
    finally:
        set_script_prefix("/")


def test_a_template_links_to_applications_and_escapes() -> None:
    assert Client().get("/page/").content.decode() == "/api/items/3 /shops/2/carts/a&amp;b"
    with TestClient(application("beside"), root_path="/pre") as client:
        assert client.get("/pre/page/").text == "/pre/api/items/3 /pre/shops/2/carts/a&amp;b"


def test_a_mounted_site_links_to_what_is_around_it() -> None:
    with override_settings(ASGI_APPLICATION=f"{HERE}.around"):
        with TestClient(application("around"), root_path="/pre") as client:
            assert client.get("/pre/old/top-page/").text == "/pre/top"


@pytest.mark.parametrize(
    "name, params",
    [("nothing", {}), ("item", {}), ("item", {"id": "x"}), ("cart", {"cart": "a"}), ("item", {"mounted_at": "/no"})],
)
def test_a_route_that_is_not_there_is_told_with_the_places(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(NoMatchFound, match=r"mounted are: /api, /inside, /shops/<int:shop>"):
        url_path_for(name, **params)
