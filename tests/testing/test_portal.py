"""The loop of the sync client, and the thread that waits for it, which may do other work meanwhile."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import pytest

from microasgi.testing.portal import LoopThread


def test_the_waiting_thread_does_what_the_loop_asks_of_it() -> None:
    asked: SimpleQueue[Future[int] | None] = SimpleQueue()

    def wait(awaited: Future[Any]) -> Any:
        awaited.add_done_callback(lambda _: asked.put(None))
        while not awaited.done():
            one = asked.get()
            if one is not None:
                one.set_result(threading.get_ident())
        return awaited.result()

    async def ask() -> int:
        future: Future[int] = Future()
        asked.put(future)
        return await asyncio.wrap_future(future)

    loop = LoopThread("asyncio", None, wait)
    try:
        assert loop.portal.call(ask) == threading.get_ident()
    finally:
        loop.stop()


def test_a_loop_that_cannot_start_raises_where_it_is_first_used() -> None:
    with pytest.raises(LookupError, match="No such backend"):
        LoopThread("nothing", None).portal  # noqa: B018


def test_a_loop_that_was_stopped_starts_again() -> None:
    loop = LoopThread("asyncio", None)
    first = loop.portal.call(threading.get_ident)
    loop.stop()
    assert not [thread for thread in threading.enumerate() if thread.ident == first and thread.name == "portal"]
    assert loop.portal.call(threading.current_thread).name == "portal"
    loop.stop()
