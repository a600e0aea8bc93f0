"""What a bridged application answers, as a Django response: whole, or streaming part by part.

Law: nothing that the application said is lost on the way, and Django's middleware can add to it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any, Final

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from microasgi.django.bridged_cookie import add_cookie
from microasgi.django.bridged_exchange import Exchange
from microasgi.headers import encode_header

__all__ = ["BridgedStream", "Chunks", "LateSession", "make_response"]

logger = logging.getLogger("microasgi")
# Of one connection only (RFC 9110 section 7.6.1): WSGI servers refuse them (PEP 3333).
_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "proxy-authenticate", "te", "trailer", "upgrade"})
_SINGLE: Final = frozenset({"content-length", "content-type", "date", "etag", "last-modified", "location"})


def make_response(exchange: Exchange, content: Any = None, *, wsgi: bool = False) -> HttpResponseBase:
    """Return the response that the exchange has begun; `content` are the parts of one that streams.

    ValueError for a status or a header that Django cannot send.
    """
    response: HttpResponseBase
    has_length = any(name.lower() == b"content-length" for name, _ in exchange.started["headers"])
    if content is not None:
        response = StreamingHttpResponse(content) if wsgi else BridgedStream(exchange, content)
    elif exchange.scope["method"] == "HEAD" and not has_length:
        response = StreamingHttpResponse(()) if wsgi else BridgedStream(exchange, Chunks(exchange))  # of unknown length
    else:
        response = HttpResponse(exchange.whole_body)
    if not 200 <= exchange.status <= 599:
        raise ValueError(f"the application answered with the status {exchange.status}: Django sends 200 to 599")
    response.status_code = exchange.status
    del response.headers["Content-Type"]  # the application says that, or nobody
    _add_headers(response, exchange.started["headers"], wsgi)
    return response


def _add_headers(response: HttpResponseBase, raw: Any, wsgi: bool) -> None:
    headers: dict[str, str] = {}
    for name, value in raw:
        pair = encode_header(bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
        key, text = pair[0].decode("latin-1"), pair[1].decode("latin-1")
        if key == "transfer-encoding":  # the server's (ASGI HTTP, "Response Start"), who may have a length to send
            continue
        if key == "set-cookie":
            add_cookie(response.cookies, text)
        elif key in headers and key not in _SINGLE:
            headers[key] = f"{headers[key]}, {text}"  # RFC 9110 section 5.3
        elif not (wsgi and key in _HOP_BY_HOP):
            headers[key] = text
    for key, text in headers.items():
        response.headers[key] = text


class Chunks:
    """The parts of a streaming response. If nobody iterates to the end, the application is cancelled."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._exchange.next_chunk()
        except BaseException:
            await self._exchange.end()
            raise
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    def close(self) -> None:
        """Give the rest up: Django calls this when it is done with the response, from whatever thread."""
        self._exchange.abandon()

    def __del__(self) -> None:  # a middleware may have dropped the response
        self._exchange.abandon()


class LateSession:
    """Tells when a session was changed too late: Django saves it before it sends a streaming response.

    What `begin` forgets `check` knows again: a middleware may read a stream before Django saves.
    """

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._session: Any = getattr(request, "session", None)
        self._was_modified = False

    def begin(self) -> None:
        """Remember that the session has been saved as it is."""
        if self._session is not None:
            self._was_modified, self._session.modified = self._session.modified, False

    def check(self) -> None:
        """Log a warning if it was changed since."""
        if self._session is None:
            return
        if self._session.modified:
            logger.warning(
                "the session was changed while the response to %s %r was streaming: Django had saved it before, so "
                "the change is lost. Change it before the response begins, or save it: `await request.session.asave()`",
                self._request.method,
                self._request.path,
            )
        self._session.modified = self._session.modified or self._was_modified

    def watch(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Iterate over the parts of a response between `begin` and `check`."""
        self.begin()
        try:
            yield from parts
        finally:
            self.check()


class BridgedStream(StreamingHttpResponse):
    """A streaming response whose application has ended when the server is done with it."""

    def __init__(self, exchange: Exchange, content: Any) -> None:
        super().__init__(content)
        self._exchange = exchange

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        late = LateSession(self._exchange.scope["django.request"])
        late.begin()
        try:
            async for part in super().__aiter__():
                yield part
        finally:
            await self._exchange.end()
            late.check()
