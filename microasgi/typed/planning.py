"""Planning: from the signature of a handler to the steps of its call. All of it happens at registration.

The law of this file: a parameter that nobody can fill is refused here, with its place and with what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, cast, get_origin

from microasgi.background import BackgroundTasks
from microasgi.connection import HTTPConnection, State
from microasgi.convertors import BuiltIn
from microasgi.exceptions import ConfigurationError
from microasgi.paths import Parameter as PathParameter
from microasgi.responses import Response
from microasgi.typed.bodies import BodyStep, FormStep
from microasgi.typed.dependencies import Argument, DependencyStep, Invocation, blame_for
from microasgi.typed.files import file_reader, is_file_type, wants_bytes
from microasgi.typed.graph import Graph, override_of
from microasgi.typed.groups import Group
from microasgi.typed.inference import as_converted, how_to_write, infer, name_of
from microasgi.typed.injected import Dress, MakeStep, find_state, read_state, refuse_elsewhere
from microasgi.typed.markers import Body, Depends, File, Form, FromState, Marker, Path, Security
from microasgi.typed.models import is_model, text_model
from microasgi.typed.parameters import Parameter, reader
from microasgi.typed.security import SecurityScheme, SecurityScopes
from microasgi.typed.signature import EMPTY, Given, Signature, read_signature
from microasgi.typed.texts import text_type

__all__ = ["Planner", "Situation"]

Step: TypeAlias = BodyStep | FormStep | DependencyStep | MakeStep
Scopes: TypeAlias = tuple[str, ...]
S = TypeVar("S", BodyStep, FormStep, DependencyStep, MakeStep)
_FIRST_SLOT: Final = 2  # after the connection and the exits


class Situation(NamedTuple):
    """What a plan has to know of its route."""

    path: Mapping[str, PathParameter]
    methods: Collection[str]
    websocket: bool
    where: str
    names: Mapping[str, Any]
    overrides: Mapping[Callable[..., Any], Callable[..., Any]]


class Planner:
    """Gathers steps, parameters and security requirements while it goes through the signatures."""

    def __init__(self, situation: Situation) -> None:
        self._situation = situation
        self.steps: list[Step] = []
        self._late: list[Step] = []  # the body is read last, when the dependencies have let the request pass
        self.parameters: dict[tuple[str, str], Parameter] = {}
        self.security: list[tuple[SecurityScheme[Any], Scopes]] = []
        self.slots = _FIRST_SLOT
        self.form: FormStep | None = None
        self.body: BodyStep | None = None
        self.tasks: MakeStep | None = None
        self.response: MakeStep | None = None
        self._graph = Graph()
        self._members: list[Argument] = []  # arguments from the body, in the order of its parameters
        self._invocations: list[Invocation] = []
        self._groups: list[Group] = []

    @property
    def has_dependencies(self) -> bool:
        """Whether anything is there that can be overridden."""
        return any(isinstance(step, DependencyStep) for step in self.steps)

    def settle(self) -> None:
        """Fix what depends on all parameters being known."""
        if self.body is not None and self.form is not None:
            raise ConfigurationError(
                f"{self._situation.where}: parameters come from a form and from a JSON body: a request has one body"
            )
        self.steps += self._late
        if self.form is not None:
            self.form.settle()
        if self.body is not None:
            for argument, read in zip(self._members, self.body.settle(), strict=True):
                argument.read = read
        for invocation in self._invocations:
            invocation.settle()
        keys = {str(scheme.scheme.get("name")) for scheme, _ in self.security}
        fields = [] if self.form is None else self.form.parameters
        for group in self._groups:
            group.known |= keys.union(one.alias for one in (*self.parameters.values(), *fields))

    def invocation(self, signature: Signature, scopes: Scopes = (), *, of_handler: bool = False) -> Invocation:
        """Return a callable's call, the steps before it added."""
        arguments: list[Argument] = []
        for position, given in enumerate(signature.parameters):
            argument = self._argument(
                given, signature, scopes, may_be_connection=of_handler and position == 0 and not given.by_keyword
            )
            if argument is not None:
                argument.by_keyword = given.by_keyword
                arguments.append(argument)
        invocation = Invocation(arguments)
        self._invocations.append(invocation)
        return invocation

    def require(self, dependency: Any) -> None:
        """Call a dependency for its effect, as `dependencies=[...]` of a route asks for."""
        if not isinstance(dependency, Depends):
            raise ConfigurationError(
                f"{self._situation.where}: dependencies=[...] holds Depends(...), not {dependency!r}: write "
                f"Depends({getattr(dependency, '__name__', '...')})"
            )
        if dependency.dependency is None:
            raise ConfigurationError(f"{self._situation.where}: Depends() in a list needs the callable: Depends(call)")
        self._depend(dependency, dependency.dependency, (), self._situation.where)

    def _argument(
        self, given: Given, signature: Signature, scopes: Scopes, *, may_be_connection: bool
    ) -> Argument | None:
        hint, where = given.hint, signature.where
        if isinstance(hint.marker, Depends):
            call = hint.annotation if hint.marker.dependency is None else hint.marker.dependency
            if not callable(call):
                raise ConfigurationError(f"{where}: {given.name} is a Depends() of {call!r}, which is not callable")
            return self._at(given, self._depend(hint.marker, call, scopes, where))
        if isinstance(hint.marker, FromState):
            read = find_state if hint.annotation.__class__.__name__ == "TypeVar" else read_state(given.name)
            return Argument(given.name, 0, read, blame_for("", given.name))
        if isinstance(hint.marker, Marker):
            return self._marked(given, hint.marker, where)
        injected = self._injected(given, scopes)
        if injected is not None:
            return injected
        if given.name in self._situation.path:
            return self._marked(as_converted(given, self._situation.path[given.name].kind), Path(), where)
        if may_be_connection and (hint.annotation is EMPTY or hint.annotation is Any):
            return self._at(given, 0)
        if hint.annotation is EMPTY and given.default is not EMPTY:
            return None
        return self._marked(given, infer(given, self._situation.methods, self._situation.websocket, where), where)

    def _injected(self, given: Given, scopes: Scopes) -> Argument | None:
        """Return the argument for a parameter that is filled because of its type."""
        annotation = given.hint.annotation
        kind = get_origin(annotation) or annotation
        if not isinstance(kind, type):
            return None
        refuse_elsewhere(kind, given.name, websocket=self._situation.websocket, where=self._situation.where)
        if issubclass(kind, HTTPConnection):
            return self._at(given, 0)
        if kind is State:
            return Argument(given.name, 0, find_state, blame_for("", given.name))
        if kind is SecurityScopes:
            self._graph.read_scopes()
            wanted = SecurityScopes(scopes)
            return Argument(given.name, 0, lambda _: wanted, blame_for("", given.name))
        if kind is BackgroundTasks:
            self.tasks = self.tasks or self._add(MakeStep(self._new_slot(), BackgroundTasks))
            return self._at(given, self.tasks.slot)
        if kind is Response:
            self.response = self.response or self._add(MakeStep(self._new_slot(), Dress))
            return self._at(given, self.response.slot)
        return None

    def _marked(self, given: Given, marker: Marker, where: str) -> Argument:
        if self._situation.websocket and isinstance(marker, (Body, Form, File)):
            raise ConfigurationError(
                f"{where}: nobody can fill {given.name}: a websocket's handshake has no body, so there is no "
                f"{type(marker).__name__}() of it"
            )
        if isinstance(marker, Body):
            return self._from_body(given, marker, where)
        if isinstance(marker, File) or (isinstance(marker, Form) and is_file_type(given.hint.annotation)):
            return self._from_file(given, marker, where)
        if not isinstance(marker, Path) and is_model(given.hint.annotation):
            return self._from_model(given, marker, where)
        text = text_type(given.hint.annotation, given.hint.constraints, where)
        if text is None and not self._is_converted(given, marker):
            raise ConfigurationError(
                f"{where}: {given.name} is a {name_of(given.hint.annotation)}, which no text of a {marker.place} can "
                f"become. {how_to_write(given)}"
            )
        parameter = Parameter(given, marker, text)
        if isinstance(marker, Path) and text is not None and text.container is not None:
            raise ConfigurationError(
                f"{where}: {given.name} is a list, and a path has one text of a name: take it apart"
            )
        if isinstance(marker, Path):
            return self._from_path(given, parameter, where)
        if isinstance(marker, Form):
            slot = self._form_of([parameter])
        else:
            slot = 0
            self._know(parameter)
        return Argument(given.name, slot, reader(parameter), blame_for(marker.place, parameter.alias))

    def _is_converted(self, given: Given, marker: Marker) -> bool:
        """Tell whether a convertor of the user's own makes this parameter, of whatever type."""
        known = self._situation.path.get(marker.alias or given.name) if isinstance(marker, Path) else None
        return known is not None and not isinstance(known.convertor, BuiltIn)

    def _from_path(self, given: Given, parameter: Parameter, where: str) -> Argument:
        if given.default is not EMPTY:
            raise ConfigurationError(
                f"{where}: {given.name} comes from the path, which always has it: take its default away"
            )
        known = self._situation.path.get(parameter.alias)
        converted = None if known is None or known.is_plain else known.kind
        self._know(parameter)
        try:
            read = reader(parameter, None if converted == "path" else converted)
        except ConfigurationError as error:
            raise ConfigurationError(f"{where}: {error}") from None
        return Argument(given.name, 0, read, blame_for("path", parameter.alias))

    def _from_body(self, given: Given, marker: Body, where: str) -> Argument:
        if self.body is None:
            self.body = BodyStep(self._new_slot(), where)
            self._late.append(self.body)
        self._need(self.body)
        argument = Argument(given.name, self.body.slot, None, blame_for("body", ""))
        self.body.parameters.append(Parameter(given, marker, None))
        self._members.append(argument)
        return argument

    def _from_file(self, given: Given, marker: Marker, where: str) -> Argument:
        if not (is_file_type(given.hint.annotation) or wants_bytes(given.hint.annotation)):
            raise ConfigurationError(
                f"{where}: {given.name} is a {name_of(given.hint.annotation)}: a file is UploadFile, bytes or a list"
            )
        parameter = Parameter(given, marker, None, place="file")
        return Argument(
            given.name, self._form_of([parameter]), file_reader(parameter, where), blame_for("form", parameter.alias)
        )

    def _from_model(self, given: Given, marker: Marker, where: str) -> Argument:
        group = Group(given, marker, text_model(given.hint.annotation, where), where)
        self._groups.append(group)
        if isinstance(marker, Form):
            return Argument(given.name, self._form_of(group.parameters), group.read, group.blame)
        for parameter in group.parameters:
            self._know(parameter)
        return Argument(given.name, 0, group.read, group.blame)

    def _depend(self, marker: Depends, call: Callable[..., Any], scopes: Scopes, where: str) -> int:
        """Return the slot for a dependency's value, its step added unless another one has it."""
        if isinstance(marker, Security):
            scopes = (*scopes, *(scope for scope in marker.scopes if scope not in scopes))
        if _is_scheme(call):
            self.security.append((cast("SecurityScheme[Any]", call), scopes))
        known = self._graph.find(call, scopes, marker)
        if known is not None:
            return known
        self._graph.enter(call, marker, where)
        signature = read_signature(override_of(call, self._situation.overrides), self._situation.names, where)
        invocation = self.invocation(signature, scopes)
        with_function = marker.scope == "function"
        step = self._add(DependencyStep(self._new_slot(), signature.call, invocation, with_function=with_function))
        self._graph.leave(scopes, marker, step.slot)
        return step.slot

    def _form_of(self, parameters: list[Parameter]) -> int:
        if self.form is None:
            self.form = FormStep(self._new_slot())
            self._late.append(self.form)
        self._need(self.form)
        self.form.parameters += parameters
        return self.form.slot

    def _need(self, step: BodyStep | FormStep) -> None:
        """Read the body now if a dependency takes something from it."""
        if self._graph.is_open and step in self._late:
            self._late.remove(step)
            self.steps.append(step)

    def _know(self, parameter: Parameter) -> None:
        alias = parameter.alias.lower() if parameter.place == "header" else parameter.alias
        self.parameters.setdefault((parameter.place, alias), parameter)

    def _new_slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _add(self, step: S) -> S:
        self.steps.append(step)
        return step

    def _at(self, given: Given, slot: int) -> Argument:
        return Argument(given.name, slot, None, blame_for("", given.name))


def _is_scheme(call: object) -> bool:
    return isinstance(call, SecurityScheme)
