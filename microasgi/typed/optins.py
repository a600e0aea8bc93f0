"""Opt-ins: what routes ask for by an argument, put around the call of their handler. Who asks for nothing has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from microasgi.typed.conditional import Respond, with_etag

__all__ = ["Respond", "wrap"]


def wrap(respond: Respond, options: Mapping[str, Any], where: str) -> Respond:
    """Return the call with everything around it that the route's options ask for."""
    if options.get("etag"):
        respond = with_etag(respond)
    return respond
