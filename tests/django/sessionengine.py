"""An engine of one's own, as Django's documentation shows it: what is stored is made by a method that is overridden."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """Keep sessions for a long time."""

    def create_model_instance(self, data: dict[str, Any]) -> Any:
        """Make what is stored."""
        made = super().create_model_instance(data)
        made.expire_date = datetime(2090, 1, 1, tzinfo=UTC)
        return made
