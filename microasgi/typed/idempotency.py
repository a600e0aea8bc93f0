"""Idempotency: a request that is sent again with its `Idempotency-Key` is answered again, and not done again.

As the IETF draft "The Idempotency-Key HTTP Header Field" has it. The law of this file: in doubt nothing is done twice.
A key belongs to one request, down to its body and to who sends it, and while that is being answered nobody else's is.
"""

from __future__ import annotations

import json
import logging
from base64 import b64decode, b64encode
from collections.abc import Sequence, Set
from hashlib import sha256
from time import monotonic
from typing import Any, Final

import anyio

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.typed.conditional import Respond
from microasgi.typed.fingerprints import fingerprint
from microasgi.typed.idempotencystores import IdempotencyStore, MemoryIdempotency

__all__ = ["Idempotency", "with_idempotency"]

logger = logging.getLogger("microasgi")

_LONGEST_KEY: Final = 255
_DAY: Final = 86_400.0
_PATIENCE: Final = 10.0  # seconds for a store, which cannot be cancelled meanwhile
_SURE: Final = 0.9  # of a lease: what is sent to a store then arrives before the lease is over
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
# Of the moment, of the connection, or a secret that is nobody's to keep.
_NOT_KEPT: Final = frozenset(
    {b"connection", b"content-length", b"date", b"keep-alive", b"set-cookie", b"trailer", b"upgrade"}
)


class Idempotency:
    """How keys are treated: where answers are kept, for how long, and whether a request has to have a key.

    `lifetime` is in seconds. `lease` is how long one request may take, in seconds: after a crash its key is free again
    after this time. Without a `store` answers stay in this process.
    """

    def __init__(
        self,
        store: IdempotencyStore | None = None,
        *,
        required: bool = False,
        lifetime: float = _DAY,
        lease: float = 60.0,
    ) -> None:
        if lifetime <= 0 or lease <= 0:
            raise ConfigurationError(f"Idempotency(lifetime={lifetime!r}, lease={lease!r}): both are positive seconds")
        self.store: IdempotencyStore = MemoryIdempotency() if store is None else store
        self.required = required
        self.lifetime = lifetime
        self.lease = lease

    async def claim(self, key: str, identity: str) -> Response | None:
        """Return the answer that was given to this request; None for who has to give it now.

        HTTPException 422 where the key is another request's, 409 while this one is being answered.
        """
        found = None
        with anyio.fail_after(_PATIENCE, shield=True):  # a claim that nobody knows of would hold for its whole lease
            found = await self.store.claim(key, json.dumps([identity]).encode(), self.lease)
        if found is None:
            return None
        owner, *answer = json.loads(found)
        if owner != identity:
            raise HTTPException(422, "this Idempotency-Key was sent with another request: make a new one")
        if not answer:
            raise HTTPException(409, "a request with this Idempotency-Key is being answered", {"retry-after": "1"})
        return _replayed(*answer)

    async def settle(self, key: str, identity: str, response: Response | None, claimed_at: float) -> None:
        """Keep the answer of who has claimed the key; give it back where there is none to keep. It never raises."""
        is_ours = monotonic() < claimed_at + _SURE * self.lease
        try:
            with anyio.fail_after(_PATIENCE, shield=True):
                if response is None:
                    await self.store.release(key, claimed=is_ours)
                else:
                    record = json.dumps([identity, *_parts(response)]).encode()
                    await self.store.keep(key, record, self.lifetime, claimed=is_ours)
        except Exception:
            logger.exception("an answer could not be kept: its Idempotency-Key protects it no more")


def with_idempotency(
    respond: Respond,
    option: bool | Idempotency | IdempotencyStore,
    where: str,
    asked: Set[bytes] = frozenset(),
) -> Respond:
    """Answer requests whose `Idempotency-Key` was seen before as they were answered then.

    `option` is what the route has been given: True, a store, or an Idempotency. `asked` are the headers, in lower case,
    that handler and dependencies read: with others it is another request. Answers of 500 and above, errors that were
    raised, and streams are not kept: their keys are free again.
    """
    policy = _as_policy(option, where)

    async def once(request: Request[Any], values: Sequence[Any]) -> Response:
        key = None if request.method in _SAFE else _read_key(request, policy.required)
        if key is None:
            return await respond(request, values)
        identity = await fingerprint(request, asked)
        claimed_at = monotonic()
        known = await policy.claim(key, identity)
        if known is not None:
            return known
        try:
            response = await respond(request, values)
        except GeneratorExit:  # the loop has gone, nothing can be awaited any more
            raise
        except BaseException:
            await policy.settle(key, identity, None, claimed_at)
            raise
        await policy.settle(key, identity, _to_keep(response, where), claimed_at)
        return response

    return once


def _as_policy(option: bool | Idempotency | IdempotencyStore, where: str) -> Idempotency:
    if isinstance(option, Idempotency):
        return option
    if option is True:
        return Idempotency()
    if isinstance(option, bool) or not all(hasattr(option, name) for name in ("claim", "keep", "release")):
        raise ConfigurationError(
            f"{where}: idempotent={option!r}: write idempotent=True, a store such as RedisIdempotency(url), or "
            "Idempotency(store, required=True)"
        )
    return Idempotency(option)


def _read_key(request: Request[Any], required: bool) -> str | None:
    """Return the hash of the request's key; None without one. HTTPException 400."""
    lines = request.headers.getlist("idempotency-key")
    if not lines:
        if required:
            raise HTTPException(400, "this needs an Idempotency-Key header: a new UUID for each new request")
        return None
    key = lines[0].strip(" \t")
    if len(lines) > 1 or key in ("", '""') or len(key) > _LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise HTTPException(400, f"Idempotency-Key is one text of 1 to {_LONGEST_KEY} printable ASCII characters")
    return sha256(key.encode()).hexdigest()


def _to_keep(response: Response, where: str) -> Response | None:
    if response.sends_itself:
        logger.warning("%s: its answer is a stream, which no Idempotency-Key protects", where)
        return None
    return response if response.status_code < 500 else None


def _parts(response: Response) -> tuple[int, list[list[str]], str]:
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in response.raw_headers]
    kept = [pair for pair in headers if pair[0].lower().encode("latin-1") not in _NOT_KEPT]
    return response.status_code, kept, b64encode(response.body).decode()


def _replayed(status: int, headers: list[list[str]], body: str) -> Response:
    response = Response(b64decode(body), status)
    response.raw_headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    response.raw_headers.append((b"idempotent-replayed", b"true"))
    return response
