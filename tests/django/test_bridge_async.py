"""A bridge over ASGI in one process: Django's async test client, disconnects, and the tasks that are left: none."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception, request_finished
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, override_settings
from django.utils.decorators import async_only_middleware

from microasgi.django.beside import asgi
from microasgi.django.bridge import bridge

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def urlconf() -> Iterator[None]:
    """The URLconf with the bridges."""
    from tests.django.project import bridged

    bridged.events.clear()
    with override_settings(ROOT_URLCONF="tests.django.project.bridged_urls"):
        yield


def events() -> list[str]:
    from tests.django.project import bridged

    return [event for event in bridged.events if event != "started"]


async def get(path: str, **headers: str) -> Any:
    return (await AsyncClient().get(path, headers=headers)).json()


def exchanges() -> list[str]:
    return [name for task in asyncio.all_tasks() if "Exchange" in (name := task.get_coro().__qualname__)]  # type: ignore[union-attr]


class Handler(ASGIHandler):
    """Django's handler; that of 5.2 leaves the body's file to the garbage collection after an error."""

    async def read_body(self, receive: Any) -> Any:
        self.body_file = await cast(Any, super()).read_body(receive)
        return self.body_file


class Visit:
    """One request to Django's ASGI handler, by messages."""

    def __init__(self, path: str, **scope: Any) -> None:
        self.sent: list[Any] = []
        self.begun, self.left = asyncio.Event(), asyncio.Event()
        self.received = False
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"x-twice", b"1"), (b"x-twice", b"2")],
            "client": ("10.0.0.1", 1234),
            "server": ("testserver", 80),
            "extensions": {"tls": {}, "http.response.pathsend": {}, "http.response.trailers": {}},
            "state": {"of": "the server"},
            **scope,
        }

    async def receive(self) -> Any:
        if not self.received:
            self.received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        self.begun.set()

    async def run(self) -> Any:
        handler: Any = Handler()
        try:
            await handler(self.scope, self.receive, self.send)
        finally:
            handler.body_file.close()
        return self

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def test_the_scope_is_the_servers_below_the_bridge() -> None:
    visit = await Visit("/site/api/scope", root_path="/site").run()
    scope = json.loads(visit.body)
    assert (scope["path"], scope["root"]) == ("/site/api/scope", "/site/api")
    assert [value for name, value in scope["headers"] if name == "x-twice"] == ["1", "2"]
    assert scope["client"] == ["10.0.0.1", 1234]
    assert scope["extensions"] == ["tls"]
    assert scope["state"] == {"shelf": "full"}
    assert visit.scope["path"] == "/site/api/scope"
    assert "django.request" not in visit.scope


async def test_an_application_may_stand_beside_django_as_well() -> None:
    from tests.django.project import bridged

    bridged.events.clear()
    beside = asgi({"/beside": bridged.both}, django=cast(Any, Handler()))
    async with DjangoLifespan(beside) as state:
        answers = [Visit(path, state=dict(state)) for path in ("/both/scope", "/beside/scope")]
        for visit in answers:
            await cast(Any, beside)(visit.scope, visit.receive, visit.send)
    told = [json.loads(visit.body) for visit in answers]
    assert [scope["state"]["shelf"] for scope in told] == ["full", "full"]
    assert [scope["url"] for scope in told] == [f"http://testserver/{path}/items/3" for path in ("both", "beside")]
    assert bridged.events == ["started", "stopped"]


class DjangoLifespan:
    """A server's lifespan."""

    def __init__(self, app: Any) -> None:
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        self.told: asyncio.Queue[Any] = asyncio.Queue()
        self.state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self.task = asyncio.ensure_future(app(scope, self.asked.get, self.told.put))

    async def __aenter__(self) -> dict[str, Any]:
        await self.asked.put({"type": "lifespan.startup"})
        assert (await self.told.get())["type"] == "lifespan.startup.complete"
        return self.state

    async def __aexit__(self, *_: object) -> None:
        await self.asked.put({"type": "lifespan.shutdown"})
        assert (await self.told.get())["type"] == "lifespan.shutdown.complete"
        await self.task


def proxied(get_response: Any) -> Any:
    """A middleware that knows the client's address better than the server."""

    def middleware(request: HttpRequest) -> Any:
        request.META["REMOTE_ADDR"] = "192.0.2.7"
        return get_response(request)

    return middleware


@override_settings(MIDDLEWARE=[f"{__name__}.proxied"])
async def test_the_client_is_the_one_that_a_middleware_found() -> None:
    assert (await get("/api/scope"))["client"] == ["192.0.2.7", 0]


async def test_the_async_client_gets_responses_and_streams() -> None:
    assert await get("/api/items/3") == {"item": 3}
    response: Any = await AsyncClient().get("/api/stream")
    assert response.is_async
    assert [part async for part in response.streaming_content] == [b"0;", b"1;", b"2;"]
    assert (await AsyncClient().head("/api/stream")).status_code == 200
    assert exchanges() == []


async def test_an_error_reaches_django_and_its_async_client() -> None:
    seen: list[Any] = []

    def note(request: HttpRequest, **_: Any) -> None:
        seen.append(request.path)

    got_request_exception.connect(note)
    try:
        for path, text in (("/api/fail", "in the endpoint"), ("/page/", "after the page")):
            with pytest.raises(ZeroDivisionError, match=text):
                await AsyncClient().get(path)
    finally:
        got_request_exception.disconnect(note)
    assert seen == ["/api/fail", "/page/"]
    assert exchanges() == []


async def test_an_error_in_the_middle_leaves_the_stream_without_its_end() -> None:
    visit = Visit("/api/broken")
    with pytest.raises(ZeroDivisionError, match="in the middle"):
        await visit.run()
    assert visit.body == b"begun;"
    assert visit.sent[-1]["more_body"]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("path", "said"),
    [("/api/endless", "endless closed"), ("/api/silent", "silent closed"), ("/api/wait", "wait clean")],
)
async def test_who_leaves_has_the_application_cancelled_and_awaited(path: str, said: str, sync: bool) -> None:
    finished: list[int] = []

    def note(**_: Any) -> None:
        finished.append(len(events()))

    chain = [f"{__name__}.proxied"] if sync else []
    visit = Visit(path)
    request_finished.connect(note)
    try:
        with override_settings(MIDDLEWARE=chain):
            running = asyncio.create_task(visit.run())
            if path == "/api/wait":
                await asyncio.sleep(0.2)
            else:
                await asyncio.wait_for(visit.begun.wait(), 10)
            visit.left.set()
            await asyncio.wait_for(running, 10)
    finally:
        request_finished.disconnect(note)
    assert [event.startswith(said) for event in events()] == [True]
    assert finished == [1]  # once, when the application had cleaned up
    assert exchanges() == []


async def test_a_slow_client_makes_the_application_wait() -> None:
    visit = Visit("/api/endless")
    sent = 0

    async def slowly(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == 5:
            visit.begun.set()
            await asyncio.sleep(0.3)

    visit.send = slowly  # type: ignore[method-assign]
    running = asyncio.create_task(visit.run())
    await visit.begun.wait()
    await asyncio.sleep(0.2)
    visit.left.set()
    await running
    assert int(events()[0].rpartition(" ")[2]) < 30


async def test_background_tasks_run_after_the_response_and_errors_in_them_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert (await AsyncClient().get("/api/later")).content == b"now"
    assert events() == []
    assert len(exchanges()) == 1
    while exchanges():  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert events() == ["background done"]
    assert (await AsyncClient().get("/api/later-fails")).content == b"now"
    assert "in the background" in caplog.text


async def test_a_session_that_is_changed_while_streaming_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    await Visit("/api/late").run()
    assert "the session was changed while the response to GET '/api/late' was streaming" in caplog.text


@async_only_middleware
def dropping(get_response: Any) -> Any:
    """A middleware that answers itself instead of the view."""

    async def middleware(request: HttpRequest) -> HttpResponse:
        await get_response(request)
        return HttpResponse("mine")

    return middleware


@override_settings(MIDDLEWARE=[f"{__name__}.dropping"])
async def test_a_response_that_a_middleware_drops_has_its_application_cancelled() -> None:
    assert (await Visit("/api/endless").run()).body == b"mine"
    gc.collect()
    for _ in range(100):
        if not exchanges():
            break
        await asyncio.sleep(0.01)
    assert len(events()) == 1


@override_settings(MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"])
async def test_a_middleware_may_change_a_stream() -> None:
    import gzip

    visit = await Visit("/api/stream", headers=[(b"host", b"testserver"), (b"accept-encoding", b"gzip")]).run()
    assert gzip.decompress(visit.body) == b"0;1;2;"
    assert exchanges() == []


async def test_the_application_is_told_that_its_response_is_over() -> None:
    visit = await Visit("/receiver/").run()
    assert visit.body == b"0"
    assert events() == ["http.disconnect"]


async def test_a_hundred_requests_leave_no_task_behind() -> None:
    before = len(asyncio.all_tasks())
    await get("/api/")  # starts the lifespan
    started = len(asyncio.all_tasks())
    client = AsyncClient()
    await asyncio.gather(*(client.get(path) for path in ["/api/", "/api/count", "/api/count-in-def", "/api/me"] * 25))
    assert len(asyncio.all_tasks()) == started
    assert started - before <= 4


async def test_a_view_may_be_called_by_itself() -> None:
    view: Any = bridge("tests.django.project.bridged:app")[0][0].callback
    response = await view(AsyncRequestFactory().get("/"))
    assert response.content == b'{"at":""}'
