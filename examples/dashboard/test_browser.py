"""The dashboard on a real server, in a real browser."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import httpx
import pytest
from conftest import running, serving

pytestmark = [pytest.mark.server, pytest.mark.browser]


def open_page(browser: Any, url: str, complaints: list[str], **options: Any) -> Any:
    """Open the dashboard in a page that notes what the browser complains about, but for a server that is away."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(15_000)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(url)
    wait_for_state(page, "live")
    return page


def wait_for_state(page: Any, state: str) -> None:
    page.locator(f"#state[data-state={state}]").wait_for()


def shown(page: Any, name: str) -> int:
    text = page.locator(f"#{name}").inner_text()
    return int(text) if text.isdigit() else 0


def wait_for_shown(page: Any, name: str, least: int) -> None:
    """Wait for a number of the page's foot. The policy forbids what evaluates text, so this asks again and again."""
    for _ in range(150):
        if shown(page, name) >= least:
            return
        page.wait_for_timeout(100)
    raise TimeoutError(f"{name} is {shown(page, name)}, not {least}")


def wait_for_more(page: Any, count: int) -> None:
    wait_for_shown(page, "received", shown(page, "received") + count)


def strokes(page: Any) -> int:
    """Return of how many strokes the line of one series is made: it is broken where nothing is known."""
    return int(page.evaluate("document.querySelector('[data-line=inside]').getAttribute('d').split('M').length - 1"))


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=15) in {0, -signal.SIGTERM}


def test_figures_are_drawn_and_shared_and_a_restart_that_forgets_is_a_gap(browser: Any, unused_port: int) -> None:
    complaints: list[str] = []
    url = f"http://127.0.0.1:{unused_port}"
    with serving(unused_port):
        page = open_page(browser, url, complaints)
        wait_for_more(page, 4)
        assert page.locator("[data-plot] svg").count() == 3
        assert int(page.locator("svg").first.get_attribute("data-points")) >= 4
        assert page.locator("output").first.inner_text().endswith(" °C")

        # another viewer, on a phone at night: the same feed, from its past on
        other = open_page(
            browser, url, complaints, viewport={"width": 360, "height": 740}, color_scheme="dark", has_touch=True
        )
        wait_for_shown(other, "viewers", 2)
        assert shown(other, "received") >= shown(page, "received") - 1
        assert other.evaluate("document.documentElement.scrollWidth") == 360
        assert other.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 21, 20)"

        # a figure of the past, by the keyboard
        page.locator("svg").first.focus()
        page.keyboard.press("ArrowLeft")
        page.locator(".cursor").first.wait_for(state="attached")

        before = shown(page, "received")
        page.reload()
        wait_for_state(page, "live")
        wait_for_shown(page, "received", before)
        assert strokes(page) == 1
        refused = see_refused_page(browser, url)
        assert strokes(refused) == 1
        assert complaints == []

    wait_for_state(page, "away")
    with serving(unused_port):
        wait_for_state(page, "live")
        wait_for_more(page, 2)
        assert strokes(page) == 2
        assert page.locator(".break").count() >= 1


def see_refused_page(browser: Any, url: str) -> Any:
    """Refuse the first connection as a proxy does, which ends an EventSource for good: the page makes a new one."""
    page = browser.new_context().new_page()
    answers: list[int] = []

    def refuse_once(route: Any) -> None:
        answers.append(502)
        if len(answers) == 1:
            route.fulfill(status=502)
        else:
            route.continue_()

    page.route("**/events", refuse_once)
    page.goto(url)
    wait_for_state(page, "away")
    wait_for_state(page, "live")
    wait_for_more(page, 1)
    return page


def test_a_restart_loses_nothing_that_redis_keeps(browser: Any, unused_port: int, redis_url: str) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    with running("feed.py", DASHBOARD_HUB=redis_url):
        with serving(unused_port, DASHBOARD_HUB=redis_url) as process:
            page = open_page(browser, url, [])
            wait_for_more(page, 2)
            with httpx.stream("GET", f"{url}/events", timeout=15) as response:
                stop(process)
                whole = response.read().decode()  # raises if the connection was cut
            assert whole.endswith("\n\n")
        wait_for_state(page, "away")
        before = shown(page, "received")
        page.wait_for_timeout(1500)  # the feed goes on meanwhile
        with serving(unused_port, DASHBOARD_HUB=redis_url):
            wait_for_state(page, "live")
            wait_for_shown(page, "received", before + 3)
            assert page.locator("#missed").inner_text() == "0"
            assert strokes(page) == 1
