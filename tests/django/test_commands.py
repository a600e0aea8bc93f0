"""`manage.py microasgi`: the project served by a real uvicorn, the routes listed, the document written."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib import util
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.urls import path

from microasgi import MicroASGI, Mount, Request, WebSocket
from microasgi.django.management.commands import microasgi as command
from tests.django.loaded import urls

ROOT = Path(__file__).parents[2]
HERE = __name__

app = MicroASGI()


@app.get("/items/{id:int}", name="item")
async def item(request: Request) -> dict[str, Any]:
    return {}


@app.websocket("/ws")
async def ws(websocket: WebSocket) -> None:
    await websocket.accept()


@app.get("/openapi.json", include_in_schema=False)
async def document(request: Request) -> dict[str, Any]:
    return {"openapi": "3.1.0", "servers": [{"url": request.scope["root_path"]}]}


inner = MicroASGI()


@inner.post("/")
async def make(request: Request) -> dict[str, Any]:
    return {}


outer = MicroASGI(routes=[Mount("/inner", app=inner)])


async def foreign(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"not JSON"})


urlpatterns = [*urls.urlpatterns]
_made: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    """Return the ASGI application that settings name, made when Django is ready."""
    if name != "application":
        raise AttributeError(name)
    from microasgi.django.beside import asgi

    return _made.setdefault(name, asgi({"/outer": outer, "/api": app}))


@pytest.fixture
def mounting() -> Iterator[None]:
    """Three applications: two beside, one inside."""
    from microasgi.django.bridge import bridge

    urlpatterns[:] = [*urls.urlpatterns, path("foreign/", bridge(foreign))]
    with override_settings(ASGI_APPLICATION=f"{HERE}.application", ROOT_URLCONF=HERE):
        yield


@pytest.fixture
def bare() -> Iterator[None]:
    """A project without applications."""
    urlpatterns[:] = urls.urlpatterns
    with override_settings(ROOT_URLCONF=HERE):
        yield


@pytest.fixture(autouse=True)
def nothing_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in the place of the tests would be the end of them."""
    monkeypatch.delattr(os, "execv")


def call(*arguments: str) -> str:
    out = StringIO()
    call_command(command.Command(stdout=out, stderr=out, no_color=True), *arguments, skip_checks=True)
    return out.getvalue()


@pytest.mark.usefixtures("mounting")
class TestRoutes:
    def test_all_are_listed_with_the_path_on_the_site(self) -> None:
        assert [line.split() for line in call("routes").splitlines()] == [
            ["MOUNT", "/outer/inner", "beside"],
            ["POST", "/outer/inner/", "make", "beside"],
            ["GET", "/api/items/{id:int}", "item", "beside"],
            ["WS", "/api/ws", "ws", "beside"],
            ["GET", "/api/openapi.json", "document", "beside"],
            ["*", "/foreign/", "inside"],
        ]

    @pytest.mark.parametrize("prefix", ["/outer", "outer", "outer/"])
    def test_one_application_can_be_asked_for(self, prefix: str) -> None:
        assert len(call("routes", prefix).splitlines()) == 2

    def test_a_prefix_that_is_not_there_is_told_with_those_that_are(self) -> None:
        with pytest.raises(CommandError, match="no application is mounted at 'shop'; there are /api, /foreign, /outer"):
            call("routes", "shop")


@pytest.mark.usefixtures("bare")
def test_a_project_without_applications_is_told_how_to_mount_one() -> None:
    with pytest.raises(CommandError, match="no application is mounted: write application = asgi"):
        call("routes")


@pytest.mark.usefixtures("mounting")
class TestOpenAPI:
    def test_the_document_is_that_of_the_application_that_has_one(self) -> None:
        assert json.loads(call("openapi")) == {"openapi": "3.1.0", "servers": [{"url": "/api"}]}

    def test_it_is_written_to_a_file(self, tmp_path: Path) -> None:
        assert call("openapi", "/api", "-o", str(tmp_path / "api.json")) == ""
        assert json.loads((tmp_path / "api.json").read_text())["openapi"] == "3.1.0"

    def test_what_was_found_instead_is_told(self) -> None:
        with pytest.raises(CommandError) as caught:
            call("openapi", "--path", "items/x")
        assert "/outer/items/x was answered with status 404: does it include one?" in str(caught.value)
        assert "what is at /foreign/items/x is no JSON" in str(caught.value)
        with pytest.raises(CommandError, match="is no OpenAPI document"):
            call("openapi", "/api", "--path", "/items/1")


class TestRun:
    OPTIONS: dict[str, Any] = {"host": "h", "port": 1, "workers": 1, "reload": None, "more": []}  # noqa: RUF012

    def test_debug_starts_again_after_changes(self) -> None:
        with override_settings(DEBUG=True):
            line = command.server_command("mysite.asgi.application", self.OPTIONS)
        assert line[:4] == [sys.executable, "-m", "uvicorn", "mysite.asgi:application"]
        assert {"--reload", "--host=h", "--port=1"} <= set(line)

    def test_production_does_not(self) -> None:
        assert "--reload" not in command.server_command("mysite.asgi.application", self.OPTIONS)
        line = command.server_command("mysite.asgi.application", {**self.OPTIONS, "workers": 3})
        assert "--workers=3" in line

    def test_reload_can_be_chosen(self) -> None:
        assert "--reload" in command.server_command("a.b", {**self.OPTIONS, "reload": True})
        with override_settings(DEBUG=True):
            assert "--reload" not in command.server_command("a.b", {**self.OPTIONS, "reload": False})

    def test_more_options_go_to_the_server(self) -> None:
        line = command.server_command("a.b", {**self.OPTIONS, "more": ["--log-level=debug"]})
        assert line[-1] == "--log-level=debug"

    @pytest.mark.usefixtures("mounting")
    def test_a_missing_server_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        find = util.find_spec
        monkeypatch.setattr(command, "find_spec", lambda name: None if name == "uvicorn" else find(name))
        with pytest.raises(CommandError, match=r'pip install "microasgi\[cli\]"'):
            call("run")

    @pytest.mark.usefixtures("bare")
    def test_a_project_without_an_application_is_told(self) -> None:
        with pytest.raises(CommandError, match="which application\\? Write ASGI_APPLICATION"):
            call("run")


API = """
from django.contrib.auth.models import User
from microasgi import MicroASGI

app = MicroASGI()


@app.get("/users")
async def users(request):
    return {"count": await User.objects.acount()}
"""


@pytest.mark.server
@pytest.mark.slow
def test_a_new_project_is_served_and_served_again_after_a_change(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    run(tmp_path, "-m", "django", "startproject", "mysite", ".")
    (tmp_path / "mysite" / "api.py").write_text(API)
    asgi = tmp_path / "mysite" / "asgi.py"
    lines = ["from microasgi.django.beside import asgi", 'application = asgi({"/api": "mysite.api:app"})', ""]
    asgi.write_text(asgi.read_text().replace("application = get_asgi_application()", "\n".join(lines)))
    with (tmp_path / "mysite" / "settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS += ["microasgi.django"]\n')
    run(tmp_path, "manage.py", "migrate", "-v0")
    assert "/api/users" in run(tmp_path, "manage.py", "microasgi", "routes")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "manage.py", "microasgi", "run", f"--port={port}"],
            cwd=tmp_path, env=environment(tmp_path),
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        assert answer(port, b"count") == {"count": 0}
        (tmp_path / "mysite" / "api.py").write_text(API.replace('"count"', '"changed"'))
        assert answer(port, b"changed") == {"changed": 0}
        assert b"DJANGO" in get(port, "/static/admin/css/base.css")
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def answer(port: int, expected: bytes) -> Any:
    """Return what the API answers as soon as it has the word."""
    deadline = time.monotonic() + 30
    while True:
        try:
            body = get(port, "/api/users")
        except OSError:
            body = b""
        if expected in body:
            return json.loads(body)
        assert time.monotonic() < deadline, body
        time.sleep(0.1)


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
        return bytes(response.read())


def environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]), "PYTHONDONTWRITEBYTECODE": "1"}


def run(folder: Path, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
