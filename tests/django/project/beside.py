"""The project's asgi.py: Django, and an application beside it."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.project.beside_settings")

from microasgi.django.beside import asgi

application = asgi({"/api": "tests.django.project.beside_app:app"})
