"""The inventory: which operations an application has that a document can describe, and where each of them stands.

The law of this file: what it leaves out is left out for a reason that the documentation names. Websockets and methods
that OpenAPI 3.1 has no word for, hosts, applications of other make, and what was registered with
`include_in_schema=False`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from microasgi.endpoints import HTTPEndpoint
from microasgi.hosts import Host
from microasgi.openapi.locations import Location, locate
from microasgi.registry import Registry
from microasgi.routes import Mount, Route
from microasgi.typed.operation import Operation

__all__ = ["Entry", "Subject", "entries_of", "subjects_of"]

# In the order in which people read them (OpenAPI 3.1 section 4.8.9); QUERY comes with 3.2.
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")

logger = logging.getLogger("microasgi")


class Entry(NamedTuple):
    """A route, and the mounts around it, outermost first."""

    mounts: tuple[Mount, ...]
    route: Route


@dataclass(frozen=True, slots=True)
class Subject:
    """One method of one route: what an operation of the document is about."""

    route: Route
    method: str
    location: Location
    shares_route: bool
    """Whether the route has other methods that are described too."""

    @property
    def handler(self) -> Callable[..., Any]:
        """The function that answers; of a class endpoint, its method."""
        endpoint: Any = self.route.endpoint
        if isinstance(endpoint, type) and issubclass(endpoint, HTTPEndpoint):
            endpoint = getattr(cast(Any, endpoint), self.method.lower(), endpoint)
        return cast(Callable[..., Any], endpoint)

    @property
    def options(self) -> Mapping[str, Any]:
        """What the route was given besides path and methods."""
        return self.route.options

    @property
    def binding(self) -> Operation | None:
        """What the handler asks for, None of one that takes the request."""
        return cast(Operation | None, self.route.binding)

    @property
    def where(self) -> str:
        """The line of the user's code that registered the route."""
        return self.route.where


def entries_of(application: object) -> tuple[Entry, ...]:
    """Return the routes for http of an application and of what is mounted in it, in the order of registration."""
    return tuple(_walk(application, ()))


def _walk(application: object, mounts: tuple[Mount, ...]) -> Iterator[Entry]:
    if not isinstance(application, Registry):
        return
    for route in application.routes:
        if isinstance(route, Mount):
            # What holds itself would have no end.
            if not isinstance(route, Host) and all(route.app is not mount.app for mount in mounts):
                yield from _walk(route.app, (*mounts, route))
        elif isinstance(route, Route) and _is_described(route):
            yield Entry(mounts, route)


def _is_described(route: Route) -> bool:
    return route.include_in_schema and not route.websocket and route.app is None


def subjects_of(entries: Iterable[Entry]) -> list[Subject]:
    """Return the operations of these routes, one for each path and method, in their order.

    HEAD is left out where the path has GET. Of routes that differ by convertors only, a document can describe the
    first: the others are named in a warning.
    """
    taken: dict[tuple[str, str], Subject] = {}
    names: dict[str, Location] = {}
    for entry in entries:
        location = locate(entry.mounts, entry.route)
        location = location.named_as(names.setdefault(location.key, location))
        described = _methods(entry.route)
        for method in described:
            subject = Subject(entry.route, method, location, len(described) > 1)
            first = taken.setdefault((location.key, method), subject)
            if first is not subject:
                _warn(subject, first)
    return [one for (key, method), one in taken.items() if method != "HEAD" or (key, "GET") not in taken]


def _methods(route: Route) -> list[str]:
    methods = route.methods or frozenset()
    return [method for method in METHODS if method in methods and not (method == "HEAD" and "GET" in methods)]


def _warn(subject: Subject, first: Subject) -> None:
    logger.warning(
        "%s: %s %s is not in the OpenAPI document: to it, it is the same as %s at %s. "
        "Write include_in_schema=False to say so yourself",
        *(subject.where, subject.method, subject.route.path, first.route.path, first.where),
    )
