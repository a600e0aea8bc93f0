"""`db`: one sync function in a thread that is safe for Django. `atomic`: one transaction is one sync function."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test import TestCase

from microasgi import MicroASGI, Request
from microasgi.django.database import atomic, db
from microasgi.django.lanes import staff
from microasgi.django.threads import ThreadsLayer
from microasgi.testing import AsyncTestClient
from tests.django.loaded import Note

pytestmark = pytest.mark.anyio
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _clean_up() -> Generator[None]:
    yield
    staff().end()
    Note.objects.all().delete()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in threads
            await anyio.sleep(0.01)


def write(text: str, *, fail: bool = False) -> int:
    note = Note.objects.create(text=text)
    if fail:
        raise LookupError(text)
    return int(note.pk)


async def test_db_gives_the_functions_result() -> None:
    pk = await db(write, "one")
    assert await db(Note.objects.get, pk=pk) == await Note.objects.aget(text="one")


async def test_db_raises_what_the_function_raises_and_keeps_what_was_written() -> None:
    with pytest.raises(LookupError, match="one"):
        await db(write, "one", fail=True)
    assert await db(Note.objects.count) == 1


async def test_db_works_outside_of_any_request() -> None:
    assert await db(lambda: threading.current_thread().name.startswith("django-pool"))


async def test_db_refuses_an_async_function() -> None:
    async def work() -> None: ...

    class Callable_:
        async def __call__(self) -> None: ...

    for each in (work, Callable_(), sync_to_async(write)):
        with pytest.raises(TypeError, match="await it directly"):
            db(each)


def test_db_in_sync_code_says_what_to_write() -> None:
    with pytest.raises(RuntimeError, match=r"no event loop: call write\(\) directly"):
        db(write, "one")


async def test_db_in_a_sync_endpoint_says_what_to_write() -> None:
    app = MicroASGI(middleware=[ThreadsLayer])

    @app.get("/")
    def endpoint(request: Request) -> dict[str, Any]:
        with pytest.raises(RuntimeError, match="directly"):
            db(write, "one")
        return {"count": Note.objects.count()}

    async with AsyncTestClient(app) as client:
        assert (await client.get("/")).json() == {"count": 0}


async def test_a_cancelled_caller_of_a_transaction_is_cancelled_after_the_commit() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        write("committed")
        begun.set()
        go_on.wait(PATIENCE)

    task = asyncio.create_task(db(atomic(work)))  # type: ignore[arg-type]
    await until(begun.is_set)
    task.cancel()
    await anyio.sleep(0.05)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db(Note.objects.count) == 1


async def test_a_deadline_takes_effect_after_the_function() -> None:
    begun = threading.Event()

    def work() -> str:
        begun.set()
        threading.Event().wait(0.1)
        return write("committed") and "done"

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await db(work)
    assert await db(Note.objects.count) == int(begun.is_set())


async def test_cancelling_ends_the_async_code_that_the_function_waits_for_and_rolls_back() -> None:
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        await anyio.sleep_forever()

    def work() -> None:
        write("rolled back")
        async_to_sync(forever)()

    task = asyncio.create_task(db(atomic(work)))  # type: ignore[arg-type]
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await db(Note.objects.count) == 0


async def test_atomic_commits_on_return_and_rolls_back_on_an_error() -> None:
    await db(atomic(write), "kept")
    with pytest.raises(LookupError):
        await db(atomic(write), "lost", fail=True)
    assert [note.text for note in await db(list, Note.objects.all())] == ["kept"]


async def test_an_endpoint_may_be_atomic() -> None:
    app = MicroASGI(middleware=[ThreadsLayer])

    @app.post("/{text}")
    @atomic
    def add(text: str, fail: bool = False) -> dict[str, Any]:
        write(text, fail=fail)
        return {"atomic": connection.in_atomic_block}

    async with AsyncTestClient(app, raise_server_exceptions=False) as client:
        assert (await client.post("/kept")).json() == {"atomic": True}
        assert (await client.post("/lost?fail=true")).status_code == 500
    assert [note.text for note in await db(list, Note.objects.all())] == ["kept"]


async def test_atomic_takes_the_database_and_durability() -> None:
    assert await db(atomic(using="default", durable=True)(lambda: connection.in_atomic_block))
    with pytest.raises(RuntimeError, match="durable"):
        await db(atomic(atomic(durable=True)(write)), "nested")


async def test_a_transaction_inside_of_one_is_a_savepoint() -> None:
    def work() -> None:
        write("outer")
        with pytest.raises(LookupError):
            atomic(write)("inner", fail=True)

    await db(atomic(work))
    assert [note.text for note in await db(list, Note.objects.all())] == ["outer"]


async def test_db_inside_of_a_transaction_joins_it() -> None:
    async def count() -> int:
        return await db(Note.objects.count)

    def work() -> int:
        write("seen")
        return async_to_sync(count)()

    assert await db(atomic(work)) == 1


def test_atomic_refuses_what_is_no_sync_function() -> None:
    with pytest.raises(TypeError, match="cannot span awaits"):

        @atomic
        async def endpoint() -> None: ...

    with pytest.raises(TypeError, match=r"write atomic\(using='other'\)"):
        atomic("other")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="generator"):

        @atomic
        def dependency() -> Generator[None]:
            yield


class InATest(TestCase):
    """Under TestCase everything happens in the test's own transaction."""

    def test_on_commit_hooks_are_those_of_the_test(self) -> None:
        done: list[str] = []

        def work() -> None:
            transaction.on_commit(lambda: done.append("committed"))

        async def run() -> None:
            await db(atomic(work))

        with self.captureOnCommitCallbacks(execute=True):
            async_to_sync(run)()
        assert done == ["committed"]
