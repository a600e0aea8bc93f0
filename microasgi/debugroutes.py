"""The debug page for a path without a route, or without one for the method: what there is, and what is near."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from html import escape
from typing import Any, Final, NamedTuple

from microasgi.exceptions import HTTPException
from microasgi.tracebacks import explain, short_path
from microasgi.types import Scope
from microasgi.urls import quote_path

__all__ = ["missing_page"]

_MOST_ROWS: Final = 500
_DEEPEST: Final = 5  # mounts within mounts: an application may be mounted in itself
_LONGEST_PATH: Final = 200  # to be compared with others


class _Row(NamedTuple):
    methods: str
    path: str
    name: str
    endpoint: str
    where: str
    is_link: bool


def missing_page(scope: Scope, error: HTTPException) -> tuple[str, str]:
    """Return title and HTML for a request that was answered with 404 or 405."""
    rows = list(_rows(_routes_of(scope.get("app")), _root(scope)))[:_MOST_ROWS]
    path: str = scope["path"]
    parts = [
        f'<header><p class="kind">{error.status_code}</p><h1>{escape(error.detail)}</h1>',
        f"<p><b>{escape(scope['method'])}</b> <code>{escape(path)}</code></p></header>",
        f"<p>{_reason(scope, error)}</p>",
    ]
    near = _nearest(path, rows) if scope.get("route") is None and error.status_code == 404 else []
    if near:
        parts.append("<h2>Near to it</h2><ul>" + "".join(f"<li>{_path(row)}</li>" for row in near) + "</ul>")
    parts.append(_table(rows))
    return f"{error.status_code} {error.detail}", "".join(parts)


def _reason(scope: Scope, error: HTTPException) -> str:
    route = scope.get("route")
    allow = (error.headers or {}).get("allow")
    if route is None and allow is not None:
        return f"The path has routes, but none of them answers {escape(scope['method'])}. Allowed: {escape(allow)}."
    if route is None:
        return "No route has this path."
    places = [f"{short_path(frame.filename)}:{frame.lineno}" for frame in explain(error)[0].frames if frame.is_own]
    raised = f" It was raised at <code>{escape(places[-1])}</code>." if places else ""
    return f"This is the answer of <code>{escape(repr(route))}</code>.{raised}"


def _root(scope: Scope) -> str:
    """Return what stands before the paths of the application that answers."""
    outermost = scope.get("microasgi.outermost") or scope.get("app")
    root = scope.get("root_path", "")
    return str(scope.get("microasgi.root_path", root) if outermost is scope.get("app") else root).rstrip("/")


def _routes_of(app: Any) -> list[Any]:
    routes = getattr(app, "routes", None)
    return [*routes] if isinstance(routes, (list, tuple)) else []


def _rows(routes: Iterable[Any], prefix: str, names: str = "", depth: int = 0) -> Iterator[_Row]:
    for route in routes:
        path = prefix + str(getattr(route, "path", ""))
        name = getattr(route, "name", None) or ""
        where = short_path(str(getattr(route, "where", "")))
        host = getattr(getattr(route, "host", None), "text", "")
        if hasattr(route, "endpoint"):
            yield _row_of(route, path, names + name, where)
            continue
        app = getattr(route, "app", None)
        inner = _routes_of(app) if depth < _DEEPEST else []
        kind = "host" if host else "mount"
        yield _Row(kind, host or path or "/", names + name, type(app).__name__, where, False)
        yield from _rows(inner, path, f"{names}{name}:" if name else names, depth + 1)


def _row_of(route: Any, path: str, name: str, where: str) -> _Row:
    endpoint = route.endpoint
    methods = set[str](getattr(route, "methods", None) or ())
    shown = methods - {"HEAD"} if "GET" in methods else methods
    kind = "websocket" if getattr(route, "websocket", False) else ", ".join(sorted(shown)) or "any"
    is_link = "{" not in path and not path.startswith("//") and "GET" in methods
    title = getattr(endpoint, "__qualname__", None) or type(endpoint).__qualname__
    return _Row(kind, path, name, title, _place(endpoint) or where, is_link)


def _place(endpoint: Any) -> str:
    try:
        code = inspect.unwrap(endpoint).__code__
    except (AttributeError, ValueError):  # an object, or decorators that wrap each other
        return ""
    return f"{short_path(code.co_filename)}:{code.co_firstlineno}"


def _nearest(path: str, rows: list[_Row]) -> list[_Row]:
    """Return the rows whose paths are most like this one, with its own segments where a template has parameters."""
    path = path[:_LONGEST_PATH]
    segments = path.split("/")
    by_text: dict[str, _Row] = {}
    for row in rows:
        parts = row.path[:_LONGEST_PATH].split("/")
        filled = [own if "{" in part else part for part, own in zip(parts, segments, strict=False)]
        by_text.setdefault("/".join([*filled, *parts[len(filled) :]]), row)
    return [by_text[text] for text in get_close_matches(path, by_text, n=3, cutoff=0.6)]


def _path(row: _Row) -> str:
    text = f"<code>{escape(row.path)}</code>"
    return f'<a href="{escape(quote_path(row.path))}">{text}</a>' if row.is_link else text


def _table(rows: list[_Row]) -> str:
    if not rows:
        return "<p>The application has no routes yet.</p>"
    body = "".join(
        f'<tr><td><span class="method">{escape(row.methods)}</span></td><td>{_path(row)}</td>'
        f"<td>{escape(row.name)}</td><td><code>{escape(row.endpoint)}</code></td>"
        f"<td><code>{escape(row.where)}</code></td></tr>"
        for row in rows
    )
    more = f"<p>Only the first {_MOST_ROWS} are shown.</p>" if len(rows) == _MOST_ROWS else ""
    return (
        '<h2>The routes</h2><div class="scroll"><table><thead><tr><th>Methods</th><th>Path</th><th>Name</th>'
        f"<th>Endpoint</th><th>Where</th></tr></thead><tbody>{body}</tbody></table></div>{more}"
    )
