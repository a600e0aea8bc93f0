"""Where Django looks for template tags."""

from __future__ import annotations

__all__ = []
