"""Signatures: what the client keeps for us comes back unchanged, or it is nothing.

The law of this file: a key serves one purpose. Each is derived from the secret and the purpose, so that what was signed
for one cookie is worth nothing in another.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any, cast

from microasgi.exceptions import ConfigurationError, MissingPackage

__all__ = ["Signatures", "checked_keys"]

_SHORTEST = 32  # bytes
_FEWEST_CHARACTERS = 8  # different ones; a random key of 32 hexadecimal digits has fewer once in 10 million
_TYPED_BY_HAND = ("change", "default", "example", "insecure", "password", "placeholder", "secret")
_MAKE_ONE = 'Make one with: python -c "import secrets; print(secrets.token_urlsafe(32))" and keep it out of the code'


class Signatures:
    """Sign text and check it, by HMAC-SHA256. The first of several keys signs, all of them are believed.

    ConfigurationError for keys below 32 bytes and for keys that look made up by hand; MissingPackage without
    itsdangerous.
    """

    def __init__(self, secret_key: str | Sequence[str] | None, purpose: str) -> None:
        keys = checked_keys(secret_key)
        try:
            from itsdangerous import Signer
        except ImportError:
            raise MissingPackage("itsdangerous", "sessions", "to sign cookies") from None
        derived = [hmac.digest(key.encode(), purpose.encode(), "sha256") for key in reversed(keys)]
        algorithm: Any = _SHA256()
        self._signer = Signer(derived, key_derivation="none", algorithm=algorithm)

    def sign(self, text: str, context: str = "") -> str:
        """Return the text, a dot and its signature. `context` is signed with it, and left out."""
        signature: bytes = self._signer.get_signature(f"{context}.{text}")
        return f"{text}.{signature.decode()}"

    def unsign(self, signed: str, context: str = "") -> str | None:
        """Return the text if it was signed with this context, else None. Whatever comes, nothing is raised."""
        text, _, signature = signed.rpartition(".")
        if signed.isascii() and self._signer.verify_signature(f"{context}.{text}", signature):
            return text
        return None


class _SHA256:
    """What itsdangerous calls an algorithm; in one call of C, where its own takes several in Python."""

    def get_signature(self, key: bytes, value: bytes) -> bytes:
        return hmac.digest(key, value, "sha256")

    def verify_signature(self, key: bytes, value: bytes, sig: bytes) -> bool:
        return hmac.compare_digest(sig, hmac.digest(key, value, "sha256"))


def checked_keys(secret_key: str | Sequence[str] | None) -> list[str]:
    """Return the keys, the one that signs first; ConfigurationError where one is too short or no random text."""
    given: Any = () if secret_key is None else secret_key
    keys: list[Any] = [*cast("Sequence[Any]", given)] if isinstance(given, (list, tuple)) else [given]
    if not keys:
        raise ConfigurationError(f"secret_key is missing. {_MAKE_ONE}")
    for position, key in enumerate(keys):
        if fault := _fault(key):
            place = f"secret_key[{position}]" if len(keys) > 1 else "secret_key"
            raise ConfigurationError(f"{place} {fault}. {_MAKE_ONE}")
    return keys


def _fault(key: object) -> str:
    """Say what is wrong with a key, without showing it."""
    if not isinstance(key, str):
        return f"is of type {type(key).__name__}, not str"
    if (size := len(key.encode())) < _SHORTEST:
        return f"has {size} bytes, it needs at least {_SHORTEST}"
    if len(set(key)) < _FEWEST_CHARACTERS:
        return f"has {len(set(key))} different characters: it is not random"
    found = next((word for word in _TYPED_BY_HAND if word in key.lower()), None)
    return f"contains {found!r}: it is not random" if found else ""
