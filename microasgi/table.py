"""The routing table: from a path to the one target whose template fits best.

The law of this file: the cost of a look-up depends on the number of *shapes* that the templates have (what stands in
which segment, and how many there are), never on the number of templates. Precedence goes segment by segment from the
left: fixed before mixed before converted before plain before spanning; among equals, more fixed text comes first,
then the narrower convertor. The order of registration does not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Generic, TypeAlias, TypeVar

from microasgi.convertors import NO_MATCH, Reader
from microasgi.paths import Template, is_clean

__all__ = ["Table"]

T = TypeVar("T")
Key: TypeAlias = Callable[[list[str]], Any]
# From the path's segments to the parameters' values by name, or NO_MATCH.
Read: TypeAlias = Callable[[list[str]], Any]
# The parts of a shape, as a look-up needs them: key, what has it, and where its tail begins.
Fitting: TypeAlias = tuple[Key, Callable[[Any, tuple[()]], Iterable[tuple[Read, T]]], int | None]


class _Shape(Generic[T]):
    """The templates of one rank: one dict from the segments that are fixed to those that have them."""

    __slots__ = ("key", "leaves", "tail_from")

    def __init__(self, template: Template) -> None:
        fixed = [index for index, rank in enumerate(template.rank) if not rank]
        self.key: Key = itemgetter(*fixed)  # never empty: a path begins with a slash, so its first segment is ""
        self.tail_from = None if template.tail is None else len(template.segments)
        self.leaves: dict[Any, list[tuple[Read, T]]] = {}

    def add(self, template: Template, target: T) -> None:
        key = self.key([part if isinstance(part, str) else "" for part in template.segments])
        self.leaves.setdefault(key, []).append((_read_all(template.readers), target))


class Table(Generic[T]):
    """Templates and their targets, arranged for look-up.

    `exact` holds the templates without parameters: look there first, then call `find`. Of targets with equal
    templates the first one counts.
    """

    __slots__ = ("_last", "_longer", "_shapes", "exact")

    def __init__(self, entries: Iterable[tuple[Template, T]]) -> None:
        self.exact: dict[str, T] = {}
        # By what stands before the last slash: templates whose only parameters are in the last segment. Nothing with
        # parameters comes before these.
        self._last: dict[str, list[tuple[Reader, str | None, T]]] = {}
        shapes: dict[tuple[int, ...], _Shape[T]] = {}
        with_parameters: list[tuple[Template, T]] = []
        for template, target in entries:
            if template.parameters:
                with_parameters.append((template, target))
            else:
                self.exact.setdefault(template.text, target)
        for template, target in sorted(with_parameters, key=_precedence):
            if template.tail is None and not any(template.rank[:-1]):
                _, read, name = template.readers[0]
                self._last.setdefault(template.text.rpartition("/")[0], []).append((read, name, target))
                continue
            shape = shapes.get(template.rank)
            if shape is None:
                shape = shapes[template.rank] = _Shape(template)
            shape.add(template, target)
        # By the number of slashes in the path, and for any greater number.
        self._longer = _fitting(shapes, None)
        self._shapes = {slashes: _fitting(shapes, slashes) for slashes in range(max(map(len, shapes), default=0))}

    def find(self, path: str) -> tuple[T, dict[str, Any]] | None:
        """Return the target and the parameters' values by name, or None. Look the path up in `exact` first."""
        if ("/." in path or "\\" in path or not path.isprintable()) and not is_clean(path):
            return None
        head, slash, last = path.rpartition("/")
        for read, name, target in self._last.get(head, ()) if slash else ():
            value = read(last)
            if value is not NO_MATCH:
                return target, (value if name is None else {name: value})
        shapes = self._shapes.get(path.count("/"), self._longer)
        if not shapes:
            return None
        segments = path.split("/")
        for key, leaves_of, tail_from in shapes:
            parts = segments if tail_from is None else path.split("/", tail_from)
            for read_all, target in leaves_of(key(parts), ()):
                values = read_all(parts)
                if values is not NO_MATCH:
                    return target, values
        return None


def _fitting(shapes: dict[tuple[int, ...], _Shape[T]], slashes: int | None) -> list[Fitting[T]]:
    """Return the shapes that a path with so many slashes may have, in order (None: more than any of them)."""
    return [
        (shape.key, shape.leaves.get, shape.tail_from)
        for rank, shape in shapes.items()
        if slashes == len(rank) - 1 or (shape.tail_from is not None and (slashes is None or slashes >= len(rank)))
    ]


def _precedence(entry: tuple[Template, Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    return entry[0].rank, entry[0].order


def _read_all(readers: list[tuple[int, Reader, str | None]]) -> Read:
    index, read, name = readers[0]
    if len(readers) == 1 and name is not None:
        return _read_one(index, read, name)

    def read_many(segments: list[str]) -> Any:
        values: dict[str, Any] = {}
        for index, read, name in readers:
            value = read(segments[index])
            if value is NO_MATCH:
                return NO_MATCH
            if name is None:
                values.update(value)
            else:
                values[name] = value
        return values

    return read_many


def _read_one(index: int, read: Reader, name: str) -> Read:
    def read_one(segments: list[str]) -> Any:
        value = read(segments[index])
        return value if value is NO_MATCH else {name: value}

    return read_one
