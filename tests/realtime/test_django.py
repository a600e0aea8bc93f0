"""A Django project with Channels and this framework, each in a process of its own, in the same groups of one Redis."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.servers import PATIENCE, SERVERS, Running, Server

pytestmark = pytest.mark.server
sync_client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed")
pytest.importorskip("channels_redis.pubsub", reason="channels_redis is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

UVICORN = SERVERS[0]
WSGI = Server("wsgiref", "wsgiref", ("tests.realtime.djangosite", "--port={port}"), "", has_lifespan=False)


@pytest.fixture
def ports(request: pytest.FixtureRequest, redis_url: str, tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Return the ports of Django's server and of ours."""
    environment = {"HUB_URL": redis_url}
    site = Running(request.param, tmp_path, app="tests.realtime.djangosite:application", environment=environment)
    ours = Running(UVICORN, tmp_path, app="tests.realtime.served:app", environment=environment)
    try:
        site.wait_until_listening()
        ours.wait_until_listening()
        yield site.port, ours.port
    finally:
        site.stop()
        ours.stop()


@pytest.mark.parametrize("ports", [UVICORN, WSGI], ids=["asgi", "wsgi"], indirect=True)
def test_a_sync_view_of_django_reaches_sockets_of_the_hub(ports: tuple[int, int]) -> None:
    site, ours = ports
    with sync_client.connect(f"ws://127.0.0.1:{ours}/quiet") as socket:
        for text in ("hello", "again"):
            assert httpx.get(f"http://127.0.0.1:{site}/tell/{text}", timeout=PATIENCE).text == "told"
            assert json.loads(socket.recv(PATIENCE)) == {"type": "chat.message", "text": text}


@pytest.mark.parametrize("ports", [UVICORN], ids=["asgi"], indirect=True)
def test_the_hub_reaches_a_consumer_of_channels(ports: tuple[int, int]) -> None:
    site, ours = ports
    with sync_client.connect(f"ws://127.0.0.1:{site}/chat") as socket:
        httpx.get(f"http://127.0.0.1:{site}/tell/ready", timeout=PATIENCE)
        assert json.loads(socket.recv(PATIENCE))["text"] == "ready"
        assert httpx.post(f"http://127.0.0.1:{ours}/announce/hello", timeout=PATIENCE).status_code == 200
        assert json.loads(socket.recv(PATIENCE)) == {"type": "chat.message", "text": "hello"}
