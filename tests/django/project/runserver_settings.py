"""The same under `manage.py runserver`, which daphne makes an ASGI server of."""

from __future__ import annotations

from tests.django.project.beside_settings import *  # noqa: F403
from tests.django.project.settings import INSTALLED_APPS as ORDINARY

INSTALLED_APPS = ["daphne", *ORDINARY]
