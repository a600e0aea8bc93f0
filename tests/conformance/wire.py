"""A client that speaks HTTP/1.1 and websocket over a socket of its own, byte by byte, so that it can be wrong too.

Law: reading ends with the bytes that were asked for or with `Ended`, which says what came instead.
"""

from __future__ import annotations

import os
import socket
import struct

from tests.conformance.script import HOST, Ask, Facts

__all__ = ["PATIENCE", "Connection", "Ended", "Reply", "fetch", "frame_bytes", "request_bytes"]

PATIENCE = 25.0  # seconds that something expected may take; a send-only handler hears within twenty of the end


class Ended(Exception):
    """The bytes ended: `kind` is "eof" (the peer closed) or "open" (nothing came before the deadline)."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Connection:
    """A TCP connection that reads by length and by mark."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._buffer = b""
        self._patience = patience

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send the bytes; a peer that has left already does not matter here."""
        try:
            self._socket.sendall(data)
        except OSError:
            pass

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        while len(self._buffer) < size:
            self._more()
        return self._take(size)

    def read_line(self, mark: bytes = b"\r\n") -> bytes:
        """Return the bytes up to the mark, without it."""
        while mark not in self._buffer:
            self._more()
        line = self._take(self._buffer.index(mark) + len(mark))
        return line[: -len(mark)]

    def read_some(self, limit: int = 65536) -> bytes:
        """Return what is there, at least one byte and at most `limit`."""
        if not self._buffer:
            self._more()
        return self._take(min(limit, len(self._buffer)))

    def _take(self, size: int) -> bytes:
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> None:
        self._socket.settimeout(self._patience)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise Ended("open") from None
        except OSError:
            data = b""
        if not data:
            raise Ended("eof")
        self._buffer += data


class Reply:
    """One response, read as far as wanted."""

    def __init__(self, connection: Connection, method: str) -> None:
        self._connection = connection
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self._method = method

    def facts(self) -> Facts:
        """Return status and headers as facts."""
        facts: Facts = {}
        for name, value in self.headers:
            facts[name] = f"{facts[name]} | {value}" if name in facts else value
        return {**facts, "status": self.status}

    def read_head(self) -> None:
        """Read status and headers."""
        lines = self._connection.read_line(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ", 2)[1])
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.append((name.lower(), value.strip()))

    def read_body(self, at_least: int | None = None) -> str:
        """Read the body, whole or in part; return how it ended."""
        headers = dict(self.headers)
        try:
            if self._method == "HEAD" or self.status in {204, 304}:
                return "complete"
            if headers.get("transfer-encoding", "").lower() == "chunked":
                self._read_chunks(at_least)
            elif "content-length" in headers:
                self._read_sized(int(headers["content-length"]), at_least)
            else:
                self._read_all(at_least)
        except Ended as ended:
            return "cut" if ended.kind == "eof" else "open"
        return "complete"

    def _read_chunks(self, at_least: int | None) -> None:
        while at_least is None or len(self.body) < at_least:
            size = int(self._connection.read_line().partition(b";")[0], 16)
            self.body += self._connection.read(size)
            self._connection.read(2)
            if size == 0:
                return

    def _read_sized(self, length: int, at_least: int | None) -> None:
        wanted = length if at_least is None else at_least
        while len(self.body) < wanted:
            self.body += self._connection.read_some(wanted - len(self.body))

    def _read_all(self, at_least: int | None) -> None:
        while at_least is None or len(self.body) < at_least:
            try:
                self.body += self._connection.read_some()
            except Ended as ended:
                if ended.kind == "eof":
                    return
                raise


def fetch(port: int, target: str) -> Facts:
    """Ask for a target on a connection of its own and return the facts."""
    with Connection(port) as connection:
        connection.send(request_bytes(Ask(target=target, headers=(("connection", "close"),)), ""))
        reply = Reply(connection, "GET")
        reply.read_head()
        reply.read_body()
        return {**reply.facts(), "body": reply.body}


def request_bytes(ask: Ask, token: str) -> bytes:
    """Return the request as HTTP/1.1 writes it."""
    lines = [f"{ask.method} {ask.target} HTTP/{ask.version}"]
    if not ask.bare:
        lines.append(f"host: {HOST}")
    lines += [f"{name}: {value}" for name, value in ask.headers]
    if token:
        lines.append(f"x-exchange: {token}")
    body = ask.body or b""
    if ask.chunks is not None:
        lines.append("transfer-encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*ask.chunks, b""))
    elif ask.body is not None:
        lines.append(f"content-length: {len(body) if ask.promised is None else ask.promised}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def frame_bytes(opcode: int, payload: bytes) -> bytes:
    """Return a whole frame as a client writes it, masked (RFC 6455 section 5.2)."""
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else bytes([128 | 126]) + struct.pack("!H", size)
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([128 | opcode]) + length + mask + masked
