"""Signatures: the parameters of a handler or a dependency, with their annotations as objects.

The law of this file: an annotation that cannot be understood is refused with its place, never passed over.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast, get_args, get_type_hints

from microasgi.binding import is_plain, names_connection
from microasgi.connection import HTTPConnection
from microasgi.endpoints import function_of
from microasgi.exceptions import ConfigurationError
from microasgi.typed.constraints import Constraints, constraints_from
from microasgi.typed.markers import Depends, FromState, Marker
from microasgi.typed.shapes import unwrapped

__all__ = ["EMPTY", "Given", "Hint", "Signature", "is_local", "read_hint", "read_signature"]

EMPTY: Final = inspect.Parameter.empty
_MARKERS: Final = (Marker, Depends, FromState)
_OF_ITEMS: Final = {"Query", "Body"}  # inside of a list they say what its items have to be
Names: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Hint:
    """An annotation taken apart: the type, the marker that says where the value comes from, and the constraints."""

    annotation: Any
    marker: Marker | Depends | FromState | None = None
    constraints: Constraints = Constraints()  # noqa: RUF009  (it is frozen)


@dataclass(frozen=True, slots=True)
class Given:
    """One parameter: its name, its hint, and its default (EMPTY: it has none)."""

    name: str
    hint: Hint
    default: Any
    by_keyword: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """What a callable takes and returns, and where it stands."""

    call: Callable[..., Any]
    where: str
    parameters: tuple[Given, ...]
    result: Any


def read_signature(call: Callable[..., Any], names: Names, where: str, *, of_handler: bool = False) -> Signature:
    """Return the signature of a callable; `names` may be used in its annotations besides those of its module.

    ConfigurationError for annotations that name what is not defined, or are contradictory. What a dependency returns
    may be unknown: only a handler's result is made by its annotation.
    """
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where}: {call!r} has no signature to be read: wrap it in a function") from None
    place = _place_of(call) or where
    # Only what is defined inside of a function sees the names of a function.
    scope = _Scope(_globals_of(call), names if is_local(call) else {}, place)
    fixed: Mapping[str, Any] = getattr(cast(object, call), "keywords", {}) if _is_partial(call) else {}
    given = [_given(p, scope) for p in signature.parameters.values() if p.name not in fixed and _is_filled(p)]
    annotation = signature.return_annotation
    may_be_unknown = not of_handler or (isinstance(annotation, str) and is_plain(annotation.strip("'\" ")))
    return Signature(call, place, tuple(given), scope.resolve("return", annotation, lenient=may_be_unknown))


def is_local(call: Any) -> bool:
    """Tell whether a callable is defined inside of a function, so that its annotations may use the names there."""
    return "<locals>" in getattr(function_of(call), "__qualname__", "")


def read_hint(annotation: Any, where: str, name: str) -> Hint:
    """Return an annotation taken apart."""
    if isinstance(annotation, type):
        return Hint(annotation)
    kind, given = unwrapped(annotation)
    _refuse_inner_markers(kind, where, name)
    if not given:
        return Hint(kind)
    metadata: list[Any] = [one() if isinstance(one, type) and issubclass(one, _MARKERS) else one for one in given]
    markers = [one for one in metadata if isinstance(one, _MARKERS)]
    if len({type(marker) for marker in markers}) > 1:
        named = " and ".join(type(marker).__name__ for marker in markers)
        raise ConfigurationError(f"{where}: {name} is annotated with {named}: a value comes from one place")
    others = [one for one in metadata if not isinstance(one, _MARKERS)]
    constraints = constraints_from(others, where)
    for marker in markers:
        if isinstance(marker, Marker):
            constraints = constraints.merge(marker.constraints)
    return Hint(kind, markers[-1] if markers else None, constraints)


def _refuse_inner_markers(kind: Any, where: str, name: str) -> None:
    """Refuse a marker below the top: passed over, it would let the client send what was to come from elsewhere."""
    for part in get_args(kind):
        inner, extras = unwrapped(part)
        for extra in extras:
            is_elsewhere = isinstance(extra, (Depends, FromState)) or (
                isinstance(extra, Marker) and (extra.alias is not None or type(extra).__name__ not in _OF_ITEMS)
            )
            if is_elsewhere:
                raise ConfigurationError(
                    f"{where}: {name} has {extra!r} inside of {kind}: write it around all of it, as in "
                    f"`{name}: Annotated[{inspect.formatannotation(inner)} | None, {extra!r}] = None`"
                )
        _refuse_inner_markers(inner, where, name)


class _Scope:
    """Where the annotations of one callable are looked up."""

    def __init__(self, module: dict[str, Any], names: Names, where: str) -> None:
        self._module, self._names, self.where = module, names, where

    def resolve(self, name: str, annotation: Any, *, lenient: bool = False) -> Any:
        """Return the annotation with its texts replaced by what they name; EMPTY if lenient and it cannot be."""
        if annotation is EMPTY:
            return EMPTY

        def holder() -> None: ...

        holder.__annotations__ = {name: annotation}
        try:
            return get_type_hints(holder, self._module, {**self._names}, include_extras=True)[name]
        except NameError as error:
            if lenient:
                return EMPTY
            if isinstance(annotation, str) and names_connection(annotation):
                return HTTPConnection  # imported for type checkers only
            raise ConfigurationError(
                f"{self.where}: the annotation of {name!r} is {annotation!r}, and {error.name!r} is not defined there. "
                "Import it outside of `if TYPE_CHECKING:`, and define it above the handler."
            ) from None
        except (TypeError, SyntaxError) as error:
            if lenient:
                return EMPTY
            raise ConfigurationError(
                f"{self.where}: the annotation of {name!r} is no type: {annotation!r} ({error})"
            ) from None


def _given(parameter: inspect.Parameter, scope: _Scope) -> Given:
    annotation = scope.resolve(parameter.name, parameter.annotation)
    hint = read_hint(annotation, scope.where, parameter.name)
    default = parameter.default
    if isinstance(default, (Marker, Depends)):
        kind = inspect.formatannotation(hint.annotation) if hint.annotation is not EMPTY else "T"
        marker = type(default).__name__
        raise ConfigurationError(
            f"{scope.where}: {parameter.name} has a {marker}() as its default. Write it into the annotation, as in "
            f"`{parameter.name}: Annotated[{kind}, {marker}(...)] = default`, without `= default` if it is required. "
            f"The first argument of {marker}() is "
            + ("what is called" if isinstance(default, Depends) else "the name on the wire, not the default")
        )
    if type(default).__module__.partition(".")[0] in {"fastapi", "pydantic"} and _is_foreign_marker(default):
        raise ConfigurationError(
            f"{scope.where}: {parameter.name} has a {type(default).__name__} of {type(default).__module__} as its "
            f"default, which means nothing here: write `{parameter.name}: Annotated[..., Depends(...)]` with Depends, "
            "Query, Header and the like of microasgi.typed"
        )
    return Given(parameter.name, hint, default, parameter.kind is parameter.KEYWORD_ONLY)


def _is_foreign_marker(default: object) -> bool:
    return any(base.__name__ in {"Depends", "FieldInfo"} for base in type(default).__mro__)


def _is_partial(call: object) -> bool:
    return isinstance(call, functools.partial)


def _is_filled(parameter: inspect.Parameter) -> bool:
    return parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}


def _globals_of(call: Any) -> dict[str, Any]:
    function = function_of(call)
    if isinstance(call, type):  # a dataclass' __init__ has the globals of `dataclasses`, its annotations those of here
        return {**vars(sys.modules.get(call.__module__, sys)), **getattr(function, "__globals__", {})}
    return getattr(function, "__globals__", {})


def _place_of(call: Any) -> str:
    code = getattr(function_of(call), "__code__", None)
    if code is None or code.co_filename.startswith("<"):
        return ""
    return f"{code.co_filename}:{code.co_firstlineno}"
