"""Locations: path templates as OpenAPI writes them, and what their convertors say of the parameters.

The law of this file: a template of a document names each parameter once, and no two templates differ by names only
(OpenAPI 3.1 section 4.8.8.2).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from microasgi.convertors import BuiltIn, Convertor
from microasgi.paths import Parameter
from microasgi.routes import BaseRoute
from microasgi.urls import quote_path

__all__ = ["Location", "locate", "schema_of"]

_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "str": {"type": "string", "minLength": 1},
    "path": {"type": "string"},
    "uuid": {"type": "string", "format": "uuid"},
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
}
# What Python's regular expressions have and those of ECMA-262 have not, or mean otherwise.
_PYTHON_ONLY: Final = re.compile(r"\(\?(?![:=!])|\\[AZaNUx0]|[*+?}]\+|\\Z")


@dataclass(frozen=True, slots=True)
class Location:
    """A path template in pieces: literals, percent-encoded, and names; `names` has the document's for the route's."""

    pieces: tuple[str | Parameter, ...]
    names: tuple[str, ...]

    @property
    def key(self) -> str:
        """The template without the names of its parameters."""
        return "".join("{}" if isinstance(piece, Parameter) else piece for piece in self.pieces)

    @property
    def path(self) -> str:
        """The template, as the document has it."""
        names = iter(self.names)
        return "".join(f"{{{next(names)}}}" if isinstance(piece, Parameter) else piece for piece in self.pieces)

    @property
    def parameters(self) -> dict[str, dict[str, Any]]:
        """The schemas that the convertors stand for, by the document's names."""
        return dict(zip(self.names, map(schema_of, self._parameters), strict=True))

    def name_of(self, name: str) -> str | None:
        """Return the document's name for a parameter of the route."""
        # Of two that share a name the handler sees the inner one, which comes last.
        names = dict(zip([parameter.name for parameter in self._parameters], self.names, strict=True))
        return names.get(name)

    @property
    def _parameters(self) -> list[Parameter]:
        return [piece for piece in self.pieces if isinstance(piece, Parameter)]

    def named_as(self, other: Location) -> Location:
        """Return this location with the names of another one that has the same key."""
        return replace(self, names=other.names)


def locate(mounts: Sequence[BaseRoute], route: BaseRoute) -> Location:
    """Return where a route stands that is reached through these mounts, outermost first."""
    found = [piece for one in (*mounts, route) for piece in one.template.pieces]
    pieces = tuple(piece if isinstance(piece, Parameter) else quote_path(piece) for piece in found)
    names = [piece.name for piece in pieces if isinstance(piece, Parameter)]
    unique = [name if name not in names[index + 1 :] else _other(name, names) for index, name in enumerate(names)]
    return Location(pieces, tuple(unique))


def _other(name: str, names: Sequence[str]) -> str:
    number = names.count(name)
    while f"{name}_{number}" in names:
        number += 1
    return f"{name}_{number}"


def schema_of(parameter: Parameter) -> dict[str, Any]:
    """Return the JSON Schema of what a parameter's convertor reads."""
    convertor: Convertor[Any] = parameter.convertor
    if isinstance(convertor, BuiltIn):
        return dict(_SCHEMAS.get(parameter.kind, {"type": "string"}))
    if _PYTHON_ONLY.search(convertor.regex):
        return {"type": "string"}
    return {"type": "string", "pattern": f"^(?:{convertor.regex})$"}
