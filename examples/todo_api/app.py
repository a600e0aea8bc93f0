"""A JSON API of todos: users with tokens, pages, uploads, ETags. Run it with `uvicorn app:app` and open /docs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict

from accounts import HASHED_AT_ONCE, accounts
from anyio import CapacityLimiter
from store import Store
from todos import todos

from microasgi import MicroASGI
from microasgi.concurrency import run_in_threadpool
from microasgi.openapi import OpenAPI


class Shared(TypedDict):
    """What every request finds in its state: `store: State[Store]`."""

    store: Store
    hashing: CapacityLimiter  # of its own: who guesses passwords keeps nobody else waiting


app = MicroASGI(max_body_size=64 * 1024)
app.include(accounts, tags=["accounts"])
app.include(todos, tags=["todos"], raises=[401])
app.include(OpenAPI(title="Todos", version="1.0", description="What is to be done, and files beside it."))


@app.lifespan
async def open_store() -> AsyncIterator[Shared]:
    """Keep todos in TODO_DATABASE, or in a file that is gone when the server stops."""
    with TemporaryDirectory(prefix="todos-") as folder:
        path = Path(os.environ.get("TODO_DATABASE", Path(folder, "todos.sqlite3")))
        with closing(await run_in_threadpool(Store, path)) as store:
            yield {"store": store, "hashing": CapacityLimiter(HASHED_AT_ONCE)}
