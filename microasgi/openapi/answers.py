"""Answers: what an operation sends when all is well, by the annotation of what its handler returns.

The law of this file: where the annotation does not say what is sent, the document does not either.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping
from inspect import Parameter, unwrap
from types import NoneType
from typing import Annotated, Any, Final, Literal, cast, get_args, get_origin, get_type_hints

from microasgi.exceptions import HTTPException
from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.openapi.optins import add_etag
from microasgi.openapi.parameters import bare, members, union_of
from microasgi.responses import RedirectResponse, Response
from microasgi.typed.models import is_model
from microasgi.typed.negotiated import read_offer
from microasgi.typed.pagination import HeaderNote

__all__ = ["describe_answers"]

Content = dict[str, dict[str, Any]]

_UNKNOWN: Final = (Any, object, Parameter.empty, tuple)
_STREAMS: Final = (AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator)
_WITHOUT_CONTENT: Final = (204, 205, 304)
_PLAIN: Final[Mapping[Any, tuple[str, JSONSchema]]] = {
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
    bodies = [kind for kind in kinds if kind is not NoneType and not _is_a(kind, RedirectResponse)]
    if bodies:
        described[status] = _response(status, {} if status in _WITHOUT_CONTENT else _content(bodies, subject, schemas))
    if NoneType in kinds:
        empty = 204 if given is None else status
        described.setdefault(empty, _response(empty, {}))
    if any(_is_a(kind, RedirectResponse) for kind in kinds):
        target = status if 300 <= status < 400 else 307
        location = {"location": {"schema": {"type": "string", "format": "uri-reference"}, "required": True}}
        described[target] = {**_response(target, {}), "headers": location}
    for response in described.values():
        _add_headers(response, subject.options.get("headers") or {})
    if bodies and subject.binding is not None:
        _add_notes(described[status], subject.binding.returned)
    add_etag(subject, described)
    return dict(sorted(described.items()))


def _response(status: int, content: Content) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPException(status).detail or str(status)}
    return {**response, "content": content} if content else response


def _add_headers(response: dict[str, Any], headers: Mapping[str, str]) -> None:
    described = {name.lower(): {"schema": {"type": "string"}, "example": value} for name, value in headers.items()}
    if described:
        response["headers"] = {**described, **response.get("headers", {})}


def _add_notes(response: dict[str, Any], annotation: Any) -> None:
    """Add the headers that are noted where they are returned, as the links between pages are."""
    for kind in members(annotation):
        headers = get_args(bare(kind))[2:] if get_origin(bare(kind)) is tuple else ()
        for note in (note for one in headers for note in getattr(one, "__metadata__", ())):
            if isinstance(note, HeaderNote):
                described = {note.name: {"schema": {"type": "string"}, "description": note.description}}
                response["headers"] = {**described, **response.get("headers", {})}


def _returned(subject: Subject) -> list[Any]:
    """Return the types of what the handler returns, each of which is sent in its own way."""
    return _kinds_of(_hint(subject.handler) if subject.binding is None else subject.binding.returned)


def _hint(handler: Any) -> Any:
    """Return the annotation of a plain handler's result, Parameter.empty where it cannot be resolved."""
    try:
        return get_type_hints(unwrap(handler), include_extras=True).get("return", Parameter.empty)
    except (NameError, TypeError, SyntaxError, AttributeError):  # nobody calls it by this annotation
        return Parameter.empty


def _kinds_of(annotation: Any) -> list[Any]:
    """Return what is sent by itself; of a pair of value and status, the value."""
    kinds = members(annotation)
    if len(kinds) > 1 and get_origin(annotation) is Annotated and all(map(is_model, kinds)):
        return [annotation]  # with what tells them apart
    found: list[Any] = []
    for kind in kinds:
        parts = get_args(bare(kind))
        is_pair = get_origin(bare(kind)) is tuple and len(parts) in {2, 3} and _is_status(bare(parts[1]))
        found += [one for one in (_kinds_of(parts[0]) if is_pair else [kind]) if one not in found]
    return found


def _is_status(kind: Any) -> bool:
    return kind is int or (get_origin(kind) is Literal and all(isinstance(value, int) for value in get_args(kind)))


def _content(kinds: list[Any], subject: Subject, schemas: Schemas) -> Content:
    content: Content = {}
    models: list[Any] = []
    texts: list[Any] = []
    for kind in (part for one in kinds for part in _split(one)):
        plain = bare(kind)
        known = next((value for key, value in _PLAIN.items() if key is plain), None)
        if _is_a(plain, Response):
            content |= _content_of_class(plain)
        elif get_origin(plain) in _STREAMS:
            content |= _stream(get_args(plain)[0], subject, schemas)
        elif _is_text(plain):
            texts.append(kind)
        elif known is not None and (plain is bytes or not _encodes(subject)):
            content[known[0]] = {"schema": {**known[1]}}
        elif not any(plain is unknown for unknown in _UNKNOWN):
            models.append(kind)
    for media_type, found in (("text/plain", texts), ("application/json", models)):
        if found:
            schema = schemas.of(union_of(found), subject.where, serialization=True)
            content = {media_type: {"schema": schema}, **content}
    return _rendered_as(content, subject.options.get("renderers") or {})


def _split(kind: Any) -> list[Any]:
    """Return the texts of a Literal and its other values as two types, for they are not sent alike."""
    if get_origin(bare(kind)) is not Literal:
        return [kind]
    values = get_args(bare(kind))
    texts, others = [v for v in values if isinstance(v, str)], [v for v in values if not isinstance(v, str)]
    return [kind] if not (texts and others) else [cast(Any, Literal)[tuple(half)] for half in (others, texts)]


def _is_text(plain: Any) -> bool:
    """Tell whether its values are strings, which are texts whatever stands beside them."""
    return plain is str or (get_origin(plain) is Literal and isinstance(get_args(plain)[0], str))


def _rendered_as(content: Content, renderers: Mapping[str, Any]) -> Content:
    """Add what the renderers make; one for JSON stands in place of the framework's."""
    json = next((name for name in renderers if read_offer(name)[:2] == ("application", "json")), None)
    if json is not None and "application/json" in content:
        content = {json: content["application/json"], **content}
        content = {name: one for name, one in content.items() if name == json or name != "application/json"}
    return {**content, **{name: _rendered(name) for name in renderers if name not in content}}


def _encodes(subject: Subject) -> bool:
    """Tell whether whatever is returned becomes JSON, text beside models too."""
    return subject.binding is not None and subject.binding.result.encode is not None


def _is_a(kind: Any, base: type) -> bool:
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
