"""The surroundings: the application that a request came to, whose routers in between are part of it."""

from __future__ import annotations

from typing import Any

from microasgi.types import Scope

__all__ = ["surroundings_of"]


def surroundings_of(scope: Scope) -> tuple[Any, str]:
    """Return the application that a request came to, and the prefix that clients reach it by."""
    application: Any = scope.get("app") or scope.get("router")
    outer = scope.get("microasgi.outer")
    while outer is not None and (outer.get("app") or outer.get("router")) is application:
        scope, outer = outer, outer.get("microasgi.outer")
    return application, str(scope.get("root_path") or "").rstrip("/")
