"""Stores: sessions on the server's side, in memory and in a real Redis."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import anyio
import pytest
import redis
import redis.asyncio
import sniffio

from microasgi import MicroASGI, Request, Response
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.middleware import MemoryStore, RedisStore, SessionMiddleware, SessionStore
from microasgi.testing import Exchange, lifespan_scope
from microasgi.types import Receive, Scope, Send
from tests.middleware.visitor import Visitor

pytestmark = pytest.mark.anyio

Open = Callable[[], Any]


@pytest.fixture(params=["memory", "redis", "redis, blocking", "redis, text", "redis, given"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Return a context manager that gives an empty store."""
    kind = request.param
    if kind == "memory":
        return memory_store
    url = request.getfixturevalue("redis_url")

    @asynccontextmanager
    async def redis_store() -> AsyncIterator[RedisStore]:
        prefix = f"{uuid4().hex}:"
        if kind == "redis":
            store = RedisStore(url, prefix)
            yield store
            await store.aclose()
        elif kind == "redis, given":
            if sniffio.current_async_library() != "asyncio":
                pytest.skip("a redis.asyncio client runs on asyncio")
            async with redis.asyncio.Redis.from_url(url) as given:
                yield RedisStore(given, prefix)
        else:
            with redis.Redis.from_url(url, decode_responses=kind == "redis, text") as client:
                store = RedisStore(client, prefix)
                yield store
                await store.aclose()  # which leaves a client that was given alone
                assert client.ping()

    return redis_store


@asynccontextmanager
async def memory_store() -> AsyncIterator[MemoryStore]:
    yield MemoryStore()


async def test_what_is_saved_is_there_until_it_is_deleted(open_store: Open) -> None:
    async with open_store() as store:
        assert await store.load("k") is None
        assert await store.save("k", b"1.one", 60, new=True) is True
        assert await store.load("k") == b"1.one"
        assert await store.save("k", b"1.two", 60, new=False) is True
        assert await store.load("k") == b"1.two"
        assert await store.delete("k") is True
        assert await store.load("k") is None
        assert await store.delete("k") is False


async def test_what_is_not_there_is_not_replaced(open_store: Open) -> None:
    async with open_store() as store:
        assert await store.save("k", b"late", 60, new=False) is False
        assert await store.load("k") is None


async def test_what_is_saved_ends_after_its_time(open_store: Open) -> None:
    async with open_store() as store:
        await store.save("k", b"x", 1, new=True)
        await anyio.sleep(1.1)
        assert await store.load("k") is None
        assert await store.save("k", b"x", 60, new=False) is False


async def test_keys_do_not_touch_each_other(open_store: Open) -> None:
    async with open_store() as store:
        await store.save("a", b"1", 60, new=True)
        await store.save("b", b"2", 60, new=True)
        await store.delete("a")
        assert await store.load("b") == b"2"


class Counter:
    """An application with a session, whose requests can be held."""

    def __init__(self, store: SessionStore) -> None:
        self.stacked = SessionMiddleware(self.answer, store=store)
        self.arrived, self.go_on = anyio.Event(), anyio.Event()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = scope["session"]
        match scope["path"]:
            case "/in":
                session["count"] = 0
            case "/count" | "/slow":
                session["count"] += 1
            case "/cycle" | "/slow/cycle":
                session.cycle()
                session["cycled"] = True
            case "/out":
                session.clear()
            case "/slow/again":
                session.clear()
                session["again"] = True
            case _:
                pass
        if scope["path"].startswith("/slow"):
            self.arrived.set()
            await self.go_on.wait()
        await Response(repr(dict(session)))(scope, receive, send)


async def test_sessions_are_counted_in_the_store(open_store: Open) -> None:
    async with open_store() as store:
        visitor = Visitor(Counter(store).stacked)
        await visitor.get("/in")
        assert (await visitor.get("/count")).body == b"{'count': 1}"
        assert (await visitor.get("/count")).body == b"{'count': 2}"


async def test_the_store_has_the_hash_of_the_id_alone() -> None:
    seen: list[str] = []

    class Watched(MemoryStore):
        async def save(self, key: str, data: bytes, max_age: int, *, new: bool) -> bool:
            seen.append(key)
            return await super().save(key, data, max_age, new=new)

    visitor = Visitor(Counter(Watched()).stacked)
    await visitor.get("/in")
    name = visitor.cookies["session"]
    assert len(name) == 43  # 256 bits
    assert seen == [hashlib.sha256(name.encode()).hexdigest()]
    visitor.cookies["session"] = seen[0]
    assert (await visitor.get("/look")).body == b"{}"


async def test_a_cycle_moves_the_data_and_ends_the_old_id(open_store: Open) -> None:
    async with open_store() as store:
        visitor, thief = Visitor(Counter(store).stacked), Visitor(Counter(store).stacked)
        await visitor.get("/in")
        thief.cookies = dict(visitor.cookies)
        assert (await thief.get("/look")).body == b"{'count': 0}"
        await visitor.get("/cycle")
        assert visitor.cookies != thief.cookies
        assert (await visitor.get("/look")).body == b"{'count': 0, 'cycled': True}"
        assert (await thief.get("/look")).body == b"{}"


async def test_a_logout_ends_the_session_for_every_copy_of_its_cookie(open_store: Open) -> None:
    async with open_store() as store:
        visitor, thief = Visitor(Counter(store).stacked), Visitor(Counter(store).stacked)
        await visitor.get("/in")
        thief.cookies = dict(visitor.cookies)
        await visitor.get("/out")
        assert visitor.cookies == {}
        assert (await thief.get("/look")).body == b"{}"


@pytest.mark.parametrize("path", ["/slow", "/slow/cycle"])
async def test_a_slow_request_does_not_bring_back_what_a_logout_has_ended(open_store: Open, path: str) -> None:
    async with open_store() as store:
        counter = Counter(store)
        visitor, slow = Visitor(counter.stacked), Visitor(counter.stacked)
        await visitor.get("/in")
        slow.cookies = dict(visitor.cookies)
        async with anyio.create_task_group() as group:
            group.start_soon(slow.get, path)
            await counter.arrived.wait()
            await visitor.get("/out")
            counter.go_on.set()
        assert slow.set_cookies == []
        assert (await slow.get("/look")).body == b"{}"


async def test_a_session_that_begins_anew_is_kept_whatever_became_of_the_old_one(open_store: Open) -> None:
    async with open_store() as store:
        counter = Counter(store)
        visitor, slow = Visitor(counter.stacked), Visitor(counter.stacked)
        await visitor.get("/in")
        slow.cookies = dict(visitor.cookies)
        async with anyio.create_task_group() as group:
            group.start_soon(slow.get, "/slow/again")
            await counter.arrived.wait()
            await visitor.get("/out")
            counter.go_on.set()
        assert (await slow.get("/look")).body == b"{'again': True}"


async def test_an_id_that_cannot_be_one_is_not_looked_up() -> None:
    class Untouched(MemoryStore):
        async def load(self, key: str) -> bytes | None:
            raise AssertionError("looked up")

    visitor = Visitor(Counter(Untouched()).stacked)
    for name in ("", "short", "x" * 44):
        visitor.cookies = {"session": name}
        assert (await visitor.get("/look")).body == b"{}"


async def test_above_its_number_the_oldest_session_goes() -> None:
    store = MemoryStore(max_sessions=2)
    for key in "abc":
        await store.save(key, b"x", 60, new=True)
    assert [await store.load(key) for key in "abc"] == [None, b"x", b"x"]
    await store.save("b", b"y", 60, new=False)
    await store.save("d", b"x", 60, new=True)
    assert [await store.load(key) for key in "bcd"] == [b"y", None, b"x"]
    assert len(store) == 2


async def test_memory_does_not_grow_by_sessions_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    store, now = MemoryStore(), 1000.0
    monkeypatch.setattr("microasgi.middleware.stores.monotonic", lambda: now)
    for number in range(500):
        now += 1
        await store.save(str(number), b"x", 10, new=True)
    assert len(store) <= 11
    now += 20
    await store.save("last", b"x", 10, new=True)
    await store.delete("last")
    assert await store.load("499") is None


@pytest.mark.parametrize("number", [0, -1])
def test_a_store_holds_something(number: int) -> None:
    with pytest.raises(ConfigurationError, match="at least 1"):
        MemoryStore(max_sessions=number)


def test_a_url_that_is_none_is_refused_at_set_up() -> None:
    with pytest.raises(ConfigurationError, match=r"RedisStore\('localhost:6379'\).*redis://host:6379/0"):
        RedisStore("localhost:6379")


def test_a_missing_redis_is_said_at_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingPackage, match=r'to keep sessions in Redis: pip install "microasgi\[redis\]"'):
        RedisStore("redis://localhost")


async def test_the_lifespan_closes_what_the_store_has_opened(redis_url: str) -> None:
    name = uuid4().hex
    store = RedisStore(f"{redis_url}?client_name={name}", f"{name}:")
    app = SessionMiddleware(MicroASGI(), store=store)
    with redis.Redis.from_url(redis_url, decode_responses=True) as other:

        def connections() -> int:
            return sum(client["name"] == name for client in other.client_list())

        async with Exchange(app, lifespan_scope()) as exchange:
            await exchange.send_input({"type": "lifespan.startup"})
            await exchange.receive_output()
            await store.save("k", b"x", 60, new=True)
            assert connections() == 1
            await exchange.send_input({"type": "lifespan.shutdown"})
            await exchange.receive_output()
        with anyio.fail_after(5):
            while connections():  # noqa: ASYNC110 - in another process
                await anyio.sleep(0.01)


async def test_a_redis_that_is_gone_is_an_error_and_no_empty_session() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(request: Request) -> dict[str, Any]:
        return dict(request.session)

    with redis.Redis(port=1) as client:
        visitor = Visitor(SessionMiddleware(app, store=RedisStore(client)))
        visitor.cookies = {"session": "x" * 43}
        with pytest.raises(redis.ConnectionError):
            await visitor.get()
