"""Rules about routes: those that nothing reaches, and paths that are not what they look like."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from microasgi.cli.complaints import near, show_path
from microasgi.cli.inspection import Finding, Inspection, Place, Rule
from microasgi.cli.tree import Found, unwrap
from microasgi.hosts import Host
from microasgi.paths import Template
from microasgi.registry import Registry
from microasgi.routes import BaseRoute, Mount, Route
from microasgi.table import Table

__all__ = ["RULES"]

# Values that the built-in convertors read, and that hardly any other route is made for.
_SAMPLES = {"int": 918273645, "float": 9182736.45, "str": "qzxwv", "path": "qzxwv", "uuid": UUID(int=918273645)}
_FOREIGN = re.compile(r"<(?:\w+:)?(\w+)>|/:(\w+)")
_NEVER = "*"  # a method that no route names


def _place(route: BaseRoute) -> Place:
    file, _, line = route.where.rpartition(":")
    return Place(file, int(line))


def unreachable_routes(inspection: Inspection) -> Iterator[Finding]:
    """Find routes whose every request is answered by another one."""
    for found in inspection.routes:
        path = _sample(found)
        if path is None or found.host or not isinstance(found.route, Route):
            continue
        route = found.route
        methods = [_NEVER] if route.methods is None else sorted(route.methods)
        kinds = [None] if route.websocket else methods
        winners = [_winner(inspection.app, path, kind) for kind in kinds]
        others = [winner for winner in winners if winner is not None and not _is_same(winner, route)]
        if others and len(others) == len(winners):
            other = others[0]
            yield Finding(
                _place(route),
                f"{' '.join(found.methods)} {found.path} is never reached: {other!r} at "
                f"{show_path(_place(other).file)}:{_place(other).line} comes first",
                "give one of them another path",
            )


def _is_same(one: BaseRoute, other: BaseRoute) -> bool:
    return one is other or (one.where == other.where and one.path == other.path)


def _sample(found: Found) -> str | None:
    """Return a path that this route is made for, or None where that is not known."""
    template = Template(found.path or "/")
    values: dict[str, Any] = {}
    for name, parameter in template.parameters.items():
        values[name] = _SAMPLES.get(parameter.kind)
        if values[name] is None:
            return None
    return template.write(values)


def _winner(app: Any, path: str, method: str | None) -> BaseRoute | None:
    """Return the route that answers this method (None: a handshake) at this path, through all mounts; None: nobody."""
    if not isinstance(app, Registry):
        return None
    routes = [route for route in app.routes if _takes(route, method)]
    if method == "HEAD":  # of equal templates the one that was written for HEAD counts, not GET's
        routes.sort(key=lambda route: "GET" in (getattr(route, "methods", None) or {"GET"}))
    table: Table[BaseRoute] = Table((template, route) for route in routes for template in _templates(route))
    exact = table.exact.get(path)
    found = table.find(path) if exact is None else (exact, dict[str, Any]())
    if found is None:
        return None
    route, values = found
    if not isinstance(route, Mount):
        return route
    rest = values.get("_")
    inner = unwrap(route.app)
    if not isinstance(inner, Registry):
        return route  # nobody knows what is in it
    return _winner(inner, "/" if rest is None else f"/{rest}", method) or route


def _templates(route: BaseRoute) -> list[Template]:
    return route.entrances if isinstance(route, Mount) else [route.template]


def _takes(route: BaseRoute, method: str | None) -> bool:
    if not isinstance(route, Route):
        return not isinstance(route, Host)
    if method is None or route.websocket:
        return route.websocket and method is None
    return route.methods is None or method in route.methods


def hidden_hosts(inspection: Inspection) -> Iterator[Finding]:
    """Find hosts that an earlier pattern answers for."""
    before: list[Host] = []
    for found in inspection.routes:
        host = found.route
        if not isinstance(host, Host) or found.inner:
            continue
        name = host.host.text
        for other in before if host.pattern is None else ():
            if other.pattern is not None and other.match(name, name) is not None:
                what = f"host {name} is never reached: {other.host.text} at {show_path(other.where)} comes first"
                yield Finding(_place(host), what, "add the fixed host before the pattern")
        before.append(host)


def foreign_templates(inspection: Inspection) -> Iterator[Finding]:
    """Find paths with parameters as other frameworks write them: here they are fixed text."""
    for found in inspection.routes:
        match = _FOREIGN.search(found.route.path)
        if match and isinstance(found.route, Route):
            name = match[1] or match[2]
            what = f"{found.route.path!r} has no parameter: {match[0].lstrip('/')!r} is fixed text here"
            yield Finding(_place(found.route), what, f"write {{{name}}}, or {{{name}:int}}")


def unknown_parameters(inspection: Inspection) -> Iterator[Finding]:
    """Find `request.path_params["name"]` of names that the path does not have."""
    for function, found in inspection.handlers:
        shared = [one for one in inspection.routes if getattr(one.route, "endpoint", None) is function.function]
        known = {name for one in shared or [found] for name in Template(one.path or "/").parameters}
        known |= set(Template(found.host).parameters) if found.host else set()
        for node in function.nodes:
            name = _path_parameter(node, function)
            if name is not None and name not in known:
                what = f"{function.name} reads path_params[{name!r}], and {found.path} has no such parameter"
                cure = f"write {{{name}}} in the path{near(name, known)}"
                yield Finding(function.at(node), what, cure)


def _path_parameter(node: ast.AST, function: Any) -> str | None:
    match node:
        case ast.Subscript(value=ast.Attribute(value=request, attr="path_params"), slice=ast.Constant(value=str(name))):
            return name if function.is_parameter(request) else None
        case _:
            return None


RULES = [
    Rule("MA101", "a route that nothing reaches", unreachable_routes),
    Rule("MA102", "a host that an earlier pattern hides", hidden_hosts),
    Rule("MA103", "a parameter in another framework's spelling", foreign_templates),
    Rule("MA104", "a path parameter that the path does not have", unknown_parameters),
]
