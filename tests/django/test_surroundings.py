"""DjangoMiddleware: what it puts around an application, where it leaves Django alone, and `reverse()` in all places."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import get_script_prefix, path, reverse
from django.views.decorators.csrf import csrf_exempt

from microasgi import MicroASGI, Middleware, Request, Router, WebSocket
from microasgi.concurrency import threads
from microasgi.django import surroundings
from microasgi.django.beside import asgi
from microasgi.django.hosts import HostsLayer
from microasgi.django.site import site
from microasgi.django.surroundings import DjangoMiddleware
from microasgi.exceptions import ConfigurationError
from microasgi.testing import TestClient
from microasgi.types import ASGIApp, Receive, Scope, Send

SURROUNDED: Any = Middleware(DjangoMiddleware)


@csrf_exempt
def hook(request: HttpRequest) -> HttpResponse:
    """Answer what needs no token, and is asked for with any cookies."""
    return HttpResponse("hooked")


urlpatterns = [path("hook/", hook, name="hook")]


def reversing(middleware: list[Any] | None = None) -> MicroASGI:
    app = MicroASGI(middleware=middleware)

    @app.get("/async")
    async def in_async(request: Request) -> str:
        return reverse("count")

    @app.get("/sync")
    def in_sync(request: Request) -> str:
        return reverse("count")

    @app.get("/hop")
    async def in_hop(request: Request) -> str:
        return await sync_to_async(reverse)("count")

    @app.websocket("/socket")
    async def in_socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(reverse("count"))

    return app


def ask(application: ASGIApp, prefix: str, root: str) -> set[str]:
    with TestClient(application, root_path=root) as client:
        found = {client.get(f"{prefix}/{place}").text for place in ("async", "sync", "hop")}
        with client.websocket_connect(f"{prefix}/socket") as socket:
            found.add(socket.receive_text())
    return found


@pytest.mark.parametrize("root", ["", "/pre"])
@pytest.mark.parametrize("middleware", [[], [SURROUNDED]], ids=["by-asgi", "by-hand-too"])
def test_beside_django_reverse_leads_to_the_site(root: str, middleware: list[Any]) -> None:
    assert ask(asgi({"/api": reversing(middleware)}), "/api", root) == {f"{root}/count/"}


@pytest.mark.parametrize("root", ["", "/pre"])
@pytest.mark.parametrize(("mount", "below"), [("/", ""), ("/sub", "/sub")])
def test_around_a_mounted_site_reverse_leads_to_it(root: str, mount: str, below: str) -> None:
    app = reversing([SURROUNDED])
    app.mount(mount, site())
    assert ask(app, "", root) == {f"{root}{below}/count/"}


def test_layers_around_a_mounted_site_do_not_hide_it() -> None:
    app = reversing([SURROUNDED])
    app.mount("/sub", HostsLayer(site()))
    assert ask(app, "", "") == {"/sub/count/"}


def test_in_an_application_mounted_beside_a_mounted_site_too() -> None:
    app = MicroASGI()
    app.mount("/inner", reversing([SURROUNDED]))
    app.mount("/sub", site())
    assert ask(app, "/inner", "") == {"/sub/count/"}


def test_the_sites_place_can_be_told() -> None:
    assert ask(reversing([Middleware(DjangoMiddleware, mount_root="/there")]), "", "/pre") == {"/pre/there/count/"}


def test_force_script_name_goes_before() -> None:
    with override_settings(FORCE_SCRIPT_NAME="/forced"):
        assert ask(asgi({"/api": reversing()}), "/api", "") == {"/forced/count/"}


@pytest.mark.parametrize("wrong", ["there", "/there/", "/"])
def test_a_place_that_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="mount_root is a path"):
        DjangoMiddleware(reversing(), mount_root=wrong)


@pytest.mark.anyio
async def test_the_prefix_ends_with_the_request() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(get_script_prefix())

    scope: Scope = {"type": "http", "method": "GET", "path": "/pre/x", "query_string": b"", "root_path": "/pre"}
    scope["headers"] = [(b"host", b"testserver")]
    await DjangoMiddleware(app)(scope, None, None)  # type: ignore[arg-type]
    assert (seen, get_script_prefix()) == (["/pre/"], "/")


def looking(middleware: list[Any] | None = None) -> MicroASGI:
    app = MicroASGI(middleware=middleware)

    @app.route("/who", methods=["GET", "POST"])
    async def who(request: Request) -> dict[str, Any]:
        user = await request.user()
        return {"user": user.get_username(), "has": [key for key in ("session", "user") if key in request.scope]}

    @app.get("/threads")
    async def where(request: Request) -> str:
        return threads.get().__name__

    return app


def test_all_parts_are_there_beside_django() -> None:
    with TestClient(asgi({"/api": looking()})) as client:
        assert client.get("/api/who").json() == {"user": "", "has": ["session", "user"]}
        assert client.get("/api/threads").text == "in_django_thread"
        assert client.get("/api/who", headers={"host": "evil.test"}).status_code == 400


def test_the_whole_middleware_is_run_where_that_is_wanted(logged_in: dict[str, str]) -> None:
    wanted: Any = Middleware(DjangoMiddleware, middleware="all")
    with TestClient(asgi({"/all": looking([wanted]), "/api": looking()}), cookies=logged_in) as client:
        assert client.get("/all/who").headers["x-frame-options"] == "DENY"
        assert client.get("/all/who").json()["user"] == "surrounded"
        assert "x-frame-options" not in client.get("/api/who").headers
    with pytest.raises(ConfigurationError, match='middleware is "all"'):
        DjangoMiddleware(looking(), middleware="some")  # type: ignore[arg-type]


def test_one_of_ones_own_counts_with_its_options() -> None:
    own = looking([Middleware(DjangoMiddleware, hosts=False, sessions=False)])
    with TestClient(asgi({"/api": own, "/wrapped": DjangoMiddleware(looking(), hosts=False)})) as client:
        assert client.get("/api/threads", headers={"host": "evil.test"}).status_code == 200
        assert client.get("/wrapped/threads", headers={"host": "evil.test"}).status_code == 200


def test_one_that_starlette_puts_around_its_application_counts_too() -> None:
    starlette: Any = pytest.importorskip("starlette.applications")
    middleware: Any = pytest.importorskip("starlette.middleware")
    own = starlette.Starlette(middleware=[middleware.Middleware(DjangoMiddleware, hosts=False)])
    own.mount("/", looking())
    with TestClient(asgi({"/api": own, "/all": starlette.Starlette()})) as client:
        assert client.get("/api/threads", headers={"host": "evil.test"}).status_code == 200
        assert client.get("/all/threads", headers={"host": "evil.test"}).status_code == 400


def test_of_two_the_inner_one_adds_what_the_outer_one_left_out_and_nothing_else() -> None:
    seen: list[str] = []

    def noting(name: str, layer: Any) -> Any:
        class Noting(layer):  # type: ignore[misc]
            async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
                seen.append(name)
                await super().__call__(scope, receive, send)

        return Noting

    layers = tuple((name, noting(name, layer)) for name, layer in surroundings._LAYERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "_LAYERS", layers)
        twice = DjangoMiddleware(DjangoMiddleware(looking()), csrf=False)
        thrice = DjangoMiddleware(twice, hosts=False, csrf=False)
        client = TestClient(thrice)
        assert client.get("/who").status_code == 200
        seen.clear()
        assert client.get("/who").status_code == 200
        client.close()
    assert seen == ["threads", "sessions", "hosts", "csrf"]


@pytest.fixture
def logged_in() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    user = User.objects.create_user("surrounded", password="secret")
    browser = Client()
    browser.force_login(user)
    yield {"sessionid": browser.cookies["sessionid"].value}
    browser.logout()
    user.delete()


@pytest.mark.parametrize("mount", ["/", "/sub"])
def test_a_mounted_site_is_left_alone(mount: str, logged_in: dict[str, str]) -> None:
    app = looking([SURROUNDED])
    app.mount(mount, site())
    below = mount.rstrip("/")
    with override_settings(ROOT_URLCONF=__name__), TestClient(app, cookies=logged_in) as client:
        assert client.post(f"{below}/hook/").text == "hooked"  # its own view says that it needs no token
        assert client.post("/who").status_code == 403
        assert client.get("/who").json()["user"] == "surrounded"


@pytest.mark.parametrize("mount", ["/", "/sub"])
@pytest.mark.parametrize("host_first", [True, False], ids=["host first", "site first"])
def test_an_application_of_a_host_has_all_parts_although_a_site_is_mounted_at_its_path(
    mount: str, host_first: bool
) -> None:
    app = MicroASGI(middleware=[SURROUNDED])
    inner = looking()
    inner.mount("/sub", looking())
    adding: list[Any] = [lambda: app.host("testserver", inner), lambda: app.mount(mount, site())]
    for add in adding if host_first else reversed(adding):
        add()
    with TestClient(app) as client:
        assert client.get("/who").json()["has"] == ["session", "user"]
        assert client.get("/sub/who").json()["has"] == ["session", "user"]
        assert client.get(f"{mount.rstrip('/')}/count/", headers={"host": "localhost"}).status_code == 200
        assert client.get("/who", headers={"host": "evil.example"}).status_code in (400, 404)


def test_a_site_at_a_host_is_left_alone() -> None:
    app = MicroASGI(middleware=[SURROUNDED])
    app.host("localhost", site())
    app.mount("/", looking())
    with override_settings(ROOT_URLCONF=__name__), TestClient(app) as client:
        answer = client.post("/hook/", headers={"host": "localhost", "cookie": "sessionid=x"})
        assert answer.text == "hooked"
        assert client.get("/who").json()["has"] == ["session", "user"]


def test_around_a_router_that_is_included_it_is_for_its_routes() -> None:
    app, router = MicroASGI(), Router()

    @router.get("/who")
    async def who(request: Request) -> str:
        return str("user" in request.scope)

    @app.get("/bare")
    async def bare(request: Request) -> str:
        return str("user" in request.scope)

    app.include(router, "/in", middleware=[DjangoMiddleware])
    app.mount("/", site())
    with TestClient(app) as client:
        assert (client.get("/in/who").text, client.get("/bare").text) == ("True", "False")
        assert client.get("/").text == "django"


def test_inside_djangos_urlconf_it_does_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "it has no lifespan"
        assert "session" not in scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def inside(app: ASGIApp) -> ASGIApp:
        async def bridged(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "django.request": object()}, receive, send)

        return bridged

    with TestClient(inside(DjangoMiddleware(app))) as client:
        assert client.get("/", headers={"host": "evil.test"}).status_code == 200
