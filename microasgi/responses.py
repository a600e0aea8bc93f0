"""Responses: what goes back, and how it is sent so that every server accepts it.

The law of this file: only legal messages leave it. `bytes` bodies, a real list of lower-case header pairs, exact
content-length, no body where RFC 9110 allows none, and always a final body message unless the stream broke.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, TypeAlias, cast
from urllib.parse import quote

from microasgi.cookies import format_cookie
from microasgi.exceptions import ConfigurationError
from microasgi.headers import MutableHeaders, encode_header
from microasgi.serialization import encode_json
from microasgi.types import Receive, Scope, Send

__all__ = [
    "PLAIN_RESULTS",
    "PREPARED_LENGTHS",
    "HTMLResponse",
    "JSONResponse",
    "PlainTextResponse",
    "RedirectResponse",
    "Response",
    "content_length",
    "forbids_body",
]

_Background: TypeAlias = Callable[[], Awaitable[None]]

# Prepared, because nearly every response has one of each.
_PREPARED: Final = 2048
PREPARED_LENGTHS: Final = [(b"content-length", str(length).encode()) for length in range(_PREPARED)]
_TYPES: Final[dict[str | None, tuple[bytes, bytes]]] = {}
_WITH_BODY: Final = frozenset(range(200, 600)) - {204, 304}
_REMEMBERED: Final = 256

# How results of the commonest types become a body, and its content-type: where no Response object is needed.
PLAIN_RESULTS: Final[dict[type, tuple[Callable[[Any], bytes], tuple[bytes, bytes]]]] = {
    str: (str.encode, (b"content-type", b"text/plain; charset=utf-8")),
    dict: (encode_json, (b"content-type", b"application/json")),
    list: (encode_json, (b"content-type", b"application/json")),
}


def content_length(size: int) -> tuple[bytes, bytes]:
    """Return the header for a body of this size."""
    return PREPARED_LENGTHS[size] if size < _PREPARED else (b"content-length", str(size).encode())


def _content_type(media_type: str) -> tuple[bytes, bytes]:
    """Return the header for a media type, with the charset of everything that is rendered here."""
    if media_type not in _TYPES:
        if len(_TYPES) >= _REMEMBERED:
            _TYPES.clear()
        needs_charset = media_type.startswith("text/") and "charset=" not in media_type.lower()
        _TYPES[media_type] = encode_header("content-type", media_type + "; charset=utf-8" * needs_charset)
    return _TYPES[media_type]


def forbids_body(status: int) -> bool:
    """Tell whether RFC 9110 section 6.4.1 forbids content with this status."""
    return status in {204, 304} or status < 200


class Response:
    """A whole response: status, headers, body, and what to run after it was sent. Also an ASGI application.

    `content` is bytes or text; `headers` are validated (ValueError for line ends and the like); `media_type` is
    completed with the charset for text types. It may be sent more than once.
    """

    media_type: str | None = None
    charset: ClassVar[str] = "utf-8"
    """What text is rendered in, and what text types are labelled with. There is no other."""
    sends_itself: ClassVar[bool] = False
    """True for a class that overrides `__call__`: the dispatcher then calls it instead of sending `body`."""
    _headers: MutableHeaders | None = None
    _is_own: bool = False  # of one request, so that middleware may change it

    def __init_subclass__(cls) -> None:
        if cls.charset.lower() != "utf-8":
            raise ConfigurationError(f"{cls.__name__}: text goes out in UTF-8; {cls.charset} has to come as bytes")
        cls.sends_itself = cls.__call__ is not Response.__call__

    def __init__(
        self,
        content: Any = None,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: _Background | None = None,
    ) -> None:
        self.background = background
        if media_type is None:
            media_type = self.media_type
        else:
            self.media_type = media_type
        self._body = body = self.render(content)
        usual = headers is None and status_code in _WITH_BODY and status_code.__class__ is int
        if usual and media_type in _TYPES and len(body) < _PREPARED:
            self.status_code = status_code
            self.raw_headers = [PREPARED_LENGTHS[len(body)], _TYPES[media_type]]
        else:
            self._begin(status_code, headers, len(body))

    def _begin(self, status_code: int, headers: Mapping[str, str] | None, size: int | None) -> None:
        """Check the status and make the headers; `size` is the body's, None where it is not known."""
        self.status_code = status = int(status_code)
        if not 100 <= status <= 599:
            raise ValueError(f"a status code is a number from 100 to 599 (RFC 9110 section 15), not {status}")
        self.raw_headers = raw = [encode_header(name, value) for name, value in headers.items()] if headers else []
        given = dict(raw)
        if b"transfer-encoding" in given:
            raise ValueError("transfer-encoding is the server's to set (ASGI HTTP): leave it out")
        if forbids_body(status):
            self._body = b""
            if status != 304:  # RFC 9110 section 8.6
                self.raw_headers = [pair for pair in raw if pair[0] != b"content-length"]
            return
        declared = given.get(b"content-length")
        if declared is not None:
            _check_length(declared, size)
        elif size is not None:
            raw.append(content_length(size))
        if self.media_type is not None and b"content-type" not in given:
            raw.append(_content_type(self.media_type))

    def as_returned(self) -> Response:
        """Return this response as a handler gives it out: from the second time on a copy of what it was at first.

        A handler may return one constant response for every request, and middleware may change what it gets.
        """
        if self._is_own:
            return self
        again = copy(self)
        again.raw_headers, again._headers, again._is_own = [*self.raw_headers], None, True
        return again

    def with_status(self, status_code: int, headers: Mapping[str, str] | None = None) -> Response:
        """Return a copy with another status and these headers, which replace those of the same name; checked as new."""
        again = copy(self)
        given = {name.lower() for name in headers or ()}
        kept = [pair for pair in self.raw_headers if pair[0].decode() not in given and pair[0] != b"content-length"]
        again._headers = None
        again._begin(status_code, headers, None if self.sends_itself else len(self._body))
        names = {name for name, _ in again.raw_headers}
        again.raw_headers += [pair for pair in kept if pair[0] not in names or pair[0] == b"set-cookie"]
        return again

    def render(self, content: Any) -> bytes:
        """Return the body for the content; a subclass may override it."""
        if isinstance(content, str):
            return content.encode()
        if isinstance(content, bytes):
            return content
        if content is None:
            return b""
        if isinstance(content, (memoryview, bytearray)):
            return bytes(cast(bytes, content))
        raise TypeError(f"a body is text or bytes, not {type(content).__name__}: {content!r:.80}; use JSONResponse?")

    @property
    def body(self) -> bytes:
        """The body; setting it corrects the content-length."""
        return self._body

    @body.setter
    def body(self, body: bytes) -> None:
        if forbids_body(self.status_code):
            self._body = b""
            del self.headers["content-length"]
        else:
            self._body = Response.render(self, body)
            self.headers["content-length"] = str(len(self._body))

    @property
    def headers(self) -> MutableHeaders:
        """The headers, to be changed in place."""
        if self._headers is None or self._headers.raw is not self.raw_headers:
            self._headers = MutableHeaders(raw=self.raw_headers)
        return self._headers

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: int | None = None,
        expires: datetime | str | int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Add a `Set-Cookie` header (RFC 6265bis section 4.1); ValueError for what a cookie cannot hold.

        `max_age` is in seconds; `expires` is a moment, text, or seconds from now.
        """
        cookie = format_cookie(
            key,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
        )
        self.raw_headers.append((b"set-cookie", cookie.encode("latin-1")))

    def delete_cookie(
        self,
        key: str,
        path: str = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: Literal["lax", "strict", "none"] | None = "lax",
        partitioned: bool = False,
    ) -> None:
        """Make the browser forget a cookie; path and domain must be those it was set with."""
        self.set_cookie(key, "", 0, 0, path, domain, secure, httponly, samesite, partitioned)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response (ASGI HTTP: response start, response body), then run `background`.

        To a websocket's handshake it is a denial, or a plain 403 where the server cannot send one.
        """
        await self._send_whole(scope, send, self._body)
        if self.background is not None:
            await self.background()

    async def _send_whole(self, scope: Scope, send: Send, body: bytes) -> None:
        prefix = "http.response"
        if scope["type"] == "websocket":
            if "websocket.http.response" not in (scope.get("extensions") or ()):
                return await send({"type": "websocket.close"})
            prefix = "websocket.http.response"
        elif scope.get("method") == "HEAD":
            body = b""
        await send({"type": f"{prefix}.start", "status": self.status_code, "headers": [*self.raw_headers]})
        return await send({"type": f"{prefix}.body", "body": body})


def _check_length(declared: bytes, size: int | None) -> None:
    # Without a body it may be the length that the answer to a GET would have.
    if not declared.isdigit() or (size and declared != b"%d" % size):
        raise ValueError(f"content-length is {declared.decode('latin-1')!r}, but the body has {size or 'some'} bytes")


class PlainTextResponse(Response):
    """Text, as text/plain in UTF-8."""

    media_type = "text/plain"


class HTMLResponse(Response):
    """Text, as text/html in UTF-8. It is sent as it is: escape what users wrote."""

    media_type = "text/html"


class JSONResponse(Response):
    """A value as JSON (RFC 8259), compact, in UTF-8; see `encode_json` for what it takes."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the JSON text."""
        return encode_json(content)


class RedirectResponse(Response):
    """Send the client to another URL; 307 keeps the method, 303 makes it GET (RFC 9110 section 15.4)."""

    def __init__(
        self,
        url: object,
        status_code: int = 307,
        headers: Mapping[str, str] | None = None,
        background: _Background | None = None,
    ) -> None:
        super().__init__(b"", status_code, headers, None, background)
        # Quoting also takes away what would split the header, or make "/\\evil" another site.
        self.headers["location"] = quote(str(url), safe=":/%#?=@[]!$&'()*+,;~")
