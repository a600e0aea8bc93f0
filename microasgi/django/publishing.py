"""Publishing: a message for a hub that leaves when the transaction is committed, and never if it is not.

Law: what is published is true. Who hears of a row can read it.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from django.db import transaction

__all__ = ["Publisher", "publish_on_commit"]

logger = logging.getLogger("microasgi.django")


class Publisher(Protocol):
    """What can publish from a thread: a `microasgi.realtime.Hub`."""

    def publish_sync(self, group: str, message: Any, /) -> object:
        """Publish a message to a group."""
        ...


def publish_on_commit(hub: Publisher, group: str, message: Any, *, using: str | None = None) -> None:
    """Publish a message when the current transaction is committed; at once where there is none.

    For code that may use the ORM: a `def` handler, `db()`, a view, a signal's receiver, a command. What `message` is
    has to be known now; it is sent as it is then. After a rollback nothing is sent. The data is committed by then, so
    a hub that cannot be reached is no error of the caller's: it is logged by "microasgi.django". `using` is the
    database's alias. In a `TestCase`, which never commits, use `captureOnCommitCallbacks(execute=True)`.
    """

    def publish() -> None:
        try:
            hub.publish_sync(group, message)
        except Exception:
            logger.exception("a message for the group %r was not published", group)

    transaction.on_commit(publish, using=using)
