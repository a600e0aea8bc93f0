"""Real calls between pages of a real browser, introduced by the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import serving

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module")
def server(port: int) -> Iterator[str]:
    with serving(port) as url:
        yield url


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Return what opens a page, which notes what the browser complains about; all are closed after the test."""
    contexts: list[Any] = []

    def open_one(url: str, complaints: list[str] | None = None, camera: bool = True, **options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        if complaints is not None:
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        if not camera:
            page.add_init_script(REFUSE)
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()


REFUSE = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); }"


def wait_for_state(page: Any, state: str) -> None:
    page.locator(f"#state[data-state={state}]").wait_for()


def wait_for_picture(page: Any) -> None:
    """Wait until the other one's video plays: it has a width, and its time goes on."""
    for _ in range(150):
        width, time = page.evaluate("[document.getElementById('theirs').videoWidth, theirs.currentTime]")
        if width > 0 and time > 0:
            return
        page.wait_for_timeout(100)
    raise TimeoutError("no picture has come")


def say(page: Any, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send").click()


def test_a_call_from_its_beginning_to_its_end(open_page: Any, server: str) -> None:
    complaints: list[str] = []
    ada = open_page(server, complaints)
    ada.get_by_role("button", name="Begin a call").click()
    wait_for_state(ada, "alone")
    assert ada.url in ada.locator("#hint").inner_text()
    bob = open_page(ada.url, complaints, viewport={"width": 360, "height": 740}, color_scheme="dark")

    for page in (ada, bob):
        wait_for_state(page, "connected")
        wait_for_picture(page)
    say(ada, "Hello <b>Bob</b>")
    bob.locator("#log .theirs").get_by_text("Hello <b>Bob</b>").wait_for()
    say(bob, "Hello Ada")
    ada.locator("#log .theirs").get_by_text("Hello Ada").wait_for()
    assert bob.evaluate("document.documentElement.scrollWidth") == 360

    eve = open_page(ada.url, complaints)
    wait_for_state(eve, "full")

    bob.get_by_role("button", name="Leave").click()
    wait_for_state(bob, "left")
    ada.get_by_text("The other one has left.").wait_for()
    wait_for_state(ada, "alone")
    assert ada.get_by_label("Your message").is_disabled()

    # somebody else comes, and a page that is closed has left too
    cleo = open_page(ada.url, complaints)
    for page in (ada, cleo):
        wait_for_state(page, "connected")
        wait_for_picture(page)
    cleo.close()
    wait_for_state(ada, "alone")
    assert complaints == []


def test_both_may_make_an_offer_at_the_same_moment(open_page: Any, server: str) -> None:
    page = open_page(server)
    assert page.evaluate(GLARE) == ["stable", "stable", 2, 2, "heard"]


GLARE = """async () => {
  const { Call } = await import("/static/call.js");
  const sides = [];
  const open = [], heard = [];
  for (const number of [0, 1]) {
    sides.push(new Call({
      number: 1, polite: number === 1, ice: [], media: null,
      send: (signal) => setTimeout(() => sides[1 - number].take(JSON.parse(JSON.stringify(signal))), 5),
      onTrack() {}, onState() {}, onText: (text) => heard.push(text), onChannel: (is) => { if (is) open.push(number); },
    }));
  }
  const until = async (done) => { while (!done()) await new Promise((next) => setTimeout(next, 20)); };
  await until(() => open.length === 2);
  for (const side of sides) side.connection.addTransceiver("audio");
  const settled = (side) => side.connection.getTransceivers().filter((one) => one.currentDirection).length;
  await until(() => sides.every((side) => settled(side) === 2));
  sides[1].say("heard");
  await until(() => heard.length);
  return [...sides.map((side) => side.connection.signalingState), ...sides.map(settled), heard[0]];
}"""


def test_without_a_camera_there_is_the_chat(open_page: Any, server: str) -> None:
    ada, bob = pages = [open_page(f"{server}/room/plain", camera=False) for _ in range(2)]
    for page in pages:
        wait_for_state(page, "connected")
    say(ada, "Only words")
    bob.locator("#log .theirs").get_by_text("Only words").wait_for()
    assert not bob.get_by_role("button", name="Camera").is_visible()


def test_a_call_outlives_the_server_and_the_seats_are_taken_again(open_page: Any, port: int) -> None:
    with serving(port + 1) as server:
        ada, bob = pages = [open_page(f"{server}/room/long", camera=False) for _ in range(2)]
        for page in pages:
            wait_for_state(page, "connected")
    say(ada, "Still here")
    bob.locator("#log .theirs").get_by_text("Still here").wait_for()
    with serving(port + 1):
        for page in pages:
            page.locator("body[data-calls='2']").wait_for()
            wait_for_state(page, "connected")
        say(bob, "Here again")
        ada.locator("#log .theirs").get_by_text("Here again").wait_for()
