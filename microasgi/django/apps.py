"""The Django application: `INSTALLED_APPS += ["microasgi.django"]` brings the checks, the command, the template tag.

Law: it is a convenience. Nothing else of the room needs it to be installed.
"""

from __future__ import annotations

from django.apps import AppConfig

__all__ = ["MicroasgiConfig"]


class MicroasgiConfig(AppConfig):
    """The room as Django knows it, under the label "microasgi"."""

    name = "microasgi.django"
    label = "microasgi"
    verbose_name = "microasgi"

    def ready(self) -> None:
        """Register the checks."""
        from microasgi.django.checks import register_checks

        register_checks()
