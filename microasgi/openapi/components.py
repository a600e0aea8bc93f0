"""Components: the schemas that a document shares between its operations, each under a name of its own.

The law of this file: the models' engine is asked once for all of them, so that a model has one name wherever it is
used. Until it has answered, a schema is an empty dict that is filled in later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from microasgi.exceptions import ConfigurationError
from microasgi.serialization import encode_json
from microasgi.typed.constraints import Constraints
from microasgi.typed.modelschemas import json_schemas
from microasgi.typed.references import names_in, rename

__all__ = ["JSONSchema", "Schemas", "require_json"]

JSONSchema = dict[str, Any]

_REF: Final = "#/components/schemas/"
_NO_CONSTRAINTS: Final = Constraints()


@dataclass(frozen=True, slots=True)
class _Wanted:
    schema: JSONSchema
    annotation: Any
    constraints: Constraints
    where: str
    below: Mapping[str, Any]
    above: Mapping[str, Any]

    @property
    def question(self) -> tuple[Any, Constraints]:
        return self.annotation, self.constraints

    def fill(self, found: Mapping[str, Any]) -> None:
        """Complete the schema: by what is known of it otherwise, if that speaks of the same type, and by keywords."""
        is_narrow = not {"format", "enum", "const"}.isdisjoint(found)
        fits = not is_narrow and self.below.get("type") == found.get("type")
        below: Mapping[str, Any] = self.below if fits else {}
        self.schema.update({**below, **found, **self.above, **self.schema})


def require_json(value: object, where: str) -> None:
    """Raise ConfigurationError, with this place, for what JSON cannot hold."""
    try:
        encode_json(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{where}: its part of the OpenAPI document is no JSON: {error}") from None


class Schemas:
    """The schemas of one document: ask for them with `of` and `own`, then call `resolve` once."""

    def __init__(self) -> None:
        self._wanted: dict[bool, list[_Wanted]] = {False: [], True: []}
        self._own: dict[str, tuple[JSONSchema, list[JSONSchema]]] = {}

    def of(
        self,
        annotation: Any,
        where: str,
        constraints: Constraints = _NO_CONSTRAINTS,
        *,
        serialization: bool = False,
        below: Mapping[str, Any] | None = None,
        above: Mapping[str, Any] | None = None,
    ) -> JSONSchema:
        """Return the schema of an annotation: of what is read or, with `serialization`, of what is written.

        `above` has keywords that go before its own, `below` those that come after it, for the same type.
        """
        require_json(above, where)
        wanted = _Wanted({}, annotation, constraints, where, below or {}, above or {})
        self._wanted[serialization].append(wanted)
        return wanted.schema

    def own(self, name: str, schema: JSONSchema) -> JSONSchema:
        """Return a reference to a schema that belongs to the document itself; a model of this name keeps it."""
        reference: JSONSchema = {}
        self._own.setdefault(name, (schema, []))[1].append(reference)
        return reference

    def resolve(self) -> dict[str, JSONSchema]:
        """Fill in all schemas and return the components; ConfigurationError names the route that nobody can read."""
        read, written = self._ask(serialization=False), self._ask(serialization=True)
        both = _split(read, written)
        for name, (schema, references) in self._own.items():
            free = _free_name(name, both)
            both[free] = schema
            for reference in references:
                reference["$ref"] = _REF + free
        return dict(sorted(both.items()))

    def _ask(self, *, serialization: bool) -> _Answer:
        wanted = self._wanted[serialization]
        if not wanted:
            return _Answer([], {})
        try:
            questions = [one.question for one in wanted]
            found, components = json_schemas(questions, serialization=serialization, among=self._annotations)
        except ConfigurationError:
            self._find_culprit()
            raise
        for one, schema in zip(wanted, found, strict=True):
            one.fill(schema)
        return _Answer([one.schema for one in wanted], components)

    @property
    def _annotations(self) -> list[Any]:
        """What is read and what is written, whose names have to be told apart."""
        return [one.annotation for wanted in self._wanted.values() for one in wanted]

    def _find_culprit(self) -> None:
        for serialization, one in ((key, one) for key, wanted in self._wanted.items() for one in wanted):
            try:
                json_schemas([one.question], serialization=serialization)
            except ConfigurationError as error:
                raise ConfigurationError(f"{one.where}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Answer:
    schemas: list[JSONSchema]
    components: dict[str, JSONSchema]

    def rename(self, names: Mapping[str, str]) -> None:
        """Give components other names, wherever they are referred to."""
        rename([*self.schemas, *self.components.values()], names, _REF)
        for old, new in names.items():
            self.components[new] = self.components.pop(old)


def _split(read: _Answer, written: _Answer) -> dict[str, JSONSchema]:
    """Return the components of both; those that are written otherwise than read get a name for each."""
    shared = read.components.keys() & written.components.keys()
    differing = {name for name in shared if read.components[name] != written.components[name]}
    size = -1
    while size < len(differing):  # what refers to one that differs, differs as well
        size = len(differing)
        differing |= {name for name in shared if names_in(read.components[name], _REF) & differing}
    taken = read.components.keys() | written.components.keys()
    for answer, ending in ((read, "-Input"), (written, "-Output")):
        answer.rename({name: _free_name(name + ending, taken) for name in sorted(differing)})
    return {**read.components, **written.components}


def _free_name(name: str, taken: Mapping[str, Any] | set[str]) -> str:
    """Return this name, or one like it that is not taken."""
    candidates = [name, f"{name}Details", *(f"{name}{number}" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)
