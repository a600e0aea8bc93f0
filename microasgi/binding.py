"""The seam for typed handlers: which handlers want more than their request, and who binds them.

The law of this file: it only looks. A handler that takes the request alone is called as it is and loads nothing; all
others go to the binder that the front door has joined on, at registration.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, cast, get_args

from microasgi.connection import HTTPConnection
from microasgi.endpoints import Adapted, adapt, is_class_endpoint
from microasgi.responses import Response

__all__ = ["Binder", "Binding", "Namespace", "bind", "join_binder", "wants_binding"]


class Binding(Protocol):
    """A handler with everything that its call needs."""

    @property
    def call(self) -> Adapted:
        """What the routing table calls with the request or the socket."""
        ...

    def again(self, route: Any) -> Binding:
        """Return the same handler bound for the same route at another place, with other options."""
        ...

    def settle(self) -> None:
        """Check what could not be known before the route's whole path was: ConfigurationError."""
        ...


Namespace: TypeAlias = Mapping[str, Any]
Binder: TypeAlias = Callable[[Any, Namespace], Binding | None]
"""Takes a route and the names that its handler's annotations may use besides those of its module."""

_binders: Final[list[Binder]] = []
# Options that change how a handler is called or answered; the others are for the documentation.
_EFFECTIVE: Final = frozenset({"status", "headers", "dependencies", "json", "renderers", "etag", "idempotent"})
_PLAIN_TYPES: Final = (Response, str, bytes, dict, list, tuple, object)
_PLAIN_TEXT: Final = re.compile(
    r"(typing\.|t\.)?(None|str|bytes|dict|list|tuple|object|Any|Dict|List|Never|NoReturn|\w*Response)"
    r"|(dict|list)\[[\w\[\], |.]*\b(Any|object|str|int|float|bool|None)\]+"
    r"|(\w+\.)*(Async)?(Iterator|Iterable|Generator)\[(str|bytes)\b.*\]"
)
_CONNECTION_TEXT: Final = re.compile(r"(\w+\.)*(\w*Request|\w*WebSocket|HTTPConnection)(\[.*\])?", re.DOTALL)


def join_binder(binder: Binder) -> None:
    """Let this bind the handlers that want more than the request. Called once, by the front door."""
    _binders[:] = [binder]


def bind(route: Any, namespace: Namespace) -> tuple[Adapted, Binding | None]:
    """Return what the routing table calls for a route's handler, and its binding if it has one."""
    handler, names = route.endpoint, route.template.parameters
    if _binders and wants_binding(handler, names, route.options):
        binding = _binders[0](route, namespace)
        if binding is not None:
            return binding.call, binding
    return adapt(handler, websocket=route.websocket), None


def wants_binding(handler: Any, path_names: Collection[str], options: Mapping[str, Any]) -> bool:
    """Tell whether a handler has typed parameters, a result to be encoded by its type, or options to that effect."""
    if is_class_endpoint(handler):
        return False
    if not _EFFECTIVE.isdisjoint(options):
        return True
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # a built-in without a signature
        return False
    filled: Collection[str] = handler.keywords if isinstance(handler, partial) else ()
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = [p for p in signature.parameters.values() if p.kind not in variadic and p.name not in filled]
    # The first is the request where nothing says otherwise; what has a default and no type is the handler's own.
    own = [p for p in parameters[1:] if p.annotation is not p.empty or p.default is p.empty or p.name in path_names]
    if own or any(not _is_connection(parameter, path_names) for parameter in parameters[:1]):
        return True
    return not _is_plain(signature.return_annotation)


def _is_connection(parameter: inspect.Parameter, path_names: Collection[str]) -> bool:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return parameter.name not in path_names
    if isinstance(annotation, str):
        return _CONNECTION_TEXT.fullmatch(annotation.strip("'\" ")) is not None or annotation == "Any"
    kind = getattr(annotation, "__origin__", annotation)
    return annotation is Any or (isinstance(kind, type) and issubclass(kind, HTTPConnection))


def _is_plain(annotation: Any) -> bool:
    """Tell whether the core answers a result of this annotation in the best way."""
    if isinstance(annotation, str):
        return _PLAIN_TEXT.fullmatch(annotation.strip("'\" ")) is not None
    if annotation is inspect.Signature.empty or annotation is None or annotation is Any:
        return True
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation in _PLAIN_TYPES or issubclass(cast("type[Any]", annotation), Response)
    return _is_plain(inspect.formatannotation(annotation).removeprefix("collections.abc."))
