"""The chat, through the test client: in memory on asyncio and trio, and over a real Redis."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from app import KEPT, NAME_LENGTH, SHOWN, TEXT_LENGTH, app

from microasgi import WebSocketDisconnect
from microasgi.testing import TestClient, WebSocketDenialResponse
from tests.redis_server import redis_url

__all__ = ["redis_url"]

addresses = (f"10.0.{number >> 8}.{number & 255}" for number in itertools.count())


def open_client(**options: Any) -> TestClient:
    """Return a client with an address of its own: handshakes are counted for each."""
    return TestClient(app, client=(next(addresses), 50000), **options)


@pytest.fixture(params=["asyncio", "trio"])
def client(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.delenv("CHAT_REDIS", raising=False)
    with open_client(backend=request.param) as client:
        yield client


def enter(client: TestClient, name: str = "Ada", room: str = "lobby") -> Any:
    """Enter as somebody new."""
    client.cookies.clear()
    return client.post("/", data={"name": name, "room": room})


def connect(client: TestClient, room: str = "lobby", since: str | None = None) -> Any:
    return client.websocket_connect(f"/rooms/{room}/live" + (f"?since={since}" if since is not None else ""))


def receive(page: Any, kind: str = "message") -> Any:
    """Return the next of one kind."""
    while (message := page.receive_json())["type"] != kind:
        pass
    return message


def wait_for_people(page: Any, *names: str) -> list[Any]:
    while True:
        people: list[Any] = receive(page, "people")["people"]
        if [one["name"] for one in people] == list(names):
            return people


def say(page: Any, text: str, key: str = "1") -> None:
    page.send_json({"key": key, "text": text})


def close_code(page: Any) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        while True:
            page.receive_json()
    return closed.value.code


def publish(client: TestClient, room: str, count: int) -> None:
    """Let a program say something so many times."""
    for number in range(count):
        said = {
            "name": "Bot",
            "by": "0" * 8,
            "key": str(number),
            "text": f"{number}",
            "at": "2030-01-01T00:00:00+00:00",
        }
        client.portal.call(client.app_state["hub"].publish, room, said)


# Names


def test_who_has_no_name_is_asked_for_one_first(client: TestClient) -> None:
    page = client.get("/rooms/tea")
    assert page.url.path == "/"
    assert 'value="tea" checked' in page.text


def test_the_name_is_remembered(client: TestClient) -> None:
    answer = client.post("/", data={"name": "  Zoë   Ł ", "room": "tea"}, follow_redirects=False)
    assert answer.headers["location"] == "/rooms/tea"
    assert all("HttpOnly" in cookie for cookie in answer.headers.get_list("set-cookie"))
    assert "<bdi>Zoë Ł</bdi>" in client.get("/rooms/tea").text
    assert 'value="Zoë Ł"' in client.get("/").text


@pytest.mark.parametrize("name", ["", " ", "x" * (NAME_LENGTH + 1), "a\0b", "\u202eadA"])
def test_what_is_no_name_is_explained(client: TestClient, name: str) -> None:
    answer = enter(client, name)
    assert answer.status_code == 422
    assert "Please give a name" in answer.text


@pytest.mark.parametrize(
    "cookie", ["name=Ada", "visitor=x", "name=%E2%80%AEadA; visitor=x", "name=%FF%00; visitor=\xe9"]
)
def test_cookies_of_somebody_else_s_making_are_no_name(client: TestClient, cookie: str) -> None:
    headers = [(b"cookie", cookie.encode("latin-1"))]
    assert client.get("/rooms/tea", headers=headers, follow_redirects=False).status_code == 303


def test_names_are_escaped(client: TestClient) -> None:
    page = enter(client, '"><script>')
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_the_cookie_that_tells_visitors_apart_is_shown_to_nobody(client: TestClient) -> None:
    secret = enter(client).history[0].cookies["visitor"]
    with connect(client) as page:
        say(page, "Hello")
        assert secret not in str(receive(page)) + client.get("/rooms/lobby").text


def test_a_form_on_another_site_is_refused(client: TestClient) -> None:
    answer = client.post("/", data={"name": "Eve", "room": "tea"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


# Rooms


def test_a_message_reaches_all_in_the_room_and_nobody_elsewhere(client: TestClient) -> None:
    enter(client)
    with connect(client) as ada, connect(client) as bob, connect(client, "tea") as eve:
        say(ada, "<b>Hello</b>\nyou ")
        for page in (ada, bob):
            message = receive(page)
            assert (message["name"], message["text"]) == ("Ada", "<b>Hello</b>\nyou")
        say(eve, "Tea?")
        assert receive(eve)["text"] == "Tea?"


def test_nobody_speaks_as_somebody_else(client: TestClient) -> None:
    enter(client)
    with connect(client) as page:
        page.send_json({"key": "1", "text": "x", "name": "Bob", "by": "me", "at": "never", "type": "people", "id": "1"})
        message = receive(page)
        assert message["name"] == "Ada"
        assert (message["type"], len(message["by"])) == ("message", 8)
        assert message["at"].startswith("20")


def test_two_of_one_name_are_told_apart(client: TestClient) -> None:
    enter(client)
    with connect(client) as one:
        enter(client)
        with connect(client) as other:
            people = wait_for_people(one, "Ada", "Ada")
            assert people[0]["by"] != people[1]["by"]
            say(other, "It is me")
            assert receive(one)["by"] == receive(other)["by"]


@pytest.mark.parametrize("path", ["/rooms/cellar", "/rooms/people", "/rooms/", "/static/../app.py"])
def test_there_are_no_other_rooms(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_socket_to_another_room_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with connect(client, "cellar"):
            pass
    assert refusal.value.status_code == 404


def test_a_socket_without_a_name_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with connect(client):
            pass
    assert refusal.value.status_code == 401


def test_a_socket_of_a_page_of_another_site_is_refused(client: TestClient) -> None:
    enter(client)
    with pytest.raises(WebSocketDenialResponse) as refusal:
        with client.websocket_connect("/rooms/lobby/live", headers={"origin": "https://evil.example"}):
            pass
    assert refusal.value.status_code == 403


def test_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    policy = enter(client).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")


# Who is there


def test_who_comes_and_goes_is_seen_by_all_in_the_room(client: TestClient) -> None:
    enter(client, "Ada")
    with connect(client) as ada:
        wait_for_people(ada, "Ada")
        enter(client, "Bob")
        with connect(client) as bob:
            for page in (ada, bob):
                wait_for_people(page, "Ada", "Bob")
        wait_for_people(ada, "Ada")


def test_somebody_with_two_pages_is_there_once(client: TestClient) -> None:
    enter(client, "Ada")
    with connect(client) as one, connect(client) as two:
        for page in (one, two):
            wait_for_people(page, "Ada")
        assert "1 here" in client.get("/").text


# What was missed


def test_a_newcomer_sees_what_was_said_last(client: TestClient) -> None:
    enter(client)
    publish(client, "tea", SHOWN + 5)
    with connect(client, "tea") as page:
        assert [receive(page)["text"] for _ in range(SHOWN)] == [str(number) for number in range(5, SHOWN + 5)]


def test_a_page_that_was_away_gets_what_it_missed_and_no_more(client: TestClient) -> None:
    enter(client)
    publish(client, "tea", 2)
    with connect(client, "tea") as page:
        last = [receive(page)["id"] for _ in range(2)][-1]
    publish(client, "tea", KEPT)
    with connect(client, "tea", last) as page:
        texts = [receive(page)["text"] for _ in range(KEPT)]
        assert texts == [str(number) for number in range(KEPT)]
        say(page, "Back")
        assert receive(page)["text"] == "Back"


@pytest.mark.parametrize("since", ["long-gone", "x" * 5000, "%00", "1-1"])
def test_a_page_that_was_away_for_too_long_is_told(client: TestClient, since: str) -> None:
    enter(client)
    publish(client, "tea", 1)
    with connect(client, "tea", since) as page:
        kinds = [message["type"] for message in (page.receive_json() for _ in range(3)) if message["type"] != "people"]
        assert kinds[:2] == ["gap", "message"]


# What is too much, or nonsense


@pytest.mark.parametrize(
    "frame, code",
    [
        ({"text": "{"}, 1007),
        ({"bytes": b"{}"}, 1003),
        ({"text": '{"key": "1", "text": "%s"}' % ("x" * 9000)}, 1009),
        ({"text": '{"key": "1", "text": "%s"}' % ("x" * (TEXT_LENGTH + 1))}, 1007),
        ({"text": '{"key": "1", "text": "  "}'}, 1007),
        ({"text": '{"key": "%s", "text": "x"}' % ("1" * 41)}, 1007),
        ({"text": '{"key": 1, "text": "x"}'}, 1007),
        ({"text": '"x"'}, 1007),
        ({"text": "[" * 5000}, 1007),
    ],
)
def test_what_is_no_message_closes_the_socket(client: TestClient, frame: dict[str, Any], code: int) -> None:
    enter(client)
    with connect(client) as page:
        page.send({"type": "websocket.receive", **frame})
        assert close_code(page) == code


def test_half_a_character_is_carried_as_a_question_mark(client: TestClient) -> None:
    enter(client)
    with connect(client) as page:
        page.send_text('{"key": "1", "text": "x\\ud83d"}')
        assert receive(page)["text"] == "x?"


def test_who_says_too_much_at_once_is_stopped(client: TestClient) -> None:
    enter(client)
    with connect(client) as page:
        for number in range(25):
            say(page, str(number))
        assert close_code(page) == 1008


def test_a_new_socket_for_every_few_messages_is_stopped_too(client: TestClient) -> None:
    enter(client)
    with pytest.raises(WebSocketDenialResponse) as refusal:
        for _ in range(130):
            with connect(client):
                pass
    assert refusal.value.status_code == 429


# The end of the process, and Redis


def test_pages_are_told_of_a_restart(client: TestClient) -> None:
    enter(client)
    with connect(client) as page:
        client.portal.start_task_soon(app.drain)
        assert close_code(page) == 1012


def test_two_processes_with_one_redis_are_one_chat(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_REDIS", redis_url)
    with open_client() as one, open_client() as two:
        enter(one, "Ada")
        enter(two, "Bob")
        with connect(one) as ada, connect(two) as bob:
            for page in (ada, bob):
                wait_for_people(page, "Ada", "Bob")
            say(ada, "Hello")
            first = receive(bob)
            assert receive(ada) == first
        say_more(two)
        with connect(one, since=first["id"]) as ada:
            assert [receive(ada)["text"] for _ in range(2)] == ["a", "b"]


def say_more(client: TestClient) -> None:
    with connect(client) as page:
        for text in ("a", "b"):
            say(page, text)
            while receive(page)["text"] != text:
                pass


def test_without_redis_pages_open_and_a_message_closes_the_socket(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_REDIS", f"redis://127.0.0.1:{free_port}/0")
    with open_client(raise_server_exceptions=False) as client:
        assert enter(client).status_code == 200
        assert client.get("/").status_code == 200
        with connect(client) as page:
            say(page, "Hello")
            assert close_code(page) == 1011


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
