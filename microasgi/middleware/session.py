"""A session: a dictionary of JSON values that comes back with the same browser's next request.

The law of this file: nothing is decoded before somebody looks into the session, and whoever looks has looked at all
of it: from then on `accessed` is true, and the response depends on the cookie.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any, Final, NamedTuple

__all__ = ["Saved", "Session"]

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder().decode
# Code in C that asks a dictionary for its size would take an unread session for an empty one.
_UNREAD: Any = object()
_NESTED: Final = {dict, list}  # what may change though nobody has called the session


class Saved(NamedTuple):
    """A session as it was written last: its secret id, its JSON, and when, in seconds since 1970."""

    id: str
    data: bytes
    written: int


def _nothing() -> Saved | None:
    return None


class Session(dict[str, Any]):
    """What the request's browser has kept for us; changes are written when the response starts, nested ones too.

    Values are what JSON has: text, numbers, booleans, None, lists, and dictionaries with text as keys. Changing it
    after the response has started is a RuntimeError.
    """

    __slots__ = ("_id", "_id_bytes", "_open", "_touched", "accessed", "cleared", "ended", "saved")

    def __init__(self, open_: Callable[[], Saved | None] = _nothing, id_bytes: int = 32) -> None:
        super().__init__({_UNREAD: None})
        self.accessed = False
        """Whether somebody has looked into it."""
        self.cleared = self.ended = self._touched = False  # ended: the response has started
        self.saved: Saved | None = None
        self._open, self._id, self._id_bytes = open_, "", id_bytes

    def look(self) -> None:
        """Decode what was kept, at the first call."""
        if self.accessed:
            return
        self.accessed = True
        super().clear()
        if (saved := self._open()) is None:
            return
        try:
            super().update(_decode(saved.data.decode("utf-8", "surrogatepass")))
        except (ValueError, TypeError, RecursionError):  # written by something else: no session
            super().clear()
            return
        self.saved, self._id = saved, saved.id

    @property
    def modified(self) -> bool:
        """Whether it differs from what was kept; finding out costs writing it down."""
        return self.accessed and self.change() is not None

    @property
    def identity(self) -> str:
        """A name for this session: the same in all its requests, another one after `cycle()` and `clear()`."""
        return sha256(self.secret_id.encode()).hexdigest()

    @property
    def secret_id(self) -> str:
        """What its cookie proves it by. Never show it; `identity` is for that."""
        self.look()
        if not self._id:
            self._id = token_urlsafe(self._id_bytes)
        return self._id

    def cycle(self) -> None:
        """Give the session a new identity and keep its values. Call it when somebody logs in or gets more rights."""
        self._may_change()
        self._id = ""

    def clear(self) -> None:
        """Empty the session; what is put in afterwards belongs to a new identity. Call it when somebody logs out."""
        self._may_change()
        super().clear()
        self._id, self.cleared = "", True

    def _may_change(self) -> None:
        self.look()
        self._touched = True
        if self.ended:
            raise RuntimeError("the response has started: its cookie is gone, the session cannot be changed any more")

    def change(self) -> bytes | None:
        """Return its JSON if it differs from what was kept, nothing for an emptied session; None if it does not.

        ValueError names the key whose value is no JSON.
        """
        if not self._touched and _NESTED.isdisjoint(map(type, super().values())):
            return None
        data = self._dump() if self else b""
        if self.saved is None:
            return data or None
        return None if data == self.saved.data and self._id == self.saved.id else data

    def _dump(self) -> bytes:
        try:
            return _encode(super().copy()).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError) as error:
            faulty = next((key for key, value in self.items() if not _is_json({key: value})), None)
            raise ValueError(f"session[{faulty!r}] cannot be kept: {error}; sessions hold JSON values") from error

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return dict, (dict(self),)  # a copy is plain data


def _is_json(value: object) -> bool:
    try:
        return bool(_encode(value))
    except (TypeError, ValueError, RecursionError):
        return False


def _looking(name: str, check: Callable[[Session], None]) -> Any:
    method = getattr(dict, name)

    def look_first(self: Session, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return method(self, *args, **kwargs)

    look_first.__name__, look_first.__doc__ = name, method.__doc__
    return look_first


_READING = "__contains__ __eq__ __getitem__ __iter__ __len__ __ne__ __or__ __repr__ __reversed__ __ror__ copy get items"
_CHANGING = "__delitem__ __ior__ __setitem__ pop popitem setdefault update"
for _name in [*_READING.split(), "keys", "values"]:
    setattr(Session, _name, _looking(_name, Session.look))
for _name in _CHANGING.split():
    setattr(Session, _name, _looking(_name, Session._may_change))  # pyright: ignore[reportPrivateUsage]
