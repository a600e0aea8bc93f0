"""Plays exchanges on the wire. Law: it waits for bytes until a deadline, never for a time; what it saw is facts."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.conformance.script import (
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
from tests.conformance.wire import PATIENCE, Connection, Ended, Reply, fetch, frame_bytes, request_bytes

__all__ = ["Player"]

BRIEF = 0.4  # seconds after which something that never comes is believed not to
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


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
