"""The project's asgi.py: Django, an application beside it, and one around a site."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django.project.beside_settings")

from microasgi.django.beside import asgi

application = asgi({"/api": "tests.django.project.beside_app:app", "/around": "tests.django.project.beside_app:around"})
