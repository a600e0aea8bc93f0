"""The document: what a whole application answers, as an OpenAPI 3.1 object.

The law of this file: the same routes give the same document, whoever asks and whenever.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from microasgi.exceptions import ConfigurationError
from microasgi.openapi.components import Schemas
from microasgi.openapi.identifiers import identify
from microasgi.openapi.inventory import Entry, entries_of, subjects_of
from microasgi.openapi.operations import describe_operation
from microasgi.openapi.security import Guards
from microasgi.registry import Registry
from microasgi.routes import Route
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.security import SecurityScheme

__all__ = ["Document", "Webhooks"]

_VERSION: Final = "3.1.0"

Webhooks = Registry | Mapping[str, Route] | None


@dataclass(frozen=True)
class Document:
    """What a document says besides what the routes say; `build` puts both together."""

    info: Mapping[str, Any]
    servers: Sequence[Mapping[str, Any]] = ()
    tags: Sequence[Mapping[str, Any]] = ()
    webhooks: Webhooks = None
    security: Sequence[SecurityScheme[Any]] = ()
    external_docs: Mapping[str, Any] | None = None
    errors: Mapping[str, Any] | None = None

    def build(self, entries: Iterable[Entry]) -> dict[str, Any]:
        """Return the OpenAPI Object; ConfigurationError names the route that cannot be described."""
        schemas, guards = Schemas(), Guards()
        paths = subjects_of(entries)
        hooks = [(name, one) for name, entry in _hooks(self.webhooks) for one in subjects_of([entry])]
        identifiers = identify([*paths, *(subject for _, subject in hooks)])
        security = guards.require([(scheme, ()) for scheme in self.security], alternatives=True)
        described: dict[str, dict[str, Any]] = {}
        webhooks: dict[str, dict[str, Any]] = {}
        for subject, identifier in zip(paths, identifiers, strict=False):
            item = described.setdefault(subject.location.path, {})
            item[subject.method.lower()] = describe_operation(subject, identifier, schemas, guards, self.errors)
        for (name, subject), identifier in zip(hooks, identifiers[len(paths) :], strict=True):
            item = webhooks.setdefault(name, {})
            item[subject.method.lower()] = describe_operation(subject, identifier, schemas, guards, self.errors)
        found = {
            "openapi": _VERSION,
            "info": self.info,
            "servers": self.servers,
            "paths": described,
            "webhooks": webhooks,
            "components": _filled({"schemas": schemas.resolve(), "securitySchemes": guards.schemes}),
            "security": security,
            "tags": [*_tags(self.tags, [*described.values(), *webhooks.values()])],
            "externalDocs": self.external_docs,
        }
        # Once through JSON: no two places share an object, and none is of a type that JSON lacks.
        return cast(dict[str, Any], decode_json(encode_json(_filled(found) | {"paths": described})))


def _filled(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value}


def _tags(given: Sequence[Mapping[str, Any]], items: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the tags: first those that were given, then the others as they are met."""
    yield from given
    known = {tag["name"] for tag in given}
    for name in (name for item in items for operation in item.values() for name in operation.get("tags", ())):
        if name not in known:
            known.add(name)
            yield {"name": name}


def _hooks(webhooks: Webhooks) -> Iterator[tuple[str, Entry]]:
    if isinstance(webhooks, Registry):
        for entry in entries_of(webhooks):
            yield entry.route.path.strip("/"), entry
        return
    for name, route in (webhooks or {}).items():
        if not isinstance(route, Route):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"webhooks has {name!r}: {route!r}, which is no Route")
        yield name, Entry((), route)
