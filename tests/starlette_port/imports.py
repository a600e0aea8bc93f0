"""What changes in a Starlette application that moves to microasgi: its import lines, and nothing else."""

from __future__ import annotations

IMPORTS: dict[str, str] = {
    "from starlette.applications import Starlette": "from microasgi import MicroASGI as Starlette",
    "from starlette.background import": "from microasgi import",
    "from starlette.concurrency import": "from microasgi.concurrency import",
    "from starlette.convertors import": "from microasgi import",
    "from starlette.datastructures import": "from microasgi import",
    "from starlette.endpoints import": "from microasgi import",
    "from starlette.exceptions import": "from microasgi import",
    "from starlette.middleware import": "from microasgi import",
    "from starlette.requests import": "from microasgi import",
    "from starlette.responses import": "from microasgi import",
    "from starlette.routing import": "from microasgi import",
    "from starlette.testclient import": "from microasgi.testing import",
    "from starlette.types import": "from microasgi.types import",
    "from starlette.websockets import": "from microasgi import",
}


def port(source: str) -> str:
    """Return a Starlette module's text with its import lines exchanged."""
    for old, new in IMPORTS.items():
        source = source.replace(old, new)
    return source
