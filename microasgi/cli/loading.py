"""Loading: from a target to the application, with a plain word for everything that can go wrong on the way."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from microasgi.cli.complaints import Complaint, explain, near, show_path
from microasgi.cli.sources import find_definition
from microasgi.cli.targets import Target
from microasgi.endpoints import is_asgi_app
from microasgi.routing import Router

__all__ = ["Loaded", "load"]

_NAMES = ("app", "application", "asgi")
_FACTORIES = ("make_app", "create_app", "build_app", "get_app")


@dataclass(frozen=True)
class Loaded:
    """An application, the module that it was found in, and its name there."""

    app: Any
    module: ModuleType
    attribute: str
    target: Target
    is_made: bool = False

    @property
    def import_string(self) -> str:
        """The application as servers are told of it: `module:name`."""
        return f"{self.module.__name__}:{self.attribute}"


def load(target: Target) -> Loaded:
    """Import the target's module and return its application, with its tables and its middleware built.

    Complaint for every mistake of the user's: no such module or name, an error at import, not an application.
    """
    module = _import(target)
    name = target.attribute or _find_name(module, target)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise Complaint(f"{_show(target)} has no {name!r}{near(part, _public(value))}{_list_apps(module)}")
        value = getattr(value, part)
    is_made = target.factory or (not target.attribute and name in _FACTORIES)
    if is_made:
        value = _make(value, name, target)
    if not _is_app(value):
        raise Complaint(f"{name} in {_show(target)} is {_what(value, name)}{_list_apps(module)}")
    if isinstance(value, Router):
        _try(value.freeze, _place(module, name))  # mistakes in middleware show now, before a server starts
    return Loaded(value, module, name, target, is_made)


def _import(target: Target) -> ModuleType:
    folder = str(target.folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = import_module(target.module)
    except ModuleNotFoundError as error:
        if target.file is None and error.name and f"{target.module}.".startswith(f"{error.name}."):
            known = [path.stem for path in target.folder.iterdir() if path.suffix == ".py" or path.is_dir()]
            raise Complaint(f"there is no module {error.name!r} in {folder}{near(error.name, known)}") from None
        raise Complaint(explain(error) + _install_hint(error)) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may even call sys.exit
        raise Complaint(explain(error)) from None
    found = getattr(module, "__file__", None)
    if target.file is not None and (found is None or Path(found).resolve() != target.file):
        raise Complaint(
            f"{show_path(target.file)} is hidden by another module of its name, {found or 'a built-in one'}: rename it"
        )
    return module


def _install_hint(error: ModuleNotFoundError) -> str:
    from microasgi.exceptions import MissingPackage

    top = (error.name or "").partition(".")[0]
    return "" if isinstance(error, MissingPackage) or not top else f"\n    is it installed? pip install {top}"


def _find_name(module: ModuleType, target: Target) -> str:
    for name in _NAMES:
        if _is_app(getattr(module, name, None)):
            return name
    names = _apps_in(module)
    if len(names) == 1:
        return names[0]
    if names:
        choice = " or ".join(f"{_show(target)}:{name}" for name in names)
        raise Complaint(f"{_show(target)} has several applications: write {choice}")
    for name in _FACTORIES:
        if inspect.isroutine(getattr(module, name, None)):
            return name
    if hasattr(module, "app"):
        return "app"  # which is no application: that is what will be said
    raise Complaint(f"{_show(target)} has no application: write app = MicroASGI() in it, or name yours after a colon")


def _make(factory: Any, name: str, target: Target) -> Any:
    if not callable(factory) or _is_app(factory):
        raise Complaint(f"{name} in {_show(target)} is no factory: leave out --factory and the ()")
    value = _try(factory)
    if inspect.iscoroutine(value):
        value.close()
        raise Complaint(f"{name} in {_show(target)} is `async def`: a factory is a plain function")
    return value


def _try(call: Any, place: tuple[str, int] | None = None) -> Any:
    try:
        return call()
    except Exception as error:
        raise Complaint(explain(error, place)) from None


def _place(module: ModuleType, name: str) -> tuple[str, int] | None:
    file = getattr(module, "__file__", None)
    return (file, find_definition(file, name.partition(".")[0])) if file else None


def _is_app(value: object) -> bool:
    if inspect.isroutine(value):
        parameters = list(inspect.signature(value).parameters) if inspect.isfunction(value) else []
        return inspect.iscoroutinefunction(value) and parameters == ["scope", "receive", "send"]
    return is_asgi_app(value)


def _what(value: object, name: str) -> str:
    if isinstance(value, type):
        return f"a class: write {name}() where it is made"
    if inspect.isroutine(value):
        return f"a function: is it a factory? Then write {name}()"
    return f"of type {type(value).__name__}, which is no ASGI application"


def _apps_in(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, Router) and not name.startswith("_")]


def _list_apps(module: ModuleType) -> str:
    names = _apps_in(module)
    return f" (applications there: {', '.join(names)})" if names else ""


def _public(value: object) -> list[str]:
    return [name for name in vars(value) if not name.startswith("_")] if hasattr(value, "__dict__") else []


def _show(target: Target) -> str:
    return show_path(target.file) if target.file else target.module
