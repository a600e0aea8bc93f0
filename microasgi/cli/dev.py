"""`dev`: the application on this machine, with tracebacks shown, started again whenever its files change.

One process watches and holds the port; the application runs in another, so that nothing of the old code is left.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

from microasgi.cli.complaints import Complaint, complain, count, show_path
from microasgi.cli.loading import load
from microasgi.cli.ports import bind
from microasgi.cli.server import ServerOptions, require_server, serve_sockets
from microasgi.cli.targets import find_target
from microasgi.cli.tree import walk
from microasgi.cli.watching import changes_in, require_watcher
from microasgi.responses import PlainTextResponse
from microasgi.routes import Mount
from microasgi.routing import Router
from microasgi.types import Receive, Scope, Send

__all__ = ["Child", "dev", "end_with", "main", "say", "serve_child", "serve_mistake", "switch_debug_on"]

_PATIENCE = 10.0  # seconds that the application has to stop before it is killed


def dev(arguments: Namespace) -> int:
    """Run the command: serve, and start again after changes, until it is interrupted."""
    require_server()
    require_watcher()
    target = find_target(arguments.app, factory=arguments.factory)
    for folder in arguments.watch:
        if not Path(folder).exists():
            raise Complaint(f"--watch: there is no folder {folder}")
    listener = bind(arguments.host, arguments.port)
    if arguments.host not in {"127.0.0.1", "localhost", "::1"}:
        complain(f"on {arguments.host} others see tracebacks and source: use `microasgi run` for them")
    child = Child(arguments, listener)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    folders = [_root(target.folder), *map(Path, arguments.watch)]
    try:
        _follow(child, folders, stop)
    finally:
        child.stop()
        listener.close()
    return 0


def _follow(child: Child, folders: list[Path], stop: threading.Event) -> None:
    for changes in changes_in(folders, stop):
        if changes:
            shown = ", ".join(show_path(path) for path in changes[:3])
            say(f"{shown}{' and more' if len(changes) > 3 else ''} changed: starting again")
            child.stop()
        if changes or child.process is None:  # only now: what changes from here on is seen
            child.start()
        elif child.has_ended():
            say("waiting for a change")


def _root(folder: Path) -> Path:
    """Return what is watched: the current folder, if the application is somewhere below it."""
    current = Path.cwd()
    return current if folder.resolve().is_relative_to(current) else folder


def say(text: str) -> None:
    """Tell the developer."""
    print(f"microasgi: {text}", flush=True)


class Child:
    """The process that the application runs in."""

    def __init__(self, arguments: Namespace, listener: socket.socket) -> None:
        listener.set_inheritable(True)
        self.process: subprocess.Popen[bytes] | None = None
        self._told = False
        self._listener = listener
        self._inherited, self._held = os.pipe()  # closed when this process ends, however it does
        options = {**vars(arguments), "fd": listener.fileno(), "parent": self._inherited}
        options["port"] = listener.getsockname()[1]
        options = {key: value for key, value in options.items() if not callable(value)}
        self._command = [sys.executable, "-P", "-c", "from microasgi.cli.dev import main; main()", json.dumps(options)]

    def start(self) -> None:
        """Start the application."""
        self._told = False
        self.process = subprocess.Popen(self._command, pass_fds=[self._listener.fileno(), self._inherited])

    def stop(self) -> None:
        """Ask it to stop, and see to it that it does."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def has_ended(self) -> bool:
        """Tell, once, that the process has ended by itself."""
        if self._told or self.process is None or self.process.poll() is None:
            return False
        self._told = True
        return True


def main() -> None:
    """Run in the application's process: what to do stands in the command line, as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    options = json.loads(sys.argv[1])
    threading.Thread(target=end_with, args=[options["parent"]], daemon=True).start()
    try:
        code = serve_child(options)
        mistake = "The application did not start: its error is in the terminal." if code else ""
    except Complaint as complaint:
        mistake = str(complaint)
        complain(mistake)
    if mistake:
        say("waiting for a change")
        serve_mistake(options["fd"], mistake)


def end_with(pipe: int) -> None:
    """Wait until the other end of a pipe is closed, which its process does by ending, and end as well."""
    os.read(pipe, 1)
    signal.raise_signal(signal.SIGTERM)


def serve_child(options: dict[str, Any]) -> int:
    """Load the application, with tracebacks on, and serve it on the socket that was handed down."""
    loaded = load(find_target(options["app"], factory=options["factory"]))
    switch_debug_on(loaded.app)
    routes = count(sum(1 for found in walk(loaded.app) if not found.inner), "route")
    host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
    say(f"{loaded.import_string}, {routes}, on http://{host}:{options['port']} (Ctrl-C stops it)")
    listener = socket.socket(fileno=os.dup(options["fd"]))
    server = {"log_level": "info", "access_log": True, "timeout_graceful_shutdown": 2, "proxy_headers": False}
    return 0 if serve_sockets(loaded.app, [listener], server) else 3  # type: ignore[arg-type]


def serve_mistake(fd: int, mistake: str) -> None:
    """Answer every request with what is wrong, until the process is ended because the code has changed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        text = f"{mistake}\n\nmicroasgi dev waits for a change of the code: then load this page again.\n"
        await PlainTextResponse(text, 503, {"cache-control": "no-store"})(scope, receive, send)

    server: ServerOptions = {"log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 2}
    serve_sockets(answer, [socket.socket(fileno=os.dup(fd))], server)


def switch_debug_on(app: Any) -> None:
    """Let an application of ours, and those that are mounted in it, show tracebacks."""
    if not isinstance(app, Router):
        return
    app.errors.debug = True
    for route in app.routes:
        if isinstance(route, Mount):
            switch_debug_on(route.app)
