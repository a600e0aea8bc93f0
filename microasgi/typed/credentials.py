"""Credentials: what a caller sends to prove who it is, read from one place of a request.

The law of this file: what is sent twice, is too long or is not plain ASCII proves nothing. It is Unreadable, so that
nothing else decides on it, and so that `secrets.compare_digest`, which refuses other text, can be called with it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import compare_digest
from typing import Final

__all__ = [
    "LONGEST",
    "HTTPAuthorizationCredentials",
    "HTTPBasicCredentials",
    "Unreadable",
    "is_token",
    "read_authorization",
    "read_basic",
    "read_bearer",
    "sole_value",
]

LONGEST: Final = 16_384
"""Characters of the longest credentials that are read."""

_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch


class Unreadable(ValueError):
    """Credentials were sent, and nobody can tell what they are; the text says why."""


@dataclass(frozen=True, slots=True)
class HTTPAuthorizationCredentials:
    """The parts of an `Authorization` header (RFC 9110 section 11.4): its scheme as sent, and the rest."""

    scheme: str
    credentials: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class HTTPBasicCredentials:
    """A user name and a password (RFC 7617)."""

    username: str
    password: str = field(repr=False)

    def matches(self, username: str, password: str) -> bool:
        """Tell whether it is these two, in a time that tells nothing about where they differ."""
        same_name = compare_digest(_as_bytes(self.username), _as_bytes(username))
        same_password = compare_digest(_as_bytes(self.password), _as_bytes(password))
        return same_name and same_password


def _as_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def is_token(text: str) -> bool:
    """Tell whether it is a token: what names of headers and of schemes are made of (RFC 9110 section 5.6.2)."""
    return _token(text) is not None


def sole_value(values: Sequence[str], place: str) -> str | None:
    """Return the one value, None where there is none or it is empty; Unreadable for several or an odd one."""
    if not values:
        return None
    if len(values) > 1:
        raise Unreadable(f"{place} was sent {len(values)} times")
    value = values[0].strip(" \t")
    if len(value) > LONGEST:
        raise Unreadable(f"{place} is longer than {LONGEST} characters")
    if not (value.isascii() and value.isprintable()):
        raise Unreadable(f"{place} has characters other than printable ASCII")
    return value or None


def read_authorization(values: Sequence[str], scheme: str) -> HTTPAuthorizationCredentials | None:
    """Read the values of `Authorization`; None where there are none of this scheme, given in lower case."""
    value = sole_value(values, "the Authorization header")
    if value is None:
        return None
    name, _, credentials = value.partition(" ")
    if name.lower() != scheme:
        return None
    credentials = credentials.strip(" ")
    if not credentials:
        raise Unreadable(f"the Authorization header has nothing after {name}")
    return HTTPAuthorizationCredentials(name, credentials)


def read_bearer(values: Sequence[str]) -> HTTPAuthorizationCredentials | None:
    """Read a bearer token (RFC 6750 section 2.1), which has no blanks inside."""
    found = read_authorization(values, "bearer")
    if found is not None and " " in found.credentials:
        raise Unreadable("the Authorization header has more than one token")
    return found


def read_basic(credentials: str) -> HTTPBasicCredentials:
    """Read user name and password (RFC 7617 section 2): base64 of UTF-8, with a colon between them."""
    try:
        text = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Unreadable("the Basic credentials are no base64 of UTF-8") from None
    username, colon, password = text.partition(":")
    if not colon:
        raise Unreadable("the Basic credentials have no colon between user name and password")
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in text):
        raise Unreadable("the Basic credentials have control characters")
    return HTTPBasicCredentials(username, password)
