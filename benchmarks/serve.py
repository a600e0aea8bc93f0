"""What a server imports for `wire.py`: the application of one target and case, named by the environment."""

import os
from typing import Any

from cases import CASES
from worker import build

inner = build(os.environ["BENCHMARK_TARGET"], CASES[os.environ["BENCHMARK_CASE"]])


async def without_pathsend(scope: Any, receive: Any, send: Any) -> None:
    """Keep from the application that the server can send a file by its path."""
    if scope.get("extensions"):
        scope = {**scope, "extensions": {}}
    await inner(scope, receive, send)


app = without_pathsend if os.environ.get("BENCHMARK_SERVER") == "granian-no-pathsend" else inner
