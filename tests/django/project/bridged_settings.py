"""The project's settings for a server with bridges, with more middleware if the environment names it."""

from __future__ import annotations

import os

from tests.django.project.settings import *  # noqa: F403
from tests.django.project.settings import MIDDLEWARE as _MIDDLEWARE

ROOT_URLCONF = "tests.django.project.bridged_urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
WSGI_APPLICATION = None
_MORE = {
    "": [],
    "sync": ["tests.django.project.bridged_middleware.SyncMiddleware"],
    "async": ["tests.django.project.bridged_middleware.AsyncMiddleware"],
}
MIDDLEWARE = [*_MORE[os.environ.get("PROJECT_MORE", "")], *_MIDDLEWARE, *_MORE[os.environ.get("PROJECT_MORE", "")]]
