"""The lives of servers: how they start when the application cannot, and how they end when they are told to.

They are judged as exchanges are: by facts, and by the same table of differences.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.conformance.player import Player
from tests.conformance.script import Ask, Exchange, Facts, Frame, Open
from tests.conformance.servers import Running, Server
from tests.conformance.trial import read_log
from tests.conformance.wire import Connection, Ended, fetch, request_bytes

__all__ = ["LIVES", "Life"]

Life: TypeAlias = Callable[[Server, Path], Facts]
LONG = 10.0  # seconds that an end may take
NOTICE = 3.0  # seconds in which every server has seen what became of the application
SOCKET_THAT_RAISES = Exchange("a socket that raises", (Open("/ws/fails"), Frame(), Frame()), {})


def fail_at_start(server: Server, directory: Path) -> Facts:
    """Start an application whose lifespan fails: `exit` (None: it goes on), `served`, and whether the log tells why."""
    running = Running(server, directory, app="tests.conformance.served:broken")
    try:
        exit_status = running.wait(LONG) if server.has_lifespan else None
        served = None
        if exit_status is None:
            running.wait_until_listening()
            served = fetch(running.port, "/")["status"]
        return {"exit": exit_status, "served": served, "told": "the cellar is flooded" in running.log}
    finally:
        running.stop()


def end_with_idle_connection(server: Server, directory: Path) -> Facts:
    """Terminate a server while a connection is kept alive: `exit`, how the connection ended, and the lifespan's end."""
    running = Running(server, directory)
    try:
        running.wait_until_listening()
        with Connection(running.port, LONG) as connection:
            connection.send(request_bytes(Ask(target="/plain"), ""))
            connection.read_line(b"\r\n\r\nplain")
            running.process.send_signal(signal.SIGTERM)
            exit_status = running.wait(LONG)
            idle = _ending(connection) if exit_status is not None else "open"
        return {"exit": exit_status, "idle": idle, "lifespan ended": "the lifespan ended" in running.log}
    finally:
        running.stop()


def go_on_after_a_broken_stream(server: Server, directory: Path) -> Facts:
    """Break a stream and keep the connection until the server has noticed; then see how a socket that raises ends."""
    running = Running(server, directory)
    try:
        running.wait_until_listening()
        with Connection(running.port) as connection:
            connection.send(request_bytes(Ask(target="/fail-in-stream"), ""))
            connection.read_line(b"the first part")
            read_log(running, wait=NOTICE)
            return Player(running.port, NOTICE).play(SOCKET_THAT_RAISES, {})
    finally:
        running.stop()


def _ending(connection: Connection) -> str:
    try:
        return f"data: {connection.read_some()!r}"
    except Ended as ended:
        return ended.kind


LIVES: dict[str, tuple[Life, Mapping[str, Any]]] = {
    "start-up fails": (fail_at_start, {"exit": 1, "served": None, "told": True}),
    "a broken stream, then a socket that raises": (go_on_after_a_broken_stream, {"frames": ["soon"], "close": "1011"}),
    "SIGTERM with an idle connection": (end_with_idle_connection, {"exit": 0, "idle": "eof", "lifespan ended": True}),
}
