"""What a socket in groups may be told to watch: how much comes in, whether anybody is there, whether they still may.

The law of this file: a limit that is broken ends the socket with a code that says which.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypedDict

import anyio

from microasgi.exceptions import ConfigurationError, WebSocketException
from microasgi.realtime.messages import Delivery, Gap
from microasgi.realtime.subscription import Overflow
from microasgi.websockets import WebSocket

__all__ = ["PATIENCE", "SUBSCRIBING", "ConnectOptions", "Rate", "answer_of", "check_options", "check_user"]

SUBSCRIBING: Final = ("info", "max_queue", "overflow", "replay", "since")
"""Those of the options that are the subscription's."""
PATIENCE: Final = 10.0
"""Seconds that `revalidate` has to answer."""
_STALE: Final = 4401
logger = logging.getLogger("microasgi")


class ConnectOptions(TypedDict, total=False):
    """What `hub.connect`, `hub.serve` and a GroupEndpoint take besides the groups; seconds are floats.

    `info`, `max_queue`, `overflow`, `replay` and `since` are those of `hub.subscribe`.
    """

    info: Any
    max_queue: int
    overflow: Overflow
    replay: int
    since: str | None
    send: Callable[[Delivery | Gap], Awaitable[None]]
    """Called for what comes from the groups, in place of sending it as JSON."""
    rate: tuple[int, float]
    """At most so many messages from the peer in so many seconds; one more closes with 1008."""
    heartbeat: float
    """After so many seconds in which nothing was sent, send `{"type": "ping"}`."""
    idle: float
    """Close with 1001 when the peer has sent nothing for so many seconds."""
    revalidate: Callable[[WebSocket[Any]], Awaitable[bool | int]]
    """Asked again and again whether the user may stay: True, or False for 4401, or another code to close with."""
    revalidate_every: float
    """Seconds between two such questions, 60 unless told otherwise."""


def check_options(options: ConnectOptions) -> None:
    """ConfigurationError for an option that does not exist, and for a time that is none."""
    given: dict[str, Any] = {**options}
    if unknown := given.keys() - ConnectOptions.__annotations__.keys():
        known = ", ".join(sorted(ConnectOptions.__annotations__))
        raise ConfigurationError(f"{sorted(unknown)} are no options of a socket in groups: there are {known}")
    for name in ("heartbeat", "idle", "revalidate_every"):
        if name in given and not (isinstance(given[name], (int, float)) and given[name] > 0):
            raise ConfigurationError(f"{name}={given[name]!r}: write seconds above 0, or leave it out")


class Rate:
    """A bucket of `number` messages that fills up again in `seconds`."""

    def __init__(self, number: int, seconds: float) -> None:
        if number < 1 or seconds <= 0:
            raise ConfigurationError(f"rate={(number, seconds)!r}: write (messages, seconds), as in (20, 10.0)")
        self._number = number
        self._seconds = seconds
        self._left = float(number)
        self._looked = anyio.current_time()

    def take(self) -> None:
        """Count one message; WebSocketException (1008) when there are too many."""
        now = anyio.current_time()
        filled = self._left + (now - self._looked) * self._number / self._seconds
        self._left, self._looked = min(filled, self._number) - 1, now
        if self._left < 0:
            raise WebSocketException(1008, f"at most {self._number} messages in {self._seconds:g} seconds")


async def check_user(ask: Callable[[WebSocket[Any]], Awaitable[bool | int]], websocket: WebSocket[Any]) -> None:
    """Ask whether the user may stay; WebSocketException with the code to close with if not."""
    answer = await answer_of(ask(websocket))
    if answer is True:
        return
    raise WebSocketException(answer or _STALE, "no longer logged in" if not answer else None)


async def answer_of(question: Awaitable[bool | int]) -> bool | int:
    """Return the answer, or 1011 where there is none in time: whom nobody can ask about does not stay for ever."""
    with anyio.move_on_after(PATIENCE):
        return await question
    logger.warning("hub: revalidate has not answered for %g seconds: the connection is closed", PATIENCE)
    return 1011
