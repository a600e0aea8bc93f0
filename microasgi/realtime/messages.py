"""What members are given: a message as it arrives, and the gap where some may be missing.

The law of this file: a message is encoded once for all who get it, and decoded once for all who look inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from microasgi.exceptions import HTTPException, WebSocketException
from microasgi.serialization import decode_json, encode_json

__all__ = ["BINARY", "Delivery", "Gap", "HubUnavailable", "SlowReader", "as_delivery", "check_group", "check_size"]

BINARY: Final = (bytes, bytearray, memoryview)
_UNREAD: Final = object()


class HubUnavailable(HTTPException):
    """What carries the messages between processes does not answer: 503, unless the handler catches it."""

    def __init__(self, reason: str) -> None:
        super().__init__(503, headers={"retry-after": "1"})
        self.reason = reason

    def __str__(self) -> str:
        return f"the hub cannot publish: {self.reason}"


class SlowReader(WebSocketException):
    """A member with `overflow="close"` has not read fast enough; leaving a websocket's handler it closes with 1013."""

    def __init__(self, limit: int) -> None:
        super().__init__(1013, f"too slow: {limit} messages were waiting")


@dataclass(frozen=True)
class Gap:
    """Messages of these groups may have been lost: ask for the present state again.

    It comes among the messages after a lost connection, and where `since` is older than what is kept. As JSON it is
    `{"type": "gap", "groups": [...]}`.
    """

    groups: tuple[str, ...]
    type: str = field(default="gap", init=False)


class Delivery:
    """One message as it arrives: `group`, `id` (None where the backend gives none), `data` and, as JSON, `text`.

    All members get the same object: do not change `data`.
    """

    __slots__ = ("_data", "_json", "_payload", "frame", "group", "id")

    def __init__(self, group: str, id: str | None, data: Any = _UNREAD, json: bytes | None = None) -> None:
        self.group = group
        self.id = id
        self._data = data
        self._json = json
        self._payload: str | bytes | None = None
        self.frame: bytes | None = None  # as a server-sent event, once somebody has needed it

    @property
    def data(self) -> Any:
        """What was published."""
        if self._data is _UNREAD:
            self._data = decode_json(self._json or b"")
        return self._data

    @property
    def text(self) -> str:
        """The message as JSON, encoded once for all members. TypeError for bytes."""
        if self._json is None:
            self._json = encode_json(self._data)
        return self._json.decode()

    @property
    def payload(self) -> str | bytes:
        """What a websocket sends: bytes as they are, or the JSON."""
        if self._payload is None:
            self._payload = self._data if isinstance(self._data, bytes) else self.text
        return self._payload

    def __repr__(self) -> str:
        return f"Delivery({self.group!r}, {self.id!r}, {self.data!r:.80})"


def as_delivery(group: str, id: str | None, message: Any) -> Delivery:
    """Return a message that came from elsewhere, with its JSON; TypeError or ValueError where it has none."""
    return Delivery(group, id, message, None if isinstance(message, bytes) else encode_json(message))


def check_group(group: object) -> str:
    """Return the group's name: any text but a lone surrogate, which no wire can carry."""
    if not isinstance(group, str):
        raise TypeError(f"a group's name is a str, not {type(group).__name__}: {group!r:.80}")
    if not group.isascii():
        group.encode()
    return group


def check_size(data: bytes, limit: int) -> bytes:
    """Return a message's bytes; ValueError above the hub's limit."""
    if len(data) > limit:
        raise ValueError(
            f"the message has {len(data)} bytes and the hub carries {limit}: publish where it can be fetched, or raise "
            "Hub(max_message_size=...)"
        )
    return data
