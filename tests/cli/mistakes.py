"""The twelve mistakes of docs/mistakes.md, each made for real, and what is printed then."""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from microasgi.cli import main
from microasgi.cli.loading import load
from microasgi.cli.targets import find_target
from microasgi.testing import TestClient

__all__ = ["MISTAKES", "Mistake"]

HEAD = "from microasgi import MicroASGI, Middleware, Request\n\napp = MicroASGI()\n\n\n"
TWO = '@app.get("/")\nasync def home(request: Request) -> str:\n    return "home"\n\n\n'
PORT = 8000  # on the page, whatever it was


@dataclass(frozen=True)
class Mistake:
    """A title, the lines that are wrong, and how to find out what is printed."""

    title: str
    source: str
    see: Callable[[], str]


def command(*arguments: str) -> Callable[[], str]:
    """Run `microasgi` with these arguments."""

    def run() -> str:
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            code = main(list(arguments))
        assert code != 0
        text = out.getvalue().splitlines()
        return "\n".join(line for line in text if not line.endswith(" rules)"))

    return run


class _Last(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.text = f"{record.getMessage()}\n{type(error).__name__}: {error}"


def answer(method: str, path: str, *, form: bool = False) -> Callable[[], str]:
    """Send a request, and return status and headers of the answer; where it is a 500, what the log says."""

    def ask() -> str:
        app = load(find_target("app.py")).app
        log = _Last()
        logging.getLogger("microasgi").addHandler(log)
        try:
            with TestClient(app, raise_server_exceptions=False) as client:
                files = {"picture": ("a.png", b"")} if form else None
                response = client.request(method, path, files=files)
        finally:
            logging.getLogger("microasgi").removeHandler(log)
        if response.status_code == 500:
            return log.text
        return f"{response.status_code} {response.text}, allow: {response.headers['allow']}"

    return ask


@contextmanager
def without(package: str):  # type: ignore[no-untyped-def]
    """Make a package one that is not installed."""
    kept = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == package}
    sys.modules.update(dict.fromkeys([*kept, package], None))  # type: ignore[arg-type]
    try:
        yield
    finally:
        del sys.modules[package]
        sys.modules.update(kept)


def without_multipart() -> str:
    with without("python_multipart"):
        return answer("POST", "/", form=True)()


def port_in_use() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        text = command("run", "--port", str(port))()
    free = text.rpartition(" ")[2]
    assert int(free) > port
    text = re.sub(rf"process {os.getpid()} \(.*\): stop", "process 4711 (uvicorn app:app): stop", text)
    return text.replace(f"port {port}", f"port {PORT}").removesuffix(free) + str(PORT + 1)


def start(*arguments: str) -> Callable[[], str]:
    """Start the application; what `dev` prints, without its staying."""
    return command("run", "--port", "0", *arguments)


MISTAKES = [
    Mistake(
        "A parameter that nobody fills",
        HEAD + '@app.get("/items/{id:int}")\nasync def item(request: Request, number) -> int:\n    return number\n',
        start(),
    ),
    Mistake("No `return`", HEAD + TWO.replace('return "home"', '{"page": "home"}'), command("check")),
    Mistake(
        "The same route twice",
        HEAD + TWO + TWO.replace("home(", "start(").rstrip() + "\n",
        start(),
    ),
    Mistake("The wrong method", HEAD + TWO.replace("get(", "post("), answer("GET", "/")),
    Mistake("A value that is no response", HEAD + TWO.replace('"home"', "{1, 2}"), answer("GET", "/")),
    Mistake(
        "A handler that blocks",
        f"import time\n{HEAD}" + TWO.replace("    return", "    time.sleep(1)\n    return"),
        command("check"),
    ),
    Mistake(
        "Forms without their package",
        HEAD + TWO.replace("get(", "post(").replace('return "home"', 'return str(await request.form())'),
        without_multipart,
    ),
    Mistake(
        "A missing secret",
        "from microasgi import MicroASGI, Middleware\nfrom microasgi.middleware import SessionMiddleware\n\n"
        "app = MicroASGI(middleware=[Middleware(SessionMiddleware)])\n",
        start(),
    ),
    Mistake(
        "A template directory that is not there",
        'from microasgi.templates import Jinja2Templates\n\ntemplates = Jinja2Templates(directory="template")\n',
        start(),
    ),
    Mistake("A convertor that is not known", HEAD + TWO.replace('"/"', '"/{id:integer}"'), start()),
    Mistake("A wrong path or name", HEAD + TWO, lambda: f"{start('ap.py')()}\n{start('app:ap')()}"),
    Mistake("A port in use", HEAD + TWO, port_in_use),
]  # fmt: skip


def see(mistake: Mistake, folder: Path) -> str:
    """Make a mistake in this folder, which is the current one, and return what is printed."""
    (folder / "app.py").write_text(mistake.source)
    (folder / "templates").mkdir(exist_ok=True)
    text = mistake.see()
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder), ".")
