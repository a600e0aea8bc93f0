"""The program: its commands and their options, and how it ends. Exit codes: 0 well, 1 findings, 2 a mistake."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from microasgi.cli.complaints import Complaint, complain
from microasgi.exceptions import MissingPackage

__all__ = ["main", "make_parser"]

_EPILOG = """\
the application: app.py, a folder, app.py:name, module:name, module:make_app()
  left out: [tool.microasgi] app in pyproject.toml, here; then app.py,
  main.py, asgi.py; then [tool.microasgi] app in a folder above
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with these arguments (default: those of the process) and return the exit code."""
    options = make_parser().parse_args(arguments)
    module, function = options.command
    try:
        return int(getattr(import_module(module), function)(options))
    except (Complaint, MissingPackage) as error:
        complain(str(error))
        return 2
    except BrokenPipeError:  # `microasgi routes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def make_parser() -> ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(
        prog="microasgi", description="Serve and inspect ASGI applications.", epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_dev(_command(commands, "dev", "serve on this machine, start again after changes, show tracebacks", "dev"))
    _add_run(_command(commands, "run", "serve in production", "run"))
    table = _command(commands, "routes", "list what the application answers", "table")
    check = _command(commands, "check", "find what is legal but wrong; exit code 1 if there is any", "check")
    check.add_argument("--deploy", action="store_true", help="also what is wrong in production only")
    check.add_argument("--rules", action="store_true", help="list the rules and check nothing")
    for each in (table, check):
        each.add_argument("--json", action="store_true", help="print JSON")
    document = _command(commands, "openapi", "write the application's OpenAPI document", "openapi")
    document.add_argument("--path", default="/openapi.json", help="where the application has it (%(default)s)")
    document.add_argument("-o", "--output", metavar="FILE", help="write it there instead of printing it")
    return parser


def _command(commands: Any, name: str, purpose: str, module: str) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}.", epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(command=(f"microasgi.cli.{module}", name))
    parser.add_argument("app", nargs="?", help="the application, see below")
    parser.add_argument("--factory", action="store_true", help="the name is a function that makes the application")
    return parser


def _add_address(parser: ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    port = _Variable(os.environ.get("PORT") or "8000")
    parser.add_argument("--port", type=_port, default=port, help="port to listen on ($PORT, else 8000)")


def _add_dev(parser: ArgumentParser) -> None:
    _add_address(parser)
    parser.add_argument("--watch", action="append", default=[], metavar="FOLDER", help="watch this folder, too")


def _add_run(parser: ArgumentParser) -> None:
    _add_address(parser)
    parser.add_argument("--uds", metavar="PATH", help="listen on a Unix socket instead")
    parser.add_argument("--workers", type=_count, default=1, help="processes (%(default)s)")
    parser.add_argument("--trusted-proxies", type=_addresses, default=[], metavar="ADDRESSES",
        help="believe X-Forwarded-For and -Proto from these, as in 10.0.0.1,10.1.0.0/16 (none)")  # fmt: skip
    parser.add_argument("--root-path", default="", metavar="PATH", help="where a proxy has put the application")
    parser.add_argument("--access-log", action="store_true", help="one line for each request")
    parser.add_argument("--log-level", default="info", choices=["critical", "error", "warning", "info", "debug"])
    parser.add_argument("--graceful-timeout", type=_count, default=30, metavar="SECONDS",
        help="how long requests may finish after SIGTERM (%(default)s)")  # fmt: skip
    parser.add_argument("--ssl-certfile", metavar="FILE", help="certificate, for https")
    parser.add_argument("--ssl-keyfile", metavar="FILE", help="its key")


class _Variable(str):
    """A text from the environment."""


def _port(text: str) -> int:
    if text.isdecimal() and int(text[:6]) <= 65535:
        return int(text)
    origin = " (from $PORT)" if isinstance(text, _Variable) else ""
    raise ArgumentTypeError(f"invalid port value: {str(text)!r}{origin}")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _addresses(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


# argparse says "invalid <name> value: ..." with it.
_count.__name__ = "count"
