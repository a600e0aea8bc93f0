"""The page "Coming from Channels" is held to its word: its consumer and what it becomes have the same conversations."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.docs.test_snippets import ROOT, read_snippets

pytestmark = pytest.mark.skipif(find_spec("channels") is None, reason="channels is not installed")

REDIS = "redis://localhost:6379/0"
PAGE = ROOT / "docs" / "coming-from-channels.md"
SETTINGS = """
SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "urls"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "database.sqlite3"}}
"""
URLS = """
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.http import HttpResponse
from django.urls import path


def announce(request):
    async_to_sync(get_channel_layer().group_send)("chat_tea", {"type": "chat.message", "text": "from a view"})
    return HttpResponse("done")


urlpatterns = [path("announce/", announce)]
"""
CONVERSATION = """
import sys
from contextlib import ExitStack

import django

django.setup()
from microasgi.testing import TestClient


def hold(app, *paths):  # without the lint: Django capitalises the names of headers
    with TestClient(app, lint=False) as client, ExitStack() as stack:
        tea = [stack.enter_context(client.websocket_connect(path.format("tea"))) for path in paths]
        cellar = stack.enter_context(client.websocket_connect(paths[0].format("cellar")))
        for text in ("hello", "é <b>"):
            for speaker in tea:
                speaker.send_json({"text": text, "more": 1})
                for each in tea:
                    heard = each.receive_json()
                    assert heard.pop("type", "chat.message") == "chat.message"
                    assert heard == {"text": text}, heard
        cellar.send_json({"text": "nobody else"})
        assert cellar.receive_json()["text"] == "nobody else"
        return client.get("/announce/").text, [each.receive_json()["text"] for each in tea] if announces else None


announces = False
old = "/ws/chat/{}/"
"""
NEWS = """
from channels.layers import get_channel_layer
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from microasgi import WebSocketDisconnect

call_command("migrate", verbosity=0)
user = User.objects.create_user("ada")
team = Group.objects.create(name="tea")
user.groups.add(team)
visitor = Client()
visitor.force_login(user)
session = visitor.cookies[settings.SESSION_COOKIE_NAME].value

import news
import ported_news


def hear(app, publish):
    headers = {"origin": "http://testserver"}
    with TestClient(app, lint=False, headers=headers) as client:
        try:
            with client.websocket_connect("/ws/news/"):
                raise AssertionError("nobody was let in")
        except WebSocketDisconnect:
            pass
        client.cookies.set(settings.SESSION_COOKIE_NAME, session)
        with client.websocket_connect("/ws/news/") as ada:
            client.portal.call(publish, f"team-{team.pk + 1}", {"type": "news", "text": "for others"})
            client.portal.call(publish, f"team-{team.pk}", {"type": "news", "text": "for her"})
            assert ada.receive_json() == {"type": "news", "text": "for her"}


hear(ProtocolTypeRouter({"websocket": news.websockets}), get_channel_layer().group_send)
hear(ported_news.application, ported_news.hub.publish)
"""


def snippets() -> dict[str, str]:
    """Return the page's programs by their first lines."""
    found = ["\n".join(one.lines) for one in read_snippets(PAGE, PAGE.read_text(encoding="utf-8"))]
    return {text.splitlines()[0]: text for text in found} | {"a class": found[1], "a function": found[2]}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Write the page's modules into a small project."""
    programs = snippets()
    modules = {"settings": SETTINGS, "urls": URLS, "conversation": CONVERSATION}
    modules |= {"consumers": programs["# consumers.py"], "asgi": programs["# asgi.py"]}
    modules |= {"ported_class": programs["a class"], "ported_function": programs["a function"]}
    modules |= {"news": programs["# news.py"], "ported_news": programs["# ported_news.py"].replace(REDIS, "memory://")}
    assert REDIS in programs["# ported_news.py"]
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def run(project: Path, program: str) -> None:
    """Run a program in the project, in an interpreter of its own: Django's settings are set once."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(ROOT)}
    program = f"from conversation import *\nimport conversation\n{program}"
    result = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_the_consumer_and_what_it_becomes_have_the_same_conversation(project: Path) -> None:
    run(
        project,
        """
from channels.routing import ProtocolTypeRouter
from consumers import websockets
from ported_class import app as ported_class
from ported_function import app as ported_function
from django.core.asgi import get_asgi_application

consumers = ProtocolTypeRouter({"websocket": websockets, "http": get_asgi_application()})
for app in (consumers, ported_class, ported_function):
    hold(app, old, old)
""",
    )


def test_consumers_and_the_hub_share_groups_in_one_application(project: Path) -> None:
    run(
        project,
        """
from asgi import application

conversation.announces = True
assert hold(application, old, "/ws/chat/2/{}/") == ("done", ["from a view"] * 2)
""",
    )


def test_users_and_the_database_let_the_same_people_hear_the_same_news(project: Path) -> None:
    run(project, NEWS)
