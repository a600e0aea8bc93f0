"""Texts: what stands in a path, a query, a header, a cookie or a form, as values of scalar types.

The law of this file: the standard library reads them, leniently; what is decided by the type is decided at
registration, and a reader raises nothing but ValueError with the reason.
"""

from __future__ import annotations

import collections.abc
import enum
import types
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from microasgi.exceptions import ConfigurationError
from microasgi.typed.choices import choice_reader, pairs_of
from microasgi.typed.constraints import Constraints, checker, constraints_from
from microasgi.typed.faults import Faulty
from microasgi.typed.moments import read_date, read_datetime, read_time, read_timedelta
from microasgi.typed.scalars import read_bool, read_bytes, read_decimal, read_float, read_int, read_uuid
from microasgi.typed.shapes import unwrapped

__all__ = ["TextType", "text_type"]

Reader: TypeAlias = Callable[[str], Any]

_READERS: Final[dict[type, Reader]] = {
    bool: read_bool,
    bytes: read_bytes,
    date: read_date,
    datetime: read_datetime,
    Decimal: read_decimal,
    float: read_float,
    int: read_int,
    str: str,
    time: read_time,
    timedelta: read_timedelta,
    UUID: read_uuid,
}
_CONTAINERS: Final[dict[Any, type]] = {
    **dict.fromkeys((collections.abc.Sequence, collections.abc.MutableSequence, list), list),
    **dict.fromkeys((collections.abc.Collection, collections.abc.Iterable), list),
    **dict.fromkeys((collections.abc.Set, collections.abc.MutableSet, set), set),
    frozenset: frozenset,
    tuple: tuple,
}
_UNIONS: Final = (Union, types.UnionType)
_MOST_FAULTS: Final = 20


class TextType:
    """How texts become values of one type.

    `read` reads one text, of a container one item; `str` itself where there is nothing to do. `container` is what the
    items are put in, None for a single value; `optional` tells whether None is a value of the type; `check_all` checks
    the length of a container.
    """

    __slots__ = ("check_all", "container", "optional", "read")

    def __init__(
        self,
        read: Reader,
        container: type | None = None,
        optional: bool = False,
        check_all: Callable[[Any], None] | None = None,
    ) -> None:
        self.read = read
        self.container = container
        self.optional = optional
        self.check_all = check_all

    def convert(self, texts: list[str]) -> Any:
        """Return the container of all texts' values; Faulty with a pointer for each text that does not fit."""
        read = self.read
        try:
            values: Any = [read(text) for text in texts]
        except ValueError:
            raise self._faults(texts) from None
        if self.container is not None and self.container is not list:
            values = self.container(values)
        if self.check_all is not None:
            try:
                self.check_all(values)
            except ValueError as error:
                raise Faulty(str(error)) from None
        return values

    def _faults(self, texts: list[str]) -> Faulty:
        faults: list[tuple[str, str]] = []
        for number, text in enumerate(texts):
            try:
                self.read(text)
            except ValueError as error:
                faults.append((f"/{number}", str(error)))
            if len(faults) == _MOST_FAULTS:  # the answer to a long list of nonsense stays short
                break
        return Faulty(*faults)


def text_type(annotation: Any, constraints: Constraints, where: str) -> TextType | None:
    """Return how texts are read as this type, or None where the type is not made of scalars.

    ConfigurationError where a constraint does not fit.
    """
    if _is_scalar(annotation) or _is_container(annotation):
        return _text_type(annotation, constraints, where)
    return None


def _text_type(annotation: Any, constraints: Constraints, where: str) -> TextType:
    bare, metadata = unwrapped(annotation)
    constraints = constraints.merge(constraints_from(metadata, where), where)
    members = _some(bare)
    if len(members) == 1 and members[0] is not bare:
        text = _text_type(members[0], constraints, where)
        text.optional = True
        return text
    container = _CONTAINERS.get(get_origin(bare))
    if container is None:
        return TextType(_reader(bare, constraints, where), optional=_takes_none(bare))
    read = _reader(get_args(bare)[0], Constraints(), where)
    return TextType(read, container, check_all=checker("length", constraints, where))


def _some(bare: Any) -> list[Any]:
    """Return the members of a union without None; of any other type itself."""
    members = get_args(bare) if get_origin(bare) in _UNIONS else [bare]
    return [member for member in members if member is not types.NoneType]


def _takes_none(annotation: Any) -> bool:
    bare, _ = unwrapped(annotation)
    if get_origin(bare) is Literal:
        return None in get_args(bare)
    return get_origin(bare) in _UNIONS and (
        types.NoneType in get_args(bare) or any(_takes_none(member) for member in _some(bare))
    )


def _is_scalar(annotation: Any) -> bool:
    bare, _ = unwrapped(annotation)
    if get_origin(bare) in _UNIONS:
        return all(_is_scalar(member) for member in _some(bare))
    if get_origin(bare) is Literal:
        return True
    return isinstance(bare, type) and (bare in _READERS or issubclass(bare, enum.Enum))


def _is_container(annotation: Any) -> bool:
    bare, _ = unwrapped(annotation)
    if get_origin(bare) in _UNIONS:
        return len(_some(bare)) == 1 and _is_container(_some(bare)[0])
    origin, items = get_origin(bare), get_args(bare)
    if origin is tuple and items[1:] != (...,):
        return False
    return origin in _CONTAINERS and _is_scalar(items[0])


def _reader(annotation: Any, constraints: Constraints, where: str) -> Reader:
    """Return the reader of one text as a scalar that passes the constraints."""
    bare, metadata = unwrapped(annotation)
    constraints = constraints.merge(constraints_from(metadata, where), where)
    if get_origin(bare) in _UNIONS:
        return _first_of([_reader(member, constraints, where) for member in _some(bare)])
    check = checker(bare, constraints, where)
    read = _READERS.get(bare) or _choice(bare, where)
    return read if check is None else _checked(read, check)


def _choice(bare: Any, where: str) -> Reader:
    if get_origin(bare) is Literal:
        read = choice_reader(pairs_of(get_args(bare)), _READERS)
    else:
        read = choice_reader(pairs_of(bare.__members__.values()), _READERS, bare)
    if read is None:
        raise ConfigurationError(f"{where}: {bare!r} has no value that a text can stand for")
    return read


def _first_of(readers: list[Reader]) -> Reader:
    if len(readers) == 1:
        return readers[0]

    def read(text: str) -> Any:
        reasons: dict[str, None] = {}
        for reader in readers:
            try:
                return reader(text)
            except ValueError as error:
                reasons[str(error)] = None
        raise ValueError(", or ".join(reasons))

    return read


def _checked(read: Reader, check: Callable[[Any], None]) -> Reader:
    def read_checked(text: str) -> Any:
        value = read(text)
        check(value)
        return value

    if read is not str:
        return read_checked

    def check_text(text: str) -> str:
        check(text)
        return text

    return check_text
