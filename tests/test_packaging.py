"""What is published: one dependency, extras that are complete and explained, scripts that a plain shell can read."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT: dict[str, Any] = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
BUNDLES = {"standard", "full"}
SCRIPTS = [ROOT / "scripts" / name for name in ("lint", "serve", "test")]

each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)


def package_name(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return match[0].lower()


def missing_packages() -> set[tuple[str, str]]:
    """Return (package, extra) of every MissingPackage(...) that the package raises with literal arguments."""
    found = set()
    for path in (ROOT / "microasgi").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "MissingPackage":
                literals = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
                literals += [word.value.value for word in node.keywords if isinstance(word.value, ast.Constant)]
                if len(literals) >= 2:
                    found.add((str(literals[0]), str(literals[1])))
    return found


def test_anyio_is_the_only_dependency() -> None:
    assert [package_name(requirement) for requirement in PROJECT["dependencies"]] == ["anyio"]


def test_the_full_extra_takes_in_every_other() -> None:
    (requirement,) = EXTRAS["full"]
    match = re.fullmatch(r"microasgi\[(.*)\]", requirement)
    assert match
    assert set(match[1].split(",")) == set(EXTRAS) - {"full"}


def test_bundles_bring_nothing_that_no_extra_brings() -> None:
    of_rooms = {package_name(entry) for extra, entries in EXTRAS.items() if extra not in BUNDLES for entry in entries}
    assert {package_name(entry) for entry in EXTRAS["standard"]} <= of_rooms


def test_a_package_has_one_lower_bound_everywhere() -> None:
    bounds: dict[str, set[str]] = {}
    for extra in EXTRAS.values():
        for entry in extra:
            bounds.setdefault(package_name(entry), set()).add(entry.partition(">=")[2])
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_install_lines_in_errors_name_extras_that_bring_the_package() -> None:
    wrong = [
        (package, extra)
        for package, extra in missing_packages()
        if package.lower() not in {package_name(entry) for entry in EXTRAS.get(extra, [])}
    ]
    assert wrong == []


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| \[([^\]]+)\]", page, re.MULTILINE))
    brought = {package_name(entry) for entries in [PROJECT["dependencies"], *EXTRAS.values()] for entry in entries}
    assert explained == brought - {"microasgi"}


def test_the_changelog_starts_with_this_version() -> None:
    versions = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert versions[0] == PROJECT["version"]


def test_every_page_of_the_documentation_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    listed = set(re.findall(r"([\w/-]+\.md)$", navigation, re.MULTILINE))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


def test_the_package_is_marked_as_typed() -> None:
    assert (ROOT / "microasgi" / "py.typed").is_file()


@pytest.mark.parametrize("shell", ["sh", "dash", "bash"])
@pytest.mark.parametrize("script", [*SCRIPTS, *sorted((ROOT / "scripts").glob("*.sh"))], ids=lambda path: path.name)
def test_a_script_can_be_read_by_a_posix_shell(script: Path, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"no {shell} on this machine")
    result = subprocess.run([path, "-n", script], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr


@each_script
def test_a_script_explains_itself_without_installing_anything(script: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    result = subprocess.run(
        [copy / "scripts" / script.name, "--help"], capture_output=True, text=True, timeout=30, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: scripts/{script.name}")
    assert [path.name for path in copy.iterdir()] == ["scripts"]


@each_script
def test_a_script_refuses_an_option_that_it_does_not_know(script: Path) -> None:
    result = subprocess.run([script, "--no-such"], capture_output=True, text=True, timeout=30, check=False)
    assert result.returncode == 1
    assert "unknown option: --no-such" in result.stderr


def test_serve_says_what_to_install_where_there_is_no_python(tmp_path: Path) -> None:
    for tool in ("dirname", "cksum", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or "")
    result = subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "serve"],
        env={"PATH": str(tmp_path), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert "needs Python 3.11 or newer" in result.stderr
