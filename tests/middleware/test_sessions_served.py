"""Sessions and the protection against forgery behind real servers, and in front of a real browser."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
APP = "tests.middleware.served_sessions:app"
SERVERS = {
    "uvicorn": ["--port={port}"],
    "hypercorn": ["--bind=127.0.0.1:{port}"],
    "granian": ["--interface=asgi", "--port={port}"],
    "daphne": ["--port={port}"],
}


@contextmanager
def running(server: str, port: int) -> Iterator[None]:
    """Run a server until it answers connections, and end it."""
    pytest.importorskip(server)
    command = [sys.executable, "-m", server, *(option.format(port=port) for option in SERVERS[server]), APP]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": "."}
    )
    try:
        wait_for(process, port)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"no server at port {port}")


@pytest.mark.server
@pytest.mark.parametrize("server", SERVERS)
def test_a_handshake_brings_the_session_and_takes_its_cookie_home(server: str, free_port: int) -> None:
    client = pytest.importorskip("websockets.sync.client")
    with running(server, free_port):
        cookie = httpx.post(f"http://127.0.0.1:{free_port}/send").headers["set-cookie"].partition(";")[0]
        for visits in (1, 2):
            headers = {"cookie": cookie}
            with client.connect(f"ws://127.0.0.1:{free_port}/ws", additional_headers=headers) as connection:
                assert connection.recv(10) == f"visit {visits}, sent 1"
                given = connection.response.headers.get("set-cookie")
            if server in ("granian", "daphne"):
                assert given is None  # they drop the headers of a handshake
                return
            cookie = given.partition(";")[0]


@pytest.mark.browser
@pytest.mark.server
def test_a_browser_sends_the_forms_of_the_site_and_no_others(chromium: str, free_port: int) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    local, other = f"http://localhost:{free_port}", f"http://127.0.0.1:{free_port}"
    # Names that no browser trusts without https: it sends them no Sec-Fetch-Site.
    plain, evil = f"http://shop.test:{free_port}", f"http://evil.test:{free_port}"
    arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--host-resolver-rules=MAP *.test 127.0.0.1"]
    with running("uvicorn", free_port), sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()

        def submit(url: str) -> str:
            page.goto(url)
            page.get_by_role("button").click()
            page.wait_for_url("**/send")
            return str(page.inner_text("body"))

        refused = "a page of another site may not send this request"
        for here, there in ((local, other), (plain, evil)):
            assert submit(f"{here}/form") == "sent 1"
            assert submit(f"{there}/form?action={here}/send") == refused
            assert submit(f"{here}/form") == "sent 2"
            assert page.evaluate("document.cookie") == ""
        assert submit(f"{local}/form?policy=no-referrer") == "sent 3"
        assert submit(f"{plain}/form?policy=no-referrer") == refused  # Origin: null, and nothing else to go by
        assert submit(f"{local}/tokens/form") == "sent ['csrf_token']"
        page.context.clear_cookies()
        page.goto(f"{local}/tokens/form")
        page.context.clear_cookies()
        assert failed(page) == 403
        browser.close()


def failed(page: Any) -> int:
    with page.expect_response("**/send") as sent:
        page.get_by_role("button").click()
    return int(sent.value.status)
