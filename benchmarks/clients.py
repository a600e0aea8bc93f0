"""The server's side of a case: headers, messages, and the `receive` and `send` that an application is given."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from cases import AGENT, PIECE, Case, upload_body


def request_headers(case: Case) -> list[tuple[bytes, bytes]]:
    """Five pairs, as a server hands them over (six for a websocket handshake; cookie and token beside a body)."""
    host = (b"host", b"127.0.0.1:8000")
    if case.kind != "http":
        return [
            host, (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"origin", b"http://127.0.0.1:8000"),
            (b"sec-websocket-version", b"13"), (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ]  # fmt: skip
    headers = [host, (b"user-agent", AGENT), (b"accept", b"*/*")]
    if case.content_type:
        size = len(upload_body()) if case.upload else len(case.body)
        headers += [(b"content-type", case.content_type), (b"content-length", b"%d" % size)]
        more = [(b"cookie", case.cookie), (b"x-token", case.token)]
        return headers + [(name, value) for name, value in more if value]
    last = (b"cookie", case.cookie) if case.cookie else (b"accept-encoding", b"gzip, deflate, br")
    return [*headers, (b"connection", b"keep-alive"), last]


def request_messages(case: Case) -> list[dict[str, Any]]:
    """What `receive` gives for an http case, then nothing until the client would go away."""
    body = upload_body() if case.upload else case.body
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)] or [b""]
    last = len(pieces) - 1
    return [{"type": "http.request", "body": piece, "more_body": at < last} for at, piece in enumerate(pieces)]


class Client:
    """The server's side of one request: hands out the prepared messages, then waits for ever; takes everything."""

    __slots__ = ("messages",)

    def __init__(self, messages: Iterable[dict[str, Any]]) -> None:
        self.messages = iter(messages)

    async def receive(self) -> dict[str, Any]:
        for message in self.messages:
            return message
        return await asyncio.get_running_loop().create_future()

    @staticmethod
    async def send(message: dict[str, Any]) -> None:
        return


class PatientClient(Client):
    """As `Client`, and tells of the disconnect after the response, for frameworks that end a request only then."""

    __slots__ = ("complete",)

    def __init__(self, messages: Iterable[dict[str, Any]]) -> None:
        super().__init__(messages)
        self.complete = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        for message in self.messages:
            return message
        await self.complete.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete.set()


class SocketClient:
    """The server's side of one websocket: the client connects, sends each message when the last one was
    answered, and goes away. A framework that reads ahead waits, as it would on a wire."""

    __slots__ = ("answers", "messages", "waiter")

    def __init__(self, messages: int) -> None:
        message = {"type": "websocket.receive", "text": "hello", "bytes": None}
        start, end = {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000, "reason": ""}
        self.messages = itertools.chain([start], itertools.repeat(message, messages), [end])
        self.answers, self.waiter = 1, None

    async def receive(self) -> dict[str, Any]:
        if not self.answers:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        self.answers -= 1
        for message in self.messages:
            return message
        return await asyncio.get_running_loop().create_future()

    async def send(self, message: dict[str, Any]) -> None:
        self.answers += 1
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)
