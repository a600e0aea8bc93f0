"""The tokens of a request: a secret in a signed cookie, bound to the session, and masked copies of it for pages.

The law of this file: no two tokens are alike, so that how well a page compresses tells nothing (BREACH).
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from hmac import compare_digest
from secrets import token_bytes
from typing import Final

from microasgi.headers import MutableHeaders
from microasgi.middleware.cookie import Cookie
from microasgi.middleware.signing import Signatures
from microasgi.types import Message, Scope

__all__ = ["Tokens", "fits"]

_SIZE: Final = 32  # bytes of a secret


class Tokens:
    """The tokens of one request; a call gives one."""

    def __init__(self, scope: Scope, cookie: Cookie, signatures: Signatures) -> None:
        self._scope, self._cookie, self._signatures = scope, cookie, signatures
        self._session = scope.get("session")  # as of now: one that comes later is not there when a form comes back
        self._secret: bytes | None = None
        self._started = False

    def __call__(self) -> str:
        """Return a token for the page that is being made. RuntimeError if its cookie can no longer be set."""
        if self._secret is None:
            if self._started:
                raise RuntimeError("ask for the token before the response starts: its cookie and Vary are set there")
            self._secret = self.known() or token_bytes(_SIZE)
        mask = token_bytes(_SIZE)
        return urlsafe_b64encode(mask + _xor(mask, self._secret)).decode()

    def finish(self, start: Message) -> Message:
        """Return the start of a response with the cookie, if a token was given out."""
        self._started = True
        if self._secret is None:
            return start
        headers = MutableHeaders(raw=[*start.get("headers", ())])
        headers.add_vary_header("Cookie")
        signed = self._signatures.sign(urlsafe_b64encode(self._secret).decode(), self._identity())
        headers.raw.append(self._cookie.header(self._scope, signed))
        return {**start, "headers": headers.raw}

    def known(self) -> bytes | None:
        """Return the secret in the request's cookie; None where it has none of ours for this session."""
        value = self._cookie.read(self._scope)
        secret = self._signatures.unsign(value, self._identity()) if value else None
        return None if secret is None else urlsafe_b64decode(secret)

    def _identity(self) -> str:
        return getattr(self._session, "identity", "") if self._session else ""


def fits(token: bytes, secret: bytes) -> bool:
    """Tell whether this is a token for the secret."""
    try:
        pair = urlsafe_b64decode(token)
    except ValueError:
        return False
    return len(pair) == 2 * _SIZE and compare_digest(_xor(pair[:_SIZE], pair[_SIZE:]), secret)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(_SIZE)
