"""An application by its name: "package.module:attribute", as it stands in a project's files.

Law: a name that leads nowhere is refused with where it stands and what there is; what an import fails by is kept.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from microasgi.exceptions import ConfigurationError
from microasgi.types import ASGIApp

__all__ = ["load_app"]


def load_app(app: object, place: str) -> ASGIApp:
    """Return the application, imported if it is a name; `place` says what it is for.

    ConfigurationError for a name that leads nowhere, and for what cannot be called.
    """
    found: Any = _import(app, place) if isinstance(app, str) else app
    if callable(found):
        return cast(ASGIApp, found)
    raise ConfigurationError(f"{place} is {app!r}, which cannot be called: it is no ASGI application")


def _import(text: str, place: str) -> object:
    name, colon, attributes = text.partition(":")
    if not (name and colon and attributes):
        raise ConfigurationError(f"{place} is written as 'package.module:name', not {text!r}")
    try:
        found: Any = import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"{name!r}, which has {place}, cannot be imported: {error}") from error
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise ConfigurationError(f"{name!r} has no {attribute!r}, which is to be {place}{_near(attribute, found)}")
        found = getattr(found, attribute)
    return found


def _near(name: str, found: object) -> str:
    from difflib import get_close_matches  # only a mistake pays for it

    near = get_close_matches(name, [one for one in getattr(found, "__dict__", {}) if not one.startswith("_")])
    return f"; did you mean {near[0]!r}?" if near else ""
