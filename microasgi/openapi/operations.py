"""Operations: one method of one path, with everything that the document says of it (OpenAPI 3.1 section 4.8.10)."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, Final, cast

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.openapi.answers import describe_answers
from microasgi.openapi.bodies import describe_body
from microasgi.openapi.components import Schemas, require_json
from microasgi.openapi.inventory import Subject
from microasgi.openapi.parameters import describe_parameters
from microasgi.openapi.problems import describe_problems
from microasgi.openapi.security import Guards

__all__ = ["describe_operation"]

_LONGEST_SUMMARY: Final = 120


def describe_operation(
    subject: Subject, identifier: str, schemas: Schemas, guards: Guards, errors: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the Operation Object; ConfigurationError names the route that cannot be described.

    `errors` has the models of all errors, by media type, where they are no problem details.
    """
    options = subject.options
    operation: dict[str, Any] = {}
    tags = list(dict.fromkeys(options.get("tags") or ()))
    if tags:
        operation["tags"] = tags
    operation |= _texts(subject)
    operation["operationId"] = identifier
    if options.get("deprecated"):
        operation["deprecated"] = True
    parameters = describe_parameters(subject, schemas)
    if parameters:
        operation["parameters"] = parameters
    body = describe_body(subject, schemas)
    if body is not None:
        operation["requestBody"] = body
    operation["responses"] = _responses(subject, schemas, errors)
    security = guards.require(subject.binding.security) if subject.binding else []
    if security:
        operation["security"] = security
    require_json(operation, subject.where)  # the schemas in it are still empty
    return operation


def _texts(subject: Subject) -> dict[str, str]:
    """Return summary and description: of the options, else of the docstring, else made of the name."""
    summary, description = _docstring(subject)
    name = subject.route.name.strip("_<>").replace("_", " ")
    said: str = subject.options.get("summary") or summary or name[:1].upper() + name[1:]
    told: str = cleandoc(subject.options.get("description") or "") or description
    return {"summary": said, **({"description": told} if told else {})}


def _docstring(subject: Subject) -> tuple[str, str]:
    """Return the first paragraph of the handler's docstring, if it is short enough for a summary, and the rest."""
    handler = subject.handler
    # What a class inherits says nothing of it.
    text = handler.__dict__.get("__doc__") if isinstance(handler, type) else getattr(handler, "__doc__", None)
    text = cleandoc(text or "").strip()
    first, _, rest = text.partition("\n\n")
    first = " ".join(first.split())
    if first.find(".") == len(first) - 1:  # a title has no full stop, two sentences have theirs
        first = first[:-1]
    return (first, rest.strip()) if len(first) <= _LONGEST_SUMMARY else ("", text)


def _responses(subject: Subject, schemas: Schemas, errors: Mapping[str, Any] | None) -> dict[str, Any]:
    described = {**describe_answers(subject, schemas), **describe_problems(subject, schemas, errors)}
    responses = {str(status): response for status, response in described.items()}
    given: Mapping[int | str, Any] = subject.options.get("responses") or {}
    for status, response in given.items():
        key = str(status)
        before = responses.get(key, {"description": _phrase(key)})
        responses[key] = {**before, **_given(key, response, subject, schemas)}
    return dict(sorted(responses.items()))


def _given(status: str, response: object, subject: Subject, schemas: Schemas) -> dict[str, Any]:
    """Return a response that the route was given: an object, a text that describes it, or a type that it is JSON of."""
    if isinstance(response, str):
        return {"description": response}
    if not isinstance(response, Mapping):
        return {"content": _json_of(response, subject, schemas)}
    given = {**cast(Mapping[str, Any], response)}
    if not (status == "default" or (len(status) == 3 and status[0] in "12345")):
        raise ConfigurationError(f"{subject.where}: responses has {status!r}: write a status, '4XX' or 'default'")
    model = given.pop("model", None)
    return {**given, "content": {**_json_of(model, subject, schemas), **given.get("content", {})}} if model else given


def _json_of(annotation: object, subject: Subject, schemas: Schemas) -> dict[str, Any]:
    return {"application/json": {"schema": schemas.of(annotation, subject.where, serialization=True)}}


def _phrase(status: str) -> str:
    return (HTTPException(int(status)).detail if status.isdecimal() else "") or status
