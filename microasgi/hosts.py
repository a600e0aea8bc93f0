"""Hosts: what stands at a host name, whatever the path."""

from __future__ import annotations

import re
from typing import Any, cast

from microasgi.convertors import NO_MATCH
from microasgi.exceptions import NoMatchFound
from microasgi.paths import Pattern, Template
from microasgi.routes import Mount, whereabouts
from microasgi.types import ASGIApp, Scope
from microasgi.urls import URLPath

__all__ = ["Host"]


class Host(Mount):
    """An ASGI application that answers everything that is sent to a host, as in `{tenant}.example.org`.

    The port does not count unless the pattern has one. A parameter may hold dots.
    """

    def __init__(self, host: str, app: ASGIApp, name: str | None = None) -> None:
        super().__init__("", app, name=name)
        self.where = whereabouts()
        self.host = Template(_lower_outside_braces(host))
        self.pattern = Pattern(self.host.pieces) if self.host.parameters else None

    def match(self, host: str, name: str) -> dict[str, Any] | None:
        """Return the parameters' values if this host, given with its port and without it, is the route's."""
        if self.pattern is None:
            return {} if self.host.text in {host, name} else None
        found = [values for values in map(self.pattern.read, (name, host)) if values is not NO_MATCH]
        return cast(dict[str, Any], found[0]) if found else None

    def child_scope(self, scope: Scope) -> Scope:
        """Return the scope for the application: only the parameters of the host are new."""
        child: Scope = {key: value for key, value in scope.items() if key not in {"router", "route"}}
        child["microasgi.outermost"] = scope.get("microasgi.outermost") or scope.get("app") or scope.get("router")
        return child

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:
        """Return the path of a route of the application on this host."""
        own = {key: path_params[key] for key in self.host.parameters if key in path_params}
        if own.keys() != self.host.parameters.keys():
            raise NoMatchFound(f"{name!r} lacks parameters of {self!r}")
        host = self.host.write(own)
        rest = {key: value for key, value in path_params.items() if key not in own}
        path = super().url_path_for(name, **rest)
        return URLPath(str(path), protocol=path.protocol, host=host)

    def __repr__(self) -> str:
        return f"Host({self.host.text!r}, name={self.name!r}, app={self.app!r})"


def _lower_outside_braces(host: str) -> str:
    return "".join(part if part.startswith("{") else part.lower() for part in re.split(r"(\{[^}]*\})", host))
