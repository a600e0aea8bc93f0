"""Ports: whether an address can be listened on, who does so already, and which port is free instead."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from microasgi.cli.complaints import Complaint

__all__ = ["bind", "check_free", "check_socket_file", "open_inodes"]

_LISTEN = "0A"  # the state in /proc/net/tcp
_TRIES = 20
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_SHARES = os.name == "posix"  # elsewhere SO_REUSEADDR would let two servers have one port


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to host and port; Complaint that names who has it, and a port that is free."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except (socket.gaierror, UnicodeError):
        raise Complaint(f"{host!r} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all") from None
    listener = socket.socket(family, kind)
    if _SHARES:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)  # two that are bound and do not listen yet would not see each other
    except OSError as error:
        listener.close()
        raise Complaint(_why(error, host, port)) from None
    return listener


def check_free(host: str, port: int) -> None:
    """Raise the Complaint of `bind` if it is needed, and listen on nothing."""
    bind(host, port).close()


def check_socket_file(path: str) -> None:
    """Raise Complaint if a server listens on this Unix socket already, or if no socket can be made there."""
    if not Path(path).parent.is_dir():
        raise Complaint(f"there is no folder {Path(path).parent} for the socket {path}")
    if Path(path).exists() and not Path(path).is_socket():
        raise Complaint(f"{path} exists and is no socket: take another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno is None:  # this one comes from Python, not from the system
                raise Complaint(f"the path is too long for a socket, take a shorter one: {path}") from None
            return _check_place(path)  # nobody answers: what is left of an old server is replaced
    raise Complaint(f"a server listens on {path} already: stop it, or take another path")


def _check_place(path: str) -> None:
    if Path(path).exists():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(path)
        except OSError as error:
            raise Complaint(f"no socket can be made at {path}: {error.strerror}") from None
    Path(path).unlink()


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        stop = f" by {holder}" if holder else ""
        free = _next_free(host, port)
        return f"port {port} is in use{stop}: stop that" + (f", or take a free one: --port {free}" if free else "")
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"port {port} is for the system's own servers: take one from 1024 on, as in --port 8000"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: use 127.0.0.1, or 0.0.0.0 for all"
    return f"cannot listen on {host} port {port}: {error.strerror}"


def _next_free(host: str, port: int) -> int | None:
    for other in range(port + 1, min(port + _TRIES, 65535)):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            try:
                probe.bind((host, other))
                probe.listen(1)
            except OSError:
                continue
            return other
    return None


def _holder(port: int) -> str | None:
    """Return who listens on a port, as `process 12 (its command)`, where the system tells."""
    inodes = set(_listening_inodes(port))
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if open_inodes(process) & inodes:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {process.name} ({command[:60]})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def open_inodes(process: Path) -> set[str]:
    """Return the numbers of the sockets that a process, as /proc shows it, has open."""
    found: set[str] = set()
    try:
        for link in (process / "fd").iterdir():
            found.add(_read_link(link))
    except OSError:  # another user's, or gone
        pass
    return {text[len("socket:[") : -1] for text in found if text.startswith("socket:[")}


def _read_link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed by now
        return ""
