"""Fingerprints: what makes a request the one that was sent before: method, address, who sends it, and its body.

A form counts by its fields and files: the boundary between them is another one whenever a client writes it anew.
"""

from __future__ import annotations

from collections.abc import Set
from hashlib import sha256
from typing import Any, Final

from microasgi.forms import FormData, UploadFile
from microasgi.requests import Request

__all__ = ["fingerprint"]

_CHUNK: Final = 256 * 1024
_OF_SENDER: Final = frozenset({b"authorization", b"cookie"})


async def fingerprint(request: Request[Any], asked: Set[bytes] = frozenset()) -> str:
    """Return 64 hexadecimal digits; RuntimeError where the body was streamed away before.

    `asked` are the names, in lower case, of more headers that count: a key in one of them says who sends it.
    """
    scope = request.scope
    counted = _OF_SENDER | asked
    sender = [b"%s:%s" % pair for pair in scope["headers"] if pair[0] in counted]
    head = [_bytes(scope["method"]), _bytes(scope["path"]), _bytes(scope.get("query_string") or b""), *sender]
    return _digest([*head, b"", *await _body(request)])


async def _body(request: Request[Any]) -> list[bytes]:
    try:
        return [await request.body()]
    except RuntimeError:
        form = await request.form()  # which was parsed as it came in; if not, this is the same error
        return await _form(form)


async def _form(form: FormData) -> list[bytes]:
    parts: list[bytes] = []
    for name, value in form.multi_items():
        content = await _file(value) if isinstance(value, UploadFile) else _bytes(value)
        parts += [_bytes(name), content]
    return parts


async def _file(file: UploadFile) -> bytes:
    """Return a digest of the file, which stands at its start afterwards."""
    content = sha256()
    await file.seek(0)
    while chunk := await file.read(_CHUNK):
        content.update(chunk)
    await file.seek(0)
    return _digest([_bytes(file.filename or ""), _bytes(file.content_type or ""), content.digest()]).encode()


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def _digest(parts: list[bytes]) -> str:
    """Hash parts with their lengths: what ends one part cannot begin the next."""
    return sha256(b"".join([b"%d:%s" % (len(part), part) for part in parts])).hexdigest()
