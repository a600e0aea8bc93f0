"""Answers: what an operation sends when all is well, by the annotation of what its handler returns.

The law of this file: where the annotation does not say what is sent, the document does not either.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from inspect import Parameter, unwrap
from types import NoneType
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

from microasgi.exceptions import HTTPException
from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.openapi.optins import add_etag
from microasgi.openapi.parameters import bare, members, union_of
from microasgi.responses import RedirectResponse, Response

__all__ = ["describe_answers"]

Content = dict[str, dict[str, Any]]

_UNKNOWN: Final = (Any, object, Parameter.empty, tuple)
_STREAMS: Final = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator)
_WITHOUT_CONTENT: Final = (204, 205, 304)
_PLAIN: Final[Mapping[Any, tuple[str, JSONSchema]]] = {
    str: ("text/plain", {"type": "string"}),
    bytes: ("application/octet-stream", {}),
    dict: ("application/json", {"type": "object"}),
    list: ("application/json", {"type": "array"}),
}


def describe_answers(subject: Subject, schemas: Schemas) -> dict[int, dict[str, Any]]:
    """Return the responses without error of an operation, by status."""
    kinds = _returned(subject)
    given: int | None = subject.options.get("status")
    status = 200 if given is None else int(given)
    described: dict[int, dict[str, Any]] = {}
    bodies = [kind for kind in kinds if kind is not NoneType and not _is_response(kind, RedirectResponse)]
    if bodies:
        described[status] = _response(status, {} if status in _WITHOUT_CONTENT else _content(bodies, subject, schemas))
    if NoneType in kinds:
        empty = 204 if given is None else status
        described.setdefault(empty, _response(empty, {}))
    if any(_is_response(kind, RedirectResponse) for kind in kinds):
        target = status if 300 <= status < 400 else 307
        location = {"location": {"schema": {"type": "string", "format": "uri-reference"}, "required": True}}
        described[target] = {**_response(target, {}), "headers": location}
    for response in described.values():
        _add_headers(response, subject.options.get("headers") or {})
    add_etag(subject, described)
    return dict(sorted(described.items()))


def _response(status: int, content: Content) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPException(status).detail or str(status)}
    return {**response, "content": content} if content else response


def _add_headers(response: dict[str, Any], headers: Mapping[str, str]) -> None:
    described = {name.lower(): {"schema": {"type": "string"}, "example": value} for name, value in headers.items()}
    if described:
        response["headers"] = {**described, **response.get("headers", {})}


def _returned(subject: Subject) -> list[Any]:
    """Return the types of what the handler returns, each of which is sent in its own way."""
    hint = _hint(subject.handler)
    hinted = _kinds_of(hint)
    if subject.binding is None or (subject.binding.result.encode is None and hint is not Parameter.empty):
        return hinted
    result = subject.binding.result
    # The binding has resolved all names, and left out the classes of responses.
    stream = cast(Any, AsyncIterator)[result.annotation]
    known = [stream] if result.stream else _kinds_of(result.annotation)
    return known + [kind for kind in hinted if _is_response(kind, Response) and kind not in known]


def _hint(handler: Any) -> Any:
    """Return the annotation of a handler's result, Parameter.empty where it cannot be resolved."""
    try:
        return get_type_hints(unwrap(handler), include_extras=True).get("return", Parameter.empty)
    except (NameError, TypeError, SyntaxError, AttributeError):  # nobody calls it by this annotation
        return Parameter.empty


def _kinds_of(annotation: Any) -> list[Any]:
    """Return what is sent by itself; of a pair of value and status, the value."""
    found: list[Any] = []
    for kind in members(annotation):
        parts = get_args(bare(kind))
        is_pair = get_origin(bare(kind)) is tuple and len(parts) in {2, 3} and bare(parts[1]) is int
        found += [one for one in (_kinds_of(parts[0]) if is_pair else [kind]) if one not in found]
    return found


def _content(kinds: list[Any], subject: Subject, schemas: Schemas) -> Content:
    content: Content = {}
    models: list[Any] = []
    for kind in kinds:
        plain = bare(kind)
        known = next((value for key, value in _PLAIN.items() if key is plain), None)
        if _is_response(plain, Response):
            content |= _content_of_class(plain)
        elif get_origin(plain) in _STREAMS:
            content |= _stream(get_args(plain)[0], subject, schemas)
        elif known is not None and not _encodes(subject):
            content[known[0]] = {"schema": {**known[1]}}
        elif not any(plain is unknown for unknown in _UNKNOWN):
            models.append(kind)
    if models:
        schema = schemas.of(union_of(models), subject.where, serialization=True)
        content = {"application/json": {"schema": schema}, **content}
    others: Mapping[str, Any] = subject.options.get("renderers") or {}
    return {**content, **{name: _rendered(name) for name in others if name not in content}}


def _encodes(subject: Subject) -> bool:
    """Tell whether whatever is returned becomes JSON, text beside models too."""
    return subject.binding is not None and subject.binding.result.encode is not None


def _is_response(kind: Any, base: type[Response]) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


def _content_of_class(kind: type[Response]) -> Content:
    """Return the content of a response class, none where it is known only when one is made."""
    return {} if kind.media_type is None else {kind.media_type: _rendered(kind.media_type)}


def _rendered(media_type: str) -> dict[str, Any]:
    return {"schema": {"type": "string"} if media_type.startswith("text/") else {}}


def _stream(item: Any, subject: Subject, schemas: Schemas) -> Content:
    """Return the content of a stream. What is on each line is an extension, which OpenAPI 3.2 calls itemSchema."""
    if all(bare(kind) in {str, bytes} for kind in members(item)):
        return {"text/plain": {"schema": {"type": "string"}}}
    schema = {"type": "string", "description": "One JSON text on each line; x-itemSchema describes it."}
    lines = schemas.of(item, subject.where, serialization=True)
    return {"application/jsonl": {"schema": schema, "x-itemSchema": lines}}
