"""The dashboard, through the test client."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest
from feed import Greenhouse, Machine, publish_figures

from microasgi.realtime import Hub
from microasgi.testing import TestClient

SERIES = {"inside", "outside", "soil", "air", "moist", "processor"}


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of an application whose hub has no past yet, and keeps all that comes."""
    monkeypatch.setattr("feed.INTERVAL", 0.01)
    monkeypatch.setattr("feed.PAST", 100_000)
    monkeypatch.delitem(sys.modules, "app", raising=False)
    with TestClient(import_module("app").app) as client:
        yield client


def read(client: TestClient, count: int, last: str | None = None) -> list[dict[str, Any]]:
    """Return the next events as their fields, data as what it says."""
    events: list[dict[str, Any]] = []
    with client.stream("GET", "/events", headers={"last-event-id": last} if last else None) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        fields: dict[str, Any] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(": ")
            if line and name:
                fields[name] = json.loads(value) if name == "data" else value
            elif "data" in fields:
                events.append(fields)
                fields = {}
                if len(events) == count:
                    return events
    raise AssertionError("the stream ended")


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    used = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert {client.get(f"/{path}").status_code for path in used} == {200}


def test_every_series_that_is_published_has_its_place_on_the_page(client: TestClient) -> None:
    (event,) = read(client, 1)
    shown = set(re.findall(r'data-series="(\w+)"', client.get("/").text))
    assert shown >= set(event["data"]["values"]) >= SERIES


def test_figures_come_in_order_with_ids(client: TestClient) -> None:
    events = read(client, 5)
    numbers = [event["data"]["number"] for event in events]
    assert numbers == [*range(numbers[0], numbers[0] + 5)]
    assert len({event["id"] for event in events}) == 5


def test_who_comes_late_gets_the_past_first(client: TestClient) -> None:
    read(client, 5)
    assert read(client, 1)[0]["data"]["number"] == 1


def test_who_comes_back_gets_what_was_missed_and_nothing_twice(client: TestClient) -> None:
    third = read(client, 5)[2]
    assert read(client, 1, third["id"])[0]["data"]["number"] == third["data"]["number"] + 1


def test_who_has_seen_another_life_of_the_server_is_told_of_the_gap(client: TestClient) -> None:
    first, second = read(client, 2, "0badcafe-7")
    assert first["event"] == "gap"
    assert second["data"]["number"] >= 1


def test_all_viewers_share_one_feed(client: TestClient) -> None:
    assert len({event["data"]["feed"] for event in [*read(client, 3), *read(client, 3)]}) == 1


def test_figures_are_sound() -> None:
    machine = Machine()
    for values in (machine.read(), machine.read()):
        assert all(0 <= value <= 100 for value in values.values())
    assert all(-50 < value < 120 for value in Greenhouse().read().values())


def test_the_feed_goes_on_while_redis_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, unused_port: int
) -> None:
    monkeypatch.setattr("feed.INTERVAL", 0.01)
    hub = Hub(f"redis://127.0.0.1:{unused_port}/0", timeout=1)

    async def publish_for_a_while() -> None:
        async with hub.lifespan():
            with anyio.move_on_after(0.3):
                await publish_figures(hub)

    anyio.run(publish_for_a_while)
    assert len([record for record in caplog.records if record.name == "dashboard"]) > 1


def test_the_files_are_small() -> None:
    """A page without a build step stays one that can be read."""
    files = Path(__file__).with_name("static").iterdir()
    assert max(path.stat().st_size for path in files) < 10_000
