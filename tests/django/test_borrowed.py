"""What the room uses of asgiref and anyio without their promise: a release that takes it away is named here first."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest
from anyio._core import _eventloop
from asgiref.current_thread_executor import CurrentThreadExecutor
from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext

from microasgi.django import borrowed
from microasgi.django.threads import in_django_thread

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (_eventloop, "claim_worker_thread"),
        (_eventloop, "get_async_backend"),
        (_eventloop, "threadlocals"),
        (AsyncToSync, "executors"),
        (AsyncToSync, "loop_thread_executors"),
        (SyncToAsync, "thread_sensitive_context"),
        (SyncToAsync, "threadlocal"),
        (SyncToAsync, "context_to_thread_executor"),
        (ThreadSensitiveContext(executor=CurrentThreadExecutor(None)), "_executor"),
        (CurrentThreadExecutor(None), "_work_items"),
        (CurrentThreadExecutor(None), "_work_ready"),
        (CurrentThreadExecutor(None), "_broken"),
    ],
)
def test_what_is_borrowed_is_there(owner: Any, name: str) -> None:
    assert hasattr(owner, name), f"{owner!r} has no {name} any more, which microasgi.django uses"


async def test_without_anyios_own_names_sync_functions_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrowed, "_anyio", None)
    assert (await in_django_thread(threading.current_thread)).name.startswith("django-pool")
    with pytest.raises(RuntimeError):
        await in_django_thread(lambda: anyio.from_thread.run(asyncio.sleep, 0))
