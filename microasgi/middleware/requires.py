"""requires: which rights a handler asks for, written above it.

Law: what is decorated keeps its type and its signature, and no redirect of this file leaves the site.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import quote

from microasgi.connection import HTTPConnection, query_text
from microasgi.endpoints import describe, is_class_endpoint
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.responses import RedirectResponse
from microasgi.urls import quote_path

__all__ = ["local_path", "requires"]

F = TypeVar("F", bound=Callable[..., Any])
_NAMES = ("request", "websocket", "connection", "conn")
_TYPES = ("Request", "WebSocket", "HTTPConnection")


def requires(scopes: str | Sequence[str], status_code: int = 403, redirect: str | None = None) -> Callable[[F], F]:
    """Let only those through whose credentials have all of these scopes; others get `status_code`.

    With `redirect`, a route's name, requests are sent there (303) with `?next=`, the path they asked for, if it was a
    GET. For functions of a request or websocket, their methods, and HTTPEndpoint or WebSocketEndpoint classes.
    """
    wanted = frozenset([scopes] if isinstance(scopes, str) else scopes)
    if not wanted:
        raise ConfigurationError(
            'requires() without scopes would let everybody through: write requires("authenticated")'
        )
    if not 400 <= status_code <= 599:
        raise ConfigurationError(f"requires: status_code is the status of a refusal, 400 to 599, not {status_code!r}")

    def refusal(connection: HTTPConnection[Any]) -> RedirectResponse | None:
        if wanted.issubset(connection.auth.scopes):
            return None
        if redirect is None or connection.scope["type"] == "websocket":
            raise HTTPException(status_code)
        return RedirectResponse(_with_next(connection, redirect), 303)

    def decorate(function: F) -> F:
        return cast(F, _around_class(function, refusal) if is_class_endpoint(function) else _around(function, refusal))

    return decorate


def local_path(value: str | None, default: str = "/") -> str:
    """Return the path, if it is one of this site, or else the default: for a `next` that came with a request.

    "//host", "/\\\\host" and what browsers make of control characters are none.
    """
    if value is None or not value.startswith("/") or value.startswith("//"):
        return default
    return default if "\\" in value or any(character <= " " or character == "\x7f" for character in value) else value


Refusal = Callable[[HTTPConnection[Any]], "RedirectResponse | None"]


def _with_next(connection: HTTPConnection[Any], redirect: str) -> str:
    scope = connection.scope
    target = str(connection.url_path_for(redirect))
    if scope.get("method") not in ("GET", "HEAD"):
        return target
    query = query_text(scope)
    path = "/" + quote_path(scope["path"]).lstrip("/") + ("?" + query if query else "")
    return f"{target}?next={quote(path, safe='/')}"


def _around(given: Any, refusal: Refusal) -> Any:
    function = _called(given)
    find = _finder(function)
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return refusal(find(args, kwargs)) or await function(*args, **kwargs)

        return guarded

    @functools.wraps(function)
    def guarded_at_once(*args: Any, **kwargs: Any) -> Any:
        return refusal(find(args, kwargs)) or function(*args, **kwargs)

    return guarded_at_once


def _called(given: Any) -> Any:
    """Return the method that an object is called by. What wraps something tells of itself by that, and is kept."""
    call = getattr(given, "__call__", None)  # noqa: B004 - the method itself is wanted
    return call if inspect.ismethod(call) and not hasattr(given, "__wrapped__") else given


def _around_class(endpoint: Any, refusal: Refusal) -> Any:
    """Return a subclass: the class itself may stand at another path, unguarded."""

    async def dispatch(self: Any, connection: HTTPConnection[Any]) -> Any:
        return refusal(connection) or await endpoint.dispatch(self, connection)

    names = ("__module__", "__qualname__", "__doc__")
    return type(
        endpoint.__name__, (endpoint,), {"dispatch": dispatch, **{name: getattr(endpoint, name) for name in names}}
    )


def _finder(function: Any) -> Callable[[tuple[Any, ...], dict[str, Any]], HTTPConnection[Any]]:
    """Return what finds the connection among the arguments; ConfigurationError for a function that takes none."""
    parameters = list(inspect.signature(function).parameters.values())
    own = [number for number, parameter in enumerate(parameters) if _takes_connection(parameter)]
    plain = [number for number, parameter in enumerate(parameters) if parameter.name != "self"]
    if not own and len(plain) == 1 and parameters[plain[0]].annotation is inspect.Parameter.empty:
        own = plain  # a handler of one argument is called with the request, whatever it calls it
    if not own:
        raise ConfigurationError(
            f"{describe(function)}: requires() looks at the request, so the handler has to take it: "
            "`async def handler(request: Request)`, or `websocket: WebSocket`"
        )
    position, name = own[0], parameters[own[0]].name
    return lambda args, kwargs: args[position] if position < len(args) else kwargs[name]


def _takes_connection(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return parameter.name in _NAMES or text.strip("'\"").partition("[")[0].rpartition(".")[2] in _TYPES
