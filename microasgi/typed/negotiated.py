"""Negotiation: which of several media types a client gets (RFC 9110 section 12.5.1).

The law of this file: it is decided before the handler is called, so that a refusal has done nothing; and no header
makes it raise, or take longer than its length and the number of offers ask for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.headers import parse_options
from microasgi.negotiation import read_weight
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.typed.answers import Finish, finisher
from microasgi.typed.conditional import Respond
from microasgi.typed.credentials import is_token
from microasgi.typed.results import Result

__all__ = ["Offer", "choose", "read_offer", "with_renderers"]

Renderers: TypeAlias = Mapping[str, Callable[[Any], "bytes | str"]]
Start: TypeAlias = Callable[..., Awaitable[Any]]

_JSON: Final = "application/json"


class Offer(NamedTuple):
    """A media type taken apart: what stands before and after the slash, and its parameters."""

    kind: str
    subtype: str
    parameters: frozenset[tuple[str, str]]


def read_offer(media_type: str) -> Offer:
    """Take a media type or a range of them apart; a UTF-8 charset says nothing, everything here is UTF-8."""
    name, options = parse_options(media_type)
    kind, _, subtype = name.partition("/")
    pairs = {(key, value.lower()) for key, value in options.items()} - {("charset", "utf-8"), ("charset", "utf8")}
    return Offer(kind.strip(" \t"), subtype.strip(" \t"), frozenset(pairs))


def choose(accept: str | None, offers: Sequence[str]) -> str | None:
    """Return the offer that the client likes best, None where it takes none of them.

    Of equally liked ones it is the first; without `Accept`, the first of all. The most specific range that fits an
    offer says how much it is liked.
    """
    if accept is None or not accept.strip(" \t,"):
        return offers[0]
    best = _best(accept, [read_offer(offer) for offer in offers])
    return None if best is None else offers[best]


def _best(accept: str, offers: Sequence[Offer]) -> int | None:
    """Return the number of the offer that is liked best."""
    found = [(-1, 0.0)] * len(offers)  # of each offer: how specific the best range is, and its weight
    for part in _parts(accept):
        wanted, weight = _read_range(part)
        for number, offer in enumerate(offers):
            found[number] = max(found[number], (_specificity(wanted, offer), weight))
    weights = [weight if specificity >= 0 else 0.0 for specificity, weight in found]
    best = max(range(len(weights)), key=weights.__getitem__)  # max takes the first of equals
    return best if weights[best] > 0 else None


def _parts(accept: str) -> list[str]:
    """Split a list at its commas; those in quoted strings end nothing."""
    if '"' not in accept:
        return accept.split(",")
    parts: list[list[str]] = []
    is_open = False
    for piece in accept.split(","):
        if is_open:
            parts[-1].append(piece)
        else:
            parts.append([piece])
        is_open ^= piece.count('"') % 2 == 1
    return [",".join(pieces) for pieces in parts]


def _read_range(part: str) -> tuple[Offer, float]:
    """Return a media range and its weight, wherever the `q` stands among its parameters."""
    kind, subtype, parameters = read_offer(part)
    weights = [value for name, value in parameters if name == "q"]
    rest = frozenset(pair for pair in parameters if pair[0] != "q")
    return Offer(kind, subtype, rest), read_weight(weights[0]) if weights else 1.0


def _specificity(wanted: Offer, offer: Offer) -> int:
    """Return how exactly a range names an offer: -1 not at all, 0 by `*/*`, 1 by the kind, 2 and more by its name."""
    if wanted.kind == "*" and wanted.subtype == "*":
        return 0
    if wanted.kind != offer.kind:
        return -1
    if wanted.subtype == "*":
        return 1
    if wanted.subtype != offer.subtype or not wanted.parameters <= offer.parameters:
        return -1
    return 2 + len(wanted.parameters)


def with_renderers(start: Start, result: Result, options: Mapping[str, Any], handler: Any, where: str) -> Respond:
    """Answer with the result in the media type that the client likes best; 406 where it takes none.

    `start` calls the handler with its values. JSON is offered first, as it is without renderers, unless they name it.
    """
    if result.stream:
        raise ConfigurationError(f"{where}: renderers are for whole results, and this one is a stream: leave them out")
    finishes = _finishes(result, options, handler, where)
    names = list(finishes)
    offers = [read_offer(name) for name in names]
    listed = ", ".join(names)

    async def negotiated(request: Request[Any], values: Sequence[Any]) -> Response:
        accept = ",".join(request.headers.getlist("accept"))
        best = _best(accept, offers) if accept.strip(" \t,") else 0
        if best is None:
            raise HTTPException(406, f"this comes as {listed}", {"vary": "accept"})
        response: Response = finishes[names[best]](await start(*values)).as_returned()
        response.headers.add_vary_header("accept")
        return response

    return negotiated


def _finishes(result: Result, options: Mapping[str, Any], handler: Any, where: str) -> dict[str, Finish]:
    renderers: Renderers = options["renderers"]
    made: dict[str, Finish] = {}
    if not any(read_offer(name)[:2] == ("application", "json") for name in renderers):
        made[_JSON] = _finish(result, options, handler)
    for name, render in renderers.items():
        offer = read_offer(name)
        if not (is_token(offer.kind) and is_token(offer.subtype)) or "*" in offer[:2]:
            raise ConfigurationError(f"{where}: renderers has {name!r}: write a media type such as 'text/csv'")
        if not callable(render):
            raise ConfigurationError(f"{where}: the renderer for {name!r} is {render!r}: it is called with the result")
        made[name] = _finish(Result(result.annotation, cast(Any, render), media_type=name), options, handler)
    return made


def _finish(result: Result, options: Mapping[str, Any], handler: Any) -> Finish:
    return cast(Finish, finisher(result, options, handler, always=True))
