"""The care of Django's database connections in a thread that serves one caller after the other.

The law of this file: what Django does around a request is done here at each boundary, and a connection is never closed
under an iteration that has not ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from inspect import GEN_CLOSED, getgeneratorstate
from typing import Any, Final
from weakref import WeakSet, ref

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

__all__ = ["TICK", "Care"]

logger = logging.getLogger("microasgi.django")


TICK: Final = 1.0  # seconds between two looks at what could not be closed yet


class Care:
    """Tends the connections of the thread that made it.

    Every call ends with a boundary when `every` is 0; otherwise a boundary comes once in `every` seconds, between two
    calls. At a boundary connections are closed or kept as CONN_MAX_AGE and CONN_HEALTH_CHECKS say, as Django does
    between two requests; those of a psycopg pool go back to it after every call. A connection that an error has broken
    is replaced at once.
    """

    def __init__(self, every: float = 0.0) -> None:
        self._every = every
        self._last = time.monotonic()
        self._mine: dict[str, BaseDatabaseWrapper] = {}  # to ask Django for them costs more than all the rest
        self._cursors: WeakSet[Any] = WeakSet()
        self._holder: ref[Generator[Any, Any, Any]] | None = None
        for alias in connections:
            self._watch(alias)

    @property
    def occupied(self) -> bool:
        """Whether a generator that goes on later has a transaction open here."""
        holder = None if self._holder is None else self._holder()
        return holder is not None and getgeneratorstate(holder) != GEN_CLOSED

    def after(self, generator: Generator[Any, Any, Any] | None = None) -> None:
        """Tidy after a call, or after a step of a generator, which may leave its transaction open.

        TransactionManagementError if another one did, which is rolled back.
        """
        used = list(self._mine.values())
        self._judge([each for each in used if each.in_atomic_block], generator)
        for connection in used:
            if connection.errors_occurred and connection.connection is not None and not connection.in_atomic_block:
                self._replace_if_broken(connection)
        if time.monotonic() - self._last >= self._every:
            self._pass_boundary()
        else:
            self._close_obsolete([each for each in used if each.settings_dict["OPTIONS"].get("pool")])

    def pause(self) -> float | None:
        """Return after how many seconds without a call `rest` is to be called; None for never."""
        if self._cursors or self._holder is not None:
            return TICK
        closing = [
            each.close_at for each in self._mine.values() if each.connection is not None and each.close_at is not None
        ]
        if not closing:
            return None
        # After a boundary a tick at least: there are connections that nothing closes, as sqlite's in memory.
        return max(0.0, max(min(closing), self._last + max(self._every, TICK)) - time.monotonic())

    def rest(self) -> None:
        """Pass a boundary without a call; a transaction whose generator is gone is rolled back."""
        if not self.occupied:
            self._holder = None
            self._forget([each for each in self._mine.values() if each.in_atomic_block])
        self._pass_boundary()

    def end(self) -> None:
        """Close everything: the thread ends."""
        self._forget(list(self._mine.values()))

    def _judge(self, in_transaction: list[BaseDatabaseWrapper], generator: Generator[Any, Any, Any] | None) -> None:
        if not in_transaction:
            self._holder = None
            return
        if self.occupied:
            return
        if generator is not None and getgeneratorstate(generator) != GEN_CLOSED:
            self._holder = ref(generator)
            return
        self._holder = None
        self._forget(in_transaction)
        raise TransactionManagementError(
            "a transaction was left open at the end of the function that began it, and was rolled back: this thread "
            "goes on with work of other requests. Write the transaction as one sync function: "
            "await db(atomic(function))"
        )

    def _pass_boundary(self) -> None:
        self._last = time.monotonic()
        used = list(self._mine.values())
        if settings.DEBUG:
            for connection in used:
                connection.queries_log.clear()
        self._close_obsolete(used)

    def _close_obsolete(self, those: list[BaseDatabaseWrapper]) -> None:
        if self._cursors or self.occupied:
            return
        for connection in those:
            try:
                connection.close_if_unusable_or_obsolete()
            except Exception:
                logger.warning("the connection %r cannot be closed; it is dropped", connection.alias, exc_info=True)
                self._forget([connection])

    def _replace_if_broken(self, connection: BaseDatabaseWrapper) -> None:
        if connection.is_usable():
            connection.errors_occurred = False
            return
        self._forget([connection])

    def _forget(self, those: list[BaseDatabaseWrapper]) -> None:
        """Close connections whatever state they are in, and begin anew at their next use."""
        for connection in those:
            try:
                connection.close()
            except Exception:
                logger.debug("closing the connection %r failed", connection.alias, exc_info=True)
            del connections[connection.alias]
            self._watch(connection.alias)

    def _watch(self, alias: str) -> None:
        """Know the cursors that outlive one call: those of `async for row in queryset.aiterator()`."""
        try:
            connection: Any = connections[alias]
        except Exception:  # whoever uses this database is told why it cannot be used
            return
        make = connection.chunked_cursor

        def chunked_cursor() -> Any:
            cursor = make()
            self._cursors.add(cursor)
            return cursor

        connection.chunked_cursor = chunked_cursor
        self._mine[alias] = connection
