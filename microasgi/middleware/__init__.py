"""Middleware that comes along: pure ASGI classes, to be stacked in any ASGI application."""

__all__: list[str] = []
