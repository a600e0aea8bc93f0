"""RateLimitMiddleware: so many requests of each client, counted here or in a Redis."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import limits.aio.storage  # imported here, because it takes long, and a test's event loop must not wait for it
import pytest
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st

from microasgi import MicroASGI, Middleware, WebSocket
from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware import MemoryRates, RateLimitMiddleware, client_network
from microasgi.middleware.limitsrates import LimitsRates
from microasgi.middleware.rates import Rate, Usage, parse_rates, weigh
from microasgi.testing import RawResponse, TestClient, WebSocketDenialResponse, http_scope, lifespan_scope, request
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio


assert limits.aio.storage.RedisStorage
assert redis.asyncio.Redis


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def home(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def get(app: ASGIApp, client: str | None = "192.0.2.1", **headers: str) -> RawResponse:
    return await request(app, headers=headers, client=(client, 1) if client else None)


def values(response: RawResponse, *names: str) -> list[str | None]:
    return [None if (value := response.header(name.encode())) is None else value.decode() for name in names]


async def test_above_the_limit_the_answer_is_429_and_says_when_to_come_back() -> None:
    clock = Clock()
    app = RateLimitMiddleware(home, "2/minute", store=MemoryRates(clock=clock))
    told = [values(await get(app), "ratelimit", "ratelimit-policy") for _ in range(2)]
    assert told == [['"default";r=1', '"default";q=2;w=60'], ['"default";r=0;t=61', '"default";q=2;w=60']]
    clock.now += 20
    refused = await get(app)
    assert (refused.status, refused.body) == (429, b"Too many requests. Please try again later.")
    assert values(refused, "retry-after", "ratelimit") == ["41", '"default";r=0;t=41']
    clock.now += 41
    assert (await get(app)).status == 200


async def test_each_client_has_its_own_count() -> None:
    app = RateLimitMiddleware(home, "1/hour")
    for client in ("192.0.2.1", "192.0.2.2", "testclient", None):
        assert [(await get(app, client)).status for _ in range(2)] == [200, 429]


async def test_the_window_slides() -> None:
    clock = Clock()
    app = RateLimitMiddleware(home, "4 per 10 seconds", store=MemoryRates(clock=clock))
    assert [(await get(app)).status for _ in range(5)] == [200, 200, 200, 200, 429]
    clock.now += 15  # of the four, half of the window before, two count
    assert [(await get(app)).status for _ in range(3)] == [200, 200, 429]
    clock.now += 30
    assert [(await get(app)).status for _ in range(5)] == [200, 200, 200, 200, 429]


@given(
    amount=st.integers(1, 5),
    window=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 15, allow_nan=False), max_size=40),
)
def test_who_comes_back_when_told_is_let_in_and_nobody_gets_more_than_twice_the_rate(
    amount: int, window: int, pauses: list[float]
) -> None:
    async def run() -> None:
        clock, rate = Clock(), Rate(amount, window)
        store = MemoryRates(clock=clock)
        let_in: list[float] = []
        for pause in pauses:
            clock.now += pause
            usage = await store.hit("k", rate)
            if not usage.allowed:
                clock.now += usage.retry_after
                usage = await store.hit("k", rate)
                assert usage.allowed
            let_in.append(clock.now)
            assert 0 <= usage.remaining < amount
        for moment in let_in:
            assert sum(moment <= other < moment + window for other in let_in) <= 2 * amount

    drive(run())


def drive(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def test_several_rates_are_all_kept() -> None:
    clock = Clock()
    app = RateLimitMiddleware(home, "2/second; 3/minute", store=MemoryRates(clock=clock), name="api")
    assert [(await get(app)).status for _ in range(3)] == [200, 200, 429]
    clock.now += 5
    last = await get(app)
    assert values(last, "ratelimit") == ['"api-1";r=0;t=56']
    assert values(last, "ratelimit-policy") == ['"api";q=2;w=1, "api-1";q=3;w=60']
    assert values(await get(app), "retry-after") == ["56"]


async def test_the_headers_can_be_left_out() -> None:
    app = RateLimitMiddleware(home, "1/hour", headers=False)
    for status in (200, 429):
        response = await get(app)
        assert (response.status, response.header(b"ratelimit")) == (status, None)
    assert response.header(b"retry-after") is not None


async def by_token(connection: HTTPConnection[Any]) -> str | None:
    await anyio.sleep(0.001)
    return connection.headers.get("x-token")


class ByToken:
    def __call__(self, connection: HTTPConnection[Any]) -> Awaitable[str | None]:
        return by_token(connection)


class ByTokenAsync:
    async def __call__(self, connection: HTTPConnection[Any]) -> str | None:
        return await by_token(connection)


@pytest.mark.parametrize("key", [lambda connection: connection.headers.get("x-token"), by_token, ByTokenAsync()])
async def test_the_key_says_who_it_is_and_none_is_not_limited(key: Any) -> None:
    app = RateLimitMiddleware(home, "1/hour", key=key)
    headers = [{"x-token": "a"}, {"x-token": "a"}, {"x-token": "b"}, {}, {}]
    assert [(await get(app, **one)).status for one in headers] == [200, 429, 200, 200, 200]


async def test_a_key_may_be_a_number() -> None:
    app = RateLimitMiddleware(home, "1/hour", key=lambda connection: 7)  # type: ignore[arg-type, return-value]
    assert [(await get(app)).status for _ in range(2)] == [200, 429]


async def test_a_long_key_is_kept_short() -> None:
    store = MemoryRates()
    app = RateLimitMiddleware(home, "1/hour", key=lambda connection: connection.headers["x-token"], store=store)
    for token in ("a" * 5000, "a" * 4999 + "b", "\udcff" * 100):
        app._key = lambda _, token=token: token  # type: ignore[misc]
        assert [(await get(app)).status for _ in range(2)] == [200, 429]
    (windows,) = store._windows.values()
    assert all(len(name) < 150 for name in windows.current)


async def test_the_memory_of_counts_is_bounded() -> None:
    store = MemoryRates(max_keys=100)
    for number in range(1000):
        assert (await store.hit(f"client {number}", Rate(1, 60))).allowed
    (windows,) = store._windows.values()
    assert len(windows.current) == 100
    assert not (await store.hit("client 999", Rate(1, 60))).allowed


@pytest.mark.parametrize(
    "host, network",
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002/64"),
        ("2001:db8:1:2::9", "20010db800010002/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("testclient", "testclient"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_client_is_its_network(host: str | None, network: str) -> None:
    client = None if host is None else [host, 1]
    assert client_network(HTTPConnection(http_scope(client=client))) == network


async def test_a_header_never_names_the_client() -> None:
    app = RateLimitMiddleware(home, "1/hour")
    statuses = [(await get(app, **{"x-forwarded-for": f"198.51.100.{number}"})).status for number in range(2)]
    assert statuses == [200, 429]


@pytest.mark.parametrize(
    "text, rates",
    [
        ("100/minute", [(100, 60)]),
        ("5 per 10 Seconds", [(5, 10)]),
        ("1/second;20 / 2 hours, 9/day", [(1, 1), (20, 7200), (9, 86400)]),
    ],
)
def test_a_rate_is_read_as_it_is_written(text: str, rates: list[tuple[int, int]]) -> None:
    assert parse_rates(text) == rates


@pytest.mark.parametrize("text", ["", "100", "0/minute", "1/0 minutes", "1/fortnight", "-1/minute", "1/minute;", 100])
def test_what_is_no_rate_is_refused(text: Any) -> None:
    with pytest.raises(ConfigurationError, match='write "100/minute"'):
        RateLimitMiddleware(home, text)


def test_a_full_window_waits_for_its_end() -> None:
    assert weigh(Rate(2, 10), 0, 2, 4.0) == Usage(False, 0, 4.0)
    assert weigh(Rate(2, 10), 2, 1, 6.0) == Usage(False, 0, 1.0)
    assert weigh(Rate(1, 10), 0, 0, 6.0) == Usage(True, 1, 0.0)


@pytest.mark.parametrize("name", ["", 'a"b', "a b", "a" * 33])
def test_a_name_is_a_word(name: str) -> None:
    with pytest.raises(ConfigurationError, match="name="):
        RateLimitMiddleware(home, name=name)


def test_handshakes_count_and_are_refused_with_a_status() -> None:
    app = MicroASGI(middleware=[Middleware(RateLimitMiddleware, limit="1/hour")])

    @app.websocket("/")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()

    with TestClient(app) as client:
        with client.websocket_connect("/"):
            pass
        with pytest.raises(WebSocketDenialResponse) as refused:
            with client.websocket_connect("/"):
                pass
        assert (refused.value.status_code, "retry-after" in refused.value.headers) == (429, True)


async def test_lifespan_goes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await RateLimitMiddleware(app)(lifespan_scope(), nothing, nothing)
    assert seen == ["lifespan"]


async def nothing(message: Message | None = None) -> Any:
    raise AssertionError


class Broken:
    """A store that fails as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.asked = error, 0
        self.failures: tuple[type[Exception], ...] = (ZeroDivisionError,)

    async def hit(self, key: str, rate: Rate) -> Usage:
        self.asked += 1
        if self.error is None:
            await anyio.sleep_forever()
        elif self.error.args != ("none",):
            raise self.error
        return Usage(True, 1, 0.0)


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("connection refused"), None], ids=repr)
async def test_a_store_that_fails_lets_requests_through_and_is_left_alone_for_a_while(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    store = Broken(error)
    app = RateLimitMiddleware(home, store=store, store_timeout=0.02)
    assert [(await get(app)).status for _ in range(3)] == [200, 200, 200]
    assert store.asked == 1
    assert [record.levelno for record in caplog.records if record.name == "microasgi"] == [logging.WARNING]
    app._asked_again_at = 0.001  # the pause is over
    store.error = OSError("none")
    assert (await get(app)).header(b"ratelimit") == b'"default";r=1'
    assert app._asked_again_at == 0.0


async def test_a_store_that_fails_refuses_where_that_is_asked_for() -> None:
    app = RateLimitMiddleware(home, store=Broken(OSError()), fail_open=False)
    for _ in range(2):
        response = await get(app)
        assert (response.status, response.header(b"retry-after")) == (503, b"5")


async def test_a_mistake_in_a_store_is_not_hidden() -> None:
    with pytest.raises(KeyError):
        await get(RateLimitMiddleware(home, store=Broken(KeyError("typo"))))


@asynccontextmanager
async def served(*apps: RateLimitMiddleware) -> AsyncGenerator[None]:
    """Let the applications close what they have opened, as at the end of their lifespan."""
    try:
        yield
    finally:
        for app in apps:
            await app({"type": "lifespan"}, nothing, nothing)


async def home_or_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await home(scope, receive, send)


async def test_processes_count_together_in_redis(redis_url: str) -> None:
    name = uuid4().hex
    one, other = (RateLimitMiddleware(home_or_lifespan, "3/minute", store=redis_url, name=name) for _ in range(2))
    async with served(one, other):
        assert [(await get(app)).status for app in (one, other, one, other, one)] == [200, 200, 200, 429, 429]
        refused = await get(other)
        assert 1 <= int(refused.header(b"retry-after") or 0) <= 61
        assert (await get(one, "192.0.2.2")).header(b"ratelimit") == f'"{name}";r=2'.encode()


async def test_the_window_in_redis_slides(redis_url: str) -> None:
    app = RateLimitMiddleware(home_or_lifespan, "2/second", store=redis_url, name=uuid4().hex)
    async with served(app):
        assert [(await get(app)).status for _ in range(3)] == [200, 200, 429]
        await anyio.sleep(int((await get(app)).header(b"retry-after") or 0))
        assert (await get(app)).status == 200


async def test_connections_are_closed_at_the_end_and_opened_again_if_need_be(redis_url: str) -> None:
    app = RateLimitMiddleware(home_or_lifespan, "2/hour", store=redis_url, name=uuid4().hex)
    statuses = []
    async with served(app, app):
        pass
    for _ in range(3):
        async with served(app):
            statuses.append((await get(app)).status)
    assert statuses == [200, 200, 429]


async def once(app: RateLimitMiddleware) -> int:
    async with served(app):
        return (await get(app)).status


def test_a_store_in_redis_works_on_one_event_loop_after_the_other(redis_url: str) -> None:
    app = RateLimitMiddleware(home_or_lifespan, "2/hour", store=redis_url, name=uuid4().hex)
    assert [anyio.run(once, app) for _ in range(3)] == [200, 200, 429]


async def test_a_redis_that_is_not_there_lets_requests_through(free_port: int) -> None:
    app = RateLimitMiddleware(home_or_lifespan, "1/hour", store=f"redis://127.0.0.1:{free_port}")
    with anyio.fail_after(5):
        async with served(app):
            assert [(await get(app)).status for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize("url", ["redis", "mysql://localhost", "memory", "memory:/", "redis://127.0.0.1:port"])
def test_a_store_that_there_is_not_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store="):
        RateLimitMiddleware(home, store=url)


def test_without_the_packages_the_line_that_installs_them_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr("microasgi.middleware.limitsrates.find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match=r'pip install "microasgi\[limits\]"'):
        LimitsRates("redis://localhost")
    assert importlib.util.find_spec("redis") is not None
    monkeypatch.setitem(sys.modules, "limits.errors", None)
    with pytest.raises(MissingPackage, match=r'pip install "microasgi\[limits\]"'):
        RateLimitMiddleware(home, store="redis://localhost")


def test_memory_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "limits", None)
    RateLimitMiddleware(home, "1/second", store="memory://")


def test_a_store_without_sliding_windows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limits.storage.storage_from_string", lambda url, **options: object())
    with pytest.raises(ConfigurationError, match="no sliding windows"):
        LimitsRates("redis://localhost")


def test_errors_of_a_store_may_be_of_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class Storage:
        base_exceptions = ZeroDivisionError
        acquire_sliding_window_entry = None

    monkeypatch.setattr("limits.storage.storage_from_string", lambda url, **options: Storage())
    assert LimitsRates("other://").failures == (ZeroDivisionError,)
