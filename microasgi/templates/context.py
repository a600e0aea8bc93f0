"""What every template can call: the way to routes and assets, and the token against forged requests.

The law of this file: links are paths. No host that a client has sent gets into a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from microasgi.connection import HTTPConnection
from microasgi.exceptions import NoMatchFound
from microasgi.templates.jinja import hidden_input
from microasgi.types import Scope
from microasgi.urls import quote_path

__all__ = ["FUNCTIONS", "begin_context"]

_DEEPEST: Final = 5  # mounts within mounts: an application may be mounted in itself
_FIELD: Final = "csrf_token"


def begin_context(request: HTTPConnection[Any]) -> dict[str, Any]:
    """Return what stands in every template's context; TypeError for arguments in the order of old."""
    if isinstance(cast(object, request), str):
        raise TypeError(f"the request comes before the name: write TemplateResponse(request, {request!r}, ...)")
    return {"request": request, "csp_nonce": request.scope.get("microasgi.csp_nonce", "")}


def _request_of(context: Mapping[str, Any], function: str) -> HTTPConnection[Any]:
    request = context.get("request")
    if request is None:
        raise RuntimeError(
            f"{function} needs the request: render with TemplateResponse, and import macros `with context`, "
            'as in {% import "macros.html" as macros with context %}'
        )
    return cast("HTTPConnection[Any]", request)


def url_for(context: Mapping[str, Any], name: str, /, **path_params: Any) -> str:
    """Return the path of the named route; with its host only for a route that has one. Raises NoMatchFound."""
    request = _request_of(context, "url_for")
    path = request.url_path_for(name, **path_params)
    return str(request.url_for(name, **path_params)) if path.host else path


def url_path_for(context: Mapping[str, Any], name: str, /, **path_params: Any) -> str:
    """Return the path of the named route, as `url_for` does. Raises NoMatchFound."""
    return url_for(context, name, **path_params)


def csrf_token(context: Mapping[str, Any]) -> str:
    """Return the token for a form or a header of this request; RuntimeError without the middleware."""
    make = _request_of(context, "csrf_token").scope.get("microasgi.csrf_token")
    if make is None:
        raise RuntimeError("csrf_token needs CSRFMiddleware around the application")
    return cast(str, make())


def csrf_input(context: Mapping[str, Any]) -> str:
    """Return the hidden field with the token, as HTML."""
    field = _request_of(context, "csrf_input").scope.get("microasgi.csrf_field", _FIELD)
    return hidden_input(field, csrf_token(context))


class _Assets(NamedTuple):
    """A mounted application that knows its assets, its path, and whether the answering application has it."""

    app: Any
    prefix: str
    is_near: bool


def asset_url(context: Mapping[str, Any], path: str) -> str:
    """Return the path of a static file, with a hash of its content in the name; NoMatchFound for one that is not there.

    The file is looked for in all mounted StaticFiles, first in those of the application that answers.
    """
    request = _request_of(context, "asset_url")
    scope = request.scope
    outermost = scope.get("microasgi.outermost") or scope.get("app")
    root = str(scope.get("microasgi.root_path", scope.get("root_path", ""))).rstrip("/")
    found = _assets_below(getattr(outermost, "routes", ()), quote_path(root), scope, outermost is scope.get("app"))
    complaints: list[str] = []
    for assets in sorted(found, key=lambda one: not one.is_near):
        try:
            return f"{assets.prefix}/{quote_path(assets.app.asset_path(path.removeprefix('/')))}"
        except LookupError as error:
            complaints.append(str(error))
    raise NoMatchFound(
        "; ".join(complaints)
        or f"asset_url({path!r}): no StaticFiles is mounted: app.mount('/static', StaticFiles(directory=...))"
    )


def _assets_below(routes: Iterable[Any], prefix: str, scope: Scope, is_near: bool, depth: int = 0) -> Iterator[_Assets]:
    for route in routes:
        app = getattr(route, "app", None)
        if app is None or hasattr(route, "endpoint"):
            continue
        template = getattr(route, "template", None)
        params: dict[str, Any] = scope.get("path_params") or {}
        own: dict[str, Any] = (
            {} if template is None else {name: params[name] for name in template.parameters if name in params}
        )
        if template is None or own.keys() != template.parameters.keys():
            continue  # below a parameter that this request does not have
        path = prefix + template.write(own)
        if hasattr(app, "asset_path"):
            yield _Assets(app, path, is_near)
        elif depth < _DEEPEST:
            inside = is_near or app is scope.get("app")
            yield from _assets_below(getattr(app, "routes", None) or (), path, scope, inside, depth + 1)


FUNCTIONS: Final = (asset_url, csrf_input, csrf_token, url_for, url_path_for)
