"""The graph of a handler's dependencies, while it is planned: whose value is in which slot, and who asks for whom."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeAlias

from microasgi.endpoints import function_of
from microasgi.exceptions import ConfigurationError
from microasgi.typed.inference import name_of
from microasgi.typed.markers import Depends

__all__ = ["Graph", "override_of"]

Call: TypeAlias = Callable[..., Any]
Scopes: TypeAlias = tuple[str, ...]


class _Same:
    """Stands for a callable that cannot be hashed: equal to itself alone."""

    def __init__(self, call: Call) -> None:
        self.call = call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.call is other.call

    def __hash__(self) -> int:
        return id(self.call)


class _Open:
    """A dependency whose parameters are being planned."""

    def __init__(self, key: Hashable, call: Call, scope: str) -> None:
        self.key, self.call, self.scope = key, call, scope
        self.reads_scopes = False


class Graph:
    """The dependencies of one plan."""

    def __init__(self) -> None:
        self._slots: dict[tuple[Hashable, str, Scopes | None], int] = {}
        self._open: list[_Open] = []

    @property
    def is_open(self) -> bool:
        """Whether the parameters of a dependency, and not of the handler, are being planned."""
        return bool(self._open)

    def find(self, call: Call, scopes: Scopes, marker: Depends) -> int | None:
        """Return the slot of a value that is there already and may be shared."""
        if not marker.use_cache:
            return None
        key = _key(call)
        slot = self._slots.get((key, marker.scope, None))
        if slot is None:
            slot = self._slots.get((key, marker.scope, scopes))
            if slot is not None:
                self.read_scopes()
        return slot

    def enter(self, call: Call, marker: Depends, where: str) -> None:
        """Begin with a dependency; ConfigurationError for one that needs itself, or ends before who asks for it."""
        key = _key(call)
        if any(one.key == key for one in self._open):
            circle = " -> ".join(name_of(one) for one in [*(one.call for one in self._open), call])
            raise ConfigurationError(f"{where}: dependencies go in a circle: {circle}")
        if self._open and marker.scope == "function" and self._open[-1].scope == "request":
            outer = function_of(self._open[-1].call)
            if inspect.isasyncgenfunction(outer) or inspect.isgeneratorfunction(outer):
                raise ConfigurationError(
                    f'{where}: {name_of(call)} ends with the handler (scope="function"), and {name_of(outer)}, which '
                    'takes it, goes on until the response is sent: give both the scope "function", or neither'
                )
        self._open.append(_Open(key, call, marker.scope))

    def leave(self, scopes: Scopes, marker: Depends, slot: int) -> None:
        """End with the dependency that was begun last: its value will be in this slot."""
        done = self._open.pop()
        if done.reads_scopes:
            self.read_scopes()
        if marker.use_cache:  # for other scopes the value is another one only where they are read
            self._slots[done.key, done.scope, scopes if done.reads_scopes else None] = slot

    def read_scopes(self) -> None:
        """Remember that what is being planned depends on the scopes that were asked for."""
        if self._open:
            self._open[-1].reads_scopes = True


def override_of(call: Call, overrides: Mapping[Call, Call]) -> Call:
    """Return what is called in the place of a dependency."""
    return call if isinstance(_key(call), _Same) else overrides.get(call, call)


def _key(call: Call) -> Hashable:
    try:
        hash(call)
    except TypeError:
        return _Same(call)
    return call
