"""TimeoutMiddleware: a request is answered in time, or it is ended in time."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sniffio
import starlette.middleware
import starlette.responses
import starlette.routing
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware

from microasgi import (
    BackgroundTask,
    CallNext,
    MicroASGI,
    Middleware,
    PlainTextResponse,
    Request,
    Response,
    Route,
    Router,
    StreamingResponse,
    WebSocket,
)
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import TimeoutMiddleware
from microasgi.testing import Exchange, RawResponse, TestClient, http_scope, lifespan_scope, request
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio

SOON = 0.15
LATE = [Middleware(TimeoutMiddleware, seconds=SOON)]


async def sleeping(cleaned: list[str] | None = None) -> str:
    try:
        await anyio.sleep(30)
    finally:
        if cleaned is not None:
            cleaned.append("cleaned")
    return "late"


def slow_app(place: str, cleaned: list[str]) -> MicroASGI:
    """Return an application whose `/slow/` never answers, with the deadline at one of the places."""

    async def slow(request: Request) -> str:
        return await sleeping(cleaned)

    if place == "application":
        return MicroASGI(routes=[Route("/slow/", slow)], middleware=LATE)
    if place == "route":
        return MicroASGI(routes=[Route("/slow/", slow, middleware=LATE)])
    app = MicroASGI()
    if place == "mount":
        app.mount("/slow", MicroASGI(routes=[Route("/", slow)]), middleware=LATE)
    else:
        app.include(Router([Route("/", slow)]), prefix="/slow", middleware=LATE)
    return app


@pytest.mark.parametrize("place", ["application", "route", "mount", "router"])
async def test_what_takes_too_long_is_cancelled_and_answered_with_504(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    cleaned: list[str] = []
    response = await request(slow_app(place, cleaned), path="/slow/")
    assert (response.status, response.body) == (504, b"The answer took too long.")
    assert cleaned == ["cleaned"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "GET '/slow/' took more than 0.15 s: answered with 504"
    ]


async def test_a_client_that_prefers_json_gets_problem_details() -> None:
    response = await request(slow_app("route", []), path="/slow/", headers={"accept": "application/json"})
    assert response.json() == {
        "type": "about:blank",
        "title": "Gateway Timeout",
        "status": 504,
        "detail": "The answer took too long.",
    }


@pytest.mark.parametrize("place", ["application", "route"])
async def test_what_is_in_time_is_not_touched(place: str) -> None:
    async def quick(request: Request) -> str:
        return (await request.body()).decode()

    around = [Middleware(TimeoutMiddleware, seconds=30)]
    route = Route("/", quick, methods=["POST"], middleware=around if place == "route" else None)
    app = MicroASGI(routes=[route], middleware=around if place == "application" else None)
    assert (await request(app, "POST", body=b"hello")).body == b"hello"


async def conclude(app: ASGIApp, path: str = "/") -> tuple[list[Message], BaseException | None]:
    """Return what was sent and how the application ended."""
    exchange = Exchange(app, http_scope("GET", path))
    try:
        async with exchange:
            await exchange.wait_finished()
    except TimeoutError:
        pass
    return exchange.messages or list(exchange._outputs), exchange.error


def is_cut(messages: list[Message]) -> bool:
    """Tell whether it began, and went on with "one" at most: on a busy machine time is over before that."""
    bodies = [(message.get("body"), message.get("more_body")) for message in messages]
    return bodies in ([(None, None)], [(None, None), (b"one", True)])


@pytest.mark.parametrize("place", ["application", "route"])
async def test_what_has_begun_is_cut_and_never_marked_complete(place: str, caplog: pytest.LogCaptureFixture) -> None:
    cleaned: list[str] = []

    async def chunks() -> AsyncIterator[str]:
        yield "one"
        yield await sleeping(cleaned)

    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    route = Route("/", stream, middleware=LATE if place == "route" else None)
    app = MicroASGI(routes=[route], middleware=LATE if place == "application" else None)
    messages, error = await conclude(app)
    assert is_cut(messages)
    assert isinstance(error, TimeoutError)
    assert "GET '/' took more than 0.15 s" in str(error)
    assert cleaned == ["cleaned"]
    assert "the answer is cut" in caplog.text


async def test_a_timeout_of_the_handler_s_own_is_its_own() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("the database")

    with pytest.raises(TimeoutError, match="the database"):
        await request(TimeoutMiddleware(failing, 30))


async def test_time_that_the_client_takes_to_read_cuts_nothing_but_counts() -> None:
    reached: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        reached.append("sent")
        await anyio.sleep(30)

    exchange = Exchange(TimeoutMiddleware(app, SOON), http_scope(), window=0)
    with pytest.raises(TimeoutError):
        async with exchange:
            await anyio.sleep(SOON * 3)  # the reader is slow
            assert not reached
            await exchange.receive_output()
            await exchange.wait_finished()
    assert reached == ["sent"]


async def test_what_runs_after_the_answer_has_no_deadline() -> None:
    done: list[str] = []

    async def later() -> None:
        await anyio.sleep(SOON * 3)
        done.append("done")

    async def home() -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(later))

    assert (await request(MicroASGI(routes=[Route("/", home)], middleware=LATE))).body == b"ok"
    assert done == ["done"]


async def test_websockets_and_lifespan_have_no_deadline() -> None:
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await anyio.sleep(SOON * 3)
        await websocket.send_text("still here")

    app = MicroASGI(middleware=LATE)
    app.add_websocket_route("/", echo)
    with TestClient(app) as client, client.websocket_connect("/") as socket:
        assert socket.receive_text() == "still here"
    async with Exchange(TimeoutMiddleware(app, SOON), lifespan_scope()) as exchange:
        await exchange.send_input({"type": "lifespan.startup"})
        await exchange.receive_output()
        await anyio.sleep(SOON * 3)
        await exchange.send_input({"type": "lifespan.shutdown"})
        assert (await exchange.receive_output())["type"] == "lifespan.shutdown.complete"


async def test_function_middleware_works_around_it_and_inside_it() -> None:
    seen: list[Any] = []

    def named(name: str) -> Callable[[Request, CallNext], Awaitable[Response]]:
        async def middleware(request: Request, call_next: CallNext) -> Response:
            try:
                response = await call_next(request)
            except BaseException as error:
                seen.append((name, type(error) is anyio.get_cancelled_exc_class()))
                raise
            seen.append((name, response.status_code))
            return response

        return middleware

    async def slow() -> str:
        return await sleeping()

    app = MicroASGI(routes=[Route("/", slow)], middleware=[named("outside"), *LATE, named("inside")])
    assert (await request(app)).status == 504
    assert seen == [("inside", True), ("outside", 504)]


async def test_the_deadline_never_ends_what_stands_around_it() -> None:
    async def patient(request: Request, call_next: CallNext) -> Response:
        response = await call_next(request)
        await anyio.sleep(SOON * 3)  # longer than the deadline of what is inside
        response.headers["x-patient"] = "yes"
        return response

    async def home() -> str:
        return "ok"

    response = await request(MicroASGI(routes=[Route("/", home, middleware=[patient, *LATE])]))
    assert (response.status, response.header(b"x-patient"), response.body) == (200, b"yes", b"ok")


async def test_a_middleware_around_it_may_answer_in_its_place() -> None:
    async def replacing(request: Request, call_next: CallNext) -> str:
        await call_next(request)
        return "another"

    async def chunks() -> AsyncIterator[str]:
        yield "one"

    async def home() -> StreamingResponse:
        return StreamingResponse(chunks())

    app = MicroASGI(routes=[Route("/", home, middleware=[replacing, Middleware(TimeoutMiddleware, seconds=30)])])
    assert (await request(app)).body == b"another"


async def test_a_deadline_of_a_function_middleware_around_it_counts_as_well() -> None:
    async def stricter(request: Request, call_next: CallNext) -> Response:
        try:
            with anyio.fail_after(SOON):
                return await call_next(request)
        except TimeoutError:
            return PlainTextResponse("stricter", 503)

    async def slow() -> str:
        return await sleeping()

    app = MicroASGI(routes=[Route("/", slow)], middleware=[stricter, Middleware(TimeoutMiddleware, seconds=30)])
    assert (await request(app)).body == b"stricter"


async def test_a_scope_that_a_middleware_around_it_leaves_does_no_harm() -> None:
    if sniffio.current_async_library() == "trio":
        pytest.skip("on trio scopes have to nest, also around a response that has begun")

    async def hurried(request: Request, call_next: CallNext) -> Response:
        with anyio.fail_after(30):
            return await call_next(request)

    async def home() -> str:
        return "ok"

    app = MicroASGI(routes=[Route("/", home)], middleware=[hurried, Middleware(TimeoutMiddleware, seconds=30)])
    assert (await request(app)).body == b"ok"


async def test_who_ignores_the_cancellation_may_still_answer() -> None:
    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await anyio.sleep(30)
        finally:
            with anyio.CancelScope(shield=True):
                await PlainTextResponse("in the end")(scope, receive, send)

    response = await answer_or_error(TimeoutMiddleware(stubborn, SOON))
    assert response.body == b"in the end"


async def answer_or_error(app: ASGIApp) -> RawResponse:
    exchange = Exchange(app, http_scope())
    answer = RawResponse()
    try:
        async with exchange:
            async for message in exchange:
                answer.add(message)
    except TimeoutError as error:
        answer.error = error
    return answer


async def test_a_blocking_handler_runs_to_its_end_in_its_thread() -> None:
    ended = threading.Event()

    def blocking() -> str:
        time.sleep(SOON * 4)
        ended.set()
        return "late"

    response = await request(MicroASGI(routes=[Route("/", blocking)], middleware=LATE))
    assert response.status == 504
    assert await anyio.to_thread.run_sync(ended.wait, 10)


async def test_cancellation_from_outside_is_not_a_timeout() -> None:
    cleaned: list[str] = []
    began = anyio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        began.set()
        await sleeping(cleaned)

    async with anyio.create_task_group() as group:
        group.start_soon(TimeoutMiddleware(app, 30), http_scope(), unreceived, unsent)
        await began.wait()
        group.cancel_scope.cancel()
    assert cleaned == ["cleaned"]


async def unreceived() -> Message:
    raise AssertionError("nothing is to be received")


async def unsent(message: Message) -> None:
    raise AssertionError(f"nothing is to be sent: {message}")


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan, "30", None])
def test_a_deadline_is_a_number_above_zero(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds is a number above 0"):
        TimeoutMiddleware(unsent, seconds)  # type: ignore[arg-type]


class PassingOn(BaseHTTPMiddleware):
    """Runs what is inside in a task of its own, which sends from there."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


@pytest.mark.parametrize("around", [False, True], ids=["alone", "inside function middleware"])
async def test_a_foreign_application_with_tasks_of_its_own_is_ended_as_well(around: bool) -> None:
    cleaned: list[str] = []

    async def slow(request: Any) -> None:
        await sleeping(cleaned)

    async def stream(request: Any) -> starlette.responses.Response:
        async def chunks() -> AsyncIterator[str]:
            yield "one"
            yield await sleeping(cleaned)

        return starlette.responses.StreamingResponse(chunks())

    async def passing(request: Request, call_next: CallNext) -> Response:
        return await call_next(request)

    routes = [starlette.routing.Route("/slow", slow), starlette.routing.Route("/stream", stream)]
    foreign = Starlette(routes=routes, middleware=[starlette.middleware.Middleware(PassingOn)])
    app = MicroASGI()
    late = [Middleware(TimeoutMiddleware, seconds=1.0)]  # a busy machine needs a moment to begin a stream
    app.mount("/", foreign, middleware=[passing, *late] if around else late)
    assert (await request(app, path="/slow")).status == 504
    messages, error = await conclude(app, "/stream")
    assert isinstance(error, TimeoutError)
    assert is_cut(messages)
    assert cleaned == ["cleaned", "cleaned"]
