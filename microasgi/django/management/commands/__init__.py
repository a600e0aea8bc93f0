"""The commands of `manage.py`: one, with commands of its own."""

from __future__ import annotations

__all__ = []
