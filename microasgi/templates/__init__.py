"""Templates: pages rendered by Jinja2, whole, in part or as a stream. Everything is escaped."""

from __future__ import annotations

from microasgi.templates.rendering import Jinja2Templates, RenderedResponse

__all__ = ["Jinja2Templates", "RenderedResponse"]
