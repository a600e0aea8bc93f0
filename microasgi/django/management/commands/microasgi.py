"""`manage.py microasgi run|routes|openapi`: the project served, and what is mounted in it, shown.

Law: what is shown is what the project mounts; no name of an application has to be given.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from microasgi.django.mounted import application_name, mounted_apps
from microasgi.django.routetable import ask_for_document, describe

__all__ = ["Command"]

_GRACE = 30  # seconds that requests may finish after SIGTERM


class Command(BaseCommand):
    """The command of `manage.py`."""

    help = "Serve this project as an ASGI application, or show what is mounted in it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the commands and their options."""
        commands: Any = parser.add_subparsers(title="commands", dest="action", required=True, metavar="COMMAND")
        self._add_run(commands.add_parser("run", help="serve the project's ASGI application with uvicorn"))
        routes: ArgumentParser = commands.add_parser("routes", help="list the routes of the mounted applications")
        routes.add_argument("prefix", nargs="?", help="of this application only, as in /api")
        document: ArgumentParser = commands.add_parser("openapi", help="write an application's OpenAPI document")
        document.add_argument("prefix", nargs="?", help="where the application is mounted, as in /api")
        document.add_argument("--path", default="/openapi.json", help="where it has the document (%(default)s)")
        document.add_argument("-o", "--output", metavar="FILE", help="write it there instead of printing it")

    def _add_run(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (%(default)s)")
        parser.add_argument("--workers", type=int, default=1, help="processes (%(default)s); more than one: no reload")
        reload = parser.add_mutually_exclusive_group()
        reload.add_argument("--reload", action="store_true", default=None, help="start again after changes (DEBUG)")
        reload.add_argument("--noreload", action="store_false", dest="reload", help="do not")
        parser.add_argument("more", nargs="*", metavar="-- OPTIONS", help="options of uvicorn's own")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command; CommandError for what is missing."""
        actions = {"run": self._run, "routes": self._routes, "openapi": self._openapi}
        actions[options["action"]](options)

    def _run(self, options: dict[str, Any]) -> None:
        name = application_name()
        if name is None:
            raise CommandError('which application? Write ASGI_APPLICATION = "mysite.asgi.application" in the settings.')
        if find_spec("uvicorn") is None:
            raise CommandError(
                'uvicorn is needed to serve the project: pip install "microasgi[cli]". Other servers take '
                f"{_as_target(name)} as well."
            )
        command = server_command(name, options)
        self.stdout.write(f"{_as_target(name)} on http://{options['host']}:{options['port']}/")
        self.stdout.flush()
        os.execv(command[0], command)

    def _routes(self, options: dict[str, Any]) -> None:
        rows = [row for mounted in self._mounted(options["prefix"]) for row in describe(mounted)]
        columns = [max(len(row[index]) for row in rows) for index in range(4)] if rows else []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, columns, strict=True)]
            self.stdout.write("  ".join(cells).rstrip())

    def _openapi(self, options: dict[str, Any]) -> None:
        tried: list[str] = []
        for mounted in self._mounted(options["prefix"]):
            try:
                text = ask_for_document(mounted, options["path"])
            except LookupError as error:
                tried.append(str(error))
                continue
            if options["output"] is None:
                self.stdout.write(text)
            else:
                Path(options["output"]).write_text(f"{text}\n", encoding="utf-8")
            return
        raise CommandError("; ".join(tried))

    def _mounted(self, prefix: str | None) -> list[Any]:
        found = mounted_apps()
        if not found:
            raise CommandError(
                "no application is mounted: write application = asgi({...}) in asgi.py, or path(..., bridge(...)) in "
                "the URLconf"
            )
        chosen = [one for one in found if prefix is None or one.prefix == f"/{prefix.strip('/')}".rstrip("/")]
        if not chosen:
            there = ", ".join(sorted({one.prefix or "/" for one in found}))
            raise CommandError(f"no application is mounted at {prefix!r}; there are {there}")
        return chosen


def server_command(name: str, options: dict[str, Any]) -> list[str]:
    """Return the command line that serves the application of this dotted path."""
    folder = sys.path[0] or os.getcwd()
    command = [sys.executable, "-m", "uvicorn", _as_target(name), f"--app-dir={folder}"]
    command += [f"--host={options['host']}", f"--port={options['port']}", "--no-server-header"]
    wants_reload = settings.DEBUG if options["reload"] is None else options["reload"]
    if options["workers"] > 1:
        command += [f"--workers={options['workers']}", f"--timeout-graceful-shutdown={_GRACE}"]
    elif wants_reload:
        # A page that is held open must not keep the new code waiting.
        command += ["--reload", f"--reload-dir={folder}", "--timeout-graceful-shutdown=1"]
        if find_spec("watchfiles") is not None:
            command += ["--reload-include=*.html", "--reload-include=*.txt"]  # Django keeps compiled templates
    else:
        command.append(f"--timeout-graceful-shutdown={_GRACE}")
    return [*command, *options["more"]]


def _as_target(name: str) -> str:
    module, _, attribute = name.rpartition(".")
    return f"{module}:{attribute}"
