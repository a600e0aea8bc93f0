"""What the room needs installed: nothing for exchanges and the lint, httpx or httpx2 for the clients."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from microasgi import testing
from microasgi.exceptions import MissingPackage

LEAF = str(Path(testing.__file__).with_name("httpx_package.py"))

WITHOUT_HTTPX = """
import sys
sys.modules["httpx"] = None
import microasgi.testing as testing
from microasgi.testing import Exchange, lint, request
assert not {"httpx", "httpx2"} & {name for name in sys.modules if sys.modules[name] is not None}
"""

WITH_HTTPX2 = (
    WITHOUT_HTTPX
    + """
from microasgi.testing import TestClient, WebSocketDenialResponse
import httpx2

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise NotImplementedError
    await receive()
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
        return
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello"})
    await receive()

with TestClient(app) as client:
    assert isinstance(client, httpx2.Client)
    assert client.get("/").text == "hello"
    with client.websocket_connect("/") as socket:
        assert socket.receive_text() == "hello"
"""
)


def run(code: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60, cwd=Path(LEAF).parents[2])


def test_httpx_is_not_imported_before_a_client_is_asked_for() -> None:
    run(WITHOUT_HTTPX)


def test_httpx2_serves_where_httpx_is_missing() -> None:
    pytest.importorskip("httpx2")
    run(WITH_HTTPX2)


def test_httpx2_is_taken_where_httpx_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    httpx2 = pytest.importorskip("httpx2")
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert runpy.run_path(LEAF)["httpx"] is httpx2


def test_without_either_the_install_line_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(MissingPackage, match=r'for TestClient: pip install "microasgi\[testing\]"'):
        runpy.run_path(LEAF)


def test_every_public_name_is_there() -> None:
    for name in testing.__all__:
        assert getattr(testing, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nope'"):
        testing.Nope  # noqa: B018


def test_pytest_collects_none_of_the_classes() -> None:
    for name in testing.__all__:
        assert not name.startswith("Test") or getattr(testing, name).__test__ is False
