"""The chat in real browsers: two uvicorn processes behind one real Redis, and one process without."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.realtime.conftest import Mortal
from tests.redis_server import redis_url

__all__ = ["redis_url"]

pytestmark = [pytest.mark.browser, pytest.mark.server]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Server:
    """One process of the chat, at a port that it keeps when it is started again."""

    def __init__(self, redis: str = "") -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, "CHAT_REDIS": redis}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(self.port), "--log-level", "warning"]
        self._process = process = subprocess.Popen(command, cwd=Path(__file__).parent, env=self._environment)
        for _ in range(200):
            assert process.poll() is None, "uvicorn has stopped"
            try:
                urlopen(self.url).close()
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise TimeoutError("uvicorn does not answer")

    def stop(self) -> None:
        """Ask the process to end, as a deploy does."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) in {0, -signal.SIGTERM}


@pytest.fixture
def two_servers(redis_url: str) -> Iterator[list[Server]]:
    servers = [Server(redis_url), Server(redis_url)]
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.stop()


@pytest.fixture
def mortal_redis(redis_url: str, tmp_path: Path) -> Iterator[Mortal]:
    """Run a Redis that may be killed; the other one says that there is redis-server."""
    redis = Mortal(str(shutil.which("redis-server")), tmp_path, free_port())
    redis.start()
    yield redis
    redis.kill()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run this test: there is no Chromium on this machine")
        pytest.skip("there is no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """What pages ask for and complain about; a refused connection is no complaint, for servers are stopped here."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []

    def open(self, browser: Any, **options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self._hear(message.text) if message.type == "error" else None)
        page.on("request", lambda request: self._look(request.url))
        page.on("websocket", lambda socket: self._look(socket.url))
        return page

    def _hear(self, text: str) -> None:
        if "ERR_CONNECTION_REFUSED" not in text:
            self.complaints.append(text)

    def _look(self, url: str) -> None:
        if urlsplit(url).hostname != "127.0.0.1":
            self.elsewhere.append(url)


def enter(page: Any, server: Server, name: str, room: str = "Tea kitchen") -> None:
    page.goto(server.url)
    page.get_by_label("Your name").fill(name)
    page.get_by_role("radio", name=room).check()
    page.get_by_role("button", name="Go in").click()
    page.get_by_text("Connected", exact=True).wait_for()


def say(page: Any, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send").click()


def wait_for(page: Any, *texts: str) -> None:
    """Wait until the room's messages are these, each once and in this order."""
    script = (
        "texts => [...document.querySelectorAll('#log .text')].map(each => each.textContent).join() === texts.join()"
    )
    try:
        page.wait_for_function(script, arg=list(texts))
    except Exception:
        assert page.locator("#log .text").all_text_contents() == list(texts)
        raise


def hurry(page: Any) -> None:
    """Connect again and again without a pause, until that is done and what was typed has been said."""
    for _ in range(100):
        if page.locator("#state").inner_text() == "Connected" and page.locator("#pending li").count() == 0:
            return
        page.evaluate("dispatchEvent(new Event('online'))")
        page.wait_for_timeout(300)


def wait_for_people(page: Any, *names: str) -> None:
    script = (
        "names => [...document.querySelectorAll('#people .name')].map(each => each.textContent).join() === names.join()"
    )
    page.wait_for_function(script, arg=list(names))


def test_two_processes_and_a_deploy_between(browser: Any, two_servers: list[Server]) -> None:
    one, two = two_servers
    watch = Watch()
    ada, bob = watch.open(browser), watch.open(browser)
    enter(ada, one, "Ada")
    enter(bob, two, "Bob")

    # who is there, and what they say, crosses from one process to the other
    for page in (ada, bob):
        wait_for_people(page, "Ada", "Bob")
    say(ada, "Is there <b>tea</b>?")
    for page in (ada, bob):
        wait_for(page, "Is there <b>tea</b>?")

    # the first process is stopped: its page knows why, and keeps what is typed
    one.stop()
    ada.get_by_text("The server restarts").wait_for()
    wait_for_people(bob, "Bob")
    for text in ("Green", "or black?"):
        say(bob, text)
    wait_for(bob, "Is there <b>tea</b>?", "Green", "or black?")
    say(ada, "Hello?")
    ada.get_by_text("Hello?").wait_for()
    assert ada.locator("#log .text").count() == 1

    # it is back: the page comes back by itself, nothing is lost, nothing is there twice
    one.start()
    ada.get_by_text("Connected", exact=True).wait_for()
    for page in (ada, bob):
        wait_for(page, "Is there <b>tea</b>?", "Green", "or black?", "Hello?")
        wait_for_people(page, "Ada", "Bob")
    assert ada.locator("#pending li").count() == 0
    assert ada.locator(".gap").count() == 0

    # and a new page has the same history
    ada.reload()
    wait_for(ada, "Is there <b>tea</b>?", "Green", "or black?", "Hello?")
    assert watch.elsewhere == []
    assert watch.complaints == []


@pytest.mark.slow
def test_what_is_typed_while_redis_is_away_is_said_once_when_it_is_back(browser: Any, mortal_redis: Mortal) -> None:
    watch = Watch()
    servers = [Server(mortal_redis.url), Server(mortal_redis.url)]
    ada, bob = watch.open(browser), watch.open(browser)
    try:
        for page, server, name in zip((ada, bob), servers, ("Ada", "Bob"), strict=True):
            enter(page, server.start(), name)
        say(ada, "Before")
        wait_for(bob, "Before")
        mortal_redis.kill()
        for page in (ada, bob):
            say(page, "Hello?")
            page.get_by_text("Some messages may be missing here").wait_for()
        mortal_redis.start()
        for page in (ada, bob):
            hurry(page)
        for page in (ada, bob):
            wait_for(page, "Before", "Hello?", "Hello?")
            assert page.locator("#pending li").count() == 0
    finally:
        for server in servers:
            server.stop()
    assert watch.elsewhere == []


def test_a_page_without_history_says_that_something_may_be_missing(browser: Any, server: Server) -> None:
    watch = Watch()
    page = watch.open(browser)
    enter(page, server, "Ada")
    say(page, "Before")
    wait_for(page, "Before")
    for _ in range(2):  # one note is enough
        server.stop()
        page.get_by_text("The server restarts").wait_for()
        server.start()
        hurry(page)
    page.get_by_text("Some messages may be missing here").wait_for()
    say(page, "After")
    wait_for(page, "Before", "After")
    assert page.locator(".gap").count() == 1
    assert watch.complaints == []


def test_everything_works_by_keyboard(browser: Any, server: Server) -> None:
    watch = Watch()
    page = watch.open(browser)
    page.goto(server.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.get_by_label("Your name").focus()
    page.keyboard.type("Mary")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Tea kitchen").wait_for()
    page.get_by_text("Connected", exact=True).wait_for()
    page.get_by_label("Your message").focus()
    page.keyboard.type("One")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Two")
    page.keyboard.press("Enter")
    wait_for(page, "One\nTwo")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "What was said"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert watch.complaints == []


def test_the_page_names_its_parts_and_fits_a_phone(browser: Any, server: Server) -> None:
    watch = Watch()
    page = watch.open(browser, viewport={"width": 360, "height": 640}, color_scheme="dark")
    enter(page, server, "M" * 30)
    say(page, "x" * 900)
    page.locator("#log .text").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.get_by_role("log", name="Messages").count() == 1
    assert page.get_by_role("status").inner_text() == "Connected"
    assert page.get_by_role("navigation", name="Rooms").get_by_role("link").count() == 3
    assert page.locator("[aria-current=page]").inner_text() == "Tea kitchen"
    unnamed = "controls => controls.filter(each => !each.labels?.length && !each.innerText.trim()).length"
    assert page.locator("button:visible, input, textarea, a").evaluate_all(unnamed) == 0
    assert watch.complaints == []
