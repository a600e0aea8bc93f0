"""The one place where httpx is imported: `httpx`, or its successor `httpx2` where that is what is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from microasgi.exceptions import MissingPackage

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx
    except ModuleNotFoundError:
        try:
            import httpx2 as httpx
        except ModuleNotFoundError:
            raise MissingPackage("httpx", "testing", "for TestClient") from None

__all__ = ["httpx"]
