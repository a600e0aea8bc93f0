"""The application under test. What it lives through is kept in a record that `/recorded` tells to anyone who asks.

A client names its exchange in the `x-exchange` header; under that name the record is kept.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse as StarletteJSON
from starlette.routing import Route as StarletteRoute

from microasgi import MicroASGI, Request, Response
from tests.conformance.app_http import router as http
from tests.conformance.app_websocket import router as websockets
from tests.conformance.records import Records

__all__ = ["create_app", "create_broken_app"]


def create_app(records: Records) -> MicroASGI:
    """Return the application; what it lives through goes into the records."""
    app = MicroASGI()
    app.state.records = records
    starts = 0
    requests_before_start = 0

    @app.lifespan
    @asynccontextmanager
    async def life() -> AsyncIterator[dict[str, Any]]:
        nonlocal starts
        starts += 1
        yield {"answer": 42}
        print("the lifespan ended", file=sys.stderr, flush=True)

    @app.middleware
    async def stamp(request: Request, call_next: Any) -> Response:
        nonlocal requests_before_start
        requests_before_start += not starts
        url = str(request.url)
        response: Response = await call_next(request)
        response.headers["x-url"] = url
        response.headers["x-stamp"] = "middleware"
        return response

    @app.get("/recorded")
    async def recorded(request: Request) -> list[str]:
        return records.tell(request.query_params["of"])

    @app.get("/life")
    async def tell_life(request: Request) -> dict[str, Any]:
        return {
            "starts": starts,
            "requests_before_start": requests_before_start,
            "answer": request.state.answer,
            "starlette": request.state.starlette,
        }

    app.include(http)
    app.include(websockets)
    app.mount("/mounted", create_starlette(), name="mounted")
    return app


def create_broken_app() -> MicroASGI:
    """Return an application whose lifespan fails at start-up."""
    app = MicroASGI()

    @app.lifespan
    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        raise RuntimeError("the cellar is flooded")
        yield  # a generator it is all the same

    @app.get("/")
    async def home() -> str:
        return "never"

    return app


def create_starlette() -> Starlette:
    """Return the foreign application that is mounted."""

    @asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"starlette": "started"}

    async def info(request: StarletteRequest) -> StarletteJSON:
        return StarletteJSON(
            {
                "state": getattr(request.state, "starlette", None),
                "root_path": request.scope["root_path"],
                "path": request.scope["path"],
                "url": str(request.url_for("info")),
            }
        )

    return Starlette(routes=[StarletteRoute("/info", info, name="info")], lifespan=life)
