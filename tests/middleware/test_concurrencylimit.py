"""ConcurrencyLimitMiddleware: no more than so many inside, and every place comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from microasgi import CallNext, MicroASGI, Middleware, Request, Response, Route, StreamingResponse, WebSocket
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import ConcurrencyLimitMiddleware
from microasgi.testing import RawResponse, TestClient, WebSocketDenialResponse, lifespan_scope, request
from microasgi.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.anyio


class Gate:
    """An application in which every request waits until it is let go."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.entered = 0
        self.open: dict[str, anyio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"][1:]
        self.inside.append(name)
        self.entered += 1
        try:
            await self.open.setdefault(name, anyio.Event()).wait()
        finally:
            self.inside.remove(name)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": name.encode()})

    def let(self, name: str) -> None:
        self.open.setdefault(name, anyio.Event()).set()


async def ask(app: Any, name: str, answers: dict[str, RawResponse]) -> None:
    answers[name] = await request(app, path=f"/{name}")


async def settle() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_above_the_limit_the_answer_is_503_at_once() -> None:
    gate = Gate()
    app, answers = ConcurrencyLimitMiddleware(gate, 2, retry_after=7), dict[str, RawResponse]()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, app, "a", answers)
        group.start_soon(ask, app, "b", answers)
        await settle()
        refused = await request(app, path="/c")
        assert (refused.status, refused.header(b"retry-after")) == (503, b"7")
        assert sorted(gate.inside) == ["a", "b"]
        gate.let("a")
        await settle()
        gate.let("c")
        assert (await request(app, path="/c")).body == b"c"
        gate.let("b")
    assert answers["a"].body == b"a"


async def test_those_in_the_queue_come_in_in_order() -> None:
    gate = Gate()
    app, answers = ConcurrencyLimitMiddleware(gate, 1, queue=2), dict[str, RawResponse]()
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(ask, app, name, answers)
            await settle()
        assert (await request(app, path="/d")).status == 503
        for name in "abc":
            assert gate.inside == [name]
            gate.let(name)
            await settle()
    assert [answers[name].status for name in "abc"] == [200, 200, 200]


async def test_who_waits_too_long_is_refused_and_leaves_the_queue() -> None:
    gate = Gate()
    app, answers = ConcurrencyLimitMiddleware(gate, 1, queue=1, queue_timeout=0.02), dict[str, RawResponse]()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, app, "a", answers)
        await settle()
        for _ in range(2):
            assert (await request(app, path="/b")).status == 503
        gate.let("a")
    gate.let("b")
    assert (await request(app, path="/b")).status == 200


async def test_a_place_comes_back_after_an_error() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("inside")

    app = ConcurrencyLimitMiddleware(failing, 1)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="inside"):
            await request(app)


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_place_comes_back_from_who_is_cancelled_while_waiting(handed_over: bool) -> None:
    gate = Gate()
    app, answers = ConcurrencyLimitMiddleware(gate, 1, queue=1), dict[str, RawResponse]()
    async with anyio.create_task_group() as group:
        group.start_soon(ask, app, "a", answers)
        await settle()
        with anyio.CancelScope() as waiting:
            async with anyio.create_task_group() as inner:
                inner.start_soon(app, {"type": "http", "path": "/b"}, never, never)
                await settle()
                waiting.cancel()
                if handed_over:  # in the same step as the cancellation
                    app._give_back()
        if not handed_over:
            gate.let("a")
            await settle()
        gate.let("c")
        assert (await request(app, path="/c")).status == 200
        gate.let("a")
    assert gate.entered == 2


async def never(message: Message | None = None) -> Any:
    raise AssertionError("nothing is to be received or sent")


async def test_a_stream_keeps_its_place_to_its_end_and_function_middleware_may_replace_it() -> None:
    async def replacing(request: Request, call_next: CallNext) -> Response | str:
        response = await call_next(request)
        return "another" if response.status_code == 200 else response

    async def chunks() -> AsyncIterator[str]:
        yield "one"

    async def stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    around = [replacing, Middleware(ConcurrencyLimitMiddleware, limit=1)]
    app = MicroASGI(routes=[Route("/", stream, middleware=around)])
    for _ in range(3):
        assert (await request(app)).body == b"another"


def socket_app(**options: Any) -> MicroASGI:
    app = MicroASGI(middleware=[Middleware(ConcurrencyLimitMiddleware, limit=1, **options)])

    @app.websocket("/")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @app.get("/")
    async def home() -> str:
        return "ok"

    return app


def test_a_socket_has_a_place_for_its_life() -> None:
    with TestClient(socket_app()) as client:
        with client.websocket_connect("/") as socket:
            socket.send_text("hello")
            assert socket.receive_text() == "hello"
            assert client.get("/").status_code == 503
            with pytest.raises(WebSocketDenialResponse) as refused:
                with client.websocket_connect("/"):
                    pass
            assert refused.value.status_code == 503
        assert client.get("/").status_code == 200


def test_sockets_can_be_left_out() -> None:
    with TestClient(socket_app(scopes=["http"])) as client:
        with client.websocket_connect("/"):
            assert client.get("/").status_code == 200


async def test_lifespan_goes_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await ConcurrencyLimitMiddleware(app, 1)(lifespan_scope(), never, never)
    assert seen == ["lifespan"]


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": "10"},
        {"queue": -1},
        {"retry_after": -1},
        {"queue_timeout": 0},
        {"scopes": []},
        {"scopes": ["https"]},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        ConcurrencyLimitMiddleware(never, **{"limit": 1, **options})
