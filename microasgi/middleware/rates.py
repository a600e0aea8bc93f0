"""Rates: so many requests in so much time, counted for each key over a sliding window.

Law: the memory of a counter has a bound, and a count costs the same whatever else is counted.

The window slides by weight: of the requests in the window before, as many count as its part that is not over yet.
"""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from microasgi.exceptions import ConfigurationError

__all__ = ["MemoryRates", "Rate", "RateStore", "Usage", "parse_rates"]

_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_read = re.compile(r"\s*([0-9]+)\s*(?:/|per)\s*([0-9]*)\s*(second|minute|hour|day)s?\s*").fullmatch


class Rate(NamedTuple):
    """At most `amount` requests in `window` seconds."""

    amount: int
    window: int


class Usage(NamedTuple):
    """Whether a request was let through, how many more would be now, and in how many seconds one more will be."""

    allowed: bool
    remaining: int
    wait: float

    @property
    def retry_after(self) -> int:
        """The whole number of seconds after which one more is let through, by a clock that is a little off too."""
        return int(self.wait + 0.001) + 1


class RateStore(Protocol):
    """Where requests are counted. `failures` are the errors that say the store cannot be asked."""

    failures: tuple[type[Exception], ...]

    async def hit(self, key: str, rate: Rate) -> Usage:
        """Count a request of this key, if the rate allows it."""
        ...


def parse_rates(text: str) -> list[Rate]:
    """Read "100/minute", "5 per 10 seconds", or several of them between commas or semicolons; ConfigurationError."""
    rates: list[Rate] = []
    for part in re.split("[,;]", str(text)):
        match = _read(part.lower())
        if match is None or not int(match[1]) or match[2] == "0":
            raise ConfigurationError(
                f'{text!r} is no rate: write "100/minute", "5 per 10 seconds" or "10/second; 1000/hour"; the units are '
                f"{', '.join(_SECONDS)}"
            )
        rates.append(Rate(int(match[1]), int(match[2] or 1) * _SECONDS[match[3]]))
    return rates


def weigh(rate: Rate, previous: int, current: int, left: float) -> Usage:
    """Return the usage after `current` requests in a window that has `left` seconds to go, and `previous` before it.

    `allowed` says whether one more would be let through.
    """
    amount, window = rate
    remaining = amount - current - math.floor(previous * left / window)
    if remaining > 0:
        return Usage(True, remaining, 0.0)
    if current < amount:  # enough of the window before has to slide out
        return Usage(False, 0, max(left - window * (amount - current) / previous, 0.0))
    return Usage(False, 0, left + window * max(1 - amount / current, 0.0))


class MemoryRates:
    """Counts in the memory of this process, for at most `max_keys` keys in a window: above it the oldest is forgotten.

    Windows begin together for all keys of a rate, so that what is over is let go of as a whole.
    """

    failures: tuple[type[Exception], ...] = ()

    def __init__(self, max_keys: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_keys = max_keys
        self._clock = clock
        self._windows: dict[Rate, _Windows] = {}

    async def hit(self, key: str, rate: Rate) -> Usage:
        """Count a request of this key, if the rate allows it."""
        now = self._clock()
        windows = self._windows.get(rate)
        if windows is None:
            windows = self._windows[rate] = _Windows(now)
        windows.turn(now, rate.window)
        previous, current = windows.previous.get(key, 0), windows.current.get(key, 0)
        left = windows.began + rate.window - now
        usage = weigh(rate, previous, current, left)
        if not usage.allowed:
            return usage
        windows.current[key] = current + 1
        if len(windows.current) > self._max_keys:
            windows.current.popitem(last=False)
        remaining = usage.remaining - 1
        return Usage(True, remaining, 0.0 if remaining else weigh(rate, previous, current + 1, left).wait)


class _Windows:
    """The counts of the window that runs and of the one before it."""

    def __init__(self, now: float) -> None:
        self.began = now
        self.current: OrderedDict[str, int] = OrderedDict()
        self.previous: OrderedDict[str, int] = OrderedDict()

    def turn(self, now: float, window: int) -> None:
        """Begin the window that `now` is in."""
        over = now - (self.began + window)
        if over >= 0:
            passed = 1 + int(over // window)
            self.previous = self.current if passed == 1 else OrderedDict()
            self.current = OrderedDict()
            self.began += passed * window
