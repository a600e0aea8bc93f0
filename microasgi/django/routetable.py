"""The table of routes: what the mounted applications answer, with the path on the whole site; and their documents.

Law: an application is asked, not guessed at. One that shows no routes is shown as one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator

from microasgi.django.mounted import Mounted, unwrapped
from microasgi.hosts import Host
from microasgi.routes import BaseRoute, Mount, WebSocketRoute

__all__ = ["ask_for_document", "describe"]

_DEEPEST = 20  # mounts in mounts: one that holds itself ends

Row = tuple[str, str, str, str]


def describe(mounted: Mounted) -> list[Row]:
    """Return for each route its methods, path, name, and how the application is mounted."""
    rows = list(_below(unwrapped(mounted.app), mounted.prefix, mounted.way, 0))
    return rows or [("*", f"{mounted.prefix}/", "", mounted.way)]


def _below(app: Any, prefix: str, way: str, depth: int) -> Iterator[Row]:
    for route in getattr(app, "routes", None) or ():
        if not isinstance(route, BaseRoute):
            continue  # of another framework's, which has a table of its own
        path = prefix + route.path
        yield _methods(route), path or "/", route.name or "", way
        if isinstance(route, Mount) and depth < _DEEPEST:
            yield from _below(unwrapped(route.app), path, way, depth + 1)


def _methods(route: BaseRoute) -> str:
    if isinstance(route, Host):
        return "HOST"
    if isinstance(route, Mount):
        return "MOUNT"
    if isinstance(route, WebSocketRoute):
        return "WS"
    methods: frozenset[str] | None = getattr(route, "methods", None)
    if methods is None:
        return "*"
    return ",".join(sorted(methods - ({"HEAD"} if "GET" in methods else set[str]())))


def ask_for_document(mounted: Mounted, path: str) -> str:
    """Return the OpenAPI document that the application serves at this path; LookupError if it serves none there."""
    where = f"{mounted.prefix}/{path.removeprefix('/')}"
    status, body = async_to_sync(_ask)(mounted.app, where, mounted.prefix)
    if status != 200:
        hint = ": does it include one? app.include(OpenAPI(title=..., version=...))" if status == 404 else ""
        raise LookupError(f"{where} was answered with status {status}{hint}")
    try:
        document = json.loads(body)
    except ValueError:
        raise LookupError(f"what is at {where} is no JSON") from None
    if not isinstance(document, dict) or "openapi" not in document:
        raise LookupError(f"what is at {where} is no OpenAPI document")
    return json.dumps(document, indent=2, ensure_ascii=False)


async def _ask(app: Any, path: str, root: str) -> tuple[int, bytes]:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": root,
        "headers": [(b"host", b"localhost"), (b"accept", b"application/json")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    client: Any = cast(Any, ApplicationCommunicator)(app, scope)
    await client.send_input({"type": "http.request", "body": b"", "more_body": False})
    start: dict[str, Any] = await client.receive_output()
    message: dict[str, Any] = {"more_body": True}
    body = b""
    while message.get("more_body"):
        message = await client.receive_output()
        body += message.get("body", b"")
    await client.wait()
    return start["status"], body
