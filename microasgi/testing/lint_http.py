"""The `http` scope as a state machine, and the rules of a response, which a websocket's denial shares."""

from __future__ import annotations

import os.path
from collections.abc import Callable
from typing import cast

from microasgi.testing.rules import Checker, Report, header_faults
from microasgi.types import Message, Scope

__all__ = ["HTTPChecker", "ResponseRules"]

_START = "ASGI HTTP, Response Start"
_BODY = "ASGI HTTP, Response Body"
_REQUEST = "ASGI HTTP, Request"
_DISCONNECT = "ASGI HTTP, Disconnect"
_EXTENSION = "ASGI, Extensions"


class ResponseRules:
    """What start and body messages must keep to, under `http.response` or `websocket.http.response`."""

    def __init__(self, checker: Checker, prefix: str, method: str) -> None:
        self._checker = checker
        self._prefix = prefix
        self._method = method
        self._status = 0
        self._length: int | None = None
        self._sent = 0
        self.started = False
        self.complete = False

    def start(self, message: Message) -> None:
        """Check the message that starts the response."""
        checker = self._checker
        checker.require(not self.started, f"'{self._prefix}.start' was sent twice", _START)
        self.started = True
        status = message.get("status")
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
            self._status = status
        else:
            checker.fail(f"status must be an int from 100 to 599, not {status!r}", _START)
        if "headers" not in message:
            checker.require(not checker.strict, "headers is missing: granian refuses that, send an empty list", _START)
            return
        headers = message["headers"]
        faults = list(header_faults(headers, forbidden=(b"transfer-encoding",)))
        for fault in faults:
            checker.fail(fault, _START)
        if not faults:
            self._read_length([value for name, value in headers if name == b"content-length"])

    def body(self, message: Message) -> None:
        """Check one body message and count its bytes."""
        kind = f"{self._prefix}.body"
        self.check_place(kind)
        body, more = message.get("body", b""), message.get("more_body", False)
        self._checker.require(isinstance(more, bool), f"more_body must be a bool, not {more!r}", _BODY)
        if type(body) is not bytes:
            self._checker.fail(f"body must be bytes, not {type(cast(object, body)).__name__}: write bytes(...)", _BODY)
        elif body and self._is_bodyless():
            self._checker.fail(
                f"a {self._status} response to {self._method} has no body, {len(body)} bytes were sent", _BODY
            )
        else:
            self._count(len(body))
        if more is False:
            self.end()

    def check_place(self, kind: str) -> None:
        """Check that the response has started and is not complete."""
        self._checker.require(self.started, f"{kind!r} was sent before '{self._prefix}.start'", _BODY)
        self._checker.require(not self.complete, f"{kind!r} was sent after the last body message", _BODY)

    def skip_count(self) -> None:
        """Stop counting bytes: the server sends a file of its own accord."""
        self._length = None

    def end(self) -> None:
        """Note that the body is complete."""
        short = self._length is not None and not self._is_bodyless() and self._sent < self._length
        self.complete = True
        self._checker.require(
            not short, f"content-length is {self._length}, but the body ended after {self._sent} bytes", _BODY
        )

    def check_finished(self) -> None:
        """Check that a whole response was sent."""
        self._checker.require(
            self.started, f"the application returned without a response: send '{self._prefix}.start'", _START
        )
        self._checker.require(
            self.complete or not self.started,
            f"the application returned without a last '{self._prefix}.body' (more_body False)",
            _BODY,
        )

    def _is_bodyless(self) -> bool:
        return self._method == "HEAD" or self._status in (204, 304) or 100 <= self._status < 200

    def _read_length(self, values: list[bytes]) -> None:
        if not values:
            return
        checker = self._checker
        if len(values) > 1 or not values[0].isdigit() or len(values[0]) > 18:
            checker.fail(f"content-length must be one header of digits, not {values!r}", _START)
            return
        self._length = int(values[0])
        if checker.strict:
            checker.require(
                self._status != 204 and not 100 <= self._status < 200,
                f"a {self._status} response carries no content-length",
                "RFC 9110 section 8.6",
            )

    def _count(self, size: int) -> None:
        self._sent += size
        if self._length is not None and not self._is_bodyless() and self._sent > self._length:
            self._checker.fail(f"content-length is {self._length}, but {self._sent} bytes were sent", _BODY)
            self._length = None


class HTTPChecker(Checker):
    """One request and its response."""

    def __init__(self, scope: Scope, report: Report, strict: bool) -> None:
        super().__init__(scope, report, strict)
        self._response = ResponseRules(self, "http.response", str(scope.get("method", "")))
        self._request_complete = False
        self._disconnected = False
        self._peer_gone = False
        self._debugged = False
        self._wants_trailers = False
        self._trailed = False
        self._body_by = ""
        self._kinds: dict[str, Callable[[Message], None]] = {
            "http.response.start": self._start,
            "http.response.body": self._body,
            "http.response.pathsend": self._pathsend,
            "http.response.zerocopysend": self._zerocopysend,
            "http.response.early_hint": self._early_hint,
            "http.response.push": self._push,
            "http.response.trailers": self._trailers,
            "http.response.debug": self._debug,
        }

    def receiving(self) -> None:
        self.require(not self._disconnected, "receive() was called again after 'http.disconnect'", _DISCONNECT)

    def received(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "http.disconnect":
            self._disconnected = True
            return
        if kind != "http.request":
            self.fail(f"the server sent {kind!r} in an http scope", _REQUEST)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        self.require(not self._request_complete, "the server sent 'http.request' after the last one", _REQUEST)
        self.require(type(body) is bytes, f"the server sent a body of {type(body).__name__}, not bytes", _REQUEST)
        self.require(isinstance(more, bool), f"the server sent more_body {more!r}, not a bool", _REQUEST)
        self._request_complete = not more

    def sending(self, message: Message) -> None:
        kind = message.get("type")
        rule = self._kinds.get(kind) if isinstance(kind, str) else None
        if rule is None:
            self.fail(f"{kind!r} is not a message an http application may send", "ASGI HTTP, events")
            return
        rule(message)

    def send_failed(self) -> None:
        self._peer_gone = True

    def returned(self) -> None:
        if self._disconnected or self._peer_gone:
            return
        self._response.check_finished()
        if self._response.complete:
            self.require(
                self._trailed or not self._wants_trailers,
                "the application announced trailers and returned without 'http.response.trailers'",
                _EXTENSION,
            )

    def _start(self, message: Message) -> None:
        self._response.start(message)
        trailers = message.get("trailers", False)
        self.require(isinstance(trailers, bool), f"trailers must be a bool, not {trailers!r}", _START)
        self._wants_trailers = trailers is True
        if self._wants_trailers:
            self.require_extension("http.response.start with trailers", "http.response.trailers")

    def _body(self, message: Message) -> None:
        self._source("http.response.body")
        self._response.body(message)

    def _pathsend(self, message: Message) -> None:
        self.require_extension("http.response.pathsend", "http.response.pathsend")
        self._source("http.response.pathsend")
        self._response.check_place("http.response.pathsend")
        path = message.get("path")
        absolute = isinstance(path, str) and os.path.isabs(path)
        self.require(absolute, f"pathsend needs an absolute path as str, not {path!r}", _EXTENSION)
        self._response.skip_count()
        self._response.end()

    def _zerocopysend(self, message: Message) -> None:
        self.require_extension("http.response.zerocopysend", "http.response.zerocopysend")
        self._response.check_place("http.response.zerocopysend")
        for key, default in (("file", None), ("offset", 0), ("count", 0)):
            value = message.get(key, default)
            self.require(isinstance(value, int), f"zerocopysend needs an int as {key}, not {value!r}", _EXTENSION)
        self._response.skip_count()
        if not message.get("more_body", False):
            self._response.end()

    def _early_hint(self, message: Message) -> None:
        self.require_extension("http.response.early_hint", "http.response.early_hint")
        self.require(not self._response.complete, "an early hint was sent after the last body message", _EXTENSION)
        links = message.get("links")
        legal = isinstance(links, (list, tuple)) and all(type(link) is bytes for link in cast("list[object]", links))
        self.require(legal, f"an early hint needs a list of bytes as links, not {links!r}", _EXTENSION)

    def _push(self, message: Message) -> None:
        self.require_extension("http.response.push", "http.response.push")
        self._response.check_place("http.response.push")
        self.require(isinstance(message.get("path"), str), "a push needs a path as str", _EXTENSION)
        self._check_headers(message)

    def _trailers(self, message: Message) -> None:
        self.require_extension("http.response.trailers", "http.response.trailers")
        self.require(self._wants_trailers, "trailers were sent, but start did not say trailers True", _EXTENSION)
        self.require(self._response.complete, "trailers were sent before the last body message", _EXTENSION)
        self.require(not self._trailed, "trailers were sent after the last ones", _EXTENSION)
        self._check_headers(message)
        self._trailed = not message.get("more_trailers", False)

    def _debug(self, message: Message) -> None:
        self.require_extension("http.response.debug", "http.response.debug")
        self.require(not self._debugged, "'http.response.debug' was sent twice", _EXTENSION)
        self.require(not self._response.started, "'http.response.debug' was sent after start", _EXTENSION)
        self.require(isinstance(message.get("info"), dict), "'http.response.debug' needs a dict as info", _EXTENSION)
        self._debugged = True

    def _check_headers(self, message: Message) -> None:
        for fault in header_faults(message.get("headers", []), forbidden=(b"transfer-encoding",)):
            self.fail(fault, _EXTENSION)

    def _source(self, kind: str) -> None:
        mixed = self._body_by not in ("", kind)
        self.require(not mixed, f"{kind!r} was mixed with {self._body_by!r} in one response", _EXTENSION)
        self._body_by = kind
