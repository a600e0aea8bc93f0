"""Server-sent events: what is on the wire, who is told what when they come back, and how a stream ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import ConfigurationError, HTTPConnection, MicroASGI, Request
from microasgi.realtime import EventStream, Hub, ServerSentEvent, limits
from microasgi.testing import AsyncTestClient, Exchange, http_scope
from tests.realtime.reading import until

pytestmark = pytest.mark.anyio


def parse(stream: str) -> list[dict[str, str]]:
    """Return events as a browser reads them (WHATWG HTML, section 9.2.6)."""
    events, fields, data = list[dict[str, str]](), dict[str, str](), list[str]()
    for line in stream.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line and (data or fields):
            if data:
                events.append({**fields, "data": "\n".join(data)})
            fields, data = {}, []
        elif name == "data":
            data.append(value)
        elif name:
            fields[name] = value
    return events


def app_of(make: Callable[[Request], Any], hub: Hub | None = None) -> MicroASGI:
    app = MicroASGI()
    if hub is not None:
        app.lifespan(hub.lifespan)

    @app.get("/")
    async def events(request: Request) -> Any:
        return make(request)

    return app


async def numbers(most: int) -> AsyncIterator[int]:
    for number in range(most):
        yield number


async def body_of(app: Any) -> str:
    async with AsyncTestClient(app) as client:
        return (await client.get("/")).text


async def test_an_iterator_becomes_events() -> None:
    async with AsyncTestClient(app_of(lambda _: EventStream(numbers(3)))) as client:
        answer = await client.get("/")
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text == ":\n\ndata: 0\n\ndata: 1\n\ndata: 2\n\n"


async def test_a_blocking_iterator_becomes_events() -> None:
    assert parse(await body_of(app_of(lambda _: EventStream(iter(["a", "b"]))))) == [{"data": "a"}, {"data": "b"}]


async def test_fields_are_those_of_the_standard() -> None:
    event = ServerSentEvent({"é": 1}, event="change", id="7", retry=100, comment="why\nso")
    assert event.encode() == ': why\n: so\nevent: change\nid: 7\nretry: 100\ndata: {"é":1}\n\n'.encode()
    assert ServerSentEvent("a\r\nb\rc\n").encode() == b"data: a\ndata: b\ndata: c\ndata: \n\n"
    assert ServerSentEvent(retry=5).encode() == b"retry: 5\n\n"
    assert ServerSentEvent(comment="").encode() == b": \n\n"
    assert ServerSentEvent().encode() == b"data: \n\n"


@given(data=st.text(), event=st.none() | st.text(min_size=1), name=st.none() | st.text(min_size=1), comment=st.text())
async def test_no_text_breaks_out_of_its_field(data: str, event: Any, name: Any, comment: str) -> None:
    try:
        sent = ServerSentEvent(data, event=event, id=name, comment=comment).encode().decode()
    except ValueError:
        assert any(set(text) & set("\r\n\0") for text in (event or "", name or ""))
        return
    events = parse(sent)
    if not data:
        assert events == []
        return
    (got,) = events
    encoded = data.encode(errors="replace").decode()
    assert got.pop("data") == encoded.replace("\r\n", "\n").replace("\r", "\n")
    assert set(got) <= {"event", "id", ""}


async def test_the_browser_is_told_when_to_come_back() -> None:
    assert (await body_of(app_of(lambda _: EventStream(numbers(0), retry=3000)))) == "retry: 3000\n\n"


def hub_app(hub: Hub, **options: Any) -> MicroASGI:
    return app_of(lambda request: hub.stream(request, "a", "b", **options), hub)


async def read_events(exchange: Exchange, number: int) -> str:
    """Return what is sent until there are so many events."""
    text = ""
    with anyio.fail_after(10):
        while len(parse(text)) < number:
            message = await exchange.receive_output()
            text += message.get("body", b"").decode()
    return text


async def test_what_is_published_is_sent_with_its_id() -> None:
    hub = Hub(replay=10)
    async with Exchange(hub_app(hub), http_scope("GET", "/")) as exchange:
        await until(lambda: _members(hub))
        await hub.publish("a", {"n": 1})
        await hub.publish("b", "text")
        first, second = parse(await read_events(exchange, 2))
        assert (first["data"], second["data"]) == ('{"n":1}', '"text"')
        assert first["id"] != second["id"]
        exchange.disconnect()
        await exchange.wait_finished()
    assert hub.metrics()["members"] == 0


async def _members(hub: Hub) -> bool:
    return bool(hub.metrics()["members"])


async def test_a_browser_that_comes_back_gets_what_it_missed() -> None:
    hub = Hub(replay=3)
    async with hub.subscribe("a") as member:
        for number in range(5):
            await hub.publish("a", number)
        names = [(await anext(member.deliveries())).id for _ in range(5)]
    for name, expected in ((names[2], ["3", "4"]), (names[0], ['{"groups":["a"],"type":"gap"}', "2", "3", "4"])):
        headers = [(b"last-event-id", name.encode())]
        async with Exchange(hub_app(hub, replay=1), http_scope("GET", "/", headers=headers)) as exchange:
            events = parse(await read_events(exchange, len(expected)))
            assert [event["data"] for event in events] == expected
            assert events[0].get("event") == (None if len(expected) == 2 else "gap")
            exchange.disconnect()
    async with Exchange(hub_app(hub, replay=1), http_scope("GET", "/")) as exchange:
        assert parse(await read_events(exchange, 1))[0]["data"] == "4"
        exchange.disconnect()


@pytest.mark.parametrize("value", [b"", b"\xff", b"x" * 5000, b"1-2-3"])
async def test_any_last_event_id_is_answered(value: bytes) -> None:
    hub = Hub(replay=3)
    await hub.publish("a", 1)
    scope = http_scope("GET", "/", headers=[(b"last-event-id", value)])
    async with Exchange(hub_app(hub, replay=3), scope) as exchange:
        assert parse(await read_events(exchange, 1))
        exchange.disconnect()


async def test_silence_is_filled_with_comments() -> None:
    hub = Hub()
    async with Exchange(hub_app(hub, ping=0.02), http_scope("GET", "/")) as exchange:
        with anyio.fail_after(5):
            assert (await exchange.receive_output())["type"] == "http.response.start"
            for _ in range(4):
                assert (await exchange.receive_output())["body"] == b":\n\n"
        exchange.disconnect()


async def test_the_end_of_the_hub_ends_the_stream_well() -> None:
    hub = Hub()
    app = app_of(lambda request: hub.stream(request, "a"))
    async with Exchange(app, http_scope("GET", "/")) as exchange:
        async with hub.lifespan():
            await until(lambda: _members(hub))
            await hub.publish("a", 1)
        await exchange.wait_finished()
        assert exchange.complete


async def test_a_slow_browser_with_the_policy_close_is_sent_away_to_come_back() -> None:
    hub = Hub()
    async with Exchange(hub_app(hub, max_queue=2, overflow="close"), http_scope("GET", "/")) as exchange:
        await until(lambda: _members(hub))
        for number in range(10):
            hub._backend.publish_sync("a", number)  # without a turn for the reader
        await exchange.wait_finished()
        assert exchange.complete


@pytest.mark.parametrize("how", ["disconnect", "fail_send"])
async def test_a_client_that_is_gone_ends_the_iterator(how: str) -> None:
    ended: list[str] = []

    async def forever() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await anyio.sleep(0.001)
        finally:
            ended.append("yes")

    async with Exchange(app_of(lambda _: EventStream(forever())), http_scope("GET", "/")) as exchange:
        await read_events(exchange, 1)
        getattr(exchange, how)()
        await exchange.wait_finished()
    assert ended == ["yes"]


async def test_an_error_of_the_iterator_never_ends_the_stream_well() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise LookupError("inside")

    async with AsyncTestClient(app_of(lambda _: EventStream(broken()))) as client:
        with pytest.raises(LookupError, match="inside"):
            await client.get("/")


async def test_a_generator_may_hold_scopes_over_its_yields() -> None:
    async def scoped() -> AsyncIterator[int]:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep_forever)
                for number in range(3):
                    yield number
                group.cancel_scope.cancel()

    assert len(parse(await body_of(app_of(lambda _: EventStream(scoped()))))) == 3


async def test_head_sends_no_events() -> None:
    hub = Hub()
    async with AsyncTestClient(hub_app(hub)) as client:
        answer = await client.head("/")
        assert (answer.status_code, answer.content) == (200, b"")
    assert hub.metrics()["members"] == 0


async def test_a_ping_of_no_time_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        EventStream(numbers(1), ping=0)


@pytest.mark.parametrize("answers", [[True, False], [4401], [None]])
async def test_a_stream_of_who_may_no_longer_listen_ends_whole(answers: list[Any]) -> None:
    hub, left = Hub(), list(answers)

    async def may_stay(request: HTTPConnection[Any]) -> Any:
        return left.pop(0)

    assert (await body_of(hub_app(hub, revalidate=may_stay, revalidate_every=0.01))).startswith(":")
    assert left == []
    assert hub.metrics()["members"] == 0


async def test_a_stream_of_whom_nobody_can_ask_about_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PATIENCE", 0.05)

    async def events() -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield ""

    stream = EventStream(events(), revalidate=cast(Any, anyio.sleep_forever), revalidate_every=0.01)
    assert await body_of(app_of(lambda _: stream)) == ":\n\n"
