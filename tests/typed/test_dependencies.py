"""Dependencies: called once for a request, before the handler; cleaned up when the response has been sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from microasgi import ConfigurationError, HTTPException, MicroASGI, Request, Router, StreamingResponse, WebSocket
from microasgi.testing import Exchange, TestClient, http_scope
from microasgi.typed import Body, Depends, Header, HTTPBearer, Query, Security, SecurityScopes

pytestmark = pytest.mark.anyio


async def of_async(q: str) -> str:
    return f"async {q}"


def of_thread(q: str) -> str:
    return f"thread {q}"


class OfClass:
    def __init__(self, q: str) -> None:
        self.q = q


def test_functions_of_both_kinds_and_classes_are_called_with_parameters_of_their_own() -> None:
    app = MicroASGI()

    @app.get("/")
    async def show(
        a: Annotated[str, Depends(of_async)], b: Annotated[str, Depends(of_thread)], c: Annotated[OfClass, Depends()]
    ) -> list[Any]:
        return [a, b, c.q]

    assert TestClient(app).get("/?q=x").json() == ["async x", "thread x", "x"]


def test_a_dependency_is_called_once_for_a_request_unless_it_asks_for_more() -> None:
    calls: list[str] = []

    async def count() -> int:
        calls.append("called")
        return len(calls)

    async def above(n: Annotated[int, Depends(count)]) -> int:
        return n

    app = MicroASGI()

    @app.get("/")
    async def show(
        a: Annotated[int, Depends(count)],
        b: Annotated[int, Depends(above)],
        c: Annotated[int, Depends(count, use_cache=False)],
    ) -> list[int]:
        return [a, b, c]

    client = TestClient(app)
    assert client.get("/").json() == [1, 1, 2]
    assert client.get("/").json() == [3, 3, 4]


def test_a_faulty_dependency_is_not_called_and_its_faults_stand_among_the_others() -> None:
    async def never(n: int) -> int:
        raise AssertionError("not to be called")

    async def nor_this(n: Annotated[int, Depends(never)]) -> int:
        raise AssertionError("not to be called")

    app = MicroASGI()

    @app.get("/")
    async def show(a: Annotated[int, Depends(nor_this)], page: int) -> None:
        raise AssertionError("not to be called")

    found = TestClient(app).get("/?n=x&page=y").json()["errors"]
    assert [one["name"] for one in found] == ["n", "page"]


def test_who_may_not_come_in_is_not_told_what_else_is_wrong() -> None:
    app = MicroASGI()

    @app.post("/")
    async def show(
        token: Annotated[Any, Depends(HTTPBearer())], page: int, item: Annotated[dict[str, int], Body()]
    ) -> None:
        raise AssertionError("not to be called")

    assert TestClient(app).post("/?page=x", content="{").status_code == 401


def test_dependencies_of_a_route_and_of_an_included_router_are_called_for_their_effect() -> None:
    calls: list[str] = []

    async def outer(request: Request) -> None:
        calls.append("outer")

    async def inner(q: str) -> None:
        calls.append(f"inner {q}")

    router = Router()

    @router.get("/plain", dependencies=[Depends(inner)])
    async def plain(request: Request) -> str:
        return "plain"

    app = MicroASGI()
    app.include(router, dependencies=[Depends(outer)])
    assert TestClient(app).get("/plain?q=x").text == "plain"
    assert calls == ["outer", "inner x"]


def events_app(*, scope: Any = "request", sync: bool = False) -> tuple[MicroASGI, list[str]]:
    events: list[str] = []

    async def resource() -> AsyncIterator[str]:
        events.append("open")
        try:
            yield "resource"
            events.append("succeeded")
        except Exception as error:
            events.append(f"failed by {type(error).__name__}")
            raise
        finally:
            events.append("closed")

    def blocking() -> Iterator[str]:
        events.append("open")
        try:
            yield "resource"
            events.append("succeeded")
        except Exception as error:
            events.append(f"failed by {type(error).__name__}")
            raise
        finally:
            events.append("closed")

    async def before() -> AsyncIterator[None]:
        yield
        events.append("last")

    app = MicroASGI()

    @app.get("/")
    async def show(
        first: Annotated[None, Depends(before)],
        got: Annotated[str, Depends(blocking if sync else resource, scope=scope)],
        fail: str = "",
    ) -> Any:
        if fail == "http":
            raise HTTPException(409)
        if fail == "bug":
            raise LookupError("a bug")
        return StreamingResponse(body())

    async def body() -> AsyncIterator[bytes]:
        events.append("sent")
        yield b"body"

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, got: Annotated[str, Depends(blocking if sync else resource)]) -> None:
        await websocket.accept()
        await websocket.send_text(got)

    return app, events


@pytest.mark.parametrize("sync", [False, True])
def test_the_clean_up_follows_the_response_the_last_one_first(sync: bool) -> None:
    app, events = events_app(sync=sync)
    assert TestClient(app).get("/").text == "body"
    assert events == ["open", "sent", "succeeded", "closed", "last"]


@pytest.mark.parametrize("sync", [False, True])
def test_with_the_scope_of_the_function_the_clean_up_comes_before_the_response(sync: bool) -> None:
    app, events = events_app(scope="function", sync=sync)
    assert TestClient(app).get("/").text == "body"
    assert events == ["open", "succeeded", "closed", "sent", "last"]


@pytest.mark.parametrize("sync", [False, True])
def test_an_error_of_the_handler_is_thrown_in(sync: bool) -> None:
    app, events = events_app(sync=sync)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/?fail=http").status_code == 409
    assert events == ["open", "failed by HTTPException", "closed"]
    events.clear()
    assert client.get("/?fail=bug").status_code == 500
    assert events == ["open", "failed by LookupError", "closed"]


@pytest.mark.parametrize("sync", [False, True])
def test_the_clean_up_of_a_websocket_follows_its_handler(sync: bool) -> None:
    app, events = events_app(sync=sync)
    with TestClient(app).websocket_connect("/ws") as websocket:
        assert websocket.receive_text() == "resource"
    assert events == ["open", "succeeded", "closed"]


def test_a_dependency_may_make_another_error_of_the_handlers() -> None:
    async def translate() -> AsyncIterator[None]:
        try:
            yield
        except LookupError:
            raise HTTPException(404, "no such thing") from None

    app = MicroASGI()

    @app.get("/")
    async def show(_: Annotated[None, Depends(translate)]) -> None:
        raise LookupError

    response = TestClient(app).get("/")
    assert (response.status_code, response.json()["detail"]) == (404, "no such thing")


def test_an_error_that_a_dependency_swallows_is_still_the_answer() -> None:
    async def swallow() -> AsyncIterator[None]:
        with suppress(HTTPException):
            yield

    app = MicroASGI()

    @app.get("/")
    async def show(_: Annotated[None, Depends(swallow)]) -> None:
        raise HTTPException(418)

    assert TestClient(app).get("/").status_code == 418


async def test_the_clean_up_runs_when_the_client_leaves_in_the_middle() -> None:
    events: list[str] = []

    async def resource() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await anyio.lowlevel.checkpoint()
            events.append("closed")

    app = MicroASGI()
    forever = anyio.Event()

    @app.get("/")
    async def show(_: Annotated[None, Depends(resource)]) -> Any:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await forever.wait()

        return StreamingResponse(body())

    async with Exchange(app, http_scope("GET", "/")) as exchange:
        await exchange.send_input({"type": "http.request", "body": b"", "more_body": False})
        await exchange.receive_output()
        await exchange.receive_output()
        exchange.disconnect()
        await exchange.wait_finished()
    assert events == ["closed"]


async def test_the_clean_up_runs_when_the_server_cancels_the_handler() -> None:
    events: list[str] = []

    async def resource() -> AsyncIterator[None]:
        try:
            yield
            events.append("succeeded")
        finally:
            await anyio.lowlevel.checkpoint()
            events.append("closed")

    app = MicroASGI()
    entered, forever = anyio.Event(), anyio.Event()

    @app.get("/")
    async def show(_: Annotated[None, Depends(resource)]) -> None:
        entered.set()
        await forever.wait()

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            async def receive() -> Any:
                await forever.wait()

            async def send(message: Any) -> None: ...

            await app(http_scope("GET", "/"), receive, send)

        tasks.start_soon(run)
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert events == ["closed"]


def test_a_clean_up_that_fails_is_logged_and_the_others_run(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []

    async def outer() -> AsyncIterator[None]:
        yield
        events.append("outer closed")

    async def broken() -> AsyncIterator[None]:
        yield
        raise ValueError("cannot close")

    app = MicroASGI()

    @app.get("/")
    async def show(a: Annotated[None, Depends(outer)], b: Annotated[None, Depends(broken)]) -> str:
        return "fine"

    assert TestClient(app).get("/").text == "fine"
    assert events == ["outer closed"]
    assert "the clean-up of" in caplog.text


def test_a_dependency_yields_once() -> None:
    async def twice() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def not_at_all() -> AsyncIterator[int]:
        return
        yield 1

    app = MicroASGI()

    @app.get("/twice")
    async def show(n: Annotated[int, Depends(twice, scope="function")]) -> str:
        return "never"

    @app.get("/none")
    async def other(n: Annotated[int, Depends(not_at_all)]) -> str:
        return "never"

    client = TestClient(app)
    with pytest.raises(RuntimeError, match="yields twice"):
        client.get("/twice")
    with pytest.raises(RuntimeError, match="without a `yield`"):
        client.get("/none")


def test_tests_put_others_in_the_place_of_dependencies() -> None:
    async def database() -> str:
        raise AssertionError("not to be called")

    async def fake(word: Annotated[str, Query()] = "fake") -> str:
        return word

    app = MicroASGI()

    @app.get("/")
    async def show(db: Annotated[str, Depends(database)]) -> str:
        return db

    @app.websocket("/ws")
    async def talk(websocket: WebSocket, db: Annotated[str, Depends(database)]) -> None:
        await websocket.accept()
        await websocket.send_text(db)

    outer = MicroASGI()
    outer.mount("/in", app)
    app.dependency_overrides[database] = fake
    client = TestClient(app)
    assert client.get("/?word=own").text == "own"
    with client.websocket_connect("/ws") as websocket:
        assert websocket.receive_text() == "fake"
    app.dependency_overrides.clear()
    outer.dependency_overrides[database] = lambda: "outside"
    assert TestClient(outer).get("/in/").text == "outside"
    with pytest.raises(AssertionError):
        client.get("/")


def test_scopes_of_all_who_ask_for_a_dependency_reach_it() -> None:
    async def user(scopes: SecurityScopes) -> list[str]:
        return list(scopes.scopes)

    async def admin(got: Annotated[list[str], Security(user, scopes=["b"])]) -> list[str]:
        return got

    app = MicroASGI()

    @app.get("/")
    async def show(got: Annotated[list[str], Security(admin, scopes=["a"])]) -> list[str]:
        return got

    assert TestClient(app).get("/").json() == ["a", "b"]


def test_dependencies_in_a_circle_are_refused_at_registration() -> None:
    async def one(value: Annotated[int, Depends(lambda: 1)]) -> int:
        return value

    one.__annotations__["value"] = Annotated[int, Depends(one)]
    app = MicroASGI()
    with pytest.raises(ConfigurationError, match="in a circle: .*one -> .*one"):

        @app.get("/")
        async def show(n: Annotated[int, Depends(one)]) -> None: ...


@pytest.mark.parametrize("wrong", [of_async, "of_async", Depends()])
def test_a_list_of_dependencies_holds_depends(wrong: Any) -> None:
    app = MicroASGI()
    with pytest.raises(ConfigurationError, match="Depends"):
        app.get("/", dependencies=[wrong])(of_async)


def test_a_dependency_takes_from_the_body_and_the_handler_too() -> None:
    async def name(user: Annotated[str, Body()]) -> str:
        return user.upper()

    app = MicroASGI()

    @app.post("/")
    async def show(loud: Annotated[str, Depends(name)], n: Annotated[int, Body()], h: Annotated[str, Header()]) -> Any:
        return [loud, n, h]

    client = TestClient(app)
    assert client.post("/", json={"user": "a", "n": 1}, headers={"h": "x"}).json() == ["A", 1, "x"]
    found = client.post("/", json={"user": 3}).json()["errors"]
    assert [one.get("pointer", one.get("name")) for one in found] == ["h", "#/user", "#/n"]
