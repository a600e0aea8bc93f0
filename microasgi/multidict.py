"""Mappings in which a key may have several values: query strings and forms.

Law: the list of pairs keeps everything in order; the dictionary beside it has the last value of each key.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, ClassVar, Self, TypeVar, cast, overload

from microasgi.exceptions import MissingField

__all__ = ["ImmutableMultiDict", "MultiDict"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)


class ImmutableMultiDict(Mapping[K, V_co]):
    """Read a key's last value by `[]`, all of them by `getlist`.

    Made from another one, a mapping or an iterable of pairs, and keywords, which come last.
    """

    __slots__ = ("_dict", "_list")
    place: ClassVar[str] = ""
    """What a client has to fill: a key that is missing there is its mistake and not the handler's."""

    def __init__(
        self,
        pairs: ImmutableMultiDict[K, V_co] | Mapping[K, V_co] | Iterable[tuple[K, V_co]] = (),
        /,
        **keywords: Any,
    ) -> None:
        # the first case is what parsers give, once a request
        self._list: list[tuple[K, V_co]] = pairs[:] if type(pairs) is list and not keywords else _pairs(pairs, keywords)
        self._dict: dict[K, V_co] = dict(self._list)

    @classmethod
    def of_pairs(cls, pairs: list[tuple[K, V_co]]) -> Self:
        """Make one of a list that nobody else has: neither copied nor looked through."""
        made = cls.__new__(cls)
        made._list, made._dict = pairs, dict(pairs)
        return made

    def getlist(self, key: object) -> list[V_co]:
        """List all values of a key, in order."""
        return [value for found, value in self._list if found == key]

    def multi_items(self) -> list[tuple[K, V_co]]:
        """List all pairs, in order, repeated keys repeatedly."""
        return list(self._list)

    def keys(self) -> KeysView[K]:
        """View the keys, each once."""
        return self._dict.keys()

    def values(self) -> ValuesView[V_co]:
        """View the last value of each key."""
        return self._dict.values()

    def items(self) -> ItemsView[K, V_co]:
        """View each key with its last value."""
        return self._dict.items()

    @overload
    def get(self, key: K, /) -> V_co | None: ...
    @overload
    def get(self, key: K, /, default: V_co | T) -> V_co | T: ...
    def get(self, key: K, /, default: V_co | T | None = None) -> V_co | T | None:
        """Give a key's last value, or the default."""
        return self._dict.get(key, default)

    def __getitem__(self, key: K) -> V_co:
        try:
            return self._dict[key]
        except KeyError:
            if self.place:
                raise MissingField(self.place, key) from None
            raise

    def __contains__(self, key: object) -> bool:
        return key in self._dict

    def __iter__(self) -> Iterator[K]:
        return iter(self._dict)

    def __len__(self) -> int:
        return len(self._dict)

    def __eq__(self, other: object) -> bool:
        """Compare keys with all their values; the order of the keys does not count."""
        if not isinstance(other, ImmutableMultiDict):
            return NotImplemented
        pairs: list[tuple[Any, Any]] = cast("Any", other).multi_items()
        return _grouped(self._list) == _grouped(pairs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._list!r})"


class MultiDict(ImmutableMultiDict[K, V]):
    """A multi-mapping that can be changed; `[]=` leaves one value, `append` adds one."""

    __slots__ = ()

    def __setitem__(self, key: K, value: V) -> None:
        self.setlist(key, [value])

    def __delitem__(self, key: K) -> None:
        del self._dict[key]
        self._list[:] = [pair for pair in self._list if pair[0] != key]

    def append(self, key: K, value: V) -> None:
        """Add a value beside the others of the key."""
        self._list.append((key, value))
        self._dict[key] = value

    def setlist(self, key: K, values: Iterable[V]) -> None:
        """Give a key these values instead of those it has; none takes the key out."""
        added = list(values)
        self.poplist(key)
        self._list.extend((key, value) for value in added)
        if added:
            self._dict[key] = added[-1]

    def poplist(self, key: K) -> list[V]:
        """Take a key out and list its values."""
        if key not in self._dict:
            return []
        values = self.getlist(key)
        del self[key]
        return values

    @overload
    def pop(self, key: K, /) -> V | None: ...
    @overload
    def pop(self, key: K, /, default: V | T) -> V | T: ...
    def pop(self, key: K, /, default: V | T | None = None) -> V | T | None:
        """Take a key out with all its values and give the last, or the default."""
        values = self.poplist(key)
        return values[-1] if values else default

    def popitem(self) -> tuple[K, V]:
        """Take the newest key out with all its values and give it with the last; KeyError when empty."""
        key, value = self._dict.popitem()
        self._list[:] = [pair for pair in self._list if pair[0] != key]
        return key, value

    def clear(self) -> None:
        """Take everything out."""
        self._dict.clear()
        self._list.clear()

    def setdefault(self, key: K, default: V) -> V:
        """Set a key unless it is there; give the value it has then."""
        if key not in self._dict:
            self.append(key, default)
        return self._dict[key]

    def update(
        self,
        pairs: ImmutableMultiDict[K, V] | Mapping[K, V] | Iterable[tuple[K, V]] = (),
        /,
        **keywords: Any,
    ) -> None:
        """Give every key named here all the values it has here, instead of those it had."""
        added = _pairs(pairs, keywords)
        replaced = dict(added)
        self._list[:] = [pair for pair in self._list if pair[0] not in replaced]
        self._list.extend(added)
        self._dict.update(replaced)


def _pairs(pairs: Any, keywords: dict[str, Any]) -> list[tuple[Any, Any]]:
    if hasattr(pairs, "multi_items"):
        found: list[tuple[Any, Any]] = pairs.multi_items()
    else:
        found = list(pairs.items() if hasattr(pairs, "items") else pairs)
    return [*found, *keywords.items()] if keywords else found


def _grouped(pairs: list[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups
