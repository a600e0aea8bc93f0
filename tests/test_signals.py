"""A signal is heard before the server's own handler, held while the application drains, and never lost."""

from __future__ import annotations

import os
import signal
import sys
import threading
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from microasgi import draining as draining_module
from microasgi import signals as signals_module
from microasgi.application import MicroASGI
from microasgi.requests import Request
from microasgi.signals import StopSignals, asked_by_parent
from microasgi.websockets import WebSocket
from tests.test_drain import Lived, get, opened

KILL = pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals of POSIX")
pytestmark = [KILL]


@pytest.fixture(autouse=True)
def heard() -> Iterator[list[int]]:
    """Stand where a server stands: its handlers, and what they hear."""
    heard: list[int] = []

    def handle(number: int, frame: Any) -> None:
        heard.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


async def until(heard: list[int]) -> None:
    """Wait for a signal to reach the server's handlers."""
    for _ in range(500):
        if heard:
            return
        await anyio.sleep(0.01)


@pytest.fixture
def noticed() -> list[str]:
    return []


@pytest.fixture
def signals(noticed: list[str]) -> Iterator[StopSignals]:
    signals = StopSignals(lambda: noticed.append("noticed"))
    signals.install()
    yield signals
    signals.release(at_end=True)


def test_a_signal_is_held_until_it_is_released(signals: StopSignals, heard: list[int], noticed: list[str]) -> None:
    signal.raise_signal(signal.SIGTERM)
    assert (noticed, heard) == (["noticed"], [])
    signals.release()
    signals.release()
    assert heard == [signal.SIGTERM]
    signal.raise_signal(signal.SIGINT)
    assert (noticed, heard) == (["noticed"], [signal.SIGTERM, signal.SIGINT])


def test_a_signal_of_the_same_moment_is_the_same_wish(
    signals: StopSignals, heard: list[int], noticed: list[str]
) -> None:
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert (noticed, heard) == (["noticed"], [])
    signals.release()
    assert heard == [signal.SIGINT]


def test_an_impatient_second_signal_is_passed_on_at_once(
    signals: StopSignals, heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    signal.raise_signal(signal.SIGINT)
    monkeypatch.setattr(signals_module, "_IMPATIENCE", 0.0)
    signal.raise_signal(signal.SIGINT)
    assert heard == [signal.SIGINT]


def test_where_nobody_can_drain_the_signal_is_passed_on_at_once(heard: list[int]) -> None:
    def notice() -> None:
        raise RuntimeError("the event loop is closed")

    StopSignals(notice).install()
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_without_a_signal_the_handlers_are_put_back(heard: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals(lambda: None)
    signals.install()
    assert signal.getsignal(signal.SIGTERM) != before
    signals.release()
    assert signal.getsignal(signal.SIGTERM) == before
    assert heard == []


def test_ignored_signals_stay_ignored(heard: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals = StopSignals(lambda: None)
    signals.install()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signals.release()


def test_in_other_threads_nothing_is_installed(heard: list[int]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signals = StopSignals(lambda: None)
    thread = threading.Thread(target=signals.install)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before
    signals.release()


def test_a_handler_that_was_put_over_it_is_left_and_may_call_it(signals: StopSignals, heard: list[int]) -> None:
    under = signal.getsignal(signal.SIGTERM)
    over: list[int] = []

    def handle(number: int, frame: Any) -> None:
        over.append(number)
        assert callable(under)
        under(number, frame)

    signal.signal(signal.SIGTERM, handle)
    signal.raise_signal(signal.SIGTERM)
    signals.release()
    assert signal.getsignal(signal.SIGTERM) is handle
    assert (over, heard) == ([signal.SIGTERM], [signal.SIGTERM])
    signal.raise_signal(signal.SIGTERM)
    assert (len(over), len(heard)) == (2, 2)


def test_what_a_signal_does_by_default_it_does_in_the_end(heard: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, Any]] = []
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signals = StopSignals(lambda: None)
    signals.install()
    under = signal.getsignal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda number, frame: None)  # put over it, so that it is passed on by hand
    monkeypatch.setattr(signal, "raise_signal", lambda number: raised.append((number, signal.getsignal(number))))
    signals.release()
    assert raised == [(signal.SIGTERM, signal.SIG_DFL)]
    assert under != signal.SIG_DFL


def test_a_loop_that_hears_signals_by_itself_hears_them_once(heard: list[int]) -> None:
    def noop(number: int, frame: Any) -> None:
        heard.append(number)

    noop.__module__ = "asyncio.unix_events"
    signal.signal(signal.SIGTERM, noop)
    signals = StopSignals(lambda: None)
    signals.install()
    signal.raise_signal(signal.SIGTERM)
    signals.release()
    assert signal.getsignal(signal.SIGTERM) is noop
    assert heard == []


def test_a_parent_that_has_asked_may_send_signals_until_the_end(heard: list[int]) -> None:
    signals = StopSignals(lambda: None, lambda: True)
    signals.install()
    signal.raise_signal(signal.SIGTERM)
    signals.release()
    signal.raise_signal(signal.SIGTERM)
    assert heard == []
    signals.release(at_end=True)
    assert heard == []


class Process:
    """A worker as multiprocessing has it."""

    def __init__(self, **arguments: Any) -> None:
        self._kwargs = arguments


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Pretend to be a worker of Hypercorn; return its parent's event."""
    monkeypatch.setattr(draining_module, "_INTERVAL", 0.01)
    event = threading.Event()
    module = types.SimpleNamespace(current_process=lambda: Process(shutdown_event=event, config=None))
    monkeypatch.setitem(sys.modules, "multiprocessing.process", module)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "hypercorn", types.ModuleType("hypercorn"))
    return event


def test_hypercorns_parent_asks_by_an_event(parent: threading.Event) -> None:
    asked = asked_by_parent()
    assert asked is not None
    assert not asked()
    parent.set()
    assert asked()


def test_other_parents_ask_by_signals(parent: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.SimpleNamespace(current_process=object)
    monkeypatch.setitem(sys.modules, "multiprocessing.process", module)  # type: ignore[arg-type]
    assert asked_by_parent() is None
    monkeypatch.delitem(sys.modules, "hypercorn")
    assert asked_by_parent() is None
    monkeypatch.delitem(sys.modules, "multiprocessing.process")
    assert asked_by_parent() is None


# An application


@pytest.fixture
def app() -> MicroASGI:
    app = MicroASGI()
    app.draining.grace = 0.05

    @app.get("/")
    async def index(request: Request) -> str:
        return "here"

    @app.websocket("/")
    async def listen(websocket: WebSocket) -> None:
        await websocket.accept()
        async for _ in websocket.iter_text():
            pass

    return app


@pytest.mark.anyio
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_the_application_and_then_reaches_the_server(
    app: MicroASGI, heard: list[int], number: int
) -> None:
    async with Lived(app), opened(app) as socket:
        await anyio.wait_all_tasks_blocked()
        os.kill(os.getpid(), number)
        assert (await socket.receive_output())["code"] == 1012
        await socket.wait_finished()
        await until(heard)
        assert app.draining
    assert heard == [number]


@pytest.mark.anyio
async def test_the_handlers_are_put_back_when_the_lifespan_ends(app: MicroASGI) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with Lived(app):
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.anyio
async def test_where_the_server_has_no_lifespan_it_ends_before_the_server_hears(
    app: MicroASGI, heard: list[int]
) -> None:
    log = []

    @app.lifespan
    async def life() -> AsyncIterator[None]:
        yield
        log.append(f"heard {len(heard)}")

    await get(app)
    os.kill(os.getpid(), signal.SIGTERM)
    await until(heard)
    assert log == ["heard 0"]


@pytest.mark.anyio
@pytest.mark.parametrize("asks", [True, False])
async def test_a_worker_drains_when_its_parent_asks(app: MicroASGI, parent: threading.Event, asks: bool) -> None:
    async with Lived(app):
        await get(app)
        if asks:
            parent.set()
            with anyio.fail_after(5):
                await app.draining.wait()
        assert app.draining.is_set() is asks
    await anyio.sleep(0.02)  # who watches the parent sees that it is over
    assert not app.draining


@pytest.mark.anyio
async def test_a_closed_loop_takes_no_signal(app: MicroASGI, heard: list[int]) -> None:
    context = app._enter()
    await context.__aenter__()
    round_ = app.draining.here()
    assert round_ is not None
    await context.__aexit__(None, None, None)
    round_.spawn(app.drain)  # does nothing: it is over
    await anyio.sleep(0.01)
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
