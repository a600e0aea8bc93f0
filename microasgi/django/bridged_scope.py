"""The scope of a bridged request: the server's own, or one made of a WSGI environ, below the path of the bridge.

Law: what Django's middleware has decided, such as the method, the scheme and the client's address, holds inside too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from django.http import Http404, HttpRequest

from microasgi.django.users import lazy_user
from microasgi.types import RawHeaders, Scope

__all__ = ["bridged_scope", "is_wsgi"]

_SPOKEN: Final = {"version": "3.0", "spec_version": "2.4"}
_KEPT: Final = frozenset({"tls"})  # extensions that only tell; the bridge cannot pass on messages of the others
_ROUTED: Final = frozenset({"app", "router", "route", "endpoint", "path_params"})
_OF_REQUEST: Final = frozenset({"microasgi.request_id", "microasgi.csp_nonce"})


def is_wsgi(request: HttpRequest) -> bool:
    """Tell whether the request came without an ASGI server: by WSGI, or from Django's sync test client."""
    return not hasattr(request, "scope")


def bridged_scope(request: HttpRequest, rest: str, params: Mapping[str, Any]) -> Scope:
    """Return the scope of the part of the site that begins where `rest` does (ASGI HTTP, `root_path`).

    `params`, of the path before the bridge, become `path_params`. Http404 if `rest` is no segment of its own.
    """
    meta = request.META
    outer: Scope = _scope_of_environ(meta) if is_wsgi(request) else cast(Any, request).scope
    path = meta.get("SCRIPT_NAME", "").rstrip("/") + request.path_info
    extensions: dict[str, Any] = outer.get("extensions") or {}
    scope: Scope = {
        **{key: value for key, value in outer.items() if not _is_of_outer_app(key)},
        "asgi": _SPOKEN,
        "method": request.method,
        "scheme": request.scheme,
        "path": path,
        "root_path": _root(path, rest),
        "query_string": _encoded(outer.get("query_string", b"")),
        "headers": list(outer["headers"]),
        "client": _client(outer, meta),
        "server": _server(outer.get("server")),
        "extensions": {name: value for name, value in extensions.items() if name in _KEPT},
        "user": lazy_user(request),
        "django.request": request,
    }
    if path != outer.get("path"):  # Django has another one, by FORCE_SCRIPT_NAME or by a middleware
        scope.pop("raw_path", None)
    if hasattr(request, "session"):
        scope["session"] = request.session
    if params:
        scope["path_params"] = dict(params)
    return scope


def _is_of_outer_app(key: str) -> bool:
    """Tell whether an application around Django has put this into the scope for those that it routes itself."""
    return key in _ROUTED or (key.startswith("microasgi.") and key not in _OF_REQUEST)


def _root(path: str, rest: str) -> str:
    root = path[: len(path) - len(rest)]
    if root.endswith("/"):
        return root[:-1]
    if rest and not rest.startswith("/"):  # path("api", bridge(app)) is not asked for /apix
        raise Http404(f"{root!r} is a bridge, and {path!r} is not below it")
    return root


def _encoded(query: bytes | str) -> bytes:
    return query.encode() if isinstance(query, str) else query


def _client(outer: Scope, meta: Mapping[str, Any]) -> tuple[str, int] | None:
    """Return the client's address: of the server, unless a middleware knows better."""
    client: Any = outer.get("client")
    address = meta.get("REMOTE_ADDR")
    if client is None or (address and address != client[0]):
        return (address, 0) if address else None
    return client[0], int(client[1] or 0)


def _server(server: Any) -> tuple[str, int | None] | None:
    if not server:
        return None
    return server[0], None if server[1] is None else int(server[1])


def _scope_of_environ(environ: Mapping[str, Any]) -> Scope:
    """Return what an environ says, as a scope (PEP 3333; its strings are latin-1 for bytes)."""
    port = environ.get("REMOTE_PORT") or 0
    return {
        "type": "http",
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").removeprefix("HTTP/"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": _headers_of_environ(environ),
        "client": (environ["REMOTE_ADDR"], port) if environ.get("REMOTE_ADDR") else None,
        "server": (environ.get("SERVER_NAME", "unknown"), environ.get("SERVER_PORT") or None),
    }


def _headers_of_environ(environ: Mapping[str, Any]) -> RawHeaders:
    headers: RawHeaders = []
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            name = name[5:]
        elif name not in ("CONTENT_TYPE", "CONTENT_LENGTH") or not value:
            continue
        headers.append((name.lower().replace("_", "-").encode("latin-1"), str(value).encode("latin-1")))
    return headers
