"""Scopes as a server would write them, with any key changed or left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast
from urllib.parse import unquote

from microasgi.types import RawHeaders, Scope

__all__ = ["HeaderInput", "http_scope", "lifespan_scope", "websocket_scope"]

HeaderInput: TypeAlias = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


def http_scope(
    method: str = "GET",
    path: str = "/",
    *,
    headers: HeaderInput = (),
    http_version: str = "1.1",
    omit: Iterable[str] = (),
    **overrides: Any,
) -> Scope:
    """Return an `http` scope for a request target such as `"/a%20b?x=1"`.

    `omit` names keys to leave out (any optional one: `extensions`, `state`, `raw_path`, `client`, ...);
    other keywords set a key as given. It offers no extension and says spec_version 2.3, as most servers do.
    """
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "method": method,
        "scheme": "http",
        **_shared(path, headers),
    }
    return _adjusted(scope, omit, overrides)


def websocket_scope(
    path: str = "/",
    *,
    headers: HeaderInput = (),
    subprotocols: Iterable[str] = (),
    omit: Iterable[str] = (),
    **overrides: Any,
) -> Scope:
    """Return a `websocket` scope, with `websocket.http.response` offered and spec_version 2.5; see `http_scope`."""
    scope: Scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        **_shared(path, headers),
        "subprotocols": list(subprotocols),
        "extensions": {"websocket.http.response": {}},
    }
    return _adjusted(scope, omit, overrides)


def lifespan_scope(*, omit: Iterable[str] = (), **overrides: Any) -> Scope:
    """Return a `lifespan` scope with an empty `state`; see `http_scope`."""
    scope: Scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    return _adjusted(scope, omit, overrides)


def _shared(target: str, headers: HeaderInput) -> dict[str, Any]:
    path, _, query = target.partition("?")
    return {
        "path": unquote(path),
        "raw_path": path.encode("ascii", "backslashreplace"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": _raw_headers(headers),
        "client": ("testclient", 50000),
        "server": ("testserver", 80),
        "state": {},
        "extensions": {},
    }


def _raw_headers(headers: HeaderInput) -> RawHeaders:
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    raw = [(_octets(name).lower(), _octets(value)) for name, value in cast("Iterable[tuple[str, str]]", pairs)]
    if not any(name == b"host" for name, _ in raw):
        raw.insert(0, (b"host", b"testserver"))
    return raw


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _adjusted(scope: Scope, omit: Iterable[str], overrides: Mapping[str, Any]) -> Scope:
    scope.update(overrides)
    for key in omit:
        scope.pop(key, None)
    return scope
