"""A client that speaks HTTP/1.1 and websocket over a socket of its own, byte by byte, so that it can be wrong too.

Law: it waits for bytes until a deadline, never for a time; what it saw is facts, whatever that is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.conformance.script import (
    HOST,
    Answer,
    Ask,
    Await,
    Close,
    Continue,
    Exchange,
    Facts,
    Frame,
    Leave,
    Open,
    Part,
    Raw,
    Recorded,
    Say,
    Step,
)

__all__ = ["Connection", "Ended", "Player", "fetch", "request_bytes"]

PATIENCE = 5.0  # seconds that something expected may take; nothing ever waits so long
BRIEF = 0.4  # seconds after which something that never comes is believed not to
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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


class Player:
    """Plays exchanges against the server that listens on a port; `patience` is in seconds."""

    def __init__(self, port: int, patience: float = PATIENCE) -> None:
        self._port = port
        self._patience = patience

    def play(self, exchange: Exchange, expected: Mapping[str, Any]) -> Facts:
        """Play one exchange and return what was seen; `expected` only tells how long to wait."""
        self._token = uuid.uuid4().hex
        self._expected = expected
        self._facts: Facts = {}
        self._methods: list[str] = []
        patience = BRIEF if "open" in {expected.get("end"), expected.get("close")} else self._patience
        with Connection(self._port, patience) as self._connection:
            for step in exchange.steps:
                self._play(step)
        self._facts["unexpected"] = self._records("unexpected")
        return self._facts

    def _play(self, step: Step) -> None:
        connection = self._connection
        match step:
            case Ask():
                self._methods.append(step.method)
                connection.send(request_bytes(step, self._token))
            case Raw(data):
                self._methods.append("GET")
                connection.send(data.replace(b"TOKEN", self._token.encode()))
            case Continue():
                self._facts["interim"] = int(connection.read_line(b"\r\n\r\n").split(b" ", 2)[1])
            case Answer(prefix):
                self._read_answer(prefix, None)
            case Part(size):
                self._read_answer("", size)
            case Leave():
                connection.close()
            case Recorded():
                wanted = self._expected.get("recorded")
                self._facts["recorded"] = self._ask_records(lambda events: bool(events) and events == wanted)
            case Await(event):
                self._ask_records(lambda events: event in events)
            case Open():
                self._open(step)
            case Say(data):
                opcode, payload = (1, data.encode()) if isinstance(data, str) else (2, data)
                connection.send(frame_bytes(opcode, payload))
            case Close(code, reason):
                connection.send(frame_bytes(8, struct.pack("!H", code) + reason.encode() if code else b""))
                self._read_frame()
            case Frame():
                self._read_frame()

    def _read_answer(self, prefix: str, at_least: int | None) -> None:
        reply = Reply(self._connection, self._methods.pop(0))
        try:
            reply.read_head()
        except Ended as ended:
            self._facts[f"{prefix}end"] = "silence" if ended.kind == "eof" else "open"
            return
        end = reply.read_body(at_least)
        facts = {**reply.facts(), "body": reply.body, "end": end}
        self._facts.update({f"{prefix}{name}": value for name, value in facts.items()})

    def _open(self, step: Open) -> None:
        key = base64.b64encode(os.urandom(16))
        headers = (
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", key.decode()),
            ("sec-websocket-version", "13"),
            *((("sec-websocket-protocol", ", ".join(step.subprotocols)),) if step.subprotocols else ()),
            *step.headers,
        )
        self._facts["frames"] = []
        self._connection.send(request_bytes(Ask(target=step.path, headers=headers), self._token))
        reply = Reply(self._connection, "GET")
        try:
            reply.read_head()
        except Ended as ended:
            self._facts["handshake"] = ended.kind
            return
        self._facts.update(reply.facts(), handshake=reply.status)
        if reply.status != 101:
            self._facts["end"] = reply.read_body()
            self._facts["body"] = reply.body
            return
        proof = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()
        if self._facts.get("sec-websocket-accept") != proof:
            self._facts["handshake"] = "false proof"

    def _read_frame(self) -> None:
        """Read one message of the server, or its end, in which `close` then holds what it was."""
        if "close" in self._facts or self._facts.get("handshake") != 101:
            return
        try:
            opcode, payload = self._read_message()
        except Ended as ended:
            self._facts["close"] = ended.kind
            return
        if opcode == 8:
            code = struct.unpack("!H", payload[:2])[0] if payload else "without a code"
            self._facts["close"] = f"{code} {payload[2:].decode()}".strip()
            return
        self._facts["frames"].append(payload.decode() if opcode == 1 else payload)

    def _read_message(self) -> tuple[int, bytes]:
        message, kind = b"", 0
        while True:
            first, second = self._connection.read(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._connection.read(2 if size == 126 else 8), "big")
            payload = self._connection.read(size)
            opcode = first & 15
            if opcode == 9:
                self._connection.send(frame_bytes(10, payload))
            elif opcode == 8:
                return 8, payload
            elif opcode < 3:
                message, kind = message + payload, kind or opcode
                if first & 128:
                    return kind, message

    def _ask_records(self, enough: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + (self._patience if self._expected.get("recorded") else BRIEF)
        while True:
            records = self._records(self._token)
            if time.monotonic() > deadline or enough(records):
                return records
            time.sleep(0.01)

    def _records(self, name: str) -> list[str]:
        records: list[str] = json.loads(fetch(self._port, f"/recorded?of={name}")["body"])
        return records


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
