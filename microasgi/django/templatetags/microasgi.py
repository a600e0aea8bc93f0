"""The template tag: `{% load microasgi %}{% microasgi_url "item" id=3 %}`, the path of a mounted application's route.

Law: it is `url_path_for` with the name and parameters of the tag, escaped as every value of a template.
"""

from __future__ import annotations

from typing import Any

from django import template

from microasgi.django.reversing import url_path_for

__all__ = ["microasgi_url", "register"]

register = template.Library()


@register.simple_tag
def microasgi_url(name: str, **path_params: Any) -> str:
    """Return the path of the named route; `mounted_at="/api"` chooses the application. Raises NoMatchFound."""
    return url_path_for(name, **path_params)
