"""MessagePack, which channels_redis writes unless told otherwise: the room's one use of the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microasgi.exceptions import MissingPackage

__all__ = ["make_packer"]


def make_packer() -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    """Return how to pack and to unpack; MissingPackage without msgpack."""
    try:
        import msgpack  # type: ignore[import-untyped]
    except ImportError:
        raise MissingPackage("msgpack", "redis", 'for the hub\'s messages (codec="json" does without)') from None
    module: Any = msgpack
    return module.packb, module.unpackb
