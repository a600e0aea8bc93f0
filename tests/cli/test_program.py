"""The program around the commands: options, exit codes, what is missing, and how it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from microasgi.cli import main
from microasgi.cli.program import make_parser

ROOT = Path(__file__).parents[2]


def parse(*arguments: str) -> dict[str, Any]:
    return vars(make_parser().parse_args(arguments))


def test_run_has_the_defaults_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT", raising=False)
    options = parse("run")
    shown = ("host", "port", "workers", "trusted_proxies", "access_log", "graceful_timeout", "uds", "log_level")
    assert [options[name] for name in shown] == ["127.0.0.1", 8000, 1, [], False, 30, None, "info"]


def test_the_environment_names_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9000")
    assert parse("dev")["port"] == 9000
    assert parse("run", "--port", "9001")["port"] == 9001


def test_a_port_of_the_environment_that_is_none_is_named_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "abc")
    with pytest.raises(SystemExit):
        main(["run"])
    assert "argument --port: invalid port value: 'abc' (from $PORT)\n" in capsys.readouterr().err
    monkeypatch.setenv("PORT", "")
    assert parse("run")["port"] == 8000


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run", "--port", "70000"], "argument --port: invalid port value: '70000'"),
        (["run", "--port", "x"], "argument --port: invalid port value: 'x'\n"),
        (["run", "--port", "-1"], "argument --port: "),
        (["run", "--port", "9" * 5000], "argument --port: invalid port value: '999"),
        (["run", "--workers", "0"], "argument --workers: invalid count value: '0'"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("package", ["uvicorn", "watchfiles"])
def test_a_missing_package_is_answered_with_the_line_that_installs_it(
    project: Any, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("app.py")
    monkeypatch.setitem(sys.modules, package, None)
    said = project.complaint("dev")
    assert said.startswith(f"{package} is needed to ")
    assert said.endswith(f': pip install "microasgi[cli]" (or: pip install {package})')


def test_an_interrupted_command_ends_as_shells_expect(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(arguments: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("microasgi.cli.table.routes", interrupt)
    assert project.run("routes").code == 130


def test_a_closed_pipe_is_no_error(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def close(arguments: Any) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("microasgi.cli.table.routes", close)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", sys.__stdout__)
        patch.setattr(os, "dup2", lambda old, new: os.close(old))
        code = main(["routes"])
    assert code == 0


def test_an_interrupted_import_is_an_interruption(project: Any) -> None:
    project.write("app.py", "raise KeyboardInterrupt\n")
    assert project.run("routes").code == 130


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from microasgi import MicroASGI\napp = MicroASGI()\n")
    command = f'sleep 0.5; "{sys.executable}" -m microasgi.cli routes; echo "code $?" >&2'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    line = f"({command}) | true"
    result = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert result.stderr == "code 0\n"


def test_the_command_line_runs_as_a_module(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from microasgi import MicroASGI\napp = MicroASGI()\n")
    command = [sys.executable, "-m", "microasgi.cli", "routes"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "no routes\n", "")


def test_the_command_line_loads_no_server_to_list_routes(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("from microasgi import MicroASGI\napp = MicroASGI()\n")
    code = "import sys; from microasgi.cli import main; main(['check']); main(['routes']); "
    code += "print(sorted({'uvicorn', 'watchfiles', 'httpx', 'jinja2'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr
