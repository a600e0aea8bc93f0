"""Encrypted messages, the way channels_redis encrypts them: Fernet, with keys of any text."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from hashlib import sha256

from microasgi.exceptions import MissingPackage

__all__ = ["make_cipher"]


def make_cipher(keys: Iterable[str | bytes]) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
    """Return how to encrypt (with the first key) and to decrypt (with any). MissingPackage without cryptography."""
    try:
        from cryptography.fernet import Fernet, InvalidToken, MultiFernet
    except ImportError:
        raise MissingPackage("cryptography", "encryption", "for the hub's symmetric_keys") from None
    raw = [key.encode() if isinstance(key, str) else key for key in keys]
    fernet = MultiFernet([Fernet(urlsafe_b64encode(sha256(key).digest())) for key in raw])

    def decrypt(data: bytes) -> bytes:
        try:
            return fernet.decrypt(data)
        except InvalidToken:
            raise ValueError("it is not encrypted with any of the hub's symmetric_keys") from None

    return fernet.encrypt, decrypt
