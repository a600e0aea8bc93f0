"""The guestbook, through the test client and in a real browser."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from app import app
from draft import PICTURE_SIZE, picture_type
from live import Live

from microasgi import WebSocketDisconnect
from microasgi.testing import TestClient, WebSocketDenialResponse


def make_png(width: int = 1, height: int = 1, padding: int = 0) -> bytes:
    """Return a picture of one colour, with as many bytes of padding in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + b"\x2f\x6f\x73" * width) * height))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"paDd", bytes(padding)) + pixels + chunk(b"IEND", b"")


PNG = make_png()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setenv("GUESTBOOK_FOLDER", str(tmp_path / "book"))
    with TestClient(app, headers={"accept": "text/html"}) as client:
        yield client


def write(client: TestClient, text: str = "Hello", name: str = "Ada", **kwargs: Any) -> Any:
    return client.post("/", data={"name": name, "text": text}, **kwargs)


def test_an_empty_book_invites_to_write(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "Be the first" in page.text


def test_a_written_entry_is_shown_after_a_redirect(client: TestClient) -> None:
    answer = write(client, "Hello", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#entry-1")
    assert "Hello" in client.get("/").text


def test_what_visitors_write_is_escaped(client: TestClient) -> None:
    page = write(client, "<script>alert(1)</script>", '"><img src=x>')
    assert "&lt;script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert "<img src=x>" not in page.text


def test_placeholders_of_the_templates_in_an_entry_stay_as_they_are(client: TestClient) -> None:
    assert "pay $name ${text}" in write(client, "pay $name ${text}").text


@pytest.mark.parametrize("name", ["Zoë", "Łukasz Żak", "مريم", 'a "b"; c=d', "<b>"])
def test_the_name_is_remembered(client: TestClient, name: str) -> None:
    assert "HttpOnly" in write(client, name=name, follow_redirects=False).headers["set-cookie"]
    assert f'value="{escape(name)}"' in client.get("/").text


@pytest.mark.parametrize(
    ("name", "text", "field"),
    [("", "Hello", "name"), ("  ", "Hello", "name"), ("x" * 41, "Hello", "name"), ("Ada", " \r\n ", "text")],
)
def test_a_faulty_form_is_shown_again_with_what_is_wrong(client: TestClient, name: str, text: str, field: str) -> None:
    page = write(client, text, name)
    assert page.status_code == 422
    assert f'<p class="error" id="{field}-error">Please ' in page.text
    assert page.text.count('aria-invalid="true"') == 1
    assert client.get("/api/entries").json()["entries"] == []


def test_a_faulty_form_keeps_what_was_typed(client: TestClient) -> None:
    assert "a long story" in write(client, "a long story", "").text


def test_line_ends_count_once(client: TestClient) -> None:
    write(client, "a\r\n" * 499 + "ab")
    assert client.get("/api/entries").json()["entries"][0]["text"] == "a\n" * 499 + "ab"


def test_a_picture_is_served_as_what_it_is(client: TestClient) -> None:
    page = write(client, files={"picture": ("x.html", PNG, "text/html")})
    assert '<img src="/pictures/1"' in page.text
    picture = client.get("/pictures/1")
    assert picture.content == PNG
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"


def test_what_is_no_picture_is_refused(client: TestClient) -> None:
    page = write(client, files={"picture": ("x.png", b"<svg onload=alert(1)>", "image/png")})
    assert page.status_code == 422
    assert "PNG, JPEG, GIF or WebP" in page.text


def test_a_form_without_a_picture_has_an_empty_file(client: TestClient) -> None:
    assert write(client, files={"picture": ("", b"", "application/octet-stream")}).status_code == 200


def test_a_picture_may_be_as_large_as_it_says_and_no_larger(client: TestClient) -> None:
    room = PICTURE_SIZE - len(PNG)
    assert write(client, files={"picture": ("x.png", make_png(padding=room))}).status_code == 200
    assert write(client, files={"picture": ("x.png", make_png(padding=room + 1))}).status_code == 422
    page = write(client, files={"picture": ("x.png", make_png(padding=room + 100_000))})
    assert (page.status_code, "at most 5 MB" in page.text) == (413, True)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (PNG[:12], "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "image/jpeg"),
        (b"GIF89a\1\0\1\0\0\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBP", "image/webp"),
        (b"RIFF\x24\0\0\0WAVE", None),
        (b"<svg xmlns=", None),
        (b"", None),
    ],
)
def test_pictures_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert picture_type(head) == kind


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://testserver"},
        {"origin": "https://evil.example"},
        {"origin": "http://testserver.evil.example"},
        {"origin": "null"},
    ],
)
def test_a_form_from_another_site_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    page = write(client, headers=headers)
    assert page.status_code == 403
    assert "content-security-policy" in page.headers
    assert client.get("/api/entries").json()["entries"] == []


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-origin"}, {"origin": "http://testserver"}])
def test_a_form_from_this_site_is_taken(client: TestClient, headers: dict[str, str]) -> None:
    assert write(client, headers=headers).status_code == 200


def test_a_link_from_another_site_may_lead_here(client: TestClient) -> None:
    assert client.get("/", headers={"sec-fetch-site": "cross-site"}).status_code == 200


def test_the_api_lists_pages_of_entries(client: TestClient) -> None:
    for number in range(5):
        write(client, f"note {number}")
    first = client.get("/api/entries?limit=2").json()
    assert [entry["text"] for entry in first["entries"]] == ["note 4", "note 3"]
    second = client.get(first["next"]).json()
    assert [entry["text"] for entry in second["entries"]] == ["note 2", "note 1"]
    assert client.get(second["next"]).json()["next"] is None


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=101", "before=-1", f"before={'9' * 5000}", "before=٣"])
def test_the_api_explains_a_faulty_query(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/entries?{query}", headers={"accept": "application/json"})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "is a number from 1 to" in answer.json()["detail"]


def test_older_entries_are_on_a_page_of_their_own(client: TestClient) -> None:
    for number in range(1, 23):
        write(client, f"note {number}.")
    page = client.get("/")
    assert "note 3." in page.text
    assert "note 2." not in page.text
    assert 'href="/?before=3"' in page.text
    older = client.get("/?before=3")
    assert older.text.count("<article") == 2
    assert 'data-live=""' in older.text


def test_a_missing_page_is_a_page(client: TestClient) -> None:
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "There is no such page" in page.text


def test_a_missing_page_is_a_problem_to_programs(client: TestClient) -> None:
    answer = client.get("/nowhere", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()["title"]) == (404, "Not Found")


@pytest.mark.parametrize("path", ["/pictures/7", "/pictures/x", "/static/app.py", "/static/..%2fapp.py", "/static/"])
def test_what_is_not_there_is_404(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_answer_carries_the_security_headers_and_its_time(client: TestClient) -> None:
    for path in ("/", "/nowhere", "/static/guestbook.css", "/api/entries"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["server-timing"].startswith("app;dur=")


def test_an_entry_is_logged_after_the_answer(client: TestClient, tmp_path: Path) -> None:
    write(client, "one two three")
    client.get("/")
    assert (tmp_path / "book" / "guestbook.log").read_text().endswith(" entry 1: 3 words\n")


def test_the_book_outlives_the_server(client: TestClient) -> None:
    write(client, "still here")
    client.close()
    with TestClient(app) as again:
        assert "still here" in again.get("/").text


def test_open_pages_see_new_entries(client: TestClient) -> None:
    with client.websocket_connect("/live") as one, client.websocket_connect("/live") as two:
        write(client, "<i>news</i>")
        for page in (one, two):
            message = page.receive_json()
            assert (message["id"], message["name"]) == (1, "Ada")
            assert "&lt;i&gt;news" in message["html"]


def test_a_page_that_was_away_catches_up(client: TestClient) -> None:
    for text in ("first", "second", "third"):
        write(client, text)
    with client.websocket_connect("/live?after=1") as page:
        assert [page.receive_json()["id"] for _ in range(2)] == [2, 3]


def test_the_socket_is_refused_to_pages_of_other_sites(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect):
        with client.websocket_connect("/live", headers={"origin": "https://evil.example"}):
            pass


def test_a_faulty_place_to_catch_up_from_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with client.websocket_connect("/live?after=x"):
            pass
    assert refusal.value.status_code == 400


def test_a_page_that_does_not_read_is_cut_off_and_holds_nobody_up() -> None:
    live = Live()
    with live.listen() as slow, live.listen() as quick:
        for number in range(150):
            live.tell(number)  # type: ignore[arg-type]
            assert quick.receive_nowait() == number
        assert slow.statistics().open_send_streams == 0
        assert slow.statistics().current_buffer_used == 100


# In a browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture
def server() -> Iterator[str]:
    """Run the application with uvicorn on a free port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(command, cwd=Path(__file__).parent) as process:
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


@pytest.fixture
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


def fill_in(page: Any, name: str, text: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_label("What would you like to say?").fill(text)


@pytest.mark.browser
def test_a_visit_in_a_browser(browser: Any, server: str, tmp_path: Path) -> None:
    context = browser.new_context()
    page, other = context.new_page(), browser.new_context().new_page()
    complaints: list[str] = []
    for each in (page, other):
        each.on("pageerror", lambda error: complaints.append(str(error)))
        each.on("console", lambda message: complaints.append(message.text) if "Policy" in message.text else None)
        each.goto(server)
        each.get_by_text("Live", exact=True).wait_for()

    # an entry, and how another page shows it
    fill_in(page, "Grace", "Hello <b>you</b>")
    page.get_by_role("button", name="Sign the book").click()
    page.locator("#entry-1:target").wait_for()
    other.locator("#entry-1").get_by_text("Hello <b>you</b>").wait_for()
    assert other.locator("#news").inner_text() == "New entry by Grace"
    assert page.locator("#entry-1").count() == 1

    # the name is remembered, also by the next page
    assert page.get_by_label("Your name").input_value() == "Grace"
    third = context.new_page()
    third.goto(server)
    assert third.get_by_label("Your name").input_value() == "Grace"
    assert other.get_by_label("Your name").input_value() == ""

    # a picture, on a slow line
    seen = "() => { new MutationObserver(() => (window.seen ??= []).push(document.querySelector('progress').value))"
    page.evaluate(seen + ".observe(document.querySelector('#upload'), {subtree: true, childList: true}) }")
    line = context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 600_000}
    line.send("Network.emulateNetworkConditions", slow)
    fill_in(page, "Grace", "Look at this")
    picture = {"name": "p.png", "mimeType": "image/png", "buffer": make_png(320, 200, padding=400_000)}
    page.get_by_label("A picture").set_input_files(picture)
    page.get_by_role("button", name="Sign the book").click()
    page.locator("#entry-2:target").wait_for()
    for each in (page, other):
        image = each.locator("#entry-2 img")
        image.scroll_into_view_if_needed()
        image.evaluate("image => image.decode()")
        assert image.evaluate("image => image.naturalWidth") == 320
    progress = page.evaluate("window.seen")
    assert progress == sorted(progress)
    assert any(0 < value < 100 for value in progress)

    # a picture that is too large does not even leave
    (tmp_path / "large.png").write_bytes(make_png(padding=PICTURE_SIZE))
    page.get_by_label("A picture").set_input_files(tmp_path / "large.png")
    fill_in(page, "Grace", "Too much")
    page.get_by_role("button", name="Sign the book").click()
    page.get_by_text("This picture is too large.").wait_for()

    # the missing page, and back
    assert page.goto(f"{server}/nowhere").status == 404
    page.get_by_role("link", name="Back to the guestbook").click()
    page.locator("#entry-2").wait_for()
    assert complaints == []


@pytest.mark.browser
def test_a_visit_without_javascript(browser: Any, server: str) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(server)
    fill_in(page, "Ada", "No script")
    page.get_by_label("A picture").set_input_files({"name": "p.txt", "mimeType": "text/plain", "buffer": b"no"})
    page.get_by_role("button", name="Sign the book").click()
    page.get_by_text("Please choose a PNG").wait_for()
    assert page.get_by_label("What would you like to say?").input_value() == "No script"
    page.get_by_role("button", name="Sign the book").click()
    page.locator("#entry-1").wait_for()
    assert page.url == f"{server}/#entry-1"


@pytest.mark.browser
def test_a_page_connects_again_when_the_server_is_back(browser: Any, tmp_path: Path) -> None:
    """Stop the server, write with another one on the same port and folder, and see the entry appear."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "GUESTBOOK_FOLDER": str(tmp_path)}
    url = f"http://127.0.0.1:{port}"
    page = browser.new_context().new_page()
    for visit in ("first", "second"):
        with subprocess.Popen(command, cwd=Path(__file__).parent, env=environment) as process:
            wait_for(url, process)
            if visit == "first":
                page.goto(url)
            page.get_by_text("Live", exact=True).wait_for()
            urlopen(url, data=f"name=Ada&text={visit}".encode()).close()
            page.locator(".entry").get_by_text(visit).wait_for()
            process.terminate()
        page.get_by_text("Reconnecting").wait_for()
