"""The blog on a real server, in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from drafts import PICTURE_SIZE
from posts import PAGE
from store import Store
from test_blog import make_png

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blog")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[str]:
    """Run the application with uvicorn on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "BLOG_FOLDER": str(folder)}
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=environment) as process:
        try:
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            assert process.wait(timeout=20) in {0, -15}


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "uvicorn has stopped"
        try:
            urlopen(url).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("uvicorn does not answer")


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


def open_page(browser: Any, complaints: list[str], **options: Any) -> Any:
    """Open a page that notes what the browser complains about: errors, and everything the policy forbids."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    return page


def sign_up(page: Any, server: str, name: str) -> None:
    page.goto(f"{server}/sign-up")
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Your password").fill("a long password")
    page.get_by_role("button", name="Sign up").click()
    page.get_by_text(f"Welcome, {name}!").wait_for()


def seed(folder: Path, author: str, titles: list[str]) -> None:
    """Write posts into the database of the running server."""
    with closing(Store(folder / "blog.sqlite3")) as store:
        member = store.member_named(author)
        assert member is not None
        for title in titles:
            store.add_post(member.id, title, "Text", None, "")


def write(page: Any, title: str, text: str, picture: bytes | None = None) -> None:
    page.get_by_role("link", name="Write").click()
    page.get_by_label("Title").fill(title)
    page.get_by_label("Text").fill(text)
    if picture:
        page.get_by_label("A picture").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": picture})
        page.get_by_label("What the picture shows").fill("A blue field")
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("Your post is out.").wait_for()


def test_a_visit_in_a_browser(browser: Any, server: str) -> None:
    complaints: list[str] = []
    page = open_page(browser, complaints)
    sign_up(page, server, "Grace")

    # a post with a picture
    write(page, "On <b>looms</b>", "First.\n\nSecond.", make_png(320, 200))
    page.get_by_role("heading", name="On <b>looms</b>").wait_for()
    image = page.get_by_role("img", name="A blue field")
    image.evaluate("image => image.decode()")
    assert image.evaluate("image => image.naturalWidth") == 320

    # a comment, seen before it is sent
    page.get_by_label("Your comment").type("Well <i>woven</i>")
    page.get_by_role("region", name="Preview").get_by_text("Well <i>woven</i>").wait_for()
    assert page.locator(".comments > .comment").count() == 0
    page.get_by_role("button", name="Send").click()
    page.locator("#comment-1:target").get_by_text("Well <i>woven</i>").wait_for()

    # another member reads it and cannot change it
    other = open_page(browser, complaints)
    sign_up(other, server, "Eve")
    other.get_by_role("link", name="On <b>looms</b>").click()
    other.get_by_text("Second.").wait_for()
    assert other.get_by_role("button", name="Delete").count() == 0

    # edit, then delete after a question
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Title").fill("On weaving")
    page.get_by_label("Remove this picture").check()
    page.get_by_role("button", name="Save").click()
    page.get_by_role("heading", name="On weaving").wait_for()
    assert page.get_by_role("img", name="A blue field").count() == 0
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("The post is gone.").wait_for()

    page.get_by_role("button", name="Log out").click()
    page.get_by_text("You are logged out.").wait_for()
    assert complaints == []


def test_more_posts_come_onto_the_same_page(browser: Any, server: str, folder: Path) -> None:
    complaints: list[str] = []
    page = open_page(browser, complaints)
    sign_up(page, server, "Rear Admiral")
    seed(folder, "Rear Admiral", [f"Number {number}." for number in range(1, PAGE + 3)])
    page.goto(server)
    assert page.locator(".card").count() == PAGE
    page.get_by_role("link", name="Older posts").click()
    page.get_by_role("link", name="Number 1.", exact=True).wait_for()
    assert page.locator(".card").count() > PAGE
    assert page.evaluate("document.activeElement.textContent") == "Number 2."
    assert page.url == f"{server}/"
    assert complaints == []


def test_a_picture_that_is_too_large_does_not_leave_the_browser(browser: Any, server: str, tmp_path: Path) -> None:
    complaints: list[str] = []
    page = open_page(browser, complaints)
    sign_up(page, server, "Lise")
    page.get_by_role("link", name="Write").click()
    page.get_by_label("Title").fill("Large")
    page.get_by_label("Text").fill("Text")
    (tmp_path / "large.png").write_bytes(make_png(padding=PICTURE_SIZE))
    page.get_by_label("A picture").set_input_files(tmp_path / "large.png")
    page.get_by_text("This picture is too large.").wait_for()
    page.get_by_role("button", name="Publish").click()
    assert page.url == f"{server}/write"
    assert complaints == []


def test_everything_works_by_keyboard(browser: Any, server: str) -> None:
    complaints: list[str] = []
    page = open_page(browser, complaints)
    page.goto(server)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Sign up"
    page.keyboard.press("Enter")
    page.get_by_label("Your name").focus()
    page.keyboard.type("Mary")
    page.keyboard.press("Tab")
    page.keyboard.type("a long password")
    page.keyboard.press("Enter")
    page.get_by_text("Welcome, Mary!").wait_for()
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Write"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_label("Title").wait_for()
    assert complaints == []


def test_a_form_on_another_site_is_refused(browser: Any, server: str) -> None:
    """Post to the blog from a page of another site, as somebody who is logged in: without a token in any form."""
    page = open_page(browser, [])
    sign_up(page, server, "Emmy")
    evil = server.replace("127.0.0.1", "localhost")
    page.route(f"{evil}/evil", lambda route: route.fulfill(content_type="text/html", body=EVIL.format(server)))
    page.goto(f"{evil}/evil")
    with page.expect_navigation() as navigation:
        page.get_by_role("button").click()
    assert (navigation.value.url, navigation.value.status) == (f"{server}/log-out", 403)
    page.goto(server)
    page.get_by_role("button", name="Log out").wait_for()


EVIL = '<form method="post" action="{}/log-out"><button>Win a prize</button></form>'


def test_a_visit_without_javascript(browser: Any, server: str, folder: Path) -> None:
    page = open_page(browser, [], java_script_enabled=False)
    sign_up(page, server, "Ada")
    seed(folder, "Ada", [f"Plain {number}." for number in range(PAGE + 1)])
    page.goto(server)
    page.get_by_role("link", name="Older posts").click()
    page.get_by_role("link", name="Plain 0.").click()
    page.get_by_label("Your comment").fill("No script")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("No script").wait_for()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("The post is gone.").wait_for()
