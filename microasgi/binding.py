"""The seam for typed handlers: which handlers want more than their request, and who binds them.

The law of this file: it only looks. A handler that takes the request alone is called as it is and loads nothing; all
others go to the binder that the front door has joined on, at registration.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from functools import partial
from types import UnionType
from typing import Any, Final, Protocol, TypeAlias, Union, cast, get_args, get_origin

from microasgi.connection import HTTPConnection
from microasgi.endpoints import Adapted, adapt, function_of, is_class_endpoint
from microasgi.responses import Response

__all__ = ["Binder", "Binding", "Namespace", "bind", "is_plain", "join_binder", "names_connection", "wants_binding"]


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
_PLAIN_PARTS: Final = (Any, object, str, int, float, bool, None, type(None))
_STREAMS: Final = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator)
# For annotations whose names are imported for type checkers alone.
_CONNECTION_TEXT: Final = re.compile(r"(\w+\.)*(Request|WebSocket|HTTPConnection)(\[.*\])?", re.DOTALL)
_RESPONSE_TEXT: Final = re.compile(r"(\w+\.)*(JSON|HTML|PlainText|Redirect|Streaming|File|Template)?Response")


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
    if own or any(not _is_connection(parameter, path_names, handler) for parameter in parameters[:1]):
        return True
    return not is_plain(_resolved(signature.return_annotation, handler))


def _is_connection(parameter: inspect.Parameter, path_names: Collection[str], handler: Any) -> bool:
    if parameter.kind is parameter.KEYWORD_ONLY:
        return False
    annotation = _resolved(parameter.annotation, handler)
    if annotation is parameter.empty:
        return parameter.name not in path_names
    if isinstance(annotation, str):
        return names_connection(annotation)
    kind = getattr(annotation, "__origin__", annotation)
    return annotation is Any or (isinstance(kind, type) and issubclass(kind, HTTPConnection))


def names_connection(text: str) -> bool:
    """Tell whether an annotation that cannot be looked up stands for the request or the socket."""
    return _CONNECTION_TEXT.fullmatch(text.strip("'\" ")) is not None


def _resolved(annotation: Any, handler: Any) -> Any:
    """Return what the text of an annotation names in the handler's module; the text where it names nothing there."""
    if not isinstance(annotation, str):
        return annotation
    try:
        found = eval(annotation, getattr(function_of(handler), "__globals__", {}))  # as `typing.get_type_hints` does
    except Exception:
        return annotation.strip("'\" ")
    return _resolved(found, handler)


def is_plain(annotation: Any) -> bool:
    """Tell whether the core answers a result of this annotation as well as anything would."""
    if isinstance(annotation, str):
        return _RESPONSE_TEXT.fullmatch(annotation) is not None
    if annotation is inspect.Signature.empty or annotation is None or annotation is Any:
        return True
    arguments = get_args(annotation)
    if isinstance(annotation, type) and not arguments:
        return annotation in _PLAIN_TYPES or issubclass(cast("type[Any]", annotation), Response)
    origin = get_origin(annotation)
    if origin in _STREAMS:
        return arguments[0] in {str, bytes}
    return origin in {dict, list} and all(map(_is_plain_part, arguments))


def _is_plain_part(annotation: Any) -> bool:
    if get_origin(annotation) in {dict, list, Union, UnionType}:
        return all(map(_is_plain_part, get_args(annotation)))
    return any(annotation is part for part in _PLAIN_PARTS)
