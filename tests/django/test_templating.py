"""Templates of the project rendered by a handler: user, token, messages, links and querysets, off the event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template import TemplateDoesNotExist
from django.test import TestCase, override_settings
from django.urls import path

from microasgi import HTMLResponse, MicroASGI, Request
from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge
from microasgi.django.templating import render
from microasgi.django.testclient import DjangoTestClient
from microasgi.testing import TestClient
from tests.django.loaded import Note, User, urls

PAGES = {
    "user.html": "{% if user.is_authenticated %}{{ user.username }}{% else %}nobody{% endif %} {{ request.path }}",
    "form.html": "{% csrf_token %}",
    "links.html": "{% url 'admin:index' %}",
    "notes.html": "{% for note in notes %}{{ note.text }};{% endfor %}{{ thread }}",
    "messages.html": "{% for message in messages %}{{ message }};{% endfor %}",
    "escaped.html": "{{ text }}",
}
app = MicroASGI()


@app.get("/page/{name}")
async def page(request: Request, name: str) -> HTMLResponse:
    return await render(request, name, {"text": "<b>"}, 201, headers={"x-own": "1"})


@app.get("/notes")
async def notes(request: Request) -> HTMLResponse:
    return await render(request, "notes.html", {"notes": Note.objects.all(), "thread": lambda: thread_kind()})


@app.post("/take")
async def take(request: Request) -> dict[str, Any]:
    return {"taken": dict(await request.form())["text"]}


@app.get("/choice")
async def choice(request: Request) -> HTMLResponse:
    return await render(request, ["nowhere.html", "escaped.html"], {"text": "1"}, media_type="text/plain")


def thread_kind() -> str:
    return "loop" if threading.current_thread().name == "portal" else "thread"


def tell(request: HttpRequest) -> HttpResponse:
    """Leave a message for the next page."""
    messages.success(request, "saved")
    return HttpResponse()


urlpatterns = [*urls.urlpatterns, path("tell/", tell), path("inside/", bridge(app))]
HERE = __name__
_made: list[Any] = []


def application() -> Any:
    """The project's application, made when Django is ready."""
    if not _made:
        _made.append(asgi({"/api": app}))
    return _made[0]


@pytest.fixture(autouse=True)
def templates() -> Iterator[None]:
    loaders = [("django.template.loaders.locmem.Loader", PAGES)]
    engine: dict[str, Any] = {**settings.TEMPLATES[0], "APP_DIRS": False}
    engine["OPTIONS"] = {**engine["OPTIONS"], "loaders": loaders}
    with override_settings(TEMPLATES=[engine], ROOT_URLCONF=HERE):
        yield


def test_a_page_has_status_headers_and_escaped_values() -> None:
    with TestClient(application()) as client:
        answer = client.get("/api/page/escaped.html")
    assert (answer.status_code, answer.text, answer.headers["x-own"]) == (201, "&lt;b&gt;", "1")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_first_template_that_is_there_is_taken() -> None:
    with TestClient(application()) as client:
        answer = client.get("/api/choice")
    assert (answer.text, answer.headers["content-type"]) == ("1", "text/plain; charset=utf-8")


def test_a_template_that_is_not_there_is_djangos_error() -> None:
    with TestClient(application()) as client, pytest.raises(TemplateDoesNotExist):
        client.get("/api/page/nowhere.html")


def test_links_begin_where_the_site_stands() -> None:
    with TestClient(application(), root_path="/pre") as client:
        assert client.get("/pre/api/page/links.html").text == "/pre/admin/"
    with TestClient(app, root_path="/own") as client:
        assert client.get("/own/page/links.html").text == "/own/admin/"


def test_a_page_without_any_layer_of_django_is_rendered() -> None:
    with TestClient(app) as client:
        assert client.get("/page/escaped.html").text == "&lt;b&gt;"


def test_querysets_are_read_in_a_thread() -> None:
    note = Note.objects.create(text="a")
    try:
        with TestClient(application()) as client:
            assert client.get("/api/notes").text == "a;thread"
    finally:
        note.delete()


def fields(text: str) -> dict[str, str]:
    """Return the fields of the forms in a page."""
    found: dict[str, str] = {}

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "input":
                given = dict(attrs)
                found[str(given["name"])] = str(given["value"])

    Reader().feed(text)
    return found


class OfUsers(TestCase):
    """Pages for somebody."""

    def setUp(self) -> None:
        self.user = User.objects.create_user("ann")
        self.http = DjangoTestClient(application(), enforce_csrf_checks=True)
        self.addCleanup(self.http.close)

    def test_the_user_is_in_the_page(self) -> None:
        assert self.http.get("/api/page/user.html").text == "nobody /api/page/user.html"
        self.http.force_login(self.user)
        assert self.http.get("/api/page/user.html").text == "ann /api/page/user.html"
        assert self.http.get("/inside/page/user.html").text == "ann /inside/page/user.html"

    def test_a_form_brings_its_token(self) -> None:
        self.http.force_login(self.user)
        for place in ("/api", "/inside"):
            token = fields(self.http.get(f"{place}/page/form.html").text)
            assert self.http.post(f"{place}/take", data={"text": "a"}).status_code == 403
            answer = self.http.post(f"{place}/take", data={"text": "a", **token})
            assert answer.json() == {"taken": "a"}

    def test_messages_of_django_are_shown_once(self) -> None:
        self.http.get("/tell/")
        assert self.http.get("/api/page/messages.html").text == "saved;"
        assert self.http.get("/api/page/messages.html").text == ""
        self.http.get("/tell/")
        assert self.http.get("/inside/page/messages.html").text == "saved;"
        assert self.http.get("/api/page/messages.html").text == ""
