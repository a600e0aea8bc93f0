"""What users write passes both type checkers at their strictest, and mistakes do not.

`tests/typing/` is such code. In `mistakes.py` each line has a comment that ignores its error: one that is not needed
is an error itself, so the line is wrong for both checkers.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = "tests/typing"

pytestmark = pytest.mark.slow


def check(*arguments: str) -> list[str]:
    """Return the errors that a type checker finds in the code it is given; those of the package are not ours."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode in (0, 1), result.stdout
    return [line for line in result.stdout.splitlines() if " error: " in line and f"{arguments[-1]}" in line]


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[str]]:
    """Check with mypy and a cache of its own: one that several runs share at a time goes wrong."""
    pytest.importorskip("mypy")
    cache = tmp_path_factory.mktemp("mypy")
    return lambda code: check("mypy", "--strict", "--show-absolute-path", f"--cache-dir={cache}", code)


def test_mypy_is_strict_and_content(mypy: Callable[[str], list[str]]) -> None:
    assert mypy(CODE) == []


def test_pyright_is_strict_and_content() -> None:
    pytest.importorskip("pyright")
    assert check("pyright", "--pythonpath", sys.executable, CODE) == []


def test_every_mistake_is_an_error_without_its_comment(tmp_path: Path, mypy: Callable[[str], list[str]]) -> None:
    lines = (ROOT / CODE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = {number for number, line in enumerate(lines, start=1) if "# type: ignore[" in line}
    bare = tmp_path / "bare.py"
    bare.write_text("\n".join(line.partition("  # type: ignore[")[0] for line in lines), encoding="utf-8")
    found = mypy(str(bare))
    assert {int(line.removeprefix(f"{bare}:").partition(":")[0]) for line in found} == marked
