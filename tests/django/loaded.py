"""The project's models, for modules that name it while tests are collected: Django is set up first."""

from __future__ import annotations

import django

django.setup()

from django.contrib.auth.models import User  # noqa: E402

from tests.django.project import urls  # noqa: E402
from tests.django.project.notes.models import Note  # noqa: E402

__all__ = ["Note", "User", "urls"]
