"""The documentation page in a real Chromium, at a real server, with every other address cut off."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import find_chromium

pytestmark = [pytest.mark.browser, pytest.mark.server]

ROOT = Path(__file__).parents[2]
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
VIOLATIONS = "addEventListener('securitypolicyviolation', event => console.error('CSP: ' + event.violatedDirective))"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run the bookshop with uvicorn on a free port."""
    pytest.importorskip("uvicorn")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "tests.openapi.page_served:app", "--log-level", "warning"]
    process = subprocess.Popen([*command, "--port", str(port)], cwd=ROOT)
    try:
        wait_for(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, f"uvicorn has ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("uvicorn does not answer")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any, server: str) -> Iterator[Any]:
    """Open a tab. In the end nothing may have been asked of another address, and the browser may not complain."""
    context = browser.new_context(base_url=server, viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(10_000)
    context.add_init_script(VIOLATIONS)
    complaints: list[str] = []
    elsewhere: list[str] = []

    def cut_off(route: Any) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    context.route("**/*", cut_off)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.complaints = complaints
    yield page
    context.close()
    assert elsewhere == []
    assert complaints == []


def open_docs(page: Any, at: str = "", path: str = "/docs") -> Any:
    """Open the page, at an operation, and return the operation."""
    page.goto(f"{path}#{at}" if at else path)
    page.locator("main:not([aria-busy])").wait_for()
    return page.locator(f'details[id="{at}"]')


def answer(operation: Any) -> Any:
    """Send what the form says, and return what was answered as JSON."""
    operation.get_by_role("button", name="Send").click()
    operation.locator(".status").wait_for()
    return read(operation)


def read(operation: Any) -> Any:
    pre = operation.get_by_label("Body of the answer")
    pre.locator("span").first.wait_for()
    return pre.evaluate("pre => JSON.parse(pre.textContent)")


def command(operation: Any) -> str:
    return str(operation.get_by_label("The request as a curl command").text_content())


def test_everything_is_done_with_the_keyboard(page: Any) -> None:
    open_docs(page)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the operations"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.type("SHELF put")
    page.get_by_text("1 operations").wait_for(state="attached")
    assert page.locator("details.operation:visible").count() == 1

    # open the operation that is left
    page.locator("details.operation:visible > summary").focus()
    page.keyboard.press("Enter")
    operation = page.locator("#add_book[open]")
    operation.wait_for()
    page.wait_for_url("**/docs#add_book")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    # log in
    page.locator("#authorize").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Authorize")
    dialog.wait_for()
    for text in ("ada", "secret"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Authorized (1)", include_hidden=True).wait_for()
    page.keyboard.press("Escape")

    # write the body and send it
    body = operation.get_by_role("textbox", name="Body")
    body.focus()
    page.keyboard.press("Control+a")
    page.keyboard.type('{"title": "Typed"}')
    page.keyboard.press("Control+Enter")
    operation.get_by_text("201 Created").wait_for()
    seen = read(operation)
    assert seen["body"] == {"title": "Typed"}
    assert seen["headers"]["authorization"] == "Bearer token-of-ada-books:write"
    assert seen["headers"]["content-type"] == "application/json"


def test_parameters_of_every_kind_arrive(page: Any) -> None:
    operation = open_docs(page, "list_books")
    operation.get_by_label("q", exact=True).fill("a b&c=d/é")
    operation.get_by_label("format").select_option("ebook")
    operation.get_by_label("tag").fill("red\nblue")
    operation.get_by_label("in_stock").select_option("true")
    operation.get_by_label("x-shop").fill("north")
    operation.get_by_label("seen").fill("5;x=1")
    assert answer(operation) == {
        "query": [["q", "a b&c=d/é"], ["format", "ebook"], ["tag", "red"], ["tag", "blue"], ["in_stock", "true"]],
        "seen": ["north", "5%3Bx%3D1"],
        "books": [
            {
                "id": 12345678901234567000,
                "title": "On Looms",
                "price": "9.50",
                "authors": [{"name": "Ada"}],
                "related": [],
            }
        ],
    }
    assert '"id": 12345678901234567890' in operation.get_by_label("Body of the answer").text_content()
    assert page.evaluate("document.cookie") == ""
    query = "q=a%20b%26c%3Dd%2F%C3%A9&format=ebook&tag=red&tag=blue&in_stock=true"
    assert command(operation).splitlines() == [
        f"curl '{page.evaluate('location.origin')}/books?{query}' \\",
        "  -H 'x-shop: north' \\",
        "  -b seen=5%3Bx%3D1",
    ]


def test_the_command_is_one_word_for_each_value_in_a_shell(page: Any) -> None:
    operation = open_docs(page, "change_book")
    operation.get_by_label("book_id").fill("1'; touch evil; '")
    operation.get_by_role("textbox", name="Body").fill('"it\'s $(touch evil) `touch evil` \\\\ \\n!"')
    script = f'curl() {{ printf \'%s\\n\' "$#" "$@"; }}; {command(operation)}'
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert ran.stdout.splitlines() == [
        "7",
        "-X",
        "PUT",
        page.evaluate("location.origin") + "/books/1'%3B%20touch%20evil%3B%20'",
        "-H",
        "Content-Type: application/json",
        "--data-raw",
        '"it\'s $(touch evil) `touch evil` \\\\ \\n!"',
    ]


def test_what_is_missing_or_broken_is_said_beside_the_input_and_not_sent(page: Any) -> None:
    operation = open_docs(page, "change_book")
    body = operation.get_by_role("textbox", name="Body")
    body.fill('{"title": }')
    operation.get_by_text("This is no JSON").wait_for()
    operation.get_by_role("button", name="Send").click()
    book_id = operation.get_by_label("book_id")
    assert book_id.evaluate("input => document.activeElement === input")
    for field, message in ((book_id, "This is needed."), (body, "This is no JSON")):
        assert field.get_attribute("aria-invalid") == "true"
        described = field.get_attribute("aria-describedby")
        assert message in page.locator(f'[id="{described}"]').text_content()
    book_id.fill("..")
    operation.get_by_role("button", name="Send").click()
    operation.get_by_text("A URL cannot hold . or .. here").wait_for()
    book_id.fill("a b?")
    body.fill("")
    assert answer(operation)["path"] == "/books/a%20b%3F"


def test_examples_are_made_of_the_schema_also_where_it_contains_itself(page: Any) -> None:
    operation = open_docs(page, "change_book")
    made = operation.get_by_role("textbox", name="Body").evaluate("area => JSON.parse(area.value)")
    assert "id" not in made  # it is read only
    assert made["wrapping"] == "red"
    assert (made["title"], made["price"], made["published"]) == ("On Looms", "9.99", "2026-01-31")
    assert made["related"][0]["related"] == []
    operation = open_docs(page, "add_book")
    operation.get_by_label("Example").select_option("long")
    assert answer(operation)["body"]["title"] == "On Weaving"


def test_limits_are_shown_as_they_are_written(page: Any) -> None:
    operation = open_docs(page, "read_book")
    operation.get_by_text("≥ 1", exact=True).wait_for()
    operation.get_by_text("≤ 9223372036854775807", exact=True).wait_for()


def test_a_schema_that_contains_itself_opens_level_by_level(page: Any) -> None:
    operation = open_docs(page, "add_book")
    operation.get_by_text("Schema", exact=True).click()
    inside = operation.locator(".more > div")
    for _ in range(3):
        inside = inside.locator("> ul > li > details", has_text="related").last
        inside.locator("> summary").click()
    inside.locator("> ul > li", has_text="authors").wait_for()


def test_files_and_fields_go_out_as_multipart(page: Any) -> None:
    operation = open_docs(page, "upload_cover")
    operation.get_by_label("book_id").fill("3")
    operation.get_by_role("button", name="Send").click()
    operation.get_by_text("This is needed.").wait_for()
    operation.get_by_label("cover").set_input_files({"name": "a'b.png", "mimeType": "image/png", "buffer": b"1234"})
    operation.get_by_label("caption").fill("@file")
    seen = answer(operation)
    assert seen["form"] == {"cover": ["a'b.png", 4], "caption": "@file"}
    assert """-F 'cover=@"a'\\''b.png";type=image/png'""" in command(operation)
    assert "--form-string caption=@file" in command(operation)


def test_a_form_goes_out_urlencoded_with_basic_credentials(page: Any) -> None:
    operation = open_docs(page, "pay")
    operation.get_by_label("Media type of the body").select_option("application/x-www-form-urlencoded")
    operation.get_by_label("kind").select_option("voucher")
    operation.get_by_label("code").fill("A & B")
    page.locator("#authorize").click()
    login = page.get_by_role("group", name="login")
    login.get_by_label("User name").fill("ada")
    login.get_by_label("Password").fill("pässword")
    page.get_by_role("button", name="Done").click()
    seen = answer(operation)
    assert seen["body"] == "kind=voucher&code=A+%26+B"
    assert seen["headers"]["authorization"] == "Basic YWRhOnDDpHNzd29yZA=="


def test_credentials_go_where_the_document_wants_them_once_all_are_there(page: Any) -> None:
    operation = open_docs(page, "change_book")
    operation.get_by_text("Needs token (books:write), or own and crumb and word").wait_for()
    operation.get_by_label("book_id").fill("1")
    for name, label in (("own", "Token"), ("crumb", "Key"), ("word", "Key")):
        assert "secret" not in command(operation)
        operation.get_by_role("button", name="Authorize").click()
        page.get_by_role("group", name=name).get_by_label(label).fill(f"{name}-secret")
        page.keyboard.press("Enter")
    seen = answer(operation)
    assert seen["headers"]["authorization"] == "Token own-secret"
    assert seen["cookies"] == {"crumb": "crumb-secret"}
    assert seen["query"] == [["word", "word-secret"]]
    assert page.evaluate("document.cookie") == ""


def test_a_refused_login_is_said(page: Any) -> None:
    open_docs(page)
    page.locator("#authorize").click()
    token = page.get_by_role("group", name="token")
    token.get_by_label("User name").fill("eve")
    token.get_by_role("button", name="Get a token").click()
    token.get_by_text("400: Who is that?").wait_for()
    (complaint,) = page.complaints  # the browser's own note of the status
    assert "400 (Bad Request)" in complaint
    page.complaints.clear()


def test_credentials_are_forgotten_with_the_page_unless_asked_for(page: Any) -> None:
    operation = open_docs(page, "add_book")
    page.locator("#authorize").click()
    page.get_by_role("group", name="X-Key").get_by_label("Key").fill("k-1")
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0
    page.keyboard.press("Enter")
    assert "-H 'X-Key: k-1'" in command(operation)
    page.reload()
    operation.wait_for()
    assert "X-Key" not in command(operation)
    page.locator("#authorize").click()
    page.get_by_role("group", name="X-Key").get_by_label("Key").fill("k-2")
    page.get_by_label("Remember in this tab").check()
    page.reload()
    assert answer(operation)["headers"]["x-key"] == "k-2"
    page.locator("#authorize").click()
    page.get_by_role("button", name="Forget all").click()
    assert page.evaluate("sessionStorage.length + localStorage.length") == 0


def test_a_stream_is_shown_as_it_comes_and_can_be_stopped(page: Any) -> None:
    operation = open_docs(page, "events")
    operation.get_by_role("button", name="Send").click()
    operation.get_by_text('{"number": 3}').wait_for()
    operation.get_by_role("button", name="Stop").click()
    operation.get_by_text("Stopped.").wait_for()
    assert '{"number": 199}' not in operation.get_by_label("Body of the answer").text_content()


def test_a_picture_is_shown_and_a_file_can_be_saved(page: Any) -> None:
    operation = open_docs(page, "picture")
    operation.get_by_role("button", name="Send").click()
    assert operation.locator("img").evaluate("async image => (await image.decode(), image.naturalWidth)") == 64
    operation = open_docs(page, "archive")
    operation.get_by_role("button", name="Send").click()
    with page.expect_download() as download:
        operation.get_by_role("link", name="Save shelf.zip (256 B)").click()
    assert download.value.suggested_filename == "shelf.zip"
    assert Path(download.value.path()).read_bytes() == bytes(range(256))


def test_typed_handlers_are_called_below_a_mount(page: Any) -> None:
    operation = open_docs(page, "buy", path="/typed/help/docs")
    page.locator("#authorize").click()
    page.get_by_role("group", name="HTTPBearer").get_by_label("Token").fill("t-1")
    page.keyboard.press("Enter")
    operation.get_by_label("shelf").fill("7")
    operation.get_by_label("count").fill("3")
    operation.get_by_label("x-agent").fill("me")
    operation.get_by_label("seen").fill("yes")
    body = {"name": "Loom", "price": "9.50", "colours": ["red"], "parts": []}
    operation.get_by_role("textbox", name="Body").fill(json.dumps(body))
    bought = {"item": body, "shelf": 7, "count": 3, "by": "t-1", "agent": "me", "seen": "yes"}
    assert answer(operation) == bought

    operation.get_by_label("count").fill("30")
    operation.get_by_label("shelf").fill("x")
    operation.get_by_role("button", name="Send").click()
    operation.get_by_text("422 Unprocessable").wait_for()
    assert {error["name"] for error in read(operation)["errors"]} == {"shelf", "count"}
    page.complaints.clear()  # the status


def test_typed_handlers_take_files_and_answer_in_lines(page: Any) -> None:
    operation = open_docs(page, "show", path="/typed/help/docs")
    operation.get_by_label("picture").set_input_files({"name": "p.png", "mimeType": "image/png", "buffer": b"123"})
    operation.get_by_label("sizes").fill("1\n22")
    assert answer(operation) == {"name": "p.png", "size": 3, "sizes": [1, 22]}
    operation = open_docs(page, "prices", path="/typed/help/docs")
    operation.get_by_role("button", name="Send").click()
    operation.get_by_text('"name":"item 2"').wait_for()


def test_a_hostile_document_does_nothing_but_look_odd(page: Any) -> None:
    open_docs(page, path="/hostile/docs")
    title = page.title()
    for _ in range(3):
        page.evaluate("document.querySelectorAll('details:not([open])').forEach(one => one.open = true)")
    page.locator("#authorize").click()
    page.keyboard.press("Escape")
    for link in page.locator("main a").all():
        assert urlsplit(link.evaluate("link => link.href")).scheme in {"http", "https"}
    assert page.locator("main img, main script, main [onerror]").count() == 0
    page.locator("select[data-field]").first.select_option(index=1)
    page.get_by_role("button", name="Send").first.click()
    page.locator(".status, .answer .bad").first.wait_for()
    assert page.evaluate("document.title") == title
    page.complaints.clear()  # the statuses of the calls


def test_a_document_that_is_not_there_is_said_plainly(page: Any) -> None:
    page.route("**/openapi.json", lambda route: route.fulfill(status=503, body="no"))
    page.goto("/docs")
    page.get_by_text("/openapi.json was answered with 503").wait_for()
    page.complaints.clear()


def test_a_phone_shows_all_of_it_without_scrolling_sideways(page: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 780})
    for at in ("list_books", "add_book", "upload_cover"):
        open_docs(page, at)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("button", name="Menu").click()
    page.get_by_role("navigation").get_by_role("link", name="One book").click()
    page.locator("#read_book[open]").wait_for()
    assert not page.get_by_role("navigation").is_visible()
