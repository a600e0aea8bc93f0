"""What happened, kept by the name of the exchange that it happened in."""

from __future__ import annotations

import logging
from typing import Any

import anyio

__all__ = ["DeliberateError", "Records", "record"]


class DeliberateError(Exception):
    """Raised by a handler on purpose; its text must reach no client."""

    def __init__(self, exchange: str) -> None:
        super().__init__(f"the inside {exchange}")
        self.exchange = exchange


class Records(logging.Handler):
    """What happened, by the name of the exchange; a logging handler, so that the framework's own words are in it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.by_exchange: dict[str, list[str]] = {}
        self._waiting: dict[str, anyio.Event] = {}

    def add(self, exchange: str, event: str) -> None:
        """Keep an event."""
        self.by_exchange.setdefault(exchange, []).append(event)

    def of(self, connection: Any, event: str) -> None:
        """Keep an event of a request or a socket."""
        self.add(connection.headers.get("x-exchange", ""), event)

    def tell(self, exchange: str) -> list[str]:
        """Return the events of an exchange; what was unexpected is told once."""
        if exchange == "unexpected":
            return self.by_exchange.pop(exchange, [])
        if exchange in self._waiting:
            self._waiting.pop(exchange).set()
        return self.by_exchange.get(exchange, [])

    async def until_asked(self, connection: Any) -> None:
        """Wait until somebody asks about this request's exchange: a client that has read its answer."""
        asked = self._waiting[connection.headers.get("x-exchange", "")] = anyio.Event()
        await asked.wait()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of the framework's log; one that nobody provoked is kept under "unexpected"."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, DeliberateError):
            self.add(error.exchange, f"log: {record.getMessage().partition(' at ')[0]}")
        else:
            self.add("unexpected", f"{record.getMessage()} {error!r}")


def record(connection: Any, event: str) -> None:
    """Keep an event of a request or a socket in the records of its application."""
    connection.app.state.records.of(connection, event)
