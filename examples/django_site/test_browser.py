"""The site on a real server, seen by three people in real browsers, with SQLite and with a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import Served, serving

pytestmark = [pytest.mark.server, pytest.mark.browser]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest) -> Iterator[Served]:
    """The demo, served."""
    database = "sqlite:///{folder}/saleroom.sqlite3"
    if request.param == "postgres":
        database = f"postgres://postgres@127.0.0.1:{request.getfixturevalue('postgres').port}/postgres"
    with serving(database) as served:
        yield served


class Person:
    """Somebody with a browser, which notes what it complains about, and what it asks elsewhere."""

    def __init__(self, browser: Any, site: Served, name: str, **options: Any) -> None:
        self.name, self.site, self.complaints = name, site, []
        self.context = browser.new_context(base_url=site.url, **options)
        self.context.on("request", self._note)
        self.page = self.open()

    def open(self) -> Any:
        page = self.context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda one: self.complaints.append(one.text) if one.type == "error" else None)
        return page

    def log_in(self, path: str) -> None:
        self.page.goto(path)
        self.page.fill("[name=username]", self.name)
        self.page.fill("[name=password]", "saleroom")
        self.page.press("[name=password]", "Enter")

    def picture(self, name: str) -> None:
        """Keep what the page looks like, in the folder that SALEROOM_PICTURES names."""
        if folder := os.environ.get("SALEROOM_PICTURES"):
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    def _note(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "data" and parts.netloc != urlsplit(self.site.url).netloc:
            self.complaints.append(f"asked {request.url}")


def wait_for_state(page: Any, state: str) -> None:
    page.locator(f"#state[data-state={state}]").wait_for()


def wait_for_text(page: Any, selector: str, text: str) -> None:
    page.locator(selector, has_text=text).wait_for()


def test_what_one_does_the_others_see(browser: Any, site: Served) -> None:
    ann = Person(browser, site, "ann", viewport={"width": 1280, "height": 860}, color_scheme="light")
    ann.log_in("/login/?next=/lots/1/")
    wait_for_text(ann.page, ".who span", "ann")
    wait_for_state(ann.page, "live")

    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "has_touch": True}
    ben = Person(browser, site, "ben", **phone)
    ben.page.goto("/?by=events")
    wait_for_state(ben.page, "live")
    assert ben.page.locator("[data-lot]").count() == 6
    assert ben.page.evaluate("document.documentElement.scrollWidth") == 360
    ben.picture("visitor-phone-dark")

    office = Person(browser, site, "office", color_scheme="light")
    the_office_changes_a_lot(office, ann, ben)
    ann_and_ben_bid(ann, ben)
    if not site.is_postgres:  # what follows is the same with any database
        the_office_adds_and_withdraws(office, ann, ben)
        the_api_is_described(office)
    ann_logs_out_elsewhere(ann)
    for person in (ann, ben, office):
        assert person.complaints == [], person.name
        person.context.close()


def the_office_changes_a_lot(office: Person, ann: Person, ben: Person) -> None:
    office.log_in("/admin/login/?next=/admin/auction/lot/1/change/")
    office.page.fill("#id_title", "A clock, <i>repaired</i>")
    office.page.click("[name=_save]")
    wait_for_text(office.page, ".success", "changed successfully")
    office.picture("admin")
    wait_for_text(ann.page, "h1", "A clock, <i>repaired</i>")  # by websocket
    wait_for_text(ben.page, "[data-lot='1'] h2", "A clock, <i>repaired</i>")  # by an event stream


def ann_and_ben_bid(ann: Person, ben: Person) -> None:
    ann.page.fill("#amount", "200")
    ann.page.click("#bid button")
    wait_for_text(ann.page, ".price", "€ 200")
    wait_for_text(ben.page, "[data-lot='1'] .price", "€ 200")
    ben.log_in("/login/?next=/lots/1/")
    wait_for_state(ben.page, "live")
    ben.page.fill("#amount", "1500")
    ben.page.click("#bid button")
    wait_for_text(ann.page, ".price", "€ 1,500")
    wait_for_text(ann.page, ".notice", "Somebody bids € 1,500")
    wait_for_text(ann.page, "[data-show=bidding]", "ben leads, 3 bids")
    ann.picture("lot-light")
    ben.picture("lot-phone-dark")
    assert ben.page.evaluate("document.documentElement.scrollWidth") == 360


def the_office_adds_and_withdraws(office: Person, ann: Person, ben: Person) -> None:
    ann.page.goto("/")
    wait_for_state(ann.page, "live")
    office.page.goto("/admin/auction/lot/add/")
    office.page.fill("#id_title", "A stool")
    office.page.select_option("#id_kind", "chair")
    office.page.fill("#id_start", "25")
    office.page.fill("#id_closes_0", "2040-01-01")
    office.page.fill("#id_closes_1", "12:00:00")
    office.page.click("[name=_save]")
    wait_for_text(ann.page, ".card h2", "A stool")
    ann.picture("home-light")
    office.page.goto("/lots/1/")
    wait_for_state(office.page, "live")
    office.page.click("[value=withdrawn]")
    wait_for_text(office.page, ".badge", "withdrawn")
    wait_for_text(ann.page, "[data-lot='1'] .badge", "withdrawn")
    wait_for_text(ben.page, ".badge", "withdrawn")
    assert not ben.page.locator("#bid").is_visible()
    office.picture("lot-withdrawn")


def the_api_is_described(office: Person) -> None:
    office.page.goto("/api/docs")
    wait_for_text(office.page, "body", "Bid for a lot")
    office.picture("api")


def ann_logs_out_elsewhere(ann: Person) -> None:
    other = ann.open()
    other.goto("/")
    other.click(".who button")
    other.locator("header a.button", has_text="Log in").wait_for()
    wait_for_state(ann.page, "out")  # the socket was closed with 4401
    wait_for_text(ann.page, ".notice", "You have logged out.")
    ann.picture("logged-out")
    ann.page.goto("/login/")
    ann.picture("login")


def test_of_bids_at_the_same_time_one_is_taken(site: Served) -> None:
    with httpx.Client(base_url=site.url, timeout=30, headers={"origin": site.url}) as client:
        client.get("/login/")
        form = {"username": "ben", "password": "saleroom", "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/login/", data=form).status_code == 302
        client.headers["x-csrftoken"] = client.cookies["csrftoken"]

        def bid(amount: int) -> int:
            return client.post("/api/lots/2/bids", json={"amount": amount}).status_code

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(bid, [1000] * 24))
            assert sorted(answers) == [201] + [409] * 23
            amounts = range(2000, 6000, 200)
            answers = list(threads.map(bid, amounts))
        taken = [amount for amount, answer in zip(amounts, answers, strict=True) if answer == 201]
        assert len(taken) + answers.count(409) == len(amounts)
        lot = client.get("/api/lots/2").json()
        assert (lot["bids"], lot["price"]) == (2 + len(taken), max(taken))
