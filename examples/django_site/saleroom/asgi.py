"""The way in: Django's site, and beside it the API and what is live."""

import os

from microasgi.django import asgi

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saleroom.settings")

application = asgi({"/api": "auction.api:app", "/live": "auction.live:app"})
