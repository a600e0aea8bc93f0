"""Overrides: what a test puts in the place of an application's dependencies, and takes away again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["Overriding"]


class Overriding:
    """What both clients have for applications that keep a mapping of `dependency_overrides`."""

    app: Any

    @contextmanager
    def override(self, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Generator[None]:
        """Let the application call these in place of its dependencies, as long as the `with` block lasts.

        TypeError if it has no `dependency_overrides`.
        """
        current: Any = getattr(self.app, "dependency_overrides", None)
        if current is None:
            raise TypeError(
                f"{self.app!r} has no dependency_overrides: give the client the application itself, not one around it"
            )
        before = dict(current)
        current.update(overrides)
        try:
            yield
        finally:
            current.clear()
            current.update(before)
