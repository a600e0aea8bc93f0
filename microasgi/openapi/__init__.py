"""OpenAPI 3.1: the document of an application, and a page that shows it."""

from microasgi.openapi.router import OpenAPI

__all__ = ["OpenAPI"]
