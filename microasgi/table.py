"""The routing table: from a path to the one target whose template fits best.

The law of this file: the cost of a look-up depends on the number of *shapes* that the templates have (which segments
are fixed, how many there are), never on the number of templates. Order of trial, and so of precedence: a path without
parameters; templates whose only parameter is the last segment; other templates by segment from the left (fixed before
mixed before converted before plain); templates with a spanning parameter, the longest fixed beginning first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Generic, TypeAlias, TypeVar

from microasgi.paths import NO_MATCH, Parameter, Pattern, Reader, Template, clean_path

__all__ = ["Table"]

T = TypeVar("T")
Key: TypeAlias = Callable[[list[str]], Any]
# A reader for the last segment: the parameter's name, or None where the reader gives all values by name.
Last: TypeAlias = tuple[Reader, str | None, T]


class _Leaf(Generic[T]):
    """One template of a shape: how to read each segment that is not fixed, and the tail."""

    __slots__ = ("rank", "readers", "tail", "target")

    def __init__(self, template: Template, target: T) -> None:
        self.target = target
        self.rank = template.rank
        self.readers = [
            (index, *_reader(segment)) for index, segment in enumerate(template.segments) if template.rank[index]
        ]
        self.tail = None if template.tail is None else Pattern(template.tail)

    def read(self, parts: list[str]) -> dict[str, Any] | None:
        values: dict[str, Any] = {}
        for index, read, name in self.readers:
            value = read(parts[index])
            if value is NO_MATCH:
                return None
            if name is None:
                values.update(value)
            else:
                values[name] = value
        if self.tail is None:
            return values
        rest = self.tail.read(parts[-1])
        return {**values, **rest} if isinstance(rest, dict) else None


class _Shape(Generic[T]):
    """The templates that have the same number of segments and the same ones fixed: one dict from those to leaves."""

    __slots__ = ("count", "key", "leaves", "mask")

    def __init__(self, template: Template) -> None:
        self.mask = tuple(map(bool, template.rank))
        self.count = len(self.mask)
        fixed = [index for index, free in enumerate(self.mask) if not free]
        self.key: Key = itemgetter(*fixed) if fixed else _nothing
        self.leaves: dict[Any, list[_Leaf[T]]] = {}

    def add(self, template: Template, target: T) -> None:
        key = self.key(["".join(str(piece) for piece in segment) for segment in template.segments])
        leaves = self.leaves.setdefault(key, [])
        leaves.append(_Leaf(template, target))
        leaves.sort(key=lambda leaf: leaf.rank)

    def find(self, parts: list[str]) -> tuple[T, dict[str, Any]] | None:
        for leaf in self.leaves.get(self.key(parts), ()):
            values = leaf.read(parts)
            if values is not None:
                return leaf.target, values
        return None


class Table(Generic[T]):
    """Templates and their targets, arranged for look-up.

    `exact` holds the templates without parameters: look there first, then call `find`. Of targets with equal
    templates the first one counts.
    """

    __slots__ = ("_by_count", "_last", "_tails", "exact")

    def __init__(self, entries: Iterable[tuple[Template, T]]) -> None:
        self.exact: dict[str, T] = {}
        self._last: dict[str, list[Last[T]]] = {}
        shapes: dict[tuple[bool, tuple[bool, ...]], _Shape[T]] = {}
        ranked: list[tuple[str, int, Last[T]]] = []
        for template, target in entries:
            if not template.parameters:
                self.exact.setdefault(template.text, target)
            elif template.tail is None and not any(template.rank[:-1]):
                head = template.text.rpartition("/")[0]
                ranked.append((head, template.rank[-1], (*_reader(template.segments[-1]), target)))
            else:
                mask = tuple(map(bool, template.rank))
                shape = shapes.setdefault((template.tail is not None, mask), _Shape(template))
                shape.add(template, target)
        for head, _, last in sorted(ranked, key=lambda entry: entry[1]):
            self._last.setdefault(head, []).append(last)
        ordered = sorted(shapes.items(), key=lambda item: item[0][1])
        self._by_count: dict[int, list[_Shape[T]]] = {}
        for (tail, _), shape in ordered:
            if not tail:
                self._by_count.setdefault(shape.count, []).append(shape)
        tails = [shape for (tail, _), shape in ordered if tail]
        self._tails = sorted(tails, key=lambda shape: -shape.count)

    def find(self, path: str) -> tuple[T, dict[str, Any]] | None:
        """Return the target and the parameters' values by name, or None. Look the path up in `exact` first."""
        if not clean_path(path):
            return None
        head, _, last = path.rpartition("/")
        for read, name, target in self._last.get(head, ()):
            value = read(last)
            if value is not NO_MATCH:
                return target, (value if name is None else {name: value})
        if self._by_count:
            parts = path.split("/")
            for shape in self._by_count.get(len(parts), ()):
                found = shape.find(parts)
                if found is not None:
                    return found
        for shape in self._tails:
            parts = path.split("/", shape.count)
            if len(parts) > shape.count:
                found = shape.find(parts)
                if found is not None:
                    return found
        return None


def _reader(segment: list[str | Parameter]) -> tuple[Reader, str | None]:
    only = segment[0]
    if len(segment) == 1 and isinstance(only, Parameter):
        return only.read, only.name
    return Pattern(segment).read, None


def _nothing(parts: list[str]) -> None:
    return None
