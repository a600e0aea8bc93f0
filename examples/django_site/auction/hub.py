"""The hub: what carries news to whoever looks. In memory for one process; `HUB=redis://...` for more than one."""

import os

from microasgi.realtime import Hub

LOTS = "lots"

hub = Hub(os.environ.get("HUB", "memory://"), replay=100)


def notices_of(user_id: int) -> str:
    """Return the group of what one user alone is told."""
    return f"bidder-{user_id}"
