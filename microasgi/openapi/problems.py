"""Problems: the errors that an operation answers with, as problem details (RFC 9457) or in the application's own form.

The law of this file: what the framework answers by itself is described where it can happen, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any, Final, cast

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.openapi.optins import opted_problems
from microasgi.openapi.parameters import bare, members
from microasgi.typed.parameters import Parameter

__all__ = ["describe_problems"]

_MEMBERS: Final[JSONSchema] = {
    "type": {"type": "string", "format": "uri-reference", "default": "about:blank"},
    "title": {"type": "string", "description": "The standard phrase of the status."},
    "status": {"type": "integer", "minimum": 400, "maximum": 599},
    "detail": {"type": "string", "description": "What is wrong with this request."},
}
_PROBLEM: Final[JSONSchema] = {
    "title": "Problem",
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "properties": _MEMBERS,
    "required": ["type", "title", "status"],
}
_FAULT: Final[JSONSchema] = {
    "type": "object",
    "properties": {
        "in": {"enum": ["path", "query", "header", "cookie", "form", "body"]},
        "name": {"type": "string", "description": "The parameter."},
        "pointer": {"type": "string", "description": "Where in its value, as a JSON pointer (RFC 6901)."},
        "detail": {"type": "string", "description": "What is wrong there."},
    },
    "required": ["in", "detail"],
}
_VALIDATION_PROBLEM: Final[JSONSchema] = {
    **_PROBLEM,
    "title": "ValidationProblem",
    "description": "Problem details (RFC 9457) that name every faulty parameter.",
    "properties": {**_MEMBERS, "errors": {"type": "array", "items": _FAULT, "minItems": 1}},
    "required": ["type", "title", "status", "errors"],
}
_NO_PATH: Final = HTTPException(404).detail
_FAULTY: Final = "Parameters are faulty."
_CHALLENGE: Final = {"www-authenticate": {"schema": {"type": "string"}, "required": True}}


def describe_problems(
    subject: Subject, schemas: Schemas, errors: Mapping[str, Any] | None = None
) -> dict[int, dict[str, Any]]:
    """Return the error responses of an operation, by status: those of `raises`, and the framework's own.

    `errors` has what the application answers all of them with in place of problem details, by media type.
    """
    own, raised = [*_own(subject)], [*opted_problems(subject), *_raised(subject)]
    described: dict[int, dict[str, Any]] = {}
    for status in sorted({status for status, _ in (*own, *raised)}):
        texts = [*dict.fromkeys(text for one, text in (*own, *raised) if one == status)]
        if errors:
            described[status] = _response(status, texts, _content_of(errors, subject, schemas))
            continue
        kinds = [_VALIDATION_PROBLEM] if (422, _FAULTY) in own and status == 422 else []
        if not kinds or status in dict(raised):
            kinds.append(_PROBLEM)
        references = [schemas.own(kind["title"], kind) for kind in kinds]
        schema = references[0] if len(references) == 1 else {"anyOf": references}
        content = {"application/problem+json": {"schema": schema}}
        # Who does not ask for JSON gets text from handlers without types, and where no route answers.
        if subject.binding is None or (status, _NO_PATH) in own:
            content["text/plain"] = {"schema": {"type": "string"}}
        described[status] = _response(status, texts, content)
    return described


def _content_of(errors: Mapping[str, Any], subject: Subject, schemas: Schemas) -> dict[str, Any]:
    return {name: {"schema": schemas.of(model, subject.where, serialization=True)} for name, model in errors.items()}


def _response(status: int, texts: list[str], content: dict[str, Any]) -> dict[str, Any]:
    # Of several the standard phrase says nothing.
    phrase = HTTPException(status).detail
    told = [text for text in texts if text != phrase] or texts
    response: dict[str, Any] = {"description": "\n\n".join(told) or str(status)}
    if status == 401:
        response["headers"] = _CHALLENGE
    return {**response, "content": content}


def _own(subject: Subject) -> Iterator[tuple[int, str]]:
    binding = subject.binding
    if subject.location.parameters:  # which may be what no convertor reads, or a path that nobody answers
        yield 404, _NO_PATH
    if binding is None:
        return
    parsed = bool(binding.form) or any(parameter.annotation is not bytes for parameter in binding.body)
    if binding.body or binding.form:
        yield 413, "The body is too large."
    if parsed:
        yield 400, "The body cannot be read."
        yield 415, "The body is of another media type."
    if any(scheme.auto_error for scheme, _ in binding.security):
        yield 401, "Credentials are missing, or not valid."
    if any(scopes for _, scopes in binding.security):
        yield 403, "The credentials do not reach as far as this."
    if parsed or any(_may_be_faulty(one, subject) for one in binding.parameters):
        yield 422, _FAULTY


def _may_be_faulty(parameter: Parameter, subject: Subject) -> bool:
    if parameter.required and parameter.place != "path":
        return True
    kinds = {bare(kind) for kind in members(parameter.annotation)}
    if parameter.constraints or kinds <= {str, NoneType, Any}:
        return bool(parameter.constraints)
    # What a convertor has read is right already: other paths are another route's, or nobody's.
    name = subject.location.name_of(parameter.alias) if parameter.place == "path" else None
    return name is None or subject.location.parameters[name].keys() <= {"type", "minLength", "pattern"}


def _raised(subject: Subject) -> Iterator[tuple[int, str]]:
    for error in subject.options.get("raises") or ():
        if isinstance(error, int):
            yield error, HTTPException(error).detail
        elif isinstance(error, HTTPException):
            yield error.status_code, error.detail
        else:
            yield _of_class(error, subject.where)


def _of_class(kind: Any, where: str) -> tuple[int, str]:
    """Return what an error class says of itself: its status, and its docstring or else its detail."""
    if not (isinstance(kind, type) and issubclass(kind, HTTPException)):
        raise ConfigurationError(
            f"{where}: raises has {kind!r}. Write statuses, classes of HTTPException, or HTTPException(409, 'why')"
        )
    said = "" if kind is HTTPException else (kind.__dict__.get("__doc__") or "").strip()
    status: Any = getattr(kind, "status_code", None)
    if not isinstance(status, int):
        example = _example_of(kind, where)
        status, said = example.status_code, said or example.detail
    return status, " ".join(said.split()) or HTTPException(status).detail


def _example_of(kind: type[HTTPException], where: str) -> HTTPException:
    try:
        return cast("Callable[[], HTTPException]", kind)()
    except Exception:
        raise ConfigurationError(
            f"{where}: raises has the class {kind.__name__}, and nobody can tell its status without arguments. Write "
            f"`status_code = 409`, say, into the class, or put an instance into raises."
        ) from None
