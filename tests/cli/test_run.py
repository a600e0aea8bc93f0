"""`microasgi run` and `dev` without their processes: what the server is told, and what is refused before it starts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from microasgi import MicroASGI
from microasgi.cli import dev, run, server, watching
from microasgi.cli.complaints import Complaint
from microasgi.cli.program import make_parser
from microasgi.exceptions import MissingPackage


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, dict[str, Any]]]:
    """Return what the server was given, which does not start."""
    calls: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr("uvicorn.run", lambda app, **options: calls.append((app, options)))
    return calls


def test_the_server_gets_the_application_itself(project: Any, served: Any, free_port: int) -> None:
    project.write("app.py")
    assert project.run("run", "--port", str(free_port)).code == 0
    app, options = served[0]
    assert isinstance(app, MicroASGI)
    assert options["proxy_headers"] is False
    assert options["server_header"] is False
    assert options["timeout_graceful_shutdown"] == 30
    assert app.debug is False


@pytest.mark.parametrize(
    ("source", "factory"), [("app = MicroASGI()", False), ("def make_app(): return MicroASGI()", True)]
)
def test_workers_get_its_name(project: Any, served: Any, free_port: int, source: str, factory: bool) -> None:
    project.write("app.py", f"from microasgi import MicroASGI\n{source}\n")
    project.run("run", "--workers", "2", "--port", str(free_port))
    app, options = served[0]
    assert app == ("app:make_app" if factory else "app:app")
    assert options["factory"] is factory
    assert options["workers"] == 2


def test_proxies_are_believed_by_name_only(project: Any, served: Any, free_port: int) -> None:
    project.write("app.py")
    project.run("run", "--port", str(free_port), "--trusted-proxies", "10.0.0.1, 10.1.0.0/16")
    assert served[0][1]["proxy_headers"] is True
    assert served[0][1]["forwarded_allow_ips"] == "10.0.0.1,10.1.0.0/16"


def test_every_proxy_can_be_believed_by_one_word(project: Any, served: Any, free_port: int) -> None:
    project.write("app.py")
    assert project.run("run", "--port", str(free_port), "--trusted-proxies", "*").code == 0


def test_a_socket_file_takes_the_ports_place(project: Any, served: Any, tmp_path: Path) -> None:
    project.write("app.py")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        project.run("run", "--uds", str(tmp_path / "socket"), "--port", port)
    assert served[0][1]["uds"] == str(tmp_path / "socket")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--trusted-proxies", "localhost"], "'localhost' is no address: write --trusted-proxies 10.0.0.1,10.1.0.0/16"),
        (["--ssl-certfile", "cert.pem"], "there is no file cert.pem"),
        (["--ssl-keyfile", "app.py"], "--ssl-keyfile needs --ssl-certfile"),
        (
            ["--ssl-certfile", "app.py"],
            "app.py is no certificate with its key, as PEM without a password",
        ),
        (["--uds", "x" * 120], f"the path is too long for a socket, take a shorter one: {'x' * 120}"),
    ],
)
def test_options_that_cannot_work_are_refused(project: Any, served: Any, arguments: list[str], says: str) -> None:
    project.write("app.py")
    assert project.complaint("run", *arguments) == says
    assert not served


def test_a_port_in_use_is_found_before_the_application_is_imported(project: Any, served: Any) -> None:
    project.write("app.py", "raise RuntimeError('imported')\n")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert project.complaint("run", "--port", str(port)).startswith(f"port {port} is in use by process ")
        assert project.complaint("dev", "--port", str(port)).startswith(f"port {port} is in use by process ")


def test_a_folder_to_watch_that_is_not_there_is_named(project: Any) -> None:
    project.write("app.py")
    assert project.complaint("dev", "--watch", "nowhere") == "--watch: there is no folder nowhere"


@pytest.mark.parametrize(
    ("path", "watched"),
    [("app.py", True), ("a/b.HTML", True), ("site.css", True), ("x.js", True), ("data.db", False), ("up.png", False)],
)
def test_what_an_application_may_write_itself_is_not_watched(path: str, watched: bool) -> None:
    assert watching.is_watched(path) is watched


def test_changes_are_seen_and_caches_are_not(tmp_path: Path) -> None:
    stop = threading.Event()
    (tmp_path / "__pycache__").mkdir()
    changes = watching.changes_in([tmp_path], stop)
    assert next(changes) == []
    (tmp_path / "__pycache__" / "x.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "app.py").write_text("")
    seen = next(found for found in changes if found)
    assert seen == [str(tmp_path / "app.py")]
    stop.set()
    assert not [found for found in changes if found]


def test_debug_is_switched_on_in_mounted_applications_too() -> None:
    inner, outer = MicroASGI(), MicroASGI()
    outer.mount("/in", inner)

    async def foreign(scope: Any, receive: Any, send: Any) -> None: ...

    outer.mount("/old", foreign)
    dev.switch_debug_on(outer)
    assert (outer.debug, inner.debug) == (True, True)


def options(**more: Any) -> dict[str, Any]:
    return {**vars(make_parser().parse_args(["dev"])), "fd": 0, **more}


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_child_says_where_it_serves_what(
    project: Any, host: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[Any] = []

    def serve(app: Any, sockets: list[socket.socket], options: Any) -> bool:
        given.append(app)
        sockets[0].close()
        return len(given) == 1

    monkeypatch.setattr(dev, "serve_sockets", serve)
    project.write("app.py")
    with socket.socket() as listener:
        settings = options(host=host, port=8000, fd=listener.fileno())
        assert [dev.serve_child(settings), dev.serve_child(settings)] == [0, 3]
    out = capsys.readouterr().out
    assert out.splitlines()[0] == f"microasgi: app:app, 1 route, on http://{shown}:8000 (Ctrl-C stops it)"
    assert given[0].debug


class Process:
    """A process that ends when it is told, or when it is made to."""

    def __init__(self, *, obeys: bool) -> None:
        self.obeys, self.code, self.asked = obeys, None, []  # type: ignore[var-annotated]

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.asked.append("terminate")
        self.code = 0 if self.obeys else None

    def kill(self) -> None:
        self.asked.append("kill")
        self.code = -9

    def wait(self, timeout: float | None = None) -> None:
        if self.code is None:
            raise subprocess.TimeoutExpired("x", timeout or 0)


@pytest.mark.parametrize(("obeys", "asked"), [(True, ["terminate"]), (False, ["terminate", "kill"])])
def test_a_process_that_does_not_stop_is_killed(obeys: bool, asked: list[str]) -> None:
    with socket.socket() as listener:
        child = dev.Child(Namespace(port=1), listener)
    child.stop()
    assert not child.has_ended()
    process = Process(obeys=obeys)
    child.process = process  # type: ignore[assignment]
    assert not child.has_ended()
    child.stop()
    child.stop()
    assert process.asked == asked
    assert [child.has_ended(), child.has_ended()] == [True, False]


class FakeChild:
    """An application's process, as `dev` sees it: it ends by itself after its second start."""

    def __init__(self, *_: Any) -> None:
        self.process: Any = None
        self.log: list[str] = []

    def start(self) -> None:
        self.process = self
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")

    def has_ended(self) -> bool:
        return self.log.count("start") == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_dev_follows_the_changes(
    project: Any, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    child = FakeChild()
    watched: list[Any] = []
    handlers: dict[int, Any] = {}

    def changes_in(folders: Any, stop: threading.Event) -> Any:
        watched.extend(folders)
        yield from ([], [], ["app.py", "b.py", "c.py", "d.py"], [])
        handlers[2](2, None)
        assert stop.is_set()

    monkeypatch.setattr(dev, "Child", lambda *_: child)
    monkeypatch.setattr(dev, "changes_in", changes_in)
    monkeypatch.setattr("signal.signal", lambda number, handler: handlers.update({number: handler}))
    project.write("app.py")
    project.write("elsewhere/web.py")
    (project.folder / "more").mkdir()
    said = project.run("dev", "--host", host, "--port", "0", "--watch", "more")
    assert said.code == 0
    assert said.out.splitlines() == [
        "microasgi: app.py, b.py, c.py and more changed: starting again",
        "microasgi: waiting for a change",
    ]
    assert ("others see tracebacks" in said.err) is (host == "0.0.0.0")
    assert child.log == ["start", "stop", "start", "stop"]
    assert watched == [project.folder, Path("more")]


def test_dev_watches_the_applications_folder_where_it_is_elsewhere(tmp_path: Path) -> None:
    assert dev._root(tmp_path) == tmp_path


def test_the_child_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[int] = []
    monkeypatch.setattr("signal.raise_signal", raised.append)
    reading, writing = os.pipe()
    os.close(writing)
    dev.end_with(reading)
    os.close(reading)
    assert raised == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("code", "err", "answers"),
    [
        (0, "", []),
        (3, "", ["The application did not start: its error is in the terminal."]),
        (None, "microasgi: no such thing\n", ["no such thing"]),
    ],
)
def test_the_childs_process_says_what_is_wrong_and_answers_with_it(
    code: int | None, err: str, answers: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given: list[str] = []

    def serve(options: dict[str, Any]) -> int:
        if code is None:
            raise Complaint("no such thing")
        return code

    monkeypatch.setattr(dev, "serve_mistake", lambda fd, mistake: given.append(mistake))
    monkeypatch.setattr(dev, "serve_child", serve)
    monkeypatch.setattr(dev, "end_with", lambda pipe: None)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    monkeypatch.setattr("sys.argv", ["", '{"parent": 0, "fd": 0}'])
    dev.main()
    said = capsys.readouterr()
    assert (said.err, given) == (err, answers)
    assert ("waiting for a change" in said.out) is bool(answers)


def test_the_child_is_started_with_what_it_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("subprocess.Popen", lambda command, pass_fds: given.append(pass_fds))
    with socket.socket() as listener:
        child = dev.Child(Namespace(port=1, skipped=print), listener)
        child.start()
        assert given[0][0] == listener.fileno()


class Uvicorn:
    """A server that is interrupted at once."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.started = True

    def run(self, sockets: list[socket.socket]) -> None:
        raise KeyboardInterrupt


def test_an_interrupted_server_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("uvicorn.Server", Uvicorn)
    assert server.serve_sockets(MicroASGI(), [], {}) is True


def test_the_server_is_asked_for_by_the_room_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    with pytest.raises(MissingPackage):
        run.run(make_parser().parse_args(["run"]))
