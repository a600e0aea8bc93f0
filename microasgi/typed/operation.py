"""Operations: one handler at one route, with all that its call needs; what the core calls and the document shows."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

from microasgi.endpoints import function_of
from microasgi.exceptions import ConfigurationError
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.routes import Route
from microasgi.typed.answers import finisher
from microasgi.typed.dependencies import EXITS, caller, is_async
from microasgi.typed.exits import SHARED, Exits
from microasgi.typed.faults import Fault, ValidationError
from microasgi.typed.injected import run_after
from microasgi.typed.optins import OPT_INS, Respond, wrap
from microasgi.typed.parameters import Parameter
from microasgi.typed.planning import Planner, Situation
from microasgi.typed.results import result_of
from microasgi.typed.security import SecurityScheme
from microasgi.typed.signature import Signature, is_local, read_signature

__all__ = ["Operation", "bind_route"]

Overrides: TypeAlias = Mapping[Callable[..., Any], Callable[..., Any]]
_NOTHING: Overrides = {}


def bind_route(route: Route, namespace: Mapping[str, Any]) -> Operation | None:
    """Return a route's handler bound, or None where it turns out that the core calls it in the best way itself."""
    signature = read_signature(route.endpoint, namespace, route.where, of_handler=True)
    # Kept for dependencies that are overridden, or bound anew below a prefix; modules keep their own names.
    operation = Operation(route, signature, {**namespace} if is_local(route.endpoint) else {})
    return None if operation.is_plain else operation


class Operation:
    """A typed handler of a route; see the attributes for what its request holds and its response is."""

    def __init__(
        self, route: Route, signature: Signature, names: Mapping[str, Any], overrides: Overrides = _NOTHING
    ) -> None:
        self.handler = route.endpoint
        self.where = signature.where
        self._route, self._signature, self._names = route, signature, names
        self._path = route.template.parameters
        situation = Situation(self._path, route.methods or (), route.websocket, route.where, names, overrides)
        plan = Planner(situation)
        for dependency in route.options.get("dependencies", ()):
            plan.require(dependency)
        self._invocation = plan.invocation(signature, of_handler=True)
        plan.settle()
        self.parameters: tuple[Parameter, ...] = tuple(plan.parameters.values())
        self.form: tuple[Parameter, ...] = tuple(plan.form.parameters) if plan.form else ()
        self.body: tuple[Parameter, ...] = tuple(plan.body.parameters) if plan.body else ()
        self.embeds = plan.body is not None and plan.body.embeds
        self.security: tuple[tuple[SecurityScheme[Any], tuple[str, ...]], ...] = tuple(plan.security)
        self.returned = signature.result
        """The return annotation, EMPTY where there is none."""
        self.result = result_of(signature.result, route.options.get("json"), self.where)
        self._steps = tuple(plan.steps)
        self._blank = [None] * (plan.slots - 1)
        self._tasks = plan.tasks.slot if plan.tasks else None
        self._response = plan.response.slot if plan.response else None
        self._has_dependencies = plan.has_dependencies
        self._last: tuple[Overrides, Operation] | None = None
        self._begin()

    def _begin(self) -> None:
        """Choose how the handler is called, and how its result is answered."""
        options = self._route.options
        arranged = self._invocation.arranged(self.handler)
        self._start = _starter(self.handler, arranged, self.where if self._route.websocket else None)
        dresses = self._response is not None
        is_wrapped = dresses or any(options.get(name) for name in OPT_INS)
        self._finish = finisher(self.result, options, self.handler, always=is_wrapped or self._tasks is not None)
        self._respond: Respond | None = None
        if is_wrapped:
            self._respond = wrap(
                self._answer,
                self._start,
                self.result,
                options,
                self.handler,
                self.where,
                dresses=dresses,
                asked=self._headers(),
            )
        self.call = self._call_websocket if self._route.websocket else self._choose_call()

    def _choose_call(self) -> Callable[[Any], Awaitable[Any]]:
        if self._steps or self._respond is not None:
            return self._call_in_steps
        return self._call_at_once

    def _headers(self) -> frozenset[bytes]:
        """Return the names of the headers that are read here: by parameters, and by schemes for keys."""
        names = {one.alias for one in self.parameters if one.place == "header"}
        names |= {scheme.scheme["name"] for scheme, _ in self.security if scheme.scheme.get("in") == "header"}
        return frozenset(name.lower().encode("latin-1", "replace") for name in names)

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the connection goes in, and nothing is done with what comes out."""
        arguments = self._invocation.arguments
        takes_connection = len(arguments) == 1 and arguments[0].read is None and not arguments[0].by_keyword
        plain = (takes_connection or not arguments) and not self._steps and self._respond is None
        return plain and self._finish is None and self._route.options.get("headers") is None

    def again(self, route: Any) -> Operation:
        """Return the same handler for another route: at another place, with other options."""
        return Operation(route, self._signature, self._names)

    def settle(self) -> None:
        """Refuse parameters of a path that does not have them."""
        for parameter in self.parameters:
            if parameter.place == "path" and parameter.alias not in self._path:
                raise ConfigurationError(
                    f"{self.where}: {parameter.name} comes from the path, and {self._route.path!r} has no "
                    f"{{{parameter.alias}}}: write it into the path, or take Path() away"
                )

    async def _call_at_once(self, request: Request[Any]) -> Any:
        faults: list[Fault] = []
        values = self._invocation.values([request], faults)
        if values is None:
            raise ValidationError(faults)
        result = await self._start(*values)
        return result if self._finish is None else self._finish(result)

    def _call_in_steps(self, request: Request[Any]) -> Awaitable[Any]:
        operation = self._as_overridden(request) if self._has_dependencies else self
        return operation._perform([request, *operation._blank])

    async def _perform(self, slots: list[Any]) -> Any:
        """Fill the slots step by step, call the handler, make its response; one coroutine for all of it."""
        faults: list[Fault] = []
        try:
            for step in self._steps:
                await step.run(slots, faults)
            values = self._invocation.values(slots, faults)
            if values is None or faults:
                raise ValidationError(faults)
            if self._respond is not None:
                slots[0].scope[SHARED] = slots[EXITS]
                result = await self._respond(slots[0], values)
            else:
                result = await self._start(*values)
                result = result if self._finish is None else self._finish(result)
            exits: Exits | None = slots[EXITS]
            if exits is not None:
                await exits.end_function()
        except Exception as error:
            if slots[EXITS] is not None:
                await slots[EXITS].fail(error)
            raise
        return result if self._tasks is None else run_after(result, slots[self._tasks])

    async def _answer(self, request: Request[Any], values: Any) -> Response:
        result: Any = await self._start(*values)
        return cast(Response, result if self._finish is None else self._finish(result))

    async def _call_websocket(self, websocket: Any) -> None:
        operation = self._as_overridden(websocket) if self._has_dependencies else self
        slots: list[Any] = [websocket, *operation._blank]
        try:
            await operation._perform(slots)
        finally:
            if slots[EXITS] is not None:
                await slots[EXITS].finish()

    def _as_overridden(self, connection: Any) -> Operation:
        overrides = overrides_in(connection.scope)
        return self._variant(overrides) if overrides else self

    def _variant(self, overrides: Overrides) -> Operation:
        """Return this operation with other dependencies; the one made last is kept."""
        if self._last is None or self._last[0] != overrides:
            variant = Operation(self._route, self._signature, self._names, {**overrides})
            variant.settle()
            self._last = ({**overrides}, variant)
        return self._last[1]


def overrides_in(scope: Any) -> Overrides:
    """Return what the application, or the one around it, says to call in place of dependencies."""
    overrides: Overrides = getattr(scope.get("app"), "dependency_overrides", _NOTHING)
    outermost = scope.get("microasgi.outermost")
    return overrides if outermost is None else {**getattr(outermost, "dependency_overrides", _NOTHING), **overrides}


def _starter(handler: Any, arranged: Callable[..., Any], socket: str | None) -> Callable[..., Awaitable[Any]]:
    """Return how the handler is called; `socket` is the place of one for websockets."""
    function = function_of(handler)
    if socket is not None and not is_async(handler):
        raise ConfigurationError(f"{socket}: a websocket handler has to be `async def`")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        return partial(_begin_stream, arranged)
    return caller(handler, arranged)


async def _begin_stream(handler: Callable[..., Any], *values: Any) -> Any:
    return handler(*values)
