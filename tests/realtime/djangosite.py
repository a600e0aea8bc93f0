"""A Django project in one module, with Channels: a sync view that publishes, and a consumer. For real servers only."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import django
from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path, re_path

__all__ = ["application", "run_wsgi"]

settings.configure(
    SECRET_KEY="only for tests, only for tests, only for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [os.environ.get("HUB_URL", "redis://127.0.0.1:6379/0")]},
        }
    },
)
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 - it wants the settings
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402


def tell(request: HttpRequest, text: str) -> HttpResponse:
    """Publish as Channels' documentation has it."""
    async_to_sync(get_channel_layer().group_send)("a", {"type": "chat.message", "text": text})
    return HttpResponse("told")


class Chat(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A consumer as Channels' tutorial has it."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("a", self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("a", self.channel_name)

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event))


urlpatterns = [path("tell/<str:text>", tell)]
application = ProtocolTypeRouter(
    {"http": get_asgi_application(), "websocket": URLRouter([re_path("^chat$", Chat.as_asgi())])}
)


def run_wsgi(port: int) -> None:
    """Serve by WSGI."""
    from wsgiref.simple_server import make_server

    with make_server("127.0.0.1", port, get_wsgi_application()) as server:
        server.serve_forever()


if __name__ == "__main__":
    run_wsgi(int(sys.argv[1].partition("=")[2]))
