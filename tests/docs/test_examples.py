"""Every example is complete: an application, a page that explains it, tests that pass as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(folder for folder in (ROOT / "examples").glob("[!._]*") if folder.is_dir())

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda folder: folder.name)


# Tests of the Django room have a project of their own.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the example's folder; examples share module names, so each gets an interpreter of its own."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**_ENVIRONMENT, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


@each_example
def test_the_example_explains_itself(example: Path) -> None:
    readme = example / "README.md"
    assert readme.is_file(), f"{example.name} needs a README.md that says what it shows and how to run it"
    assert readme.read_text(encoding="utf-8").strip()


@each_example
def test_the_example_has_an_application(example: Path) -> None:
    result = run(example, "-W", "error", "-c", "import app; assert callable(app.app), app.app")
    assert result.returncode == 0, result.stdout


@each_example
def test_the_tests_of_the_example_pass(example: Path, pytestconfig: pytest.Config) -> None:
    assert list(example.glob("test_*.py")) + list(example.glob("tests/test_*.py")), f"{example.name} has no tests"
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=prepend", "-o", "testpaths=", "."]
    options += ["-m", pytestconfig.getoption("markexpr")]  # what this run leaves out, it leaves out there
    result = run(example, "-m", "pytest", *options)
    assert result.returncode == 0, result.stdout


def test_the_guestbook_that_serve_runs_is_there() -> None:
    assert ROOT / "examples" / "guestbook" in EXAMPLES
