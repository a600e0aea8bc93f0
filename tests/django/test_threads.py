"""Sync functions run in Django's bounded pool, and in the caller's thread where a sync caller waits for the answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from functools import partial
from typing import Annotated, Any

import anyio
import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import TestCase, override_settings
from django.utils import timezone, translation

from microasgi import MicroASGI, Request, StreamingResponse
from microasgi.concurrency import run_in_threadpool
from microasgi.django.connections import TICK, Care
from microasgi.django.database import db
from microasgi.django.lanes import staff
from microasgi.django.threads import ThreadsLayer, in_django_thread
from microasgi.testing import AsyncTestClient
from microasgi.typed import Depends
from tests.django.loaded import Note

pytestmark = pytest.mark.anyio
PATIENCE = 20.0

word: ContextVar[str] = ContextVar("word", default="unset")


@pytest.fixture(autouse=True)
def _clean_up() -> Generator[None]:
    yield
    staff().end()
    Note.objects.all().delete()


async def serve(handler: Callable[[], Awaitable[Any]], kind: str = "http", *, own_lane: bool = True) -> Any:
    """Call the handler as a request (or a socket) that the layer surrounds."""
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        results.append(await handler())

    await ThreadsLayer(app, own_lane=own_lane)({"type": kind}, None, None)  # type: ignore[arg-type]
    return results[0]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in threads
            await anyio.sleep(0.01)


def here() -> str:
    return threading.current_thread().name


async def test_many_sync_calls_share_at_most_as_many_threads_as_the_pool_has() -> None:
    names: set[str] = set()

    def work() -> None:
        Note.objects.count()
        names.add(here())

    async def handler() -> None:
        await run_in_threadpool(work)

    await asyncio.gather(*(serve(handler) for _ in range(45)))
    assert 1 <= len(names) <= 8
    assert all(name.startswith("django-pool-") for name in names)


async def test_calls_one_after_the_other_use_one_thread() -> None:
    async def handler() -> set[str]:
        return {await run_in_threadpool(here) for _ in range(10)}

    assert len(await serve(handler)) == 1


async def test_context_variables_go_to_the_thread_as_a_copy() -> None:
    def work() -> str:
        before = word.get()
        word.set("of the thread")
        return before

    async def handler() -> tuple[str, str]:
        word.set("of the request")
        return await run_in_threadpool(work), word.get()

    assert await serve(handler) == ("of the request", "of the request")


async def test_language_and_time_zone_of_the_request_are_those_of_its_sync_functions() -> None:
    async def handler() -> tuple[str, str]:
        with translation.override("fr"), timezone.override("Asia/Tokyo"):
            return await run_in_threadpool(lambda: (translation.get_language(), timezone.get_current_timezone_name()))

    assert await serve(handler) == ("fr", "Asia/Tokyo")


async def test_a_language_set_in_one_sync_function_is_not_left_to_the_next_request() -> None:
    async def set_one() -> None:
        await run_in_threadpool(translation.activate, "fr")

    async def ask() -> Any:
        return await run_in_threadpool(translation.get_language)

    await serve(set_one)
    assert await serve(ask) == "en-us"


async def test_async_code_called_from_a_sync_function_runs_on_the_same_loop() -> None:
    async def running() -> Any:
        return asyncio.get_running_loop()

    async def handler() -> list[Any]:
        by_asgiref = await run_in_threadpool(async_to_sync(running))
        by_anyio = await run_in_threadpool(anyio.from_thread.run, running)
        return [by_asgiref, by_anyio, await running()]

    assert len(set(await serve(handler))) == 1


async def test_async_orm_inside_of_a_sync_functions_transaction_sees_it() -> None:
    async def count() -> int:
        return await Note.objects.acount()

    def work() -> int:
        with transaction.atomic():
            Note.objects.create(text="not yet committed")
            return async_to_sync(count)()

    async def handler() -> int:
        return await run_in_threadpool(work)

    assert await serve(handler) == 1


async def test_sync_functions_that_wait_for_sync_functions_through_anyio_never_wait_for_ever() -> None:
    def outer() -> int:
        return anyio.from_thread.run(db, Note.objects.count)

    async def handler() -> int:
        return await run_in_threadpool(outer)

    with anyio.fail_after(PATIENCE):
        assert await asyncio.gather(*(serve(handler) for _ in range(20))) == [0] * 20
    await until(lambda: not [each for each in threading.enumerate() if each.name.startswith("django-nested")])


async def test_a_cancelled_caller_waits_for_the_thread() -> None:
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        order.append("thread")

    async def caller() -> None:
        try:
            await in_django_thread(work)
        finally:
            order.append("caller")

    task = asyncio.create_task(caller())
    await until(begun.is_set)
    for _ in range(3):  # as often as one likes
        task.cancel()
        await anyio.sleep(0.01)
    assert not order
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order == ["thread", "caller"]


async def test_a_cancelled_anyio_scope_waits_for_the_thread() -> None:
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        order.append("thread")

    async def cancel() -> None:
        await until(begun.is_set)
        group.cancel_scope.cancel()
        go_on.set()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        await in_django_thread(work)
        order.append("never")
    assert order == ["thread"]


async def test_what_a_thread_waits_for_on_the_loop_is_cancelled_with_the_caller() -> None:
    waiting, order = asyncio.Event(), []

    async def forever() -> None:
        waiting.set()
        await anyio.sleep_forever()

    def work(wait: Callable[[], None]) -> None:
        try:
            wait()
        finally:
            order.append("thread")

    for wait in (async_to_sync(forever), partial(anyio.from_thread.run, forever)):
        waiting.clear()
        with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(in_django_thread, partial(work, wait))
                await waiting.wait()
                scope.cancel()
    assert order == ["thread"] * 2


async def test_a_thread_may_ask_whether_its_caller_is_cancelled() -> None:
    begun, noticed = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        try:
            while True:
                anyio.from_thread.check_cancelled()
                threading.Event().wait(0.01)
        finally:
            noticed.set()

    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(in_django_thread, work)
            await until(begun.is_set)
            scope.cancel()
    assert noticed.is_set()


async def test_a_thread_knows_of_the_cancellation_of_a_task_too() -> None:
    """As the event loop does it, and this package when a client leaves; not by one of anyio's scopes."""
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        await anyio.sleep_forever()

    def ask() -> None:
        anyio.from_thread.run_sync(begun.set)
        while True:
            anyio.from_thread.check_cancelled()
            threading.Event().wait(0.01)

    for work in (ask, async_to_sync(forever), partial(anyio.from_thread.run, forever)):
        begun.clear()
        running = asyncio.create_task(in_django_thread(work))
        with anyio.fail_after(PATIENCE):
            await begun.wait()
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running


async def test_a_call_that_waits_for_a_thread_is_not_begun_when_its_caller_is_cancelled() -> None:
    go_on, late = threading.Event(), threading.Event()
    holders = [asyncio.create_task(in_django_thread(lambda: go_on.wait(PATIENCE))) for _ in range(8)]
    await anyio.sleep(0.05)
    waiting = asyncio.create_task(in_django_thread(late.set))
    await anyio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await asyncio.gather(*holders)
    await in_django_thread(here)
    assert not late.is_set()


async def test_stop_iteration_reaches_the_caller_as_an_error() -> None:
    def work() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_django_thread(work)


async def test_inside_of_a_django_view_the_async_orm_stays_where_it_is() -> None:
    from asgiref.sync import ThreadSensitiveContext, sync_to_async

    async def handler() -> tuple[str, str]:
        return await sync_to_async(here)(), await run_in_threadpool(here)

    async with ThreadSensitiveContext():
        outside = await sync_to_async(here)()
        orm, sync = await serve(handler, own_lane=False)
    assert orm == outside
    assert sync.startswith("django-pool-")


def test_trio_is_refused_with_the_reason() -> None:
    async def nothing() -> None: ...

    with pytest.raises(RuntimeError, match="Django needs asyncio"):
        anyio.run(serve, nothing, backend="trio")


async def test_a_streamed_queryset_stays_in_the_thread_where_it_began() -> None:
    await db(Note.objects.bulk_create, [Note(text=str(number)) for number in range(30)])
    names: set[str] = set()
    app = MicroASGI(middleware=[ThreadsLayer])

    @app.get("/notes")
    def notes(request: Request) -> StreamingResponse:
        def lines() -> Generator[str]:
            for note in Note.objects.order_by("id").iterator(chunk_size=2):
                names.add(here())
                yield f"{note.text}\n"

        return StreamingResponse(lines())

    async with AsyncTestClient(app) as client:
        answers = await asyncio.gather(*(client.get("/notes") for _ in range(5)))
    assert {answer.text for answer in answers} == {"".join(f"{number}\n" for number in range(30))}


def in_a_transaction() -> Generator[str]:
    with transaction.atomic():
        yield here()


@pytest.fixture
def transactional() -> MicroASGI:
    app = MicroASGI(middleware=[ThreadsLayer])

    @app.post("/notes/{text}")
    def add(text: str, thread: Annotated[str, Depends(in_a_transaction)], fail: bool = False) -> dict[str, Any]:
        Note.objects.create(text=text)
        if fail:
            raise RuntimeError("no")
        return {"same thread": thread == here(), "atomic": connection.in_atomic_block}

    return app


async def test_a_sync_dependency_with_a_transaction_holds_it_around_the_endpoint(transactional: MicroASGI) -> None:
    async with AsyncTestClient(transactional) as client:
        answers = await asyncio.gather(*(client.post(f"/notes/{number}") for number in range(30)))
    assert [answer.json() for answer in answers] == [{"same thread": True, "atomic": True}] * 30
    assert await db(Note.objects.count) == 30


async def test_an_error_of_the_endpoint_rolls_the_dependencys_transaction_back(transactional: MicroASGI) -> None:
    async with AsyncTestClient(transactional, raise_server_exceptions=False) as client:
        urls = [f"/notes/{number}?fail={'true' if number % 2 else 'false'}" for number in range(20)]
        answers = await asyncio.gather(*(client.post(url) for url in urls))
    assert [answer.status_code for answer in answers] == [200, 500] * 10
    assert await db(Note.objects.count) == 10


async def test_work_of_others_stays_out_of_a_generators_transaction() -> None:
    generator = in_a_transaction()
    thread = await in_django_thread(partial(next, generator))
    others = await asyncio.gather(*(other_task(in_django_thread(here)) for _ in range(20)))
    assert thread not in others
    await in_django_thread(generator.close)
    assert not await in_django_thread(lambda: connection.in_atomic_block)


async def test_a_transaction_whose_generator_is_gone_is_rolled_back() -> None:
    def left_behind() -> Generator[None]:
        transaction.atomic().__enter__()
        Note.objects.create(text="of nobody")
        yield

    async def leave() -> None:
        await in_django_thread(partial(next, left_behind()))

    await other_task(leave())
    with anyio.fail_after(PATIENCE):
        await asyncio.gather(*(other_task(in_django_thread(partial(threading.Event().wait, 0.2))) for _ in range(16)))
        while await db(Note.objects.count):  # noqa: ASYNC110 - threads again
            await anyio.sleep(0.05)
        await db(Note.objects.create, text="the database is free")


async def test_a_sync_function_that_leaves_a_transaction_open_fails_and_is_rolled_back() -> None:
    def work() -> None:
        transaction.atomic().__enter__()
        Note.objects.create(text="left open")

    with pytest.raises(transaction.TransactionManagementError, match="left open.*atomic"):
        await in_django_thread(work)
    assert await db(Note.objects.count) == 0


async def test_a_suspended_generator_does_not_excuse_others_that_leave_a_transaction_open() -> None:
    def rows() -> Generator[str]:
        yield here()
        yield here()

    def work() -> None:
        transaction.atomic().__enter__()

    generator = rows()
    thread = await in_django_thread(partial(next, generator))
    with pytest.raises(transaction.TransactionManagementError):
        await other_task(in_django_thread(work))
    assert await in_django_thread(partial(next, generator)) == thread


async def test_without_a_max_age_each_call_begins_without_an_open_connection() -> None:
    def work() -> bool:
        before = connection.connection is not None
        Note.objects.count()
        return before

    assert [await in_django_thread(work) for _ in range(5)] == [False] * 5


async def test_the_queries_that_debug_keeps_are_those_of_one_call() -> None:
    def work() -> int:
        Note.objects.count()
        return len(connection.queries)

    with override_settings(DEBUG=True):
        assert [await in_django_thread(work) for _ in range(3)] == [1] * 3


def test_a_connection_that_nothing_closes_does_not_keep_its_thread_busy() -> None:
    def work() -> float | None:
        connection.ensure_connection()
        connection.close_at = 0
        try:
            return Care().pause()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as executor:
        pause = executor.submit(work).result(PATIENCE)
    assert pause is not None
    assert pause > TICK / 2


def test_a_connection_that_is_overdue_is_closed_at_once() -> None:
    def work() -> tuple[float | None, bool]:
        care = Care(every=0.01)
        connection.ensure_connection()
        connection.close_at = 0
        threading.Event().wait(TICK + 0.1)
        pause = care.pause()
        care.rest()
        return pause, connection.connection is None

    with ThreadPoolExecutor(1) as executor:
        assert executor.submit(work).result(PATIENCE) == (0.0, True)


async def other_task(awaitable: Any) -> Any:
    """Await as another request would: in a context of its own."""
    return await asyncio.get_running_loop().create_task(awaitable, context=Context())


class UnderASyncCaller(TestCase):
    """TestCase, Django's AsyncClient and WSGI: a sync caller waits in `async_to_sync`."""

    def test_sync_functions_see_the_tests_transaction(self) -> None:
        Note.objects.create(text="of the test")

        async def handler() -> tuple[int, str]:
            return await run_in_threadpool(Note.objects.count), await run_in_threadpool(here)

        assert async_to_sync(serve)(handler) == (1, here())

    def test_the_async_orm_sees_the_tests_transaction(self) -> None:
        Note.objects.create(text="of the test")

        async def handler() -> int:
            return await Note.objects.acount()

        assert async_to_sync(serve)(handler) == 1

    def test_what_the_application_writes_is_rolled_back_with_the_test(self) -> None:
        async def handler() -> int:
            await Note.objects.acreate(text="of the application")
            return await db(Note.objects.count)

        assert async_to_sync(serve)(handler) == 1

    def test_async_code_called_from_a_sync_function_works(self) -> None:
        async def count() -> int:
            return await db(Note.objects.count)

        async def handler() -> int:
            return await run_in_threadpool(async_to_sync(count))

        assert async_to_sync(serve)(handler) == 0

    def test_waiting_in_the_only_thread_for_that_thread_is_an_error(self) -> None:
        def outer() -> int:
            return anyio.from_thread.run(db, Note.objects.count)

        async def handler() -> int:
            return await run_in_threadpool(outer)

        with pytest.raises(RuntimeError, match="async_to_sync"):
            async_to_sync(serve)(handler)

    def test_the_tests_connection_stays_open(self) -> None:
        async def handler() -> None:
            await run_in_threadpool(Note.objects.count)

        async_to_sync(serve)(handler)
        assert connection.connection is not None
