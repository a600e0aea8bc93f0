"""Header fields: pairs of bytes in the order of the wire, with names that ignore case.

Law: a raw list is the only truth. Reading scans it, writing changes it in place, and nothing gets into it that
RFC 9110 section 5 does not allow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

from microasgi.types import RawHeaders, Scope

__all__ = ["Headers", "MutableHeaders", "encode_header", "find_header", "parse_options"]

T = TypeVar("T")

_WHITESPACE = " \t"
_REMEMBERED = 1024  # pairs, and names; the memory is emptied when it is full
_REMEMBERED_LENGTH = 128  # longer ones are mostly used once: cookies, links, policies with a nonce
_INDEX_ABOVE = 32  # headers; below, scanning for each name is cheaper than an index

_token = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_control = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_options = re.compile(r'(?:[^";]++|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL).findall
_unescape = re.compile(r'\\(["\\])').sub

_pairs: dict[tuple[str, str], tuple[bytes, bytes]] = {}
_names: dict[str, bytes] = {}


def encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    """Make the pair of bytes for a response header: lower-case name, value without outer whitespace.

    ValueError for a name that is no token, for control characters and for text outside of latin-1 (RFC 9110
    section 5); TypeError for anything but text.
    """
    try:
        return _pairs[name, value]
    except (KeyError, TypeError):  # TypeError: an unhashable value, which is refused below
        pass
    pair = _encode(name, value)
    if len(name) + len(value) <= _REMEMBERED_LENGTH:
        if len(_pairs) >= _REMEMBERED:
            _pairs.clear()
        _pairs[name, value] = pair
    return pair


def _encode(name: object, value: object) -> tuple[bytes, bytes]:
    if not isinstance(name, str) or not isinstance(value, str):
        raise TypeError(f"header {name!r}: name and value must be str, got {value!r}; write str(...) or decode it")
    if not _token(name):
        raise ValueError(f"header {name!r}: the name must be a token: letters, digits and !#$%&'*+-.^_`|~")
    if found := _control(value):
        raise ValueError(
            f"header {name!r}: {found[0]!r} at position {found.start()} of the value is a control character; "
            "take line ends, NUL and the like out, or percent-encode the value"
        )
    try:
        return name.lower().encode("ascii"), value.strip(_WHITESPACE).encode("latin-1")
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"header {name!r}: {value[exc.start : exc.start + 1]!r} in the value is not latin-1; percent-encode the "
            "value (urllib.parse.quote)"
        ) from None


def find_header(raw: Sequence[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Find the first value of the header `name`, given in lower case; names in `raw` may have any case.

    Where one name comes in several spellings, the lower-case one goes first.
    """
    for key, value in raw:
        if key == name:
            return value
    size = len(name)  # servers give lower case: a hit costs one bare loop, only a miss comes here
    for key, value in raw:
        if len(key) == size and key.lower() == name:
            return value
    return None


def _name(key: Any) -> bytes:
    """The bytes to look for; nothing, which no header is called, for what is no text."""
    name = _names.get(key)
    if name is None:
        name = key.encode("latin-1", "backslashreplace").lower() if isinstance(key, str) else b""
        if len(name) <= _REMEMBERED_LENGTH:
            if len(_names) >= _REMEMBERED:
                _names.clear()
            _names[key] = name
    return name


class Headers(Mapping[str, str]):
    """Read headers without regard to case; text is latin-1. A name that was sent twice gives its first value.

    Made from one of: `headers` (text, checked like `encode_header`), `raw` (pairs of bytes, kept, not copied),
    `scope` (its "headers").
    """

    __slots__ = ("_index", "_list")

    def __init__(
        self, headers: Mapping[str, str] | None = None, raw: RawHeaders | None = None, scope: Scope | None = None
    ) -> None:
        self._index: dict[bytes, int] | None = None
        if raw is None or headers is not None or scope is not None:
            if (headers is not None) + (raw is not None) + (scope is not None) > 1:
                raise TypeError("headers come from one place: give headers=, raw= or scope=, not two of them")
            pairs = [encode_header(*item) for item in headers.items()] if headers else []
            raw = pairs if scope is None else self._from_scope(scope)
        self._list: RawHeaders = raw

    def _from_scope(self, scope: Scope) -> RawHeaders:
        found: RawHeaders = scope.get("headers") or []
        return found if type(found) is list else list(found)

    @property
    def raw(self) -> RawHeaders:
        """The pairs of bytes themselves, not a copy."""
        return self._list

    def keys(self) -> list[str]:  # type: ignore[override]
        """List the names in lower case, in order, repeated ones repeatedly."""
        if len(self._list) > _INDEX_ABOVE:
            self._remember_positions()
        return [key.lower().decode("latin-1") for key, _ in self._list]

    def _remember_positions(self) -> None:
        """Make `dict(headers)`, which asks for the keys and then for each, linear."""
        rows = [(key, position) for position, (key, _) in enumerate(self._list)]
        rows.reverse()  # the first of a name is what stays, in lower case if it comes so
        self._index = {key.lower(): position for key, position in rows} | dict(rows)

    def values(self) -> list[str]:  # type: ignore[override]
        """List the values, in order."""
        return [value.decode("latin-1") for _, value in self._list]

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """List names (lower case) and values, in order, repeated names repeatedly."""
        return [(key.lower().decode("latin-1"), value.decode("latin-1")) for key, value in self._list]

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str | T) -> str | T: ...
    def get(self, key: str, /, default: str | T | None = None) -> str | T | None:
        """Give the first value of a header, or the default."""
        value = find_header(self._list, _name(key))
        return default if value is None else value.decode("latin-1")

    def getlist(self, key: str) -> list[str]:
        """List all values of a header, in order."""
        name = _name(key)
        return [value.decode("latin-1") for found, value in self._list if found.lower() == name]

    def mutablecopy(self) -> MutableHeaders:
        """Copy into headers that can be changed."""
        return MutableHeaders(raw=self._list[:])

    def __getitem__(self, key: str) -> str:
        rows, name = self._list, _name(key)
        if self._index and (position := self._index.get(name, len(rows))) < len(rows):
            found, value = rows[position]
            if found.lower() == name:  # else somebody has changed the raw list
                return value.decode("latin-1")
        first = find_header(rows, name)
        if first is None:
            raise KeyError(key)
        return first.decode("latin-1")

    def __contains__(self, key: object) -> bool:
        return find_header(self._list, _name(key)) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._list)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return sorted(self.items()) == sorted(other.items())

    def __repr__(self) -> str:
        plain = dict(self.items())
        inside = f"{plain!r}" if len(plain) == len(self) else f"raw={self._list!r}"
        return f"{type(self).__name__}({inside})"


class MutableHeaders(Headers):
    """Headers that can be changed; whatever is set is checked like `encode_header`.

    Works in place on a list given as `raw`. With `scope` (or a message) the list in there is replaced by a copy first,
    so that a list shared between responses stays as it was.
    """

    __slots__ = ()

    def _from_scope(self, scope: Scope) -> RawHeaders:
        copy: RawHeaders = list(scope.get("headers") or ())
        scope["headers"] = copy
        return copy

    def _remember_positions(self) -> None:
        """Remember nothing: the list may change under us."""

    def __setitem__(self, key: str, value: str) -> None:
        pair = encode_header(key, value)
        name, rows = pair[0], self._list
        size = len(name)
        for position, row in enumerate(rows):
            if len(row[0]) == size and (row[0] == name or row[0].lower() == name):
                rows[position:] = [pair, *(later for later in rows[position + 1 :] if later[0].lower() != name)]
                return
        rows.append(pair)

    def __delitem__(self, key: str) -> None:
        """Take out every header of that name; none is no error."""
        name = _name(key)
        self._list[:] = [row for row in self._list if row[0].lower() != name]

    def __ior__(self, other: Mapping[str, str]) -> MutableHeaders:
        self.update(other)
        return self

    def __or__(self, other: Mapping[str, str]) -> MutableHeaders:
        return self.mutablecopy().__ior__(other)

    def setdefault(self, key: str, value: str) -> str:
        """Set a header unless it is there; give the value it has then."""
        if key not in self:
            self.append(key, value)
        return self[key]

    def update(self, other: Mapping[str, str]) -> None:
        """Set every header of a mapping."""
        for key, value in other.items():
            self[key] = value

    def append(self, key: str, value: str) -> None:
        """Add a header beside those of the same name."""
        self._list.append(encode_header(key, value))

    def add_vary_header(self, vary: str) -> None:
        """Add a name to Vary, once; "*" takes the place of all (RFC 9110 section 12.5.5)."""
        names = [name.strip() for line in self.getlist("vary") for name in line.split(",")]
        known = {name.lower() for name in names}
        names += [name.strip() for name in vary.split(",") if name.strip().lower() not in known]
        self["vary"] = "*" if "*" in names else ", ".join(filter(None, names))


def parse_options(value: str) -> tuple[str, dict[str, str]]:
    """Split a media type or disposition from its parameters; both names in lower case, the first of a name counts.

    Quoted strings are understood; in them a backslash escapes only a quote or itself, so that "C:\\dir" survives.
    """
    main, _, rest = value.partition(";")
    options: dict[str, str] = {}
    for part in _options(rest):
        name, _, option = part.partition("=")
        option = option.strip(_WHITESPACE)
        if option[:1] == '"':
            option = _unescape(r"\1", option[1:-1] if len(option) > 1 and option[-1] == '"' else option[1:])
        if name := name.strip(_WHITESPACE).lower():
            options.setdefault(name, option)
    return main.strip(_WHITESPACE).lower(), options
