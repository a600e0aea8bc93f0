"""The documents of the examples, as `microasgi openapi` writes them, are valid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("example", "needs"), [("todo_api", "msgspec"), ("realworld", "jwt")])
def test_the_document_of_an_example_is_valid(example: str, needs: str, tmp_path: Path) -> None:
    pytest.importorskip(needs)
    database = str(tmp_path / "database")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE": database, "TODO_DATABASE": database}
    command = [sys.executable, "-m", "microasgi.cli", "openapi", "app.py", "-o", str(tmp_path / "openapi.json")]
    folder = ROOT / "examples" / example
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    document = json.loads((tmp_path / "openapi.json").read_text(encoding="utf-8"))
    validate(document)
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len(operations) > 10
    assert len({operation["operationId"] for operation in operations}) == len(operations)
