"""`openapi`: the document that the application itself serves, asked of it in this process."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from microasgi.cli.complaints import Complaint, explain
from microasgi.cli.loading import load
from microasgi.cli.targets import find_target
from microasgi.lifespan import run_together
from microasgi.types import ASGIApp, Message, Scope

__all__ = ["ask", "openapi"]


def openapi(arguments: Namespace) -> int:
    """Run the command: print or write the document."""
    loaded = load(find_target(arguments.app, factory=arguments.factory))
    path: str = arguments.path if arguments.path.startswith("/") else f"/{arguments.path}"
    try:
        status, body = anyio.run(ask, loaded.app, path)
    except Exception as error:
        raise Complaint(explain(error)) from None
    text = _read(status, body, path)
    if arguments.output is None:
        print(text)
    else:
        _write(arguments.output, f"{text}\n")
    return 0


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Complaint(f"cannot write {file}: {error.strerror}") from None


def _read(status: int, body: bytes, path: str) -> str:
    if status == 404:
        raise Complaint(
            f"the application answers nothing at {path}: have it serve its document there, say where it does "
            "with --path, or write one by hand and return it from a route"
        )
    if status != 200:
        raise Complaint(
            f"{path} was answered with status {status}: the document has to be open to all, or --path wrong"
        )
    try:
        document = json.loads(body)
    except ValueError:
        raise Complaint(f"what the application serves at {path} is no JSON") from None
    if not isinstance(document, dict) or "openapi" not in document:
        raise Complaint(f"what the application serves at {path} is no OpenAPI document: it has no `openapi` key")
    return json.dumps(document, indent=2, ensure_ascii=False)


async def ask(app: ASGIApp, path: str) -> tuple[int, bytes]:
    """Start the application, GET this path, stop it; return status and body."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    answer: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answer.append(message)

    async with run_together([], [("the command line", app)], _nothing) as state:
        await app({**scope, "state": state}, receive, send)
    status = next((message["status"] for message in answer if message["type"] == "http.response.start"), 500)
    return status, b"".join(message.get("body", b"") for message in answer)


@asynccontextmanager
async def _nothing() -> AsyncGenerator[None]:
    yield
