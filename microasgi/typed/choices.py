"""Choices: the values of a Literal and the members of an Enum as texts."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

__all__ = ["choice_reader", "pairs_of"]

Reader: TypeAlias = Callable[[str], Any]

_NAMED: Final = 20


def pairs_of(choices: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Return what stands on the wire and what it means, of each choice: of an enum's member its value and itself."""
    return [(choice.value if isinstance(choice, enum.Enum) else choice, choice) for choice in choices]


def choice_reader(
    pairs: Iterable[tuple[Any, Any]], readers: Mapping[type, Reader], kind: type[enum.Enum] | None = None
) -> Reader | None:
    """Return a reader of these choices, or None where no text stands for any of them.

    `readers` are those of the types of what stands on the wire. What is no choice is asked of the `_missing_` that
    `kind` has of its own; of a Flag, the members' sums are choices too.
    """
    if kind is not None and issubclass(kind, enum.Flag):
        return _flag_reader(kind, readers[int])
    tables: dict[type, dict[Any, Any]] = {}
    for wire, meaning in pairs:
        scalar = next((base for base in type(wire).__mro__ if base in readers), None)
        if scalar is not None:
            tables.setdefault(scalar, {}).setdefault(wire, meaning)
    if not tables:
        return None
    reason = _one_of([wire for table in tables.values() for wire in table])
    if kind is not None and "_missing_" in {name for base in _own_bases(kind) for name in vars(base)}:
        return _open_reader([(readers[scalar], table) for scalar, table in tables.items()], kind, reason)
    if tables.keys() == {str}:
        return _text_reader(tables[str], reason)
    return _closed_reader([(readers[scalar], table) for scalar, table in tables.items()], reason)


def _flag_reader(kind: type[enum.Flag], read_int: Reader) -> Reader | None:
    values = [int(member.value) for member in kind]
    everything = 0
    for value in values:
        everything |= value
    reason = f"has to be a sum of {', '.join(map(str, values))}"

    def read(text: str) -> Any:
        try:
            number = read_int(text)
        except ValueError:
            raise ValueError(reason) from None
        if number < 0 or number & ~everything:
            raise ValueError(reason)
        return kind(number)

    return read if values else None


def _own_bases(kind: type) -> Iterable[type]:
    return (base for base in kind.__mro__ if base not in (enum.Enum, object))


def _text_reader(table: dict[Any, Any], reason: str) -> Reader:
    def read(text: str) -> Any:
        try:
            return table[text]
        except KeyError:
            raise ValueError(reason) from None

    return read


def _closed_reader(tables: list[tuple[Reader, dict[Any, Any]]], reason: str) -> Reader:
    def read(text: str) -> Any:
        for reader, table in tables:
            try:
                return table[reader(text)]
            except (ValueError, KeyError):
                continue
        raise ValueError(reason)

    return read


def _open_reader(tables: list[tuple[Reader, dict[Any, Any]]], kind: type[enum.Enum], reason: str) -> Reader:
    readers = [reader for reader, _ in tables]

    def read(text: str) -> Any:
        for reader in readers:
            try:
                return kind(reader(text))
            except (ValueError, TypeError, LookupError):  # a `_missing_` that looks the name up raises KeyError
                continue
        raise ValueError(reason)

    return read


def _one_of(choices: list[Any]) -> str:
    names = [_name(choice) for choice in choices]
    if len(names) == 1:
        return f"has to be {names[0]}"
    rest = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"has to be one of {', '.join(names[:_NAMED])}{rest}"


def _name(choice: Any) -> str:
    if isinstance(choice, bool):
        return str(choice).lower()
    if isinstance(choice, bytes):
        choice = choice.decode(errors="replace")
    return repr(choice) if isinstance(choice, (str, int, float)) else f"'{choice}'"
