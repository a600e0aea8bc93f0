"""The front door: what `microasgi` exports is sorted, documented, importable and typed."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import microasgi

PUBLIC = {name: getattr(microasgi, name, None) for name in microasgi.__all__}
MODULES = sorted(
    info.name for info in pkgutil.walk_packages(microasgi.__path__, "microasgi.") if not info.name.endswith("__main__")
)

each_name = pytest.mark.parametrize("name", microasgi.__all__)
each_module = pytest.mark.parametrize("name", MODULES)


def defined_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Return the names of `__all__` that are classes and functions of this very module."""
    for name in module.__all__:
        value = getattr(module, name)
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__:
            yield name, value


def callables_of(name: str, value: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Return a function, or the methods and properties that a class defines itself."""
    if inspect.isfunction(value):
        yield name, value
    if inspect.isclass(value):
        for attribute, member in vars(value).items():
            function = (
                member.fget if isinstance(member, property) else inspect.unwrap(getattr(member, "__func__", member))
            )
            if inspect.isfunction(function) and (not attribute.startswith("_") or attribute == "__init__"):
                yield f"{name}.{attribute}", function


def natural_order(name: str) -> tuple[int, list[tuple[int, int, str]]]:
    """Sort CONSTANTS, then Classes, then functions; numbers within names by value. As ruff's RUF022."""
    kind = 0 if re.fullmatch(r"[A-Z0-9_]*[A-Z][A-Z0-9_]*", name) and len(name) > 1 else 1 if name[:1].isupper() else 2
    parts = re.findall(r"\d+|\D+", name)
    return kind, [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def test_the_exports_are_sorted() -> None:
    assert list(microasgi.__all__) == sorted(microasgi.__all__, key=natural_order)


def test_the_exports_are_listed_once() -> None:
    assert len(microasgi.__all__) == len(set(microasgi.__all__))


def test_nothing_public_is_left_out_of_the_exports() -> None:
    found = {
        name for name, value in vars(microasgi).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert found - {"annotations"} == set(microasgi.__all__) - {"__version__"}


@each_name
def test_an_exported_name_exists(name: str) -> None:
    assert hasattr(microasgi, name)


@each_name
def test_an_exported_name_has_a_docstring(name: str) -> None:
    value = PUBLIC[name]
    if inspect.isclass(value) or inspect.isfunction(value):
        text = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert text, f"{name} needs a docstring of its own"
        assert not text.startswith(f"{name}("), f"{name} has only the docstring that dataclass made"


@each_module
def test_a_module_imports_and_has_what_it_lists(name: str) -> None:
    module = importlib.import_module(name)
    assert [missing for missing in module.__all__ if not hasattr(module, missing)] == []


@each_module
def test_annotations_of_public_callables_resolve(name: str) -> None:
    module = importlib.import_module(name)
    unresolved = []
    for public, value in defined_names(module):
        for label, function in callables_of(public, value):
            try:
                typing.get_type_hints(function, include_extras=True)
            except Exception as error:
                unresolved.append(f"{label}: {error}")
    assert unresolved == []


@each_module
def test_public_methods_and_functions_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    silent = [
        label
        for public, value in defined_names(module)
        for label, function in callables_of(public, value)
        if not label.endswith(".__init__") and not documented(module, label, function)
    ]
    assert silent == []


def documented(module: ModuleType, label: str, function: Callable[..., Any]) -> bool:
    """Tell whether a function, or the method of a base class that it stands for, has a docstring."""
    owner, _, attribute = label.partition(".")
    inherited = inspect.getdoc(getattr(getattr(module, owner), attribute)) if attribute else None
    return bool(function.__doc__ or inherited)
