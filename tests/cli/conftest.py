"""A project in a folder of its own, and the command line run in it, in this process."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from microasgi.cli import main
from microasgi.cli.complaints import is_users

HELLO = """from microasgi import MicroASGI, Request

app = MicroASGI()


@app.get("/")
async def home(request: Request) -> str:
    return "hello"
"""


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


class Project:
    """Files in a folder that is the current one."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def write(self, name: str, text: str = HELLO) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: str) -> Said:
        self._capture.readouterr()
        code = main(list(arguments))
        out, err = self._capture.readouterr()
        return Said(code, out, err)

    def complaint(self, *arguments: str) -> str:
        said = self.run(*arguments)
        assert (said.code, said.out) == (2, "")
        assert "Traceback" not in said.err
        return said.err.removeprefix("microasgi: ").rstrip("\n")


def _close_databases(module: ModuleType) -> None:
    for value in vars(module).values():
        if isinstance(value, sqlite3.Connection):  # from Python 3.13 on, one that is left open is a warning
            value.close()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """Return an empty project; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield Project(tmp_path, capsys)
    for name in set(sys.modules) - before:
        if is_users(str(getattr(sys.modules[name], "__file__", ""))):
            _close_databases(sys.modules.pop(name))
