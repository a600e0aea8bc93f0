"""Signatures: the parameters of a handler or a dependency, with their annotations as objects.

The law of this file: an annotation that cannot be understood is refused with its place, never passed over.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, cast, get_args, get_origin, get_type_hints

from microasgi.connection import HTTPConnection
from microasgi.exceptions import ConfigurationError
from microasgi.typed.constraints import Constraints, constraints_from
from microasgi.typed.markers import Depends, FromState, Marker

__all__ = ["EMPTY", "Given", "Hint", "Signature", "read_hint", "read_signature"]

EMPTY: Final = inspect.Parameter.empty
_CONNECTIONS: Final = ("Request", "WebSocket", "HTTPConnection")
_MARKERS: Final = (Marker, Depends, FromState)
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


def read_signature(call: Callable[..., Any], names: Names, where: str) -> Signature:
    """Return the signature of a callable; `names` may be used in its annotations besides those of its module.

    ConfigurationError for annotations that name what is not defined, or are contradictory.
    """
    try:
        signature = inspect.signature(call)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{where}: {call!r} has no signature to be read: wrap it in a function") from None
    place = _place_of(call) or where
    scope = _Scope(_globals_of(call), names, place)
    fixed: Mapping[str, Any] = getattr(cast(object, call), "keywords", {}) if _is_partial(call) else {}
    given = [_given(p, scope) for p in signature.parameters.values() if p.name not in fixed and _is_filled(p)]
    return Signature(call, place, tuple(given), scope.resolve("return", signature.return_annotation, lenient=True))


def read_hint(annotation: Any, where: str, name: str) -> Hint:
    """Return an annotation taken apart."""
    if get_origin(annotation) is not Annotated:
        return Hint(annotation)
    kind, *given = get_args(annotation)
    metadata: list[Any] = [one() if isinstance(one, type) and issubclass(one, _MARKERS) else one for one in given]
    markers = [one for one in metadata if isinstance(one, _MARKERS)]
    if len(markers) > 1:
        named = " and ".join(type(marker).__name__ for marker in markers)
        raise ConfigurationError(f"{where}: {name} is annotated with {named}: a value comes from one place")
    others = [one for one in metadata if not isinstance(one, _MARKERS)]
    constraints = constraints_from(others, where)
    marker = markers[0] if markers else None
    if isinstance(marker, Marker):
        constraints = constraints.merge(marker.constraints)
    return Hint(kind, marker, constraints)


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
            if isinstance(annotation, str) and annotation.strip("'\" ").split("[")[0].endswith(_CONNECTIONS):
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
    return Given(parameter.name, hint, default, parameter.kind is parameter.KEYWORD_ONLY)


def _is_partial(call: object) -> bool:
    return isinstance(call, functools.partial)


def _is_filled(parameter: inspect.Parameter) -> bool:
    return parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}


def _function_of(call: Any) -> Any:
    """Return the function that has the annotations: of a partial, a class, a callable object, a decorated function."""
    while isinstance(call, functools.partial):
        call = call.func
    if isinstance(call, type):
        call = cast(Any, call).__init__
    elif not inspect.isroutine(call):
        call = type(call).__call__
    return inspect.unwrap(getattr(call, "__func__", call))


def _globals_of(call: Any) -> dict[str, Any]:
    function = _function_of(call)
    if isinstance(call, type):  # a dataclass' __init__ has the globals of `dataclasses`, its annotations those of here
        return {**vars(sys.modules.get(call.__module__, sys)), **getattr(function, "__globals__", {})}
    return getattr(function, "__globals__", {})


def _place_of(call: Any) -> str:
    code = getattr(_function_of(call), "__code__", None)
    if code is None or code.co_filename.startswith("<"):
        return ""
    return f"{code.co_filename}:{code.co_firstlineno}"
