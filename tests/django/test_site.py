"""A Django site mounted in an application: http is Django's, everything else is answered for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path, reverse
from django.views.generic import RedirectView

from microasgi import MicroASGI, Request
from microasgi.django.beside import asgi
from microasgi.django.site import site
from microasgi.exceptions import ConfigurationError
from microasgi.testing import TestClient, WebSocketDenialResponse, request
from microasgi.types import ASGIApp
from tests.conformance.servers import ROOT
from tests.strict_server import StrictServer, chunk, http_disconnect, http_scope


def look(request: HttpRequest) -> HttpResponse:
    scope: Any = request.scope  # type: ignore[attr-defined]
    return JsonResponse(
        {
            "state": scope["state"].get("shared"),
            "path": request.path,
            "info": request.path_info,
            "look": reverse("look"),
            "absolute": request.build_absolute_uri(),
        }
    )


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    return StreamingHttpResponse(parts())


def cookies(request: HttpRequest) -> HttpResponse:
    response = HttpResponse("two")
    response.set_cookie("first", "1")
    response.set_cookie("second", "2")
    return response


def fail(request: HttpRequest) -> HttpResponse:
    raise LookupError("a view's own mistake")


async def wait(request: HttpRequest) -> HttpResponse:
    LOG.append("waits")
    try:
        await anyio.sleep(10)
    except BaseException as error:
        LOG.append(type(error).__name__)
        raise
    return HttpResponse("never")


LOG: list[str] = []
urlpatterns = [
    path("wait/", wait),
    path("look/", look, name="look"),
    path("away/", RedirectView.as_view(pattern_name="look"), name="away"),
    path("echo/", echo),
    path("stream/", stream),
    path("cookies/", cookies),
    path("fail/", fail),
]
pytestmark = pytest.mark.usefixtures("urls")


@pytest.fixture
def urls() -> Any:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def around(prefix: str, **options: Any) -> MicroASGI:
    app = MicroASGI()

    @app.lifespan
    async def life() -> AsyncIterator[dict[str, Any]]:
        yield {"shared": "from the lifespan"}

    @app.get("/own")
    async def own(request: Request) -> str:
        return "own"

    app.mount(prefix, site(**options))
    return app


@pytest.mark.parametrize(("prefix", "below"), [("/", ""), ("/sub", "/sub")])
@pytest.mark.parametrize("root", ["", "/pre"])
def test_views_know_where_they_are_and_what_the_lifespan_yielded(prefix: str, below: str, root: str) -> None:
    with TestClient(around(prefix), root_path=root) as client:
        assert client.get("/own").text == "own"
        assert client.get(f"{below}/look/").json() == {
            "state": "from the lifespan",
            "path": f"{root}{below}/look/",
            "info": "/look/",
            "look": f"{root}{below}/look/",
            "absolute": f"http://testserver{root}{below}/look/",
        }


def test_redirects_stay_below_the_mount() -> None:
    with TestClient(around("/sub"), follow_redirects=False) as client:
        assert client.get("/sub/away/").headers["location"] == "/sub/look/"
        assert client.get("/sub/look").headers["location"] == "/sub/look/"  # APPEND_SLASH


def test_bodies_streams_and_several_cookies_come_through() -> None:
    with override_settings(MIDDLEWARE=[], DATA_UPLOAD_MAX_MEMORY_SIZE=None), TestClient(around("/")) as client:
        assert client.post("/echo/", content=b"x" * 3_000_000).content == b"x" * 3_000_000
        assert client.get("/stream/").text == "onetwo"
        assert len(client.get("/cookies/").headers.get_list("set-cookie")) == 2


def test_a_views_error_is_answered_by_django() -> None:
    with TestClient(around("/")) as client:
        response = client.get("/fail/")
        assert response.status_code == 500
        assert "<h1>Server Error (500)</h1>" in response.text


def test_header_names_are_in_lower_case_for_the_middleware_around_it() -> None:
    app = around("/")

    @app.middleware
    async def see(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-type"] = response.headers.get("content-type", "none")
        return response

    with TestClient(app) as client:
        assert client.get("/look/").headers["x-type"] == "application/json"


@pytest.mark.parametrize("prefix", ["/", "/sub"])
def test_a_handshake_is_denied_with_404(prefix: str) -> None:
    with TestClient(around(prefix)) as client, pytest.raises(WebSocketDenialResponse) as denied:
        client.websocket_connect("/sub/look/").__enter__()
    assert denied.value.status_code == 404


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["around", "beside"])
async def test_a_view_is_cancelled_when_the_client_leaves(way: str) -> None:
    LOG.clear()
    whole: ASGIApp = around("/") if way == "around" else asgi({})
    server = StrictServer(chunk(b"", more=False))
    headers = [(b"host", b"testserver")]
    with override_settings(MIDDLEWARE=[]), anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = http_scope(path="/wait/", headers=headers, http_version="1.1")
            group.start_soon(whole, scope, server.receive, server.send)
            while not LOG:  # noqa: ASYNC110
                await anyio.sleep(0.01)
            server.push(http_disconnect)
    assert LOG == ["waits", "CancelledError"]
    assert server.sent == []


def test_static_files_are_served_as_told() -> None:
    with TestClient(around("/", static=True)) as client:
        assert client.get("/static/admin/css/base.css").headers["content-type"] == "text/css"


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/static/../settings.py", "/static/admin/../../secret", "/static/..//etc/passwd"])
async def test_no_path_leads_out_of_the_static_files(path: str) -> None:
    answer = await request(site(static=True), path=path, headers={"host": "testserver"}, lint=False)
    assert answer.status == 400


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/look/", "/stream/"])
async def test_a_view_that_is_asked_by_head_sends_no_body(path: str) -> None:
    with override_settings(ROOT_URLCONF=__name__):
        answer = await request(site(), "HEAD", path, headers={"host": "testserver"})
    assert (answer.status, answer.body) == (200, b"")


def test_alone_it_answers_the_lifespan() -> None:
    with TestClient(site()) as client:
        assert client.get("/look/").json()["state"] is None


def test_without_settings_it_says_what_to_write() -> None:
    code = "from microasgi.django.site import site; site()"
    environment = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    environment["PYTHONPATH"] = str(ROOT)
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ConfigurationError.__name__ in run.stderr
    assert 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")' in run.stderr
