"""The site under the name that every example has: `uvicorn app:app`."""

from saleroom.asgi import application as app

__all__ = ["app"]
