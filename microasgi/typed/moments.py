"""Moments: dates, times and durations as texts (RFC 3339 section 5.6, ISO 8601).

The law of this file: each format is one, the same in every version of Python, whatever its `fromisoformat` takes. The
expressions have one way to match a text: they take linear time.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Final

__all__ = ["read_date", "read_datetime", "read_time", "read_timedelta"]

_DATE: Final = r"\d{4}-\d\d-\d\d"
_TIME: Final = r"(?:[01]\d|2[0-3]):\d\d(?::\d\d(?:\.\d{1,20})?)?(?:Z|[+-]\d\d:\d\d)?"
_is_date: Final = re.compile(_DATE, re.ASCII).fullmatch
_is_time: Final = re.compile(_TIME, re.ASCII | re.IGNORECASE).fullmatch
_is_datetime: Final = re.compile(f"{_DATE}[T ]{_TIME}", re.ASCII | re.IGNORECASE).fullmatch

_NUMBER: Final = r"(\d{1,20}(?:[.,]\d{1,20})?)"
_seconds: Final = re.compile(rf"([+-]?){_NUMBER}", re.ASCII).fullmatch
_duration: Final = re.compile(
    rf"([+-]?)P(?=.)(?:{_NUMBER}W)?(?:{_NUMBER}D)?(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII | re.IGNORECASE,
).fullmatch
_MICROSECONDS: Final = (7 * 86_400_000_000, 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000)


def read_date(text: str) -> date:
    """Return the date of `YYYY-MM-DD`."""
    try:
        if _is_date(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("has to be a date such as 2026-01-31")


def read_datetime(text: str) -> datetime:
    """Return the date and time of `YYYY-MM-DDTHH:MM[:SS[.fraction]][Z|+HH:MM]`; aware where it has an offset."""
    try:
        if _is_datetime(text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass
    # In a query string a plus sign stands for a blank: who forgets to quote it is told.
    hint = " (in a query + is written %2B)" if text[-6:-5] == " " and text[-3:-2] == ":" else ""
    raise ValueError(f"has to be a date and time such as 2026-01-31T12:30:00Z{hint}")


def read_time(text: str) -> time:
    """Return the time of `HH:MM[:SS[.fraction]][Z|+HH:MM]`."""
    try:
        if _is_time(text):
            return time.fromisoformat(text.upper())
    except ValueError:
        pass
    raise ValueError("has to be a time such as 12:30:00")


def read_timedelta(text: str) -> timedelta:
    """Return the duration of ISO 8601, such as `P1DT2H30M`, or a number of seconds; without years and months."""
    found = _duration(text)
    if found is not None:
        sign, *numbers = found.groups()
    elif found := _seconds(text):
        sign, *numbers = found[1], None, None, None, None, found[2]
    else:
        raise ValueError("has to be a duration such as P1DT2H30M, or seconds")
    total = sum(_microseconds(number, unit) for number, unit in zip(numbers, _MICROSECONDS, strict=True) if number)
    try:
        return timedelta(microseconds=-total if sign == "-" else total)
    except OverflowError:
        raise ValueError("has to be a duration below 1,000,000,000 days") from None


def _microseconds(number: str, unit: int) -> int:
    whole, _, fraction = number.replace(",", ".").partition(".")
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * unit // scale
