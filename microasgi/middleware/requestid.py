"""RequestIDMiddleware: a name for each request, in the response, in the scope and in every log record.

Law: what a client sends becomes the name only where it is trusted, and only in few and harmless characters.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from secrets import token_hex
from typing import Final, cast

from microasgi.exceptions import ConfigurationError
from microasgi.headers import encode_header, find_header
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestIDFilter", "RequestIDMiddleware"]

_ANSWERS: Final = frozenset({"http.response.start", "websocket.http.response.start"})
_current: ContextVar[str] = ContextVar("microasgi.request_id", default="-")

# One class of characters, once: linear. Nothing that a log, a shell or a page would take for something else.
_well_formed = re.compile(rb"[A-Za-z0-9._:+/=@\-]{1,128}").fullmatch


def _new_id() -> str:
    return token_hex(16)


class RequestIDMiddleware:
    """Put an id into the response's `header`, into `scope["microasgi.request_id"]` and, by RequestIDFilter, into logs.

    With `trust` an id that comes with the request is taken over, if it is 1 to 128 letters, digits or `._:+/=@-`: for
    applications behind a proxy that sets the header. Else `make()` gives one, by default 32 random hexadecimal digits.
    """

    def __init__(
        self,
        app: ASGIApp,
        header: str = "x-request-id",
        trust: bool = False,
        make: Callable[[], str] = _new_id,
    ) -> None:
        try:
            self._name = encode_header(header, "")[0]
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"RequestIDMiddleware: {error}") from None
        self.app = app
        self._trust = trust
        self._make = make
        try:
            self._made()
        except ValueError as error:
            raise ConfigurationError(f"RequestIDMiddleware: {error}") from None

    def _made(self) -> bytes:
        """Return a new id; it is checked, because `make` may be anybody's."""
        made = cast("object", self._make())
        value = made.encode("ascii", "replace") if isinstance(made, str) else b""
        if not _well_formed(value):
            raise ValueError(f"make() has to return 1 to 128 letters, digits or ._:+/=@-, not {made!r}")
        return value

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name a request or a socket; let everything else through."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        given = find_header(scope["headers"], self._name) if self._trust else None
        value = given if given is not None and _well_formed(given) else self._made()
        scope["microasgi.request_id"] = text = value.decode("ascii")
        name, pair = self._name, (self._name, value)

        async def with_id(message: Message) -> None:
            if message["type"] in _ANSWERS:
                kept = [header for header in message.get("headers") or () if header[0] != name]
                message = {**message, "headers": [*kept, pair]}
            await send(message)

        token = _current.set(text)
        await self.app(scope, receive, with_id)
        _current.reset(token)  # after an exception it stays: whoever is outside logs that, and the task ends
        return None


class RequestIDFilter(logging.Filter):
    """Give every record of a handler the attribute `request_id`, "-" outside of requests.

    Add it to handlers, `handler.addFilter(RequestIDFilter())`: the filter of a logger does not see the records of the
    loggers below it. It lets every record through.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attribute, unless the record has it already."""
        if not hasattr(record, "request_id"):
            record.request_id = _current.get()
        return True
