"""What is new, told to every open page: one bounded queue for each, and none can hold up the others."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from book import Entry


class Live:
    """A broadcast in this process."""

    def __init__(self) -> None:
        self._listeners: set[MemoryObjectSendStream[Entry]] = set()

    def tell(self, entry: Entry) -> None:
        """Give an entry to all who listen; one who is 100 entries behind is cut off, and may come back."""
        for listener in list(self._listeners):
            try:
                listener.send_nowait(entry)
            except anyio.WouldBlock:
                self._drop(listener)

    @contextmanager
    def listen(self) -> Generator[MemoryObjectReceiveStream[Entry], None, None]:
        """Give a stream of what is told inside the block."""
        send, receive = anyio.create_memory_object_stream[Entry](100)
        self._listeners.add(send)
        try:
            yield receive
        finally:
            self._drop(send)
            receive.close()

    def _drop(self, listener: MemoryObjectSendStream[Entry]) -> None:
        self._listeners.discard(listener)
        listener.close()
