"""The project as it is served with applications beside it: its static files below the root path, and logging."""

from __future__ import annotations

from tests.django.project.settings import *  # noqa: F403

DEBUG = True
ROOT_URLCONF = "tests.django.project.beside_urls"
ASGI_APPLICATION = "tests.django.project.beside.application"
STATIC_URL = "static/"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"microasgi": {"handlers": ["console"], "level": "INFO"}},
}
