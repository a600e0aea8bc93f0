"""What users write passes both type checkers at their strictest, and mistakes do not.

`tests/typing/` is such code. In `mistakes.py` each line has a comment that ignores its error: one that is not needed
is an error itself, so the line is wrong for both checkers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ROOT / "tests" / "typing"

pytestmark = pytest.mark.slow


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )


def test_mypy_is_strict_and_content() -> None:
    pytest.importorskip("mypy")
    result = run("mypy", "--strict", str(CODE))
    assert result.returncode == 0, result.stdout


def test_pyright_is_strict_and_content() -> None:
    pytest.importorskip("pyright")
    result = run("pyright", "--pythonpath", sys.executable, str(CODE))
    assert result.returncode == 0, result.stdout


def test_a_mistake_is_an_error_of_both(tmp_path: Path) -> None:
    """Without its comments, every marked line of `mistakes.py` is reported by mypy."""
    pytest.importorskip("mypy")
    lines = (CODE / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = [number for number, line in enumerate(lines, start=1) if "# type: ignore[" in line]
    bare = tmp_path / "bare.py"
    bare.write_text("\n".join(line.partition("  # type: ignore[")[0] for line in lines), encoding="utf-8")
    found = run("mypy", "--strict", "--no-error-summary", str(bare)).stdout
    reported = {int(line.split(":")[1]) for line in found.splitlines() if ": error:" in line}
    assert reported == set(marked), found
