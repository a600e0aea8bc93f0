"""The request: what the client asked, with its body, and what has to be cleaned up when it has been answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final, cast

import anyio

from microasgi.body import Body, Chunks, Replay, shared_body
from microasgi.connection import HTTPConnection, StateT
from microasgi.forms import FormData, FormLimits, Part, UploadFile, iter_parts, parse_form
from microasgi.headers import encode_header
from microasgi.serialization import decode_json
from microasgi.types import Message, Receive, Scope, Send

__all__ = ["FormContext", "Request"]

_DEFAULT_BODY_SIZE: Final = 16 * 1024 * 1024
_DEFAULT_LIMITS: Final = FormLimits()
_DEFAULT_TIMEOUT: Final = 30.0
_FORM_KEY: Final = "microasgi.form"


async def _no_receive() -> Message:
    raise RuntimeError("this request was made without `receive`, so its body cannot be read: Request(scope, receive)")


async def _no_send(message: Message) -> None:
    raise RuntimeError("this request was made without `send`: Request(scope, receive, send)")


class Request(HTTPConnection[StateT]):
    """One http request (ASGI HTTP specification); `Request[MyState]` types `request.state`.

    Its body is read from the server once. Every other Request of the same scope and `receive` shares it, and an
    application behind this one gets it from `request.receive`.
    """

    max_body_size: int | None = None
    """In bytes; None: as the route or the application says. It counts when the body is read."""
    body_timeout: float | None = None
    """In seconds between two parts of the body; None: as the route or the application says."""
    closing: list[Callable[[], Awaitable[None]]] | None = None
    """What `close` calls."""
    _body: Body | None = None
    _looks_out: bool = False
    _replay: Receive | None = None
    _form: FormData | None = None
    _json: Any = None

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
        """For an application behind this request: the body from its start, though it was read here; the disconnect."""
        if self._replay is None:
            self._replay = self.replayer()
        return self._replay

    def replayer(self) -> Receive:
        """Return another `receive`, for one more application that is to get the body."""
        return Replay(self._intake())

    def replay(self) -> Awaitable[Message]:
        """Receive a message as an application behind this request does."""
        return self.receive()

    def send_message(self, message: Message) -> Awaitable[None]:
        """Send an ASGI message to the server, beside the response."""
        return self._send(message)

    def stream(self) -> AsyncIterator[bytes]:
        """Iterate over the body's chunks as they arrive; they are not kept.

        Raises ClientDisconnect when the client leaves, HTTPException 413 above `max_body_size` and 408 when nothing
        comes for `body_timeout` seconds. RuntimeError if the stream was consumed before.
        """
        return Chunks(self._intake(), *self._limits())

    def body(self) -> Coroutine[Any, Any, bytes]:
        """Return the whole body; read from the server at the first call. Raises as `stream` does."""
        return self._intake().read(*self._limits())

    async def json(self) -> Any:
        """Return the body's JSON value (RFC 8259); HTTPException 400 if it is none. Parsed once."""
        if self._json is None:
            self._json = decode_json(await self.body())
        return self._json

    def form(
        self, *, max_files: int | None = None, max_fields: int | None = None, max_part_size: int | None = None
    ) -> FormContext:
        """Parse the body as a form, urlencoded or multipart: `await request.form()`, or `async with` to close files.

        Limits: 100 files, 1,000 fields, 1 MiB for a field, 2 MiB for all fields together; above them HTTPException
        413, for a malformed form 400. Files above 1 MiB are spooled to disk and closed when the request ends.
        """
        given = {"max_files": max_files, "max_fields": max_fields, "max_field_size": max_part_size}
        changed = {name: value for name, value in given.items() if value is not None}
        if not changed:
            return FormContext(self, _DEFAULT_LIMITS)
        if max_part_size is not None:
            changed["max_form_memory"] = max(_DEFAULT_LIMITS.max_form_memory, max_part_size)
        return FormContext(self, FormLimits(**changed))

    async def read_form(self, limits: FormLimits) -> FormData:
        """Parse the body as a form under these limits, once; `form()` is the short way."""
        form = self._form
        if form is None:
            form = self.scope.get(_FORM_KEY)
        if form is None:
            form = await parse_form(self.headers.get("content-type", ""), self.stream(), limits)
            self.scope[_FORM_KEY] = form
            if any(isinstance(value, UploadFile) for value in form.values()):
                self.on_close(partial(_close_shielded, form))
        self._form = form
        return form

    def parts(self, limits: FormLimits | None = None) -> AsyncIterator[Part]:
        """Iterate over a multipart form's parts while they arrive; nothing is kept. Raises as `form` does, or 415."""
        return iter_parts(self.headers.get("content-type", ""), self.stream(), limits or _DEFAULT_LIMITS)

    def on_close(self, clean_up: Callable[[], Awaitable[None]]) -> None:
        """Call this when the request has been answered and its background tasks are done."""
        self.closing = [*(self.closing or ()), clean_up]

    async def close(self) -> None:
        """Run the clean-ups, the last one first, each of them whatever the others raise: files of a form, say."""
        closing, self.closing = self.closing or [], None
        if len(closing) == 1:
            await closing[0]()
            return
        async with AsyncExitStack() as stack:
            for clean_up in closing:
                stack.push_async_callback(clean_up)

    def is_disconnected(self) -> Coroutine[Any, Any, bool]:
        """Tell whether the client has left, without waiting for it and without touching the body."""
        return self._lookout().is_disconnected()

    def watch(self) -> Coroutine[Any, Any, Message]:
        """Wait for the disconnect while the response is sent: what `receive` is to a response that looks out itself."""
        return self._intake().watch()

    def until_disconnect(self) -> Coroutine[Any, Any, Message]:
        """Wait until the client has left and return that message; chunks of the body are kept for their reader.

        A body that nobody begins to read is given up when 1 MiB of it has been kept for 30 seconds.
        """
        return self._lookout().until_disconnect()

    async def send_early_hints(self, link: str, /, *additional_links: str) -> None:
        """Send a 103 response with these `Link` header values (RFC 8297) if the server can; else do nothing."""
        if "http.response.early_hint" in (self.scope.get("extensions") or ()):
            links = [encode_header("link", value)[1] for value in (link, *additional_links)]
            await self._send({"type": "http.response.early_hint", "links": links})

    def _lookout(self) -> Body:
        body = self._intake()
        if not self._looks_out:
            self._looks_out = True
            self.on_close(body.stop)
        return body

    def _intake(self) -> Body:
        if self._body is None:
            self._body = shared_body(self.scope, self._receive)
        return self._body

    def _limits(self) -> tuple[int, float]:
        # Looked up at each reading: a middleware may read before the route is known.
        size, seconds = self.max_body_size, self.body_timeout
        if size is None:
            size = getattr(self.scope.get("route"), "max_body_size", None)
        if size is None:
            size = self.scope.get("microasgi.max_body_size")
        for key in ("route", "router", "app"):
            holder = self.scope.get(key)
            size = getattr(holder, "max_body_size", None) if size is None else size
            seconds = getattr(holder, "body_timeout", None) if seconds is None else seconds
        return _DEFAULT_BODY_SIZE if size is None else size, _DEFAULT_TIMEOUT if seconds is None else seconds


async def _close_shielded(form: FormData) -> None:
    with anyio.CancelScope(shield=True):  # the files of a request that is being cancelled are deleted too
        await form.close()


class FormContext:
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
