"""`routes`: what the application answers, as an aligned table or as JSON."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any, cast

from microasgi.cli.complaints import show_path
from microasgi.cli.loading import load
from microasgi.cli.targets import find_target
from microasgi.cli.tree import Found, unwrap, walk
from microasgi.hosts import Host
from microasgi.routes import Mount

__all__ = ["describe_routes", "render", "routes"]

_COLUMNS = ("methods", "path", "name", "endpoint", "where", "middleware")


def routes(arguments: Namespace) -> int:
    """Run the command: print the table."""
    loaded = load(find_target(arguments.app, factory=arguments.factory))
    rows = describe_routes(loaded.app)
    print(json.dumps(rows, indent=2) if arguments.json else render(rows))
    return 0


def describe_routes(app: Any) -> list[dict[str, Any]]:
    """Return one mapping for each route: methods, path, name, endpoint, where, middleware (how many are around it)."""
    return [_describe(found) for found in walk(app)]


def _describe(found: Found) -> dict[str, Any]:
    route = found.route
    path = found.path or "/"
    file, _, line = route.where.rpartition(":")
    return {
        "methods": _kinds(found),
        "path": f"//{found.host}{path}" if found.host else path,
        "name": route.name,
        "endpoint": _endpoint(unwrap(route.app) if isinstance(route, Mount) else getattr(route, "endpoint", route)),
        "where": f"{show_path(file)}:{line}",
        "middleware": len(found.middleware),
    }


def _kinds(found: Found) -> list[str]:
    if isinstance(found.route, Host):
        return ["HOST"]
    return ["MOUNT"] if isinstance(found.route, Mount) else found.methods


def _endpoint(endpoint: Any) -> str:
    name = getattr(endpoint, "__qualname__", None)
    if name is None:
        return type(endpoint).__qualname__
    return f"{endpoint.__module__}.{name}"


def render(rows: list[dict[str, Any]]) -> str:
    """Return rows as text, every column as wide as its widest cell."""
    if not rows:
        return "no routes"
    cells = [list(_COLUMNS), *([_cell(row[column]) for column in _COLUMNS] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value: object) -> str:
    return ",".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
