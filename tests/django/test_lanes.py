"""Lanes: a few threads in which the async ORM of all requests and sockets runs, and the care of their connections."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from pathlib import Path
from typing import Any

import anyio
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.test import override_settings

from microasgi import BackgroundTask, JSONResponse, MicroASGI, Request
from microasgi.concurrency import run_in_threadpool
from microasgi.django import lanes
from microasgi.django.database import db
from microasgi.django.lanes import Staff, override, staff
from microasgi.django.threads import ThreadsLayer
from microasgi.exceptions import ConfigurationError
from microasgi.testing import AsyncTestClient
from tests.django.loaded import Note

pytestmark = pytest.mark.anyio
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def _clean_up() -> Generator[None]:
    connection.close()  # that of this thread
    yield
    staff().end()
    Note.objects.all().delete()
    connection.close()


async def serve(handler: Callable[[], Awaitable[Any]], kind: str = "http") -> Any:
    """Call the handler as a request or a socket that the layer surrounds, in a task of its own."""
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        results.append(await handler())

    call = ThreadsLayer(app)({"type": kind}, None, None)  # type: ignore[arg-type]
    await asyncio.get_running_loop().create_task(call, context=Context())
    return results[0]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in threads
            await anyio.sleep(0.01)


def here() -> str:
    return threading.current_thread().name


def lane_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("django-lane")}


def is_open() -> bool:
    return connection.connection is not None


async def test_the_async_orm_of_many_requests_shares_at_most_as_many_threads_as_there_are_lanes() -> None:
    names: set[str] = set()

    async def handler() -> None:
        await Note.objects.acount()
        names.add(await sync_to_async(here)())
        await anyio.sleep(0.01)

    await asyncio.gather(*(serve(handler) for _ in range(40)))
    assert len(names) == 4
    assert all(name.startswith("django-lane-") for name in names)


async def test_all_operations_of_a_request_run_in_one_lane() -> None:
    async def handler() -> set[str]:
        return {await sync_to_async(here)() for _ in range(5)}

    assert [len(names) for names in await asyncio.gather(*(serve(handler) for _ in range(8)))] == [1] * 8


async def test_requests_one_after_the_other_share_a_lane() -> None:
    async def handler() -> str:
        return await sync_to_async(here)()

    assert len({await serve(handler) for _ in range(8)}) == 1


async def test_a_request_gets_the_lane_with_the_fewest_requests() -> None:
    held = asyncio.Event()
    began: list[str] = []

    async def holder() -> None:
        began.append(await sync_to_async(here)())
        await held.wait()

    async with anyio.create_task_group() as group:
        for number in range(1, 5):
            group.start_soon(serve, holder)
            await until(lambda number=number: len(began) == number)  # type: ignore[misc]
        held.set()
    assert len(set(began)) == 4


async def test_sockets_keep_their_lane_and_own_no_thread() -> None:
    held, began = asyncio.Event(), 0

    async def socket() -> set[str]:
        nonlocal began
        names = {await sync_to_async(here)()}
        began += 1
        await held.wait()
        return names | {await sync_to_async(here)()}

    tasks = [asyncio.create_task(serve(socket, "websocket")) for _ in range(100)]
    await until(lambda: began == 100)
    assert len(lane_threads()) == 4
    held.set()
    assert {len(names) for names in await asyncio.gather(*tasks)} == {1}


async def test_a_socket_that_is_open_and_idle_keeps_no_connection_open() -> None:
    before = open_files()

    async def socket() -> None:
        await Note.objects.acount()
        assert await sync_to_async(is_open)()
        await until(lambda: open_files() <= before)

    await serve(socket, "websocket")


def open_files() -> int:
    """How many connections to the database are open in this process (Linux), those of earlier tests included."""
    path = os.environ["PROJECT_DATABASE"]
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("needs /proc")
    found = 0
    for each in folder.iterdir():
        try:
            found += os.readlink(each) == path
        except OSError:
            pass
    return found


async def test_an_iteration_goes_on_while_others_use_its_lane_and_boundaries_pass() -> None:
    await db(Note.objects.bulk_create, [Note(text=str(number)) for number in range(40)])
    finished = asyncio.Event()

    async def reader() -> list[str]:
        found = []
        async for note in Note.objects.order_by("id").aiterator(chunk_size=2):
            found.append(note.text)
            await anyio.sleep(0.05)
        finished.set()
        return found

    async def other() -> None:
        while not finished.is_set():
            await Note.objects.acount()
            await anyio.sleep(0.01)

    found, *_ = await asyncio.gather(serve(reader), *(serve(other) for _ in range(7)))
    assert found == [str(number) for number in range(40)]


async def test_a_transaction_left_open_in_a_lane_is_rolled_back_and_reported() -> None:
    async def handler() -> None:
        block = transaction.atomic()
        with pytest.raises(transaction.TransactionManagementError, match=r"await db\(atomic\(function\)\)"):
            await sync_to_async(block.__enter__)()
        await Note.objects.acreate(text="of another request, say")

    await serve(handler)
    assert await db(Note.objects.count) == 1


async def test_a_task_that_outlives_its_request_goes_on_in_the_lane() -> None:
    answered, counts = asyncio.Event(), []
    app = MicroASGI(middleware=[ThreadsLayer])

    async def later() -> None:
        await answered.wait()
        counts.append(await Note.objects.acount())
        counts.append(await sync_to_async(here)())

    @app.get("/")
    async def start(request: Request) -> dict[str, Any]:
        app.tasks.start_soon(later)
        return {}

    async with AsyncTestClient(app) as client:
        await client.get("/")
        answered.set()
        await until(lambda: len(counts) == 2)
    assert counts[0] == 0
    assert str(counts[1]).startswith("django-lane")


async def test_a_background_task_after_the_response_may_use_the_orm() -> None:
    app = MicroASGI(middleware=[ThreadsLayer])

    async def write() -> None:
        await Note.objects.acreate(text="async")

    @app.get("/async")
    async def first(request: Request) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(write))

    @app.get("/sync")
    def second(request: Request) -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(Note.objects.create, text="sync"))

    async with AsyncTestClient(app) as client:
        await client.get("/async")
        await client.get("/sync")
    assert {note.text for note in await db(list, Note.objects.all())} == {"async", "sync"}


async def test_the_end_of_the_lifespan_ends_the_threads_and_closes_their_connections() -> None:
    app = MicroASGI(middleware=[ThreadsLayer])

    @app.get("/")
    def both(request: Request) -> dict[str, Any]:
        return {"count": Note.objects.count()}

    @app.get("/async")
    async def lane(request: Request) -> dict[str, Any]:
        return {"count": await Note.objects.acount()}

    before = open_files()
    for _ in range(2):  # and a second lifespan starts them again
        async with AsyncTestClient(app) as client:
            assert (await client.get("/")).json() == (await client.get("/async")).json() == {"count": 0}
            assert lane_threads()
        assert not lane_threads()
        assert open_files() <= before


async def test_the_lifespan_itself_may_use_the_orm() -> None:
    async def handler() -> int:
        return await Note.objects.acount() + await run_in_threadpool(Note.objects.count)

    assert await serve(handler, "lifespan") == 0


def test_several_event_loops_share_the_threads() -> None:
    names: list[str] = []

    async def handler() -> None:
        for _ in range(5):
            await Note.objects.acount()
            names.append(await sync_to_async(here)())
            names.append(await run_in_threadpool(here))

    loops = [threading.Thread(target=asyncio.run, args=(serve(handler),)) for _ in range(6)]
    for each in loops:
        each.start()
    for each in loops:
        each.join(PATIENCE)
    assert len(names) == 60
    assert {name[:11] for name in names} == {"django-lane", "django-pool"}
    assert len({name for name in names if name.startswith("django-lane")}) <= 4


async def test_an_override_is_the_pool_and_every_lane() -> None:
    async def handler() -> set[str]:
        return {await sync_to_async(here)(), await run_in_threadpool(here), await db(here)}

    with ThreadPoolExecutor(1, "the-test") as executor:
        with override(executor):
            assert {len(names) for names in await asyncio.gather(*(serve(handler) for _ in range(3)))} == {1}
            assert await serve(handler) == {"the-test_0"}
        assert "the-test_0" not in await serve(handler)


async def test_of_two_overrides_each_counts_for_what_begins_inside_of_it() -> None:
    async def handler() -> set[str]:
        return {await sync_to_async(here)(), await run_in_threadpool(here)}

    async def client(name: str) -> set[str]:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.update(await handler())

        found: set[str] = set()
        with ThreadPoolExecutor(1, name) as executor, override(executor):
            await anyio.sleep(0.05)
            await ThreadsLayer(app)({"type": "http"}, None, None)  # type: ignore[arg-type]
            await anyio.sleep(0.05)
        return found

    assert await asyncio.gather(client("first"), client("second")) == [{"first_0"}, {"second_0"}]


@pytest.mark.parametrize("value", [0, -1, "8", 2.5, True, None])
def test_a_number_of_threads_is_a_number_of_threads(value: Any) -> None:
    with override_settings(MICROASGI={"LANES": value}), pytest.raises(ConfigurationError, match="LANES"):
        lanes.new_staff()


def test_the_settings_give_the_numbers() -> None:
    with override_settings(MICROASGI={"THREADS": 3, "LANES": 2}):
        made = lanes.new_staff()
    assert isinstance(made, Staff)
    assert len(made.lanes) == 2


HEAD = """
import asyncio, os, sys, threading, time
import django
django.setup()
from microasgi.concurrency import run_in_threadpool
from microasgi.django.threads import ThreadsLayer
from tests.django.project.notes.models import Note

def serve(handler):
    async def app(scope, receive, send):
        await handler()
    asyncio.run(ThreadsLayer(app)({"type": "http"}, None, None))
"""


def run_script(body: str) -> subprocess.CompletedProcess[str]:
    code = HEAD + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    done = run_script("""
    async def handler():
        await Note.objects.acount()
        await run_in_threadpool(Note.objects.count)

    serve(handler)
    child = os.fork()
    if child == 0:
        serve(handler)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    serve(handler)
    """)
    assert (done.returncode, done.stdout.strip()) == (0, "7"), done.stderr


def test_the_interpreter_ends_while_a_call_runs() -> None:
    done = run_script("""
    from microasgi.django import lanes
    lanes.LAST_WORDS = 0.2

    async def handler():
        asyncio.ensure_future(run_in_threadpool(time.sleep, 1000))
        await asyncio.sleep(0.2)
        print("out", flush=True)
        sys.stdout.flush()
        raise SystemExit(3)

    try:
        loop = asyncio.new_event_loop()
        async def app(scope, receive, send):
            await handler()
        loop.run_until_complete(ThreadsLayer(app)({"type": "http"}, None, None))
    finally:
        pass
    """)
    assert (done.returncode, done.stdout.strip()) == (3, "out"), done.stderr
