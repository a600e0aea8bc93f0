"""Idempotency: requests that are sent again, over both stores, the second of them a real Redis."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import anyio
import pytest
import redis
import redis.asyncio
import sniffio

from microasgi import HTTPException, JSONResponse, MicroASGI, Request, Response, StreamingResponse, UploadFile
from microasgi.exceptions import ConfigurationError, MissingPackage
from microasgi.testing import Exchange, RawResponse, http_scope, request
from microasgi.typed import Depends, File, Form, Header
from microasgi.typed.apikeys import APIKeyHeader
from microasgi.typed.idempotency import Idempotency, with_idempotency
from microasgi.typed.idempotencystores import IdempotencyStore, MemoryIdempotency, RedisIdempotency
from microasgi.types import Message
from tests.redis_server import redis_url

__all__ = ["redis_url"]

pytestmark = pytest.mark.anyio

Open = Callable[[], Any]
BY_KEY = APIKeyHeader("x-key")
KEY = '"8e03978e-40d5-43e8-bc93-6894a57f9324"'


@pytest.fixture(params=["memory", "redis", "redis, blocking", "redis, text", "redis, given"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Return a context manager that gives an empty store."""
    kind = request.param
    if kind == "memory":
        return memory_store
    url = request.getfixturevalue("redis_url")

    @asynccontextmanager
    async def redis_store() -> AsyncIterator[RedisIdempotency]:
        prefix = f"{uuid4().hex}:"
        if kind == "redis":
            store = RedisIdempotency(url, prefix)
            async with store.lifespan(None):
                yield store
        elif kind == "redis, given":
            if sniffio.current_async_library() != "asyncio":
                pytest.skip("a redis.asyncio client runs on asyncio")
            async with redis.asyncio.Redis.from_url(url) as given:
                yield RedisIdempotency(given, prefix)
        else:
            with redis.Redis.from_url(url, decode_responses=kind == "redis, text") as client:
                store = RedisIdempotency(client, prefix)
                yield store
                await store.aclose()  # which leaves a client that was given alone
                assert client.ping()

    return redis_store


@asynccontextmanager
async def memory_store() -> AsyncIterator[MemoryIdempotency]:
    yield MemoryIdempotency()


class Orders:
    """An application that counts what it does, and can be held or made to fail."""

    def __init__(self, option: Any = True, asked: frozenset[bytes] = frozenset()) -> None:
        self.done = 0
        self.fails: Exception | Response | None = None
        self.arrived, self.go_on = anyio.Event(), anyio.Event()
        self.go_on.set()
        self.app = MicroASGI()
        respond = with_idempotency(self.respond, option, "orders.py:7", asked)

        async def handle(request: Request) -> Response:
            return await respond(request, ())

        self.app.add_route("/{rest:path}", handle, methods=["GET", "POST", "QUERY"])

    async def respond(self, request: Request[Any], values: Sequence[Any]) -> Response:
        self.done += 1
        number = self.done
        self.arrived.set()
        await self.go_on.wait()
        if isinstance(self.fails, Exception):
            raise self.fails
        if self.fails is not None:
            return self.fails
        response = JSONResponse({"order": number}, 201, {"location": f"/orders/{number}", "date": "yesterday"})
        response.set_cookie("session", "secret")
        return response

    async def post(
        self, key: str | None = KEY, body: bytes = b"{}", path: str = "/orders", method: str = "POST", **headers: str
    ) -> RawResponse:
        pairs = [*headers.items(), *([("idempotency-key", key)] if key is not None else [])]
        return await request(self.app, method, path, headers=pairs, body=body, raise_errors=False)


async def test_a_request_with_the_same_key_is_answered_again_and_not_done_again(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        first, again = await orders.post(), await orders.post()
        assert orders.done == 1
        assert (again.status, again.body) == (first.status, first.body) == (201, b'{"order":1}')
        assert again.header(b"location") == b"/orders/1"
        assert again.header(b"content-type") == b"application/json"
        assert again.header(b"idempotent-replayed") == b"true"
        assert first.header(b"idempotent-replayed") is None
        assert (await orders.post('"another"')).body == b'{"order":2}'


async def test_bodies_of_any_bytes_are_kept(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        orders.fails = Response(bytes(range(256)), 200, {"link": "</caf\xe9>"})
        await orders.post()
        again = await orders.post()
        assert (again.body, again.header(b"link")) == (bytes(range(256)), b"</caf\xe9>")
        assert again.header(b"content-type") is None


async def test_an_empty_answer_is_kept() -> None:
    orders = Orders()
    orders.fails = Response(status_code=204)
    await orders.post()
    again = await orders.post()
    assert (again.status, again.header(b"content-length"), orders.done) == (204, None, 1)


async def test_cookies_and_dates_are_not_kept(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        first, again = await orders.post(), await orders.post()
        assert first.header(b"set-cookie")
        assert again.header(b"set-cookie") is None
        assert again.header(b"date") is None


@pytest.mark.parametrize(
    "other",
    [
        {"body": b"{ }"},
        {"path": "/others"},
        {"path": "/orders?page=2"},
        {"authorization": "Bearer other"},
        {"cookie": "session=other"},
    ],
)
async def test_a_key_that_another_request_has_is_422(other: dict[str, Any]) -> None:
    orders = Orders()
    await orders.post()
    refused = await orders.post(**other)
    assert (refused.status, orders.done) == (422, 1)
    assert b"order" not in refused.body


async def test_headers_that_are_asked_for_are_part_of_the_request() -> None:
    orders = Orders(asked=frozenset({b"x-key"}))
    ada: dict[str, Any] = {"x-key": "ada"}
    bob: dict[str, Any] = {"x-key": "bob"}
    await orders.post(**ada)
    assert (await orders.post(**ada)).header(b"idempotent-replayed") == b"true"
    refused = await orders.post(**bob)
    assert (refused.status, orders.done) == (422, 1)
    assert b"order" not in refused.body


async def test_another_request_is_told_so_while_the_first_is_running() -> None:
    orders = Orders()
    orders.go_on = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(orders.post)
        await orders.arrived.wait()
        assert (await orders.post(body=b"x")).status == 422
        orders.go_on.set()


async def test_the_same_request_is_409_while_the_first_is_running(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        orders.go_on = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(orders.post)
            await orders.arrived.wait()
            refused = await orders.post()
            assert (refused.status, refused.header(b"retry-after")) == (409, b"1")
            orders.go_on.set()
        assert (await orders.post()).body == b'{"order":1}'


async def test_of_many_at_once_one_is_done(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        statuses: list[int] = []

        async def post() -> None:
            statuses.append((await orders.post()).status)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(post)
        assert orders.done == 1
        assert set(statuses) <= {201, 409}


@pytest.mark.parametrize("failure", [RuntimeError("broken"), HTTPException(404), Response("busy", 503)])
async def test_a_failure_frees_the_key(failure: Any, open_store: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    async with open_store() as store:
        orders = Orders(store)
        orders.fails = failure
        assert (await orders.post()).status in {404, 500, 503}
        orders.fails = None
        again = await orders.post()
        assert (again.status, again.header(b"idempotent-replayed"), orders.done) == (201, None, 2)


async def test_a_refusal_that_was_returned_is_kept() -> None:
    orders = Orders()
    orders.fails = Response("sold out", 409)
    assert (await orders.post()).status == 409
    orders.fails = None
    assert ((await orders.post()).body, orders.done) == (b"sold out", 1)


async def test_cancellation_frees_the_key(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        orders.go_on = anyio.Event()
        scope = http_scope("POST", "/orders", headers=[("idempotency-key", KEY)])
        async with Exchange(orders.app, scope) as exchange:
            await exchange.send_input({"type": "http.request", "body": b"{}"})
            await orders.arrived.wait()
            exchange.cancel()
        orders.go_on.set()
        assert (await orders.post()).body == b'{"order":2}'


async def test_a_stream_is_not_kept_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders()
    orders.fails = StreamingResponse([b"x"])
    assert (await orders.post()).body == b"x"
    assert "orders.py:7: its answer is a stream" in caplog.text
    orders.fails = None
    assert (await orders.post()).body == b'{"order":2}'


async def test_without_a_key_everything_is_done(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(store)
        await orders.post(None)
        assert (await orders.post(None)).body == b'{"order":2}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "QUERY"])
async def test_safe_methods_need_no_key_and_ignore_it(method: str) -> None:
    orders = Orders(Idempotency(required=True))
    await orders.post(method=method)
    await orders.post(None, method=method)
    assert orders.done == 2


async def test_a_required_key_that_is_missing_is_400() -> None:
    orders = Orders(Idempotency(required=True))
    assert ((await orders.post(None)).status, orders.done) == (400, 0)
    assert (await orders.post()).status == 201


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "caf\xe9", "a\x01b"])
async def test_an_odd_key_is_400(key: str) -> None:
    orders = Orders()
    answer = await request(orders.app, "POST", "/", headers=[(b"idempotency-key", key.encode("latin-1"))], lint=False)
    assert (answer.status, orders.done) == (400, 0)


async def test_two_keys_are_400() -> None:
    orders = Orders()
    answer = await request(orders.app, "POST", headers=[("idempotency-key", "a"), ("idempotency-key", "a")])
    assert answer.status == 400


async def test_a_key_may_have_255_characters() -> None:
    assert (await Orders().post("x" * 255)).status == 201


async def test_answers_are_kept_for_their_lifetime(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(Idempotency(store, lifetime=0.2))
        await orders.post()
        await anyio.sleep(0.3)
        assert (await orders.post()).body == b'{"order":2}'


async def test_what_a_crashed_worker_has_claimed_is_free_after_the_lease(redis_url: str) -> None:
    store = RedisIdempotency(redis_url, f"{uuid4().hex}:")
    async with store.lifespan(None):
        assert await store.claim("k", b"mine", 0.2) is None
        assert await store.claim("k", b"other", 0.2) == b"mine"
        await anyio.sleep(0.3)
        assert await store.claim("k", b"other", 0.2) is None


async def test_who_is_later_than_the_lease_takes_nothing_from_who_came_after(redis_url: str) -> None:
    store = RedisIdempotency(redis_url, f"{uuid4().hex}:")
    async with store.lifespan(None):
        await store.claim("k", b"other", 60)
        await store.release("k", claimed=False)
        await store.keep("k", b"late", 60, claimed=False)
        assert await store.claim("k", b"mine", 60) == b"other"


async def test_a_slow_answer_is_kept_where_nobody_came_after(open_store: Open) -> None:
    async with open_store() as store:
        orders = Orders(Idempotency(store, lease=0.1))
        orders.go_on = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(orders.post)
            await orders.arrived.wait()
            await anyio.sleep(0.2)
            orders.go_on.set()
        assert ((await orders.post()).body, orders.done) == (b'{"order":1}', 1)


class Broken(MemoryIdempotency):
    async def release(self, key: str, *, claimed: bool) -> None:
        raise ConnectionError("the store is gone")

    async def keep(self, key: str, record: bytes, seconds: float, *, claimed: bool) -> None:
        raise ConnectionError("the store is gone")


async def test_an_answer_goes_out_also_where_it_cannot_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders(Broken())
    assert (await orders.post()).status == 201
    assert "the store is gone" in caplog.text
    assert (await orders.post()).status == 409  # in doubt nothing is done twice


async def test_a_key_that_cannot_be_freed_hides_no_error(caplog: pytest.LogCaptureFixture) -> None:
    orders = Orders(Broken())
    orders.fails = HTTPException(404)
    assert (await orders.post()).status == 404
    assert "the store is gone" in caplog.text


class Pause:
    def __await__(self) -> Any:
        yield


async def test_a_handler_whose_loop_has_gone_is_left_alone() -> None:
    store = MemoryIdempotency()

    async def respond(request: Request[Any], values: Sequence[Any]) -> Response:
        await Pause()
        return Response()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = http_scope("POST", headers=[("idempotency-key", KEY)])
    call: Any = with_idempotency(respond, store, "here")(Request(scope, receive), ())
    while call.send(None) is not None:  # what anyio waits for
        pass
    call.close()


async def test_a_key_that_comes_and_goes_is_being_answered(redis_url: str) -> None:
    class Contended(RedisIdempotency):
        async def _call(self, command: str, *args: Any, **options: Any) -> Any:
            return None  # never free, and never there a moment later

    assert await Contended(redis_url).claim("k", b"mine", 60) == b"mine"


async def test_memory_holds_so_many_answers_and_so_many_bytes() -> None:
    store = MemoryIdempotency(max_records=2)
    for key in "abc":
        await store.claim(key, b"m", 60)
        await store.keep(key, b"record", 60, claimed=True)
    assert len(store) == 2
    assert await store.claim("a", b"m", 60) is None
    assert await store.claim("c", b"m", 60) == b"record"
    small = MemoryIdempotency(max_bytes=10)
    await small.keep("a", b"123456", 60, claimed=True)
    await small.keep("b", b"123456", 60, claimed=True)
    await small.keep("b", b"12345678", 60, claimed=True)
    assert len(small) == 1
    await small.keep("c", b"x" * 11, 60, claimed=True)
    assert len(small) == 0


async def test_memory_lets_go_of_what_is_over() -> None:
    store = MemoryIdempotency()
    await store.keep("a", b"1", 0.01, claimed=True)
    await anyio.sleep(0.03)
    await store.keep("b", b"1", 60, claimed=True)
    assert len(store) == 1


async def test_what_the_store_keeps_is_ascii_and_has_no_key(redis_url: str) -> None:
    seen: list[tuple[str, bytes]] = []

    class Watched(MemoryIdempotency):
        async def keep(self, key: str, record: bytes, seconds: float, *, claimed: bool) -> None:
            seen.append((key, record))

    await Orders(Watched()).post()
    key, record = seen[0]
    assert len(key) == 64
    assert record.isascii()
    assert KEY.strip('"') not in record.decode()
    assert json.loads(record)[1] == 201


def multipart(boundary: str, content: bytes, filename: str = "a.txt") -> dict[str, Any]:
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return {"body": body, "content-type": f"multipart/form-data; boundary={boundary}"}


async def test_a_form_is_the_same_whatever_is_between_its_parts() -> None:
    app = MicroASGI()
    sizes: list[int] = []

    @app.post("/orders", idempotent=True)
    async def upload(file: Annotated[UploadFile, File()]) -> dict[str, int]:
        sizes.append(len(await file.read()))
        return {"size": sizes[-1]}

    large = b"x" * 1_500_000  # which is spooled to disk
    orders = Orders()
    orders.app = app
    assert (await orders.post(**multipart("a", large))).body == b'{"size":1500000}'
    again = await orders.post(**multipart("b", large))
    assert again.header(b"idempotent-replayed") == b"true"
    assert (await orders.post(**multipart("b", large + b"x"))).status == 422
    assert (await orders.post(**multipart("b", large, "b.txt"))).status == 422
    assert sizes == [1_500_000]


async def test_fields_of_a_form_cannot_take_the_place_of_each_other() -> None:
    app = MicroASGI()

    @app.post("/orders", idempotent=True)
    async def order(tea: Annotated[list[str], Form()]) -> list[str]:
        return tea

    orders = Orders()
    orders.app = app
    urlencoded = {"content-type": "application/x-www-form-urlencoded"}
    assert (await orders.post(body=b"tea=a&tea=b", **urlencoded)).status == 200
    assert (await orders.post(body=b"tea=%61&tea=b", **urlencoded)).header(b"idempotent-replayed") == b"true"
    assert (await orders.post(body=b"tea=ab&tea=", **urlencoded)).status == 422


async def test_who_may_not_ask_gets_no_replay() -> None:
    app = MicroASGI()

    def guard(sent: Annotated[str, Depends(BY_KEY)]) -> None:
        if sent != "right":
            raise HTTPException(403)

    @app.post("/orders", idempotent=True, dependencies=[Depends(guard)])
    async def order() -> dict[str, str]:
        return {"secret": "tea"}

    orders = Orders()
    orders.app = app
    right: dict[str, Any] = {"x-key": "right"}
    wrong: dict[str, Any] = {"x-key": "wrong"}
    assert (await orders.post(**right)).status == 200
    assert (await orders.post(**wrong)).status == 403
    assert (await orders.post()).status == 401


async def test_an_answer_is_kept_when_what_the_handler_did_is_done() -> None:
    app = MicroASGI()
    failures = [ConnectionError("the commit failed")]
    done: list[str] = []

    async def transaction() -> AsyncIterator[list[str]]:
        changes: list[str] = []
        yield changes
        if failures:
            raise failures.pop()
        done.extend(changes)

    @app.post("/orders", idempotent=True)
    async def order(changes: Annotated[list[str], Depends(transaction, scope="function")]) -> str:
        changes.append("tea")
        return "ordered"

    orders = Orders()
    orders.app = app
    assert ((await orders.post()).status, done) == (500, [])
    again = await orders.post()
    assert (again.status, again.header(b"idempotent-replayed"), done) == (200, None, ["tea"])


async def test_who_sends_another_key_gets_no_answer_of_somebody_else() -> None:
    app = MicroASGI()

    @app.post("/by-scheme", idempotent=True)
    async def by_scheme(sent: Annotated[str, Depends(BY_KEY)]) -> dict[str, str]:
        return {"of": sent}

    def whose(x_key: Annotated[str, Header()]) -> str:
        return x_key

    @app.post("/by-parameter", idempotent=True)
    async def by_parameter(sent: Annotated[str, Depends(whose)]) -> dict[str, str]:
        return {"of": sent}

    orders = Orders()
    orders.app = app
    ada: dict[str, Any] = {"x-key": "ada"}
    bob: dict[str, Any] = {"x-key": "bob"}
    for path in ("/by-scheme", "/by-parameter"):
        assert (await orders.post(path=path, **ada)).status == 200
        assert (await orders.post(path=path, **ada)).header(b"idempotent-replayed") == b"true"
        refused = await orders.post(path=path, **bob)
        assert refused.status == 422
        assert b"ada" not in refused.body


def test_every_store_is_a_store() -> None:
    stores: list[IdempotencyStore] = [MemoryIdempotency(), RedisIdempotency("redis://localhost")]
    assert all(with_idempotency(Orders().respond, store, "here") for store in stores)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: with_idempotency(Orders().respond, False, "shop.py:7"),
        lambda: with_idempotency(Orders().respond, "redis://", "shop.py:7"),  # type: ignore[arg-type]
        lambda: Idempotency(lifetime=0),
        lambda: Idempotency(lease=-1),
        lambda: MemoryIdempotency(max_records=0),
        lambda: MemoryIdempotency(max_bytes=0),
        lambda: RedisIdempotency("http://localhost"),
    ],
)
def test_wrong_options_are_refused_at_set_up(wrong: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        wrong()


def test_without_redis_the_line_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingPackage, match=r"microasgi\[redis\]"):
        RedisIdempotency("redis://localhost")
