"""Inference: where the value of a parameter without a marker comes from, by its type.

The law of this file: the same annotation means the same everywhere, so that a handler can be read without its route.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection
from dataclasses import replace
from typing import Any, get_args

from microasgi.exceptions import ConfigurationError
from microasgi.typed.files import is_file_type
from microasgi.typed.markers import Body, File, Marker, Query
from microasgi.typed.models import is_model
from microasgi.typed.parameters import CONVERTED
from microasgi.typed.signature import EMPTY, Given, Hint
from microasgi.typed.texts import text_type

__all__ = ["as_converted", "how_to_write", "infer", "name_of"]


def infer(given: Given, methods: Collection[str], websocket: bool, where: str) -> Marker:
    """Return the marker: a file's, the query's for scalars, the body's for models; ConfigurationError for the rest."""
    annotation = given.hint.annotation
    if annotation is not EMPTY:
        if is_file_type(annotation):
            return File()
        if text_type(annotation, given.hint.constraints, where) is not None:
            return Query()
        if _holds_model(annotation):
            _refuse_without_body(given, methods, websocket, where)
            return Body()
    raise ConfigurationError(f"{where}: nobody can fill {given.name}: {how_to_write(given)}")


def as_converted(given: Given, kind: str) -> Given:
    """Give a path's parameter without annotation the type of what its convertor makes."""
    if given.hint.annotation is not EMPTY:
        return given
    return replace(given, hint=Hint(CONVERTED.get(kind, str if kind in {"str", "path"} else Any)))


def _refuse_without_body(given: Given, methods: Collection[str], websocket: bool, where: str) -> None:
    name = name_of(given.hint.annotation)
    if websocket:
        raise ConfigurationError(
            f"{where}: nobody can fill {given.name}: a websocket has no body. Receive the {name} as a message, or "
            f"write `{given.name}: Annotated[{name}, Query()]` to read its fields from the query."
        )
    if methods and {*methods} <= {"GET", "HEAD"}:
        raise ConfigurationError(
            f"{where}: nobody can fill {given.name}: a GET has no body. Write "
            f"`{given.name}: Annotated[{name}, Query()]` to read its fields from the query."
        )


def _holds_model(annotation: Any) -> bool:
    return is_model(annotation) or any(_holds_model(one) for one in get_args(annotation))


def name_of(annotation: Any) -> str:
    """Return a type as it is written."""
    name: str | None = getattr(annotation, "__qualname__", None)
    return name if name is not None and not get_args(annotation) else inspect.formatannotation(annotation)


def how_to_write(given: Given) -> str:
    """Return what to write for a parameter that says nothing of where its value comes from."""
    name, hint = given.name, given.hint
    if hint.annotation is EMPTY:
        return (
            f"it has no annotation and is not in the path. Write `{name}: str` for a parameter of the query, "
            f"`{name}: Annotated[str, Header()]` for a header, `{name}: Annotated[T, Depends(call)]` for a dependency; "
            "the request itself is the first parameter, or one annotated as Request"
        )
    kind = name_of(hint.annotation)
    return (
        f"{kind} is no scalar (that would come from the query), no model (body) and no file. Write "
        f"`{name}: Annotated[{kind}, Body()]` for the JSON body, or `Annotated[{kind}, Depends(call)]` for what a "
        "callable returns"
    )
