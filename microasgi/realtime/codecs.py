"""Codecs: a message as the bytes that travel, the way channels_redis writes them: MessagePack or JSON, or encrypted.

The law of this file: what is refused is refused where it is published. What JSON cannot hold reaches no reader.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.realtime.encryption import make_cipher
from microasgi.realtime.messages import BINARY
from microasgi.realtime.packing import make_packer
from microasgi.serialization import decode_json, encode_json

__all__ = ["Codec"]


class Codec:
    """Encodes messages by `name` ("msgpack" or "json"), encrypted with the first of the keys where there are any.

    ConfigurationError for another name, MissingPackage for what is not installed.
    """

    def __init__(self, name: str, keys: Iterable[str | bytes] = ()) -> None:
        if isinstance(keys, (str, bytes)):
            raise ConfigurationError("symmetric_keys is a list, of which the first encrypts: write [key]")
        keys = list(keys)
        if name not in {"json", "msgpack"}:
            raise ConfigurationError(f'codec={name!r}: write "msgpack" or "json", as the other side does')
        self._pack, self._unpack = make_packer() if name == "msgpack" else (encode_json, _decode_json)
        self._is_json = name == "json"
        self._cipher = make_cipher(keys) if keys else None

    def encode(self, message: Any) -> bytes:
        """Return a message's bytes; TypeError or ValueError for what is neither JSON's nor bytes."""
        if not isinstance(message, BINARY):
            message = encode_json(message)
            data = message if self._is_json else self._packed(decode_json(message))
        elif self._is_json:
            raise TypeError('bytes travel as MessagePack only: use Hub(codec="msgpack"), or publish text')
        else:
            data = self._packed(bytes(cast(Any, message)))
        return data if self._cipher is None else self._cipher[0](data)

    def decode(self, data: bytes) -> Any:
        """Return the message; ValueError for what is none."""
        try:
            return self._unpack(data if self._cipher is None else self._cipher[1](data))
        except (TypeError, RecursionError) as error:
            raise ValueError(str(error)) from None

    def _packed(self, plain: Any) -> bytes:
        try:
            return self._pack(plain)
        except OverflowError:
            raise ValueError("MessagePack's integers have 64 bits: publish a larger one as text") from None


def _decode_json(data: bytes) -> Any:
    try:
        return decode_json(data)
    except HTTPException as error:
        raise ValueError(error.detail) from None
