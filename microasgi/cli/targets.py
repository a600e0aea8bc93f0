"""Targets: which application is meant. From what was typed, from pyproject.toml, or from the usual file names."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from microasgi.cli.complaints import Complaint, near, show_path

__all__ = ["USUAL_FILES", "Target", "find_target"]

USUAL_FILES = ("app.py", "main.py", "asgi.py")


@dataclass(frozen=True)
class Target:
    """A module, the folder from which it is imported, and the name in it ("": the usual ones are tried)."""

    module: str
    folder: Path
    attribute: str = ""
    factory: bool = False
    file: Path | None = None


def find_target(text: str | None, *, factory: bool = False) -> Target:
    """Return the target of `app.py`, `folder`, `app.py:name`, `module:name` or `module:make()`; of nothing, the usual.

    Complaint where there is nothing like it.
    """
    if text is None:
        return _find_nearest(factory) or _in_folder(Path.cwd(), "", factory)
    return _read(text, Path.cwd(), factory)


def _find_nearest(factory: bool) -> Target | None:
    """Return what a pyproject.toml names, here or above, unless this folder has an application of its own."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / "pyproject.toml"
        if folder != here and any((here / name).is_file() for name in USUAL_FILES):
            return None
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise Complaint(f"{show_path(file)} is no TOML: {error}") from None
        text = table.get("tool", {}).get("microasgi", {}).get("app")
        if text is None:
            return None
        if not isinstance(text, str):
            raise Complaint(f'{show_path(file)}: [tool.microasgi] app is text, as in app = "app.py:app", not {text!r}')
        return _read(text, folder, factory)
    return None


def _read(text: str, base: Path, factory: bool) -> Target:
    place, colon, attribute = text.rpartition(":")
    if not colon or os.sep in attribute or "/" in attribute:  # C:\app.py has a colon too
        place, attribute = text, ""
    if attribute.endswith("()"):
        attribute, factory = attribute[:-2], True
    if attribute and not all(part.isidentifier() for part in attribute.split(".")):
        raise Complaint(f"{text!r}: after the colon stands the application's name, as in {place}:app")
    path = base / place
    is_module = bool(attribute) and place.isidentifier() and (path / "__init__.py").is_file()
    if path.is_dir() and not is_module:
        return _in_folder(path, attribute, factory)
    if path.is_file():
        return _of_file(path, attribute, factory)
    if place.endswith(".py") or os.sep in place or "/" in place:
        raise Complaint(_no_such_file(path))
    if not all(part.isidentifier() for part in place.split(".")):
        raise Complaint(f"{text!r} is neither a file nor a module: write app.py, app.py:name or module:name")
    return Target(place, base, attribute, factory)


def _no_such_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {show_path(folder)}"
    names = [child.name for child in folder.iterdir() if child.suffix == ".py" or child.is_dir()]
    here = sorted(name for name in names if name.endswith(".py"))
    hint = near(path.name, names) or (f"; there is {', '.join(here[:5])}" if here else "")
    return f"there is no {show_path(path)}{hint}"


def _in_folder(folder: Path, attribute: str, factory: bool) -> Target:
    names = (*USUAL_FILES, "__init__.py")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        where = "here" if folder == Path.cwd() else f"in {show_path(folder)}"
        here = sorted(child.name for child in folder.glob("*.py"))
        hint = f"; name one of {', '.join(here[:5])}" if here else ", or set [tool.microasgi] app in pyproject.toml"
        raise Complaint(f"there is no {', '.join(USUAL_FILES[:-1])} or {USUAL_FILES[-1]} {where}{hint}")
    return _of_file(found, attribute, factory)


def _of_file(path: Path, attribute: str, factory: bool) -> Target:
    path = path.resolve()
    if path.suffix != ".py":
        raise Complaint(f"{show_path(path)} is no Python file")
    parts = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file():  # inside of a package, relative imports have to work
        parts.insert(0, folder.name)
        folder = folder.parent
    return Target(".".join(parts), folder, attribute, factory, path)
