"""A task that receives ahead: it ends when told, and what it raises is kept for who asks."""

from __future__ import annotations

import anyio
import pytest

from microasgi.ahead import Ahead

pytestmark = pytest.mark.anyio


async def test_it_runs_until_its_work_returns() -> None:
    ahead = Ahead()
    done = anyio.Event()
    ahead.start(done.wait)
    await ahead.settle(lambda: False)
    assert ahead.runs
    done.set()
    await ahead.settle(lambda: False)
    assert not ahead.runs


async def test_what_its_work_raises_is_raised_where_it_is_asked_for() -> None:
    async def work() -> None:
        raise ValueError("broken")

    ahead = Ahead()
    ahead.start(work)
    with pytest.raises(ValueError, match="broken"):
        await ahead.settle(lambda: False)
    with pytest.raises(ValueError, match="broken"):
        ahead.check()


async def test_it_ends_when_it_is_stopped() -> None:
    ahead = Ahead()
    ahead.start(anyio.sleep_forever)
    await ahead.stop()
    assert not ahead.runs


async def test_who_stops_it_does_not_wait_for_a_receive_that_cannot_be_cancelled() -> None:
    ended = anyio.Event()

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        ended.set()

    ahead = Ahead()
    ahead.start(work)
    await ahead.settle(lambda: False)
    await ahead.stop()
    assert ahead.runs
    await ended.wait()
