"""Companions of a block: they end with it, it ends with them, and a cancellation goes to whom it was meant for."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from microasgi.realtime.companions import Companions

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise LookupError


async def fail_later() -> None:
    await anyio.sleep(0.01)
    raise LookupError


async def wait(log: list[str]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        log.append("ended")


async def test_they_end_with_the_block() -> None:
    log: list[str] = []
    async with Companions() as companions:
        for _ in range(3):
            companions.start(lambda: wait(log))
        await anyio.wait_all_tasks_blocked()
    assert log == ["ended"] * 3
    assert companions.failure is None


@pytest.mark.parametrize("work", [fail, fail_later])
async def test_the_block_ends_when_one_fails(work: Any) -> None:
    log: list[str] = []
    async with Companions() as companions:
        companions.start(lambda: wait(log))
        companions.start(work)
        companions.start(work)
        await wait(log)
    assert log == ["ended"] * 2
    assert isinstance(companions.failure, LookupError)
    await anyio.lowlevel.checkpoint()  # no cancellation is left over


async def test_a_block_that_ends_while_one_fails_is_not_cancelled_afterwards() -> None:
    for turns in range(4):
        async with Companions() as companions:
            companions.start(fail)
            if turns:
                companions.start(fail_later)
        await anyio.sleep(0.001)
        assert companions.failure is None or isinstance(companions.failure, LookupError)


async def test_an_error_of_the_block_comes_out_as_it_is() -> None:
    log: list[str] = []
    with pytest.raises(KeyError):
        async with Companions() as companions:
            companions.start(lambda: wait(log))
            await anyio.wait_all_tasks_blocked()
            raise KeyError
    assert log == ["ended"]


async def test_a_cancellation_from_outside_goes_on_outside() -> None:
    log: list[str] = []
    with anyio.move_on_after(0.01) as scope:
        async with Companions() as companions:
            companions.start(lambda: wait(log))
            await wait(log)
    assert scope.cancelled_caught
    await anyio.wait_all_tasks_blocked()
    assert log == ["ended"] * 2


async def test_scopes_inside_of_the_block_are_left_in_order() -> None:
    log: list[str] = []
    async with Companions() as companions:
        companions.start(fail_later)
        with anyio.move_on_after(5) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(wait, log)
                await wait(log)
    assert log == ["ended"] * 2
    assert not scope.cancelled_caught
    assert isinstance(companions.failure, LookupError)


async def test_nothing_is_started_after_the_block() -> None:
    async with Companions() as companions:
        pass
    with pytest.raises(RuntimeError):
        companions.start(fail)
