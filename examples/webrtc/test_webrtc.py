"""The signalling, through the test client."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from app import app, ice_servers, rooms

from microasgi import WebSocketDisconnect
from microasgi.exceptions import ConfigurationError
from microasgi.testing import TestClient, WebSocketTestSession

SIGNALS = "/room/tea/signals"
OFFER = {"description": {"type": "offer", "sdp": "v=0"}}


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app) as client:
        yield client
    assert len(rooms) == 0


def pair(ada: WebSocketTestSession, bob: WebSocketTestSession) -> int:
    """Read what both hear when the second one comes; return the number of their call."""
    assert ada.receive_json()["type"] == bob.receive_json()["type"] == "welcome"
    first, second = ada.receive_json(), bob.receive_json()
    assert first["type"] == second["type"] == "call"
    assert first["call"] == second["call"]
    assert (first["polite"], second["polite"]) == (False, True)
    return int(first["call"])


def closing(session: WebSocketTestSession) -> int:
    with pytest.raises(WebSocketDisconnect) as caught:
        while True:
            session.receive_json()
    return caught.value.code


def test_the_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for page in ("/", "/room/tea"):
        answer = client.get(page)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert "camera=(self)" in answer.headers["permissions-policy"]
        used = re.findall(r'(?:src|href)="(?:\.\./)?(static/[^"]+)"', answer.text)
        assert {client.get(f"/{path}").status_code for path in used} == {200}


def test_a_call_begins_in_a_room_that_nobody_can_guess(client: TestClient) -> None:
    places = {client.post("/", follow_redirects=False).headers["location"] for _ in range(2)}
    assert len(places) == 2
    assert all(client.get(place).status_code == 200 for place in places)


@pytest.mark.parametrize("name", ["a.b", "x" * 41, "%20"])
def test_a_name_that_no_room_has_is_404(client: TestClient, name: str) -> None:
    assert client.get(f"/room/{name}").status_code == 404
    with pytest.raises(Exception, match="404"):
        with client.websocket_connect(f"/room/{name}/signals"):
            pass


def test_what_one_says_the_other_hears(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada, client.websocket_connect(SIGNALS) as bob:
        call = pair(ada, bob)
        ada.send_json({"call": call, **OFFER})
        assert bob.receive_json() == {"type": "signal", "call": call, **OFFER}
        bob.send_json({"call": call, "candidate": {"candidate": "candidate:1"}})
        assert ada.receive_json()["candidate"] == {"candidate": "candidate:1"}


def test_the_third_one_is_told_that_the_room_is_full(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada, client.websocket_connect(SIGNALS) as bob:
        pair(ada, bob)
        with client.websocket_connect(SIGNALS) as eve:
            assert closing(eve) == 4409
        with client.websocket_connect("/room/other/signals") as eve:
            assert eve.receive_json()["type"] == "welcome"


def test_who_stays_is_told_that_the_other_has_left_and_can_be_called_again(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada:
        with client.websocket_connect(SIGNALS) as bob:
            first = pair(ada, bob)
        assert ada.receive_json() == {"type": "left"}
        with client.websocket_connect(SIGNALS) as cleo:
            assert cleo.receive_json()["type"] == "welcome"
            assert ada.receive_json()["call"] == cleo.receive_json()["call"] == first + 1


def test_the_seat_of_the_first_one_is_given_to_the_next(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada, client.websocket_connect(SIGNALS) as bob:
        pair(ada, bob)
        ada.close()
        assert bob.receive_json() == {"type": "left"}
        with client.websocket_connect(SIGNALS) as cleo:
            assert cleo.receive_json()["type"] == "welcome"
            assert cleo.receive_json()["polite"] is False
            assert bob.receive_json()["polite"] is True


def test_signals_of_an_earlier_call_are_dropped(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada, client.websocket_connect(SIGNALS) as bob:
        call = pair(ada, bob)
        ada.send_json({"call": call - 1, **OFFER})
        ada.send_json({"call": call, "candidate": {}})
        assert "candidate" in bob.receive_json()


def test_who_is_alone_talks_to_nobody(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada:
        assert ada.receive_json()["type"] == "welcome"
        ada.send_json({"call": 0, **OFFER})
        with client.websocket_connect(SIGNALS) as bob:
            assert [bob.receive_json()["type"], bob.receive_json()["type"]] == ["welcome", "call"]


@pytest.mark.parametrize(
    "message",
    [
        [],
        "text",
        {},
        {"type": "left"},
        {"call": 1},
        {"call": 1, "candidate": "text"},
        {"call": "1", "candidate": {}},
        {"call": 1, "candidate": {}, "description": {}},
    ],
)
def test_what_is_no_signal_ends_the_socket(client: TestClient, message: Any) -> None:
    with client.websocket_connect(SIGNALS) as ada:
        ada.send_json(message)
        assert closing(ada) == 1008


@pytest.mark.parametrize(("text", "code"), [("{", 1007), ('"' + "x" * 70_000 + '"', 1009)])
def test_what_is_no_json_or_too_large_ends_the_socket(client: TestClient, text: str, code: int) -> None:
    with client.websocket_connect(SIGNALS) as ada:
        ada.send_text(text)
        assert closing(ada) == code


def test_a_flood_ends_the_socket(client: TestClient) -> None:
    with client.websocket_connect(SIGNALS) as ada:
        for _ in range(400):  # more than the bucket holds, and what has run into it meanwhile
            ada.send_json({"call": 0, **OFFER})
        assert closing(ada) == 1008


def test_there_are_only_so_many_rooms(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "_most", 1)
    with client.websocket_connect(SIGNALS), client.websocket_connect("/room/other/signals") as eve:
        assert closing(eve) == 1013


def test_the_servers_of_the_setting_reach_the_browser(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBRTC_ICE", '[{"urls": "stun:127.0.0.1:3478"}]')
    monkeypatch.setattr("app.ice", ice_servers())
    with client.websocket_connect(SIGNALS) as ada:
        assert ada.receive_json()["ice"] == [{"urls": "stun:127.0.0.1:3478"}]


@pytest.mark.parametrize("text", ["stun:here", "{}", "[1]", "["])
def test_a_wrong_setting_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WEBRTC_ICE", text)
    with pytest.raises(ConfigurationError, match="WEBRTC_ICE"):
        ice_servers()
