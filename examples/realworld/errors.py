"""Errors, as RealWorld has them: `{"errors": {"what": ["is wrong with it"]}}`, whoever finds the fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from microasgi import HTTPException, JSONResponse, Request, Response
from microasgi.typed import ValidationError

BLANK = "can't be blank"
TAKEN = "has already been taken"


class Errors(Struct):
    """What is wrong, by the name of what it is wrong with."""

    errors: dict[str, list[str]]


class Rejected(HTTPException):
    """What is wrong, each by the name of what it is wrong with: `Rejected(404, article="not found")`."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None, /, **errors: str) -> None:
        self.errors = errors
        super().__init__(status, "; ".join(f"{name} {reason}" for name, reason in errors.items()), headers)


def show_error(request: Request[Any], error: HTTPException) -> Response:
    """Answer an error below /api in RealWorld's form; the pages of the documentation keep the framework's."""
    if not request.url.path.startswith("/api/"):
        raise error
    return JSONResponse({"errors": errors_of(error)}, error.status_code, error.headers)


def errors_of(error: HTTPException) -> dict[str, list[str]]:
    """Return what is wrong, by the names that clients know."""
    if isinstance(error, Rejected):
        return {name: [reason] for name, reason in error.errors.items()}
    if not isinstance(error, ValidationError):
        return {"body": [error.detail]}
    found: dict[str, list[str]] = {}
    for fault in error.faults:
        # "/user/email" is the email to them, and what is wrong with the whole body is the body's.
        name = fault.pointer.rpartition("/")[2] or fault.name or fault.place
        found.setdefault(name, []).append(fault.reason)
    return found
