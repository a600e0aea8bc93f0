"""Options: what a route can be told besides its path and its handler, as the decorators take it.

The core reads the limits. The rest is kept with the route for the rooms: how the handler is called and its result is
answered (typed), and what the documentation says (openapi).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypedDict, cast

from microasgi.exceptions import HTTPException
from microasgi.stack import Middleware

__all__ = [
    "MiddlewareList",
    "OperationOptions",
    "RouteLimits",
    "RouteOptions",
    "SocketLimits",
    "SocketOptions",
    "check_options",
    "merge_options",
]

MiddlewareList: TypeAlias = Iterable[Middleware | Callable[..., Any]]
Encoder: TypeAlias = Callable[[Any], "bytes | str"]


class OperationOptions(TypedDict, total=False):
    """What a handler's calls and answers are, and what the documentation says of them.

    `status` and `headers` are of the answers that the handler does not make itself. `dependencies` are called before
    the handler (`Depends(...)`). `json` encodes its results, `renderers` offers other media types for them; `etag`
    answers conditional requests; `idempotent` replays answers to repeated keys: True, or a store. `raises` names the
    errors that the handler answers with: statuses, or HTTPExceptions and classes of them. `responses` holds Response
    Objects (OpenAPI 3.1) by status. An `operation_id` is unique in an application.
    """

    status: int
    headers: Mapping[str, str]
    dependencies: Sequence[Any]
    json: Encoder
    renderers: Mapping[str, Encoder]
    etag: bool
    idempotent: Any
    raises: Sequence[int | HTTPException | type[HTTPException]]
    responses: Mapping[int | str, Mapping[str, Any]]
    tags: Sequence[str]
    summary: str
    description: str
    operation_id: str
    deprecated: bool


class RouteLimits(TypedDict, total=False):
    """What stands around a route's handler; see `Route`."""

    middleware: MiddlewareList | None
    max_body_size: int | None
    body_timeout: float | None


class RouteOptions(RouteLimits, OperationOptions, total=False):
    """What a route can be given besides path and methods; see `Route`."""

    name: str | None
    include_in_schema: bool


class SocketLimits(TypedDict, total=False):
    """What stands around a websocket's handler; see `Route`."""

    middleware: MiddlewareList | None
    max_message_size: int | None
    allowed_origins: Sequence[str] | None


class SocketOptions(SocketLimits, total=False):
    """What a websocket route can be given besides its path; see `Route`."""

    name: str | None
    dependencies: Sequence[Any]


_KNOWN: Final = frozenset(OperationOptions.__annotations__)


# What others call it, with what it is here.
_ELSEWHERE: Final = {
    "status_code": "write status=...",
    "response_model": "annotate what the handler returns, as in `-> Item`",
    "response_class": "annotate what the handler returns, as in `-> HTMLResponse`, and return one",
    "response_description": "write responses={200: ...}",
    "openapi_extra": "write responses=..., or OpenAPI(edit=...)",
    "methods": "use the decorator for the method, or app.route(path, methods=[...])",
}


def check_options(options: Mapping[str, Any], where: str) -> None:
    """Refuse what is no option of an operation with a TypeError, as an unexpected argument is."""
    unknown = sorted(options.keys() - _KNOWN)
    if unknown:
        name = unknown[0]
        hint = _ELSEWHERE.get(name) or f"it has: {', '.join(sorted(_KNOWN))}"
        raise TypeError(f"{where}: a route has no {name!r}; {hint}")


def merge_options(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a router put around those of a route: lists are joined, mappings too, else inner wins."""
    return {**outer, **inner, **{key: _joined(outer[key], inner[key]) for key in outer.keys() & inner.keys()}}


def _joined(outer: Any, inner: Any) -> Any:
    if isinstance(outer, Mapping) and isinstance(inner, Mapping):
        return {**cast("Mapping[str, Any]", outer), **cast("Mapping[str, Any]", inner)}
    if isinstance(outer, (list, tuple)) and isinstance(inner, (list, tuple)):
        return [*cast("Iterable[Any]", outer), *cast("Iterable[Any]", inner)]
    return inner
