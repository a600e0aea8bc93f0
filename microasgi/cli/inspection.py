"""The inspection: what the rules of `check` are given to look at, and what they have found.

The law of the rules: nothing is said that is not known with near certainty; what cannot be resolved is passed over.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple, cast

from microasgi.cli.complaints import is_users
from microasgi.cli.loading import Loaded
from microasgi.cli.sources import FunctionNode, find_call, find_definition, find_function, own_nodes, users_files
from microasgi.cli.tree import Found, stack_of, unwrap, walk
from microasgi.endpoints import HTTPEndpoint, is_class_endpoint
from microasgi.stack import Middleware

__all__ = ["Finding", "Function", "Inspection", "Place", "Rule"]


class Place(NamedTuple):
    """A line of a file."""

    file: str
    line: int


class Finding(NamedTuple):
    """Something that is legal but wrong: where, what, and what to write instead."""

    place: Place
    what: str
    cure: str


class Rule(NamedTuple):
    """A code, what it is about in a few words, and the function that looks for it; `deploy`: in production only."""

    code: str
    title: str
    find: Callable[[Inspection], Iterator[Finding]]
    deploy: bool = False


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the user's that the application calls: a handler of http or websockets, or a middleware."""

    function: Any
    node: FunctionNode
    file: str
    kind: str
    found: Found | None
    is_method: bool = False

    @property
    def name(self) -> str:
        """Its name as it is read in a sentence."""
        return f"`{self.node.name}`"

    @property
    def place(self) -> Place:
        """The line of its `def`."""
        return Place(self.file, self.node.lineno)

    def at(self, node: ast.AST) -> Place:
        """Return the place of something in it."""
        return Place(self.file, getattr(node, "lineno", self.node.lineno))

    @cached_property
    def parameter(self) -> str | None:
        """The name under which it has the request or the websocket."""
        arguments = [*self.node.args.posonlyargs, *self.node.args.args][self.is_method :]
        return arguments[0].arg if arguments else None

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """Everything in its body that runs when it does."""
        return list(own_nodes(self.node))

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """What each node stands in."""
        return {child: node for node in (self.node, *self.nodes) for child in ast.iter_child_nodes(node)}

    @cached_property
    def calls(self) -> list[ast.Call]:
        """The calls in its body."""
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    def calls_on_parameter(self, *names: str) -> Iterator[ast.Call]:
        """Yield the calls `request.name(...)` of these names."""
        for call in self.calls:
            if isinstance(call.func, ast.Attribute) and call.func.attr in names and self.is_parameter(call.func.value):
                yield call

    def is_parameter(self, node: ast.AST) -> bool:
        """Tell whether this is the request, or the websocket, itself."""
        return isinstance(node, ast.Name) and node.id == self.parameter and node.id not in self._stored

    @cached_property
    def _stored(self) -> set[str]:
        return {node.id for node in self.nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}

    @cached_property
    def _own_names(self) -> set[str]:
        arguments = self.node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        defined = {str(getattr(node, "name", "")) for node in self.nodes}  # functions, classes, `except ... as name`
        return self._stored | defined | {argument.arg for argument in every if argument}

    @cached_property
    def _imported(self) -> dict[str, Any]:
        """What it imports itself, as far as that is loaded already."""
        found: dict[str, Any] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                found |= {one.asname or one.name: sys.modules.get(one.name) for one in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                module = sys.modules.get(node.module or "")
                found |= {one.asname or one.name: getattr(module, one.name, None) for one in node.names}
        return found

    @cached_property
    def _outer_names(self) -> dict[str, Any]:
        function = inspect.unwrap(self.function)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        return {**vars(builtins), **function.__globals__, **dict(_contents(cells))}

    def resolve(self, node: ast.AST) -> Any:
        """Return the object that a name, an attribute or a method stands for, or None; no code of the user's runs."""
        if isinstance(node, ast.Name):
            if node.id in self._imported:
                return None if node.id in self._stored else self._imported[node.id]
            return None if node.id in self._own_names else self._outer_names.get(node.id)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Call):  # Path("x").read_text: what is called is a class
            owner = self.resolve(node.value.func)
            return inspect.getattr_static(owner, node.attr, None) if isinstance(owner, type) else None
        owner = self.resolve(node.value)
        if owner is None:
            return None
        return getattr(owner, node.attr, None) if isinstance(owner, ModuleType) else _static(owner, node.attr)


def _contents(cells: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in cells:
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue


def _static(owner: Any, name: str) -> Any:
    found: Any = inspect.getattr_static(owner, name, None)
    return cast(Any, found).__func__ if isinstance(found, staticmethod | classmethod) else found


class Inspection:
    """One application, taken apart."""

    def __init__(self, loaded: Loaded, *, deploy: bool = False) -> None:
        self.loaded = loaded
        self.deploy = deploy
        self.app = unwrap(loaded.app)
        self.is_wrapped = self.app is not loaded.app
        self.routes = list(walk(loaded.app))
        self.file = getattr(loaded.module, "__file__", None) or loaded.module.__name__
        self.files = users_files(self.file)
        self.app_place = Place(self.file, find_definition(self.file, loaded.attribute.partition(".")[0]))

    @cached_property
    def stacks(self) -> list[list[Middleware]]:
        """Every list of middleware that stands somewhere: of applications, of routers, of routes."""
        owners = {id(owner): owner for found in self.routes for owner in found.owners}
        owners.setdefault(id(self.app), self.app)
        stacks = [stack_of(owner) for owner in owners.values()]
        return [stack for stack in [*stacks, *(list(found.route.middleware) for found in self.routes)] if stack]

    @cached_property
    def middleware(self) -> list[Middleware]:
        """Every middleware once."""
        return list({id(one): one for stack in self.stacks for one in stack}.values())

    def place_of(self, middleware: Middleware) -> Place:
        """Return where a middleware is added, as far as that can be seen; else where the application is made."""
        found = find_call(self.files, getattr(middleware.cls, "__name__", ""))
        return Place(*found) if found else self.app_place

    @cached_property
    def functions(self) -> list[Function]:
        """Every function of the user's that answers or stands around, once."""
        every = [*self._handlers(), *self._layers()]
        return list({(one.file, one.node.lineno): one for one in reversed(every)}.values())[::-1]

    @property
    def handlers(self) -> list[tuple[Function, Found]]:
        """Those that answer, each with its route."""
        return [(function, function.found) for function in self.functions if function.found is not None]

    @property
    def layers(self) -> list[Function]:
        """The function middleware."""
        return [function for function in self.functions if function.kind == "middleware"]

    def _handlers(self) -> Iterator[Function]:
        for found in self.routes:
            endpoint: Any = getattr(found.route, "endpoint", None)
            kind = "websocket" if getattr(found.route, "websocket", False) else "http"
            if not is_class_endpoint(endpoint):
                yield from _functions(endpoint, kind, found)
            elif issubclass(endpoint, HTTPEndpoint):
                for method in endpoint.methods:
                    yield from _functions(getattr(endpoint, method.lower()), kind, found, is_method=True)

    def _layers(self) -> Iterator[Function]:
        for middleware in self.middleware:
            if middleware.is_function:
                yield from _functions(middleware.cls, "middleware", None)


def _functions(endpoint: Any, kind: str, found: Found | None, is_method: bool = False) -> Iterator[Function]:
    """Yield the one function that an endpoint is, if its source can be seen and is the user's."""
    if inspect.ismethod(endpoint):
        endpoint, is_method = endpoint.__func__, True
    if not inspect.isroutine(endpoint):
        return
    code = getattr(inspect.unwrap(endpoint), "__code__", None)
    if code is None or not is_users(code.co_filename):
        return
    node = find_function(code.co_filename, code.co_firstlineno, code.co_name)
    if node is not None:
        yield Function(endpoint, node, code.co_filename, kind, found, is_method)
