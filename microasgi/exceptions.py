"""The error tree. Everything that microasgi raises on purpose is one of these.

::

    Exception
    ├── HTTPException              answers the request with a status
    │   ├── InvalidJSON            also a ValueError; 400: the body is no JSON, and where it is broken
    │   └── MissingField           also a KeyError; 400: the query or the form lacks what the handler reads
    ├── WebSocketException         closes the socket with a code
    ├── WebSocketDisconnect        the peer has left the socket
    ├── ClientDisconnect           the client left in the middle of its request's body
    ├── StreamCut                  the application stops, and the stream's grace is over
    ├── ConfigurationError         a mistake at set-up: what, where, what to write instead
    │   ├── RouteConflict          two routes want the same requests
    │   └── MissingPackage         also an ImportError; names the exact install line
    ├── NoMatchFound               also a LookupError; no route of that name and parameters
    └── WebSocketStateError        also a RuntimeError; the call is not legal in the socket's state
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

__all__ = [
    "ClientDisconnect",
    "ConfigurationError",
    "HTTPException",
    "InvalidJSON",
    "MissingField",
    "MissingPackage",
    "NoMatchFound",
    "RouteConflict",
    "StreamCut",
    "WebSocketDisconnect",
    "WebSocketException",
    "WebSocketStateError",
]

# RFC 9110 section 15.5.21; the standard library has an older name before Python 3.13.
_PHRASES: dict[int, str] = {**{int(status): status.phrase for status in HTTPStatus}, 422: "Unprocessable Content"}


class HTTPException(Exception):
    """Answer the request with this status instead of the handler's result.

    `detail` is shown to the client (default: the status' standard phrase); `headers` are added to the response.
    A detail that is no text is for an exception handler, or goes as JSON to every client.
    """

    def __init__(self, status_code: int, detail: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.status_code = status_code
        self.detail = _PHRASES.get(status_code, "") if detail is None else detail
        self.headers = headers

    @property
    def members(self) -> Mapping[str, Any]:
        """What a subclass adds to the problem document (RFC 9457 section 3.2), which is then sent to every client."""
        return {}

    def __str__(self) -> str:
        return f"{self.status_code}: {self.detail}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status_code={self.status_code!r}, detail={self.detail!r})"


class InvalidJSON(HTTPException, ValueError):
    """The body is no JSON: 400, and the text says where it is broken."""

    def __init__(self, detail: str) -> None:
        super().__init__(400, detail)


class MissingField(HTTPException, KeyError):
    """The client left out what the handler reads by `[]`: 400, with the name in the text."""

    def __init__(self, place: str, name: object) -> None:
        super().__init__(400, f"the {place} has no {name!r}")


class WebSocketException(Exception):
    """Close the socket with this code (RFC 6455 section 7.4) and reason, at most 123 bytes of UTF-8."""

    def __init__(self, code: int, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or ""

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r})"


class WebSocketDisconnect(Exception):
    """The socket has ended, with this code (1005: none was given) and reason. Leaving a handler, it is a normal end."""

    def __init__(self, code: int = 1000, reason: str | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason or ""


class ClientDisconnect(Exception):
    """The client left before its request's body was complete. Nobody is there to answer: it ends the request."""


class StreamCut(Exception):
    """A stream was ended before its end, because the application drains. It ends the connection, which tells so."""


class ConfigurationError(RuntimeError):
    """Something is wrong with how the application is put together; raised at registration or start-up."""


class RouteConflict(ConfigurationError):
    """Two routes with equal paths share a method; the text names the file and line of both."""


class MissingPackage(ConfigurationError, ImportError):
    """An optional package is needed and not installed; the text holds the line that installs it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f'{package} is needed {purpose}: pip install "microasgi[{extra}]" (or: pip install {package})')
        self.name = package


class NoMatchFound(LookupError):
    """No route has that name and exactly those parameters, or a value does not fit its convertor."""


class WebSocketStateError(RuntimeError):
    """The call is not legal in the socket's present state; the text names both."""
