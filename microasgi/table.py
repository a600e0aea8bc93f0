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


class _Shape(Generic[T]):
    """The templates of one rank: one dict from the segments that are fixed to those that have them."""

    __slots__ = ("key", "leaves", "tail_from")

    def __init__(self, template: Template) -> None:
        fixed = [index for index, rank in enumerate(template.rank) if not rank]
        self.key: Key = itemgetter(*fixed)  # never empty: a path begins with a slash, so its first segment is ""
        self.tail_from = None if template.tail is None else len(template.segments)
        self.leaves: dict[Any, list[tuple[Read, T]]] = {}


class Table(Generic[T]):
    """Templates and their targets, arranged for look-up.

    `exact` holds the templates without parameters: look there first, then call `find`. Of targets with equal
    templates the first one counts.
    """

    __slots__ = ("_last", "_shapes", "exact")

    def __init__(self, entries: Iterable[tuple[Template, T]]) -> None:
        self.exact: dict[str, T] = {}
        # By what stands before the last slash: templates whose only parameters are in the last segment. Nothing with
        # parameters comes before these.
        self._last: dict[str, list[tuple[Reader, str | None, T]]] = {}
        # By the number of slashes in the path; the last entry is for all greater numbers.
        self._shapes: list[list[_Shape[T]]] = [[]]
        others: list[tuple[Template, T]] = []
        last: list[tuple[Template, T]] = []
        for template, target in entries:
            if not template.parameters:
                self.exact.setdefault(template.text, target)
            elif template.tail is None and not any(template.rank[:-1]):
                last.append((template, target))
            else:
                others.append((template, target))
        for template, target in sorted(last, key=_precedence):
            head = template.text.rpartition("/")[0]
            _, read, name = template.readers[0]
            self._last.setdefault(head, []).append((read, name, target))
        if others:
            self._arrange(others)

    def _arrange(self, entries: list[tuple[Template, T]]) -> None:
        shapes: dict[tuple[int, ...], _Shape[T]] = {}
        for template, target in sorted(entries, key=_precedence):
            shape = shapes.get(template.rank)
            if shape is None:
                shape = shapes[template.rank] = _Shape(template)
            key = shape.key([part if isinstance(part, str) else "" for part in template.segments])
            shape.leaves.setdefault(key, []).append((_read_all(template.readers), target))
        self._shapes = [[] for _ in range(max(map(len, shapes)) + 1)]
        for rank, shape in shapes.items():
            for slashes, fitting in enumerate(self._shapes):
                if slashes == len(rank) - 1 or (shape.tail_from is not None and slashes >= len(rank)):
                    fitting.append(shape)

    def find(self, path: str) -> tuple[T, dict[str, Any]] | None:
        """Return the target and the parameters' values by name, or None. Look the path up in `exact` first."""
        if ("/." in path or "\\" in path or not path.isprintable()) and not is_clean(path):
            return None
        head, slash, last = path.rpartition("/")
        for read, name, target in self._last.get(head, ()) if slash else ():
            value = read(last)
            if value is not NO_MATCH:
                return target, (value if name is None else {name: value})
        shapes = self._shapes[min(path.count("/"), len(self._shapes) - 1)]
        return _search(shapes, path) if shapes else None


def _search(shapes: list[_Shape[T]], path: str) -> tuple[T, dict[str, Any]] | None:
    segments = path.split("/")
    for shape in shapes:
        leaves = shape.leaves.get(shape.key(segments))
        if leaves is None:
            continue
        parts = segments if shape.tail_from is None else path.split("/", shape.tail_from)
        for read, target in leaves:
            values = read(parts)
            if values is not NO_MATCH:
                return target, values
    return None


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
