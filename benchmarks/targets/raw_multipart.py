"""Multipart by hand, for the raw callable: parts as they come, and a file written in worker threads."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

MIB = 1024 * 1024


def find_header(scope: Any, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            return value
    return b""


def option(value: bytes, name: bytes) -> bytes:
    """A parameter of a header value: `option(b'form-data; name="a"', b"name")` is `b"a"`."""
    for part in value.split(b";")[1:]:
        key, _, content = part.strip().partition(b"=")
        if key == name:
            return content.strip(b'"')
    return b""


def part_name(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-disposition":
            return option(value, b"name").decode()
    raise ValueError("a part has no content-disposition")


async def multipart(scope: Any, receive: Any) -> AsyncIterator[tuple[str, bytes]]:
    """The parts of a multipart body as they come: (name, piece), a piece never larger than a message."""
    mark = b"\r\n--" + option(find_header(scope, b"content-type"), b"boundary")
    data, name, more = b"\r\n", "", True
    while more:
        message = await receive()
        data += message["body"]
        more = message["more_body"]
        while (at := data.find(mark)) >= 0:
            end = data.find(b"\r\n\r\n", at + len(mark))
            last = data.startswith(b"--", at + len(mark))
            if end < 0 and not last:
                break
            if name and at:
                yield name, data[:at]
            if last:
                return
            name, data = part_name(data[at + len(mark) : end]), data[end + 4 :]
        if at < 0 and len(data) > len(mark):
            yield name, data[: -len(mark)]
            data = data[-len(mark) :]
    raise ValueError("the multipart body has no end")


def in_thread(function: Any, argument: Any) -> Any:
    return asyncio.get_running_loop().run_in_executor(None, function, argument)


@dataclass
class Upload:
    """A temporary file written and read in a worker thread, 1 MiB at a time."""

    file: Any = field(default_factory=tempfile.TemporaryFile)
    held: list[bytes] = field(default_factory=list)
    size: int = 0

    async def write(self, piece: bytes) -> None:
        self.held.append(piece)
        self.size += len(piece)
        if self.size >= MIB:
            await self.flush()

    async def flush(self) -> None:
        data, self.held, self.size = self.held, [], 0
        await in_thread(self.file.write, b"".join(data))

    async def read(self, size: int) -> bytes:
        return await in_thread(self.file.read, size)
