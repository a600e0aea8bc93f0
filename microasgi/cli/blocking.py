"""Blocking: the calls of the standard library and of well-known packages that wait, and what to write instead."""

from __future__ import annotations

from typing import Any

__all__ = ["blocking_cure", "full_name"]

_THREAD = "await run_in_threadpool(...)"
_PROCESS = "await anyio.run_process(...)"
_CLIENT = "await an httpx.AsyncClient"

# By the name that a function has where it is made, a dot at the end for all that is in there.
_CURES = {
    "time.sleep": "await anyio.sleep(...)",
    "subprocess.run": _PROCESS,
    "subprocess.call": _PROCESS,
    "subprocess.check_call": _PROCESS,
    "subprocess.check_output": _PROCESS,
    "subprocess.getoutput": _PROCESS,
    "os.system": _PROCESS,
    "os.popen": _PROCESS,
    "urllib.request.urlopen": _CLIENT,
    "urllib.request.urlretrieve": _CLIENT,
    "requests.api.": _CLIENT,
    "requests.sessions.Session.": _CLIENT,
    **{f"httpx.{name}": _CLIENT for name in ("delete", "get", "head", "patch", "post", "put", "request")},
    "httpx._client.Client.": _CLIENT,
    "sqlite3.connect": _THREAD,
    "sqlite3.Connection.": _THREAD,
    "sqlite3.Cursor.": _THREAD,
    "psycopg2.connect": _THREAD,
    "pymysql.connections.Connection": _THREAD,
    "smtplib.SMTP": _THREAD,
    "smtplib.SMTP_SSL": _THREAD,
    "socket.create_connection": "await anyio.connect_tcp(...)",
    "socket.getaddrinfo": "await anyio.getaddrinfo(...)",
    "socket.gethostbyname": "await anyio.getaddrinfo(...)",
    "open": "await anyio.open_file(...)",
    "pathlib.Path.open": "await anyio.Path(...).open()",
    "pathlib.Path.read_text": "await anyio.Path(...).read_text()",
    "pathlib.Path.read_bytes": "await anyio.Path(...).read_bytes()",
    "pathlib.Path.write_text": "await anyio.Path(...).write_text(...)",
    "pathlib.Path.write_bytes": "await anyio.Path(...).write_bytes(...)",
    "shutil.copy": _THREAD,
    "shutil.copy2": _THREAD,
    "shutil.copyfile": _THREAD,
    "shutil.copyfileobj": _THREAD,
    "shutil.copytree": _THREAD,
    "shutil.make_archive": _THREAD,
    "shutil.move": _THREAD,
    "shutil.rmtree": _THREAD,
}
# Modules in C, and where they are split, by the name under which they are imported.
_PUBLIC = {
    "_io": "",
    "io": "",
    "_sqlite3": "sqlite3",
    "_socket": "socket",
    "posix": "os",
    "nt": "os",
    "pathlib._local": "pathlib",
    "psycopg2._psycopg": "psycopg2",
}


def full_name(target: Any) -> str:
    """Return the name of a function or class with its module's."""
    owner = getattr(target, "__objclass__", None)  # a method in C knows its class only
    module = getattr(target, "__module__", None) or getattr(owner, "__module__", None) or ""
    return f"{_PUBLIC.get(module, module)}.{getattr(target, '__qualname__', '')}".lstrip(".")


def blocking_cure(target: Any) -> str | None:
    """Return what to write instead of a call of this, or None if it does not block."""
    name = full_name(target)
    if name in _CURES:
        return _CURES[name]
    if isinstance(target, type):
        return None
    parts = name.split(".")
    starts = (".".join(parts[:count]) + "." for count in range(1, len(parts)))
    return next((_CURES[start] for start in starts if start in _CURES), None)
