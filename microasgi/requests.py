"""The request: what the client asked, and its body, read once from the server and as often as wanted from here.

The law of this file: one reader at a time calls the server's `receive`, and nobody calls it again after a disconnect.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import IO, Any, Final, cast

import anyio

from microasgi.concurrency import await_within, run_in_threadpool
from microasgi.connection import HTTPConnection, StateT
from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.forms import FormData, FormLimits, parse_form
from microasgi.headers import encode_header
from microasgi.serialization import decode_json
from microasgi.types import Message, Receive, Scope, Send

__all__ = ["Request"]

_DEFAULT_BODY_SIZE: Final = 16 * 1024 * 1024
_DEFAULT_TIMEOUT: Final = 30.0
_SPOOL_SIZE: Final = 1024 * 1024
# Where what was read is kept for every other Request of the same scope, a middleware's say.
_BODY_KEY: Final = "microasgi.body"
_FORM_KEY: Final = "microasgi.form"


async def _no_receive() -> Message:
    raise RuntimeError("this request was made without `receive`, so its body cannot be read: Request(scope, receive)")


async def _no_send(message: Message) -> None:
    raise RuntimeError("this request was made without `send`: Request(scope, receive, send)")


class Request(HTTPConnection[StateT]):
    """One http request (ASGI HTTP specification); `Request[MyState]` types `request.state`.

    `max_body_size` (bytes) and `body_timeout` (seconds between two chunks) come from the route or the application,
    and may be set before the body is read.
    """

    max_body_size: int | None = None
    body_timeout: float | None = None
    closing: list[Callable[[], Awaitable[None]]] | None = None
    """What `close` calls."""
    _body: bytes | None = None
    _form: FormData | None = None
    _json: Any = None
    _received = 0  # bytes of the body so far
    _complete = False  # the last chunk of the body has been taken from `_pending` or the server
    _consumed = False  # by `stream()`, so that `body()` has nothing left
    _disconnected = False
    _replayed = False
    _pending: deque[Message] | None = None  # read by a look-out for the disconnect, not yet by the body's reader
    _turn: anyio.Semaphore | None = None  # who may call `receive`; made when a second reader comes
    _receiving = False

    def __init__(self, scope: Scope, receive: Receive = _no_receive, send: Send = _no_send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"a request needs an http scope, this one is {scope['type']!r}")
        self.scope = scope
        self._receive = receive
        self._send = send

    @property
    def method(self) -> str:
        """The method, as the client sent it."""
        return cast(str, self.scope["method"])

    @property
    def receive(self) -> Receive:
        """The server's `receive`; reading from it competes with `body`, `stream` and `form`."""
        return self._receive

    def send_message(self, message: Message) -> Awaitable[None]:
        """Send an ASGI message to the server, beside the response."""
        return self._send(message)

    async def stream(self) -> AsyncIterator[bytes]:
        """Iterate over the body's chunks as they arrive; they are not kept.

        Raises ClientDisconnect when the client leaves, HTTPException 413 above `max_body_size` and 408 when nothing
        comes for `body_timeout` seconds. RuntimeError if the stream was consumed before.
        """
        body = self._known_body()
        if body is not None:
            yield body
            return
        if self._consumed:
            raise RuntimeError("the body was consumed by stream() before: read it once, with body() or form()")
        self._consumed = True
        while not self._complete:
            chunk = await self._next_chunk()
            if chunk:
                yield chunk

    async def body(self) -> bytes:
        """Return the whole body; read from the server at the first call. Raises as `stream` does."""
        body = self._known_body()
        if body is None:
            body = self._body = self.scope[_BODY_KEY] = await self._read_body()
        return body

    async def json(self) -> Any:
        """Return the body's JSON value (RFC 8259); HTTPException 400 if it is none. Parsed once."""
        if self._json is None:
            self._json = decode_json(self._body if self._body is not None else await self.body())
        return self._json

    def form(
        self, *, max_files: int | None = None, max_fields: int | None = None, max_part_size: int | None = None
    ) -> _FormContext:
        """Parse the body as a form, urlencoded or multipart: `await request.form()`, or `async with` to close its files.

        Limits: 100 files, 1,000 fields, 1 MiB for a field, 2 MiB for all fields together; above them HTTPException
        413, for a malformed form 400. Files above 1 MiB are spooled to disk and closed when the request ends.
        """
        limits = FormLimits()
        given = {"max_files": max_files, "max_fields": max_fields, "max_field_size": max_part_size}
        changed = {name: value for name, value in given.items() if value is not None}
        if changed:
            if max_part_size is not None:
                changed["max_form_memory"] = max(limits.max_form_memory, max_part_size)
            limits = FormLimits(**changed)
        return _FormContext(self, limits)

    async def read_form(self, limits: FormLimits) -> FormData:
        """Parse the body as a form under these limits, once; `form()` is the short way."""
        if self._form is None:
            self._form = self.scope.get(_FORM_KEY)
        if self._form is None:
            content_type = self.headers.get("content-type", "")
            self._form = self.scope[_FORM_KEY] = await parse_form(content_type, self.stream(), limits)
            self.on_close(self._form.close)
        return self._form

    def on_close(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Call this when the request has been answered and its background tasks are done."""
        self.closing = [*(self.closing or ()), clean_up]

    async def close(self) -> None:
        """Run the clean-ups, the last one first: files of a form, say."""
        while self.closing:
            await self.closing.pop()()

    async def is_disconnected(self) -> bool:
        """Tell whether the client has left, without waiting and without touching the body."""
        if not self._disconnected:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await self._look_out()
        return self._disconnected

    async def until_disconnect(self) -> Message:
        """Wait until the client has left and return that message; chunks of the body are kept for their reader."""
        while not self._disconnected:
            await self._look_out()
        return {"type": "http.disconnect"}

    async def replay(self) -> Message:
        """Receive for an application behind this request: what has been read of the body here is read there again."""
        body = self._known_body()
        if body is not None and not self._replayed:
            self._replayed = True
            return {"type": "http.request", "body": body, "more_body": False}
        if self._pending:
            return self._pending.popleft()
        if self._disconnected:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._disconnected = message["type"] == "http.disconnect"
        return message

    async def send_early_hints(self, links: Iterable[str]) -> None:
        """Send a 103 response with these `Link` header values (RFC 8297), where the server can; else do nothing."""
        if "http.response.early_hint" in (self.scope.get("extensions") or {}):
            values = [encode_header("link", link)[1] for link in links]
            await self._send({"type": "http.response.early_hint", "links": values})

    def _known_body(self) -> bytes | None:
        if self._body is None and _BODY_KEY in self.scope:
            # Another Request of this scope, in a middleware say, has read it.
            self._body = self.scope[_BODY_KEY]
        return self._body

    async def _read_body(self) -> bytes:
        if self._consumed:
            raise RuntimeError("the body was consumed by stream(): there is nothing left for body(), json() or form()")
        first = await self._next_chunk()
        if self._complete:
            return first
        chunks, size = [first], len(first)
        file: IO[bytes] | None = None
        try:
            while not self._complete:
                chunk = await self._next_chunk()
                chunks.append(chunk)
                size += len(chunk)
                if size > _SPOOL_SIZE:
                    # A slow upload waits on disk, not in memory, until it is complete.
                    file = file or await run_in_threadpool(tempfile.TemporaryFile)
                    await run_in_threadpool(file.writelines, chunks)
                    chunks, size = [], 0
            if file is None:
                return b"".join(chunks)
            return await run_in_threadpool(_read_all, file, chunks)
        finally:
            if file is not None:
                file.close()

    async def _next_chunk(self) -> bytes:
        message = await self._next_message()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect("the client left before its request's body was complete")
        if message["type"] != "http.request":
            raise RuntimeError(f"the server sent {message['type']!r} in an http scope")
        chunk: bytes = message.get("body", b"")
        self._complete = not message.get("more_body", False)
        self._received += len(chunk)
        limit = self.max_body_size
        if limit is None:
            limit = self.max_body_size = self._setting("max_body_size", _DEFAULT_BODY_SIZE)
        if self._received > limit:
            raise HTTPException(413, f"the body is larger than {limit} bytes", {"connection": "close"})
        return chunk

    def _setting(self, name: str, default: Any) -> Any:
        for holder in (self.scope.get("route"), self.scope.get("app")):
            value = getattr(holder, name, None)
            if value is not None:
                return value
        return default

    async def _next_message(self) -> Message:
        if self._turn is not None:
            await self._turn.acquire()
        try:
            if self._pending:
                return self._pending.popleft()
            if self._disconnected:
                return {"type": "http.disconnect"}
            self._receiving = True
            timeout = self.body_timeout
            if timeout is None:
                timeout = self.body_timeout = self._setting("body_timeout", _DEFAULT_TIMEOUT)
            message = await await_within(timeout, self._receive())
        except TimeoutError:
            text = f"no part of the body came for {self.body_timeout:g} seconds"
            raise HTTPException(408, text, {"connection": "close"}) from None
        finally:
            self._receiving = False
            if self._turn is not None:
                self._turn.release()
        if message["type"] == "http.disconnect":
            self._disconnected = True
        return message

    async def _look_out(self) -> None:
        """Take one message from the server, for `_pending` or for `_disconnected`, when no reader is doing that."""
        if self._turn is None:
            self._turn = anyio.Semaphore(0 if self._receiving else 1)
        async with self._turn:
            if self._disconnected:
                return
            pending = self._pending = deque() if self._pending is None else self._pending
            if sum(len(message.get("body", b"")) for message in pending) > _SPOOL_SIZE:
                await anyio.sleep_forever()  # nobody reads the body: what it holds back may not grow
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._disconnected = True
            else:
                pending.append(message)


class _FormContext:
    """What `request.form()` returns: awaitable for the form, and an async context manager that closes its files."""

    __slots__ = ("_limits", "_request")

    def __init__(self, request: Request[Any], limits: FormLimits) -> None:
        self._request = request
        self._limits = limits

    def __await__(self) -> Generator[Any, Any, FormData]:
        return self._request.read_form(self._limits).__await__()

    async def __aenter__(self) -> FormData:
        return await self

    async def __aexit__(self, *_: object) -> None:
        await (await self).close()


def _read_all(file: IO[bytes], rest: list[bytes]) -> bytes:
    file.writelines(rest)
    file.seek(0)
    return file.read()
