"""Opt-ins: what a route's `etag`, `idempotent` and `renderers` add to its operation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from microasgi.openapi.inventory import Subject
from microasgi.typed.conditional import IF_MATCH, IF_NONE_MATCH
from microasgi.typed.parameters import Parameter

__all__ = ["add_etag", "opted_keywords", "opted_parameters", "opted_problems"]

# What a reader takes that answers 400 to anything else.
_KEY: Final = r'^(?!""$)[!-~]([ -~]*[!-~])?$'
_ETAGS: Final = r'^(\*|(W/)?"[!#-~]*"( *, *(W/)?"[!#-~]*")*)$'
_SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
_ETAG: Final = {"etag": {"schema": {"type": "string"}, "description": "Names this state of what is answered."}}


def opted_parameters(subject: Subject) -> Iterator[dict[str, Any]]:
    """Yield the headers that the framework reads."""
    if _has_etag(subject):
        described = "The ETag that is known: if it is still right, the answer is 304."
        yield {"name": "if-none-match", "in": "header", "description": described, "schema": {"type": "string"}}
    if _is_idempotent(subject):
        described = "A text of your own, new for each new request: sent again, it is answered again and not done again."
        required = {"required": True} if getattr(subject.options["idempotent"], "required", False) else {}
        schema = {"type": "string", "maxLength": 255, "pattern": _KEY}
        yield {"name": "idempotency-key", "in": "header", "description": described, **required, "schema": schema}


def opted_keywords(parameter: Parameter) -> dict[str, Any]:
    """Return what a parameter is held to by who reads it, besides its constraints."""
    return {"pattern": _ETAGS} if _is_precondition(parameter) else {}


def opted_problems(subject: Subject) -> Iterator[tuple[int, str]]:
    """Yield the errors that come with them."""
    if subject.options.get("renderers"):
        yield 406, "None of the media types that the client takes is there."
    if _has_preconditions(subject):
        yield 400, "A precondition cannot be read."
        yield 412, "A precondition does not hold."
    if _is_idempotent(subject):
        yield 400, "The Idempotency-Key cannot be read, or is missing."
        yield 409, "A request with this Idempotency-Key is being answered."
        yield 422, "The Idempotency-Key was sent with another request."


def add_etag(subject: Subject, responses: dict[int, dict[str, Any]]) -> None:
    """Add the ETag to the answers of an operation that has one, and the answer to those who know it."""
    if _has_etag(subject) and 200 in responses:
        responses[200]["headers"] = {**_ETAG, **responses[200].get("headers", {})}
        responses[304] = {"description": "What the client knows is still right.", "headers": _ETAG}


def _has_etag(subject: Subject) -> bool:
    return bool(subject.options.get("etag")) and subject.method in {"GET", "HEAD"}


def _has_preconditions(subject: Subject) -> bool:
    return subject.binding is not None and any(map(_is_precondition, subject.binding.parameters))


def _is_precondition(parameter: Parameter) -> bool:
    return parameter.marker is IF_MATCH or parameter.marker is IF_NONE_MATCH


def _is_idempotent(subject: Subject) -> bool:
    return bool(subject.options.get("idempotent")) and subject.method not in _SAFE
