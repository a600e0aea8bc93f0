"""Opt-ins: what routes ask for by an argument, put around the call of their handler. Who asks for nothing has none."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from microasgi.typed.conditional import Respond, with_etag
from microasgi.typed.exits import ending
from microasgi.typed.idempotency import with_idempotency
from microasgi.typed.injected import dressed
from microasgi.typed.negotiated import Start, with_renderers
from microasgi.typed.results import Result

__all__ = ["OPT_INS", "Respond", "wrap"]

OPT_INS: Final = ("renderers", "etag", "idempotent")


def wrap(
    respond: Respond,
    start: Start,
    result: Result,
    options: Mapping[str, Any],
    handler: Any,
    where: str,
    *,
    dresses: bool,
    asked: Set[bytes],
) -> Respond:
    """Return what answers with everything around it that the route's options ask for.

    `start` calls the handler with its values, `respond` makes a response of its result too; `dresses` says that
    something is added to that, and `asked` which headers are read.
    """
    if options.get("renderers"):
        respond = with_renderers(start, result, options, handler, where)
    if dresses:
        respond = dressed(respond)
    if options.get("etag"):
        respond = with_etag(respond)
    if options.get("idempotent"):
        respond = with_idempotency(ending(respond), options["idempotent"], where, asked)
    return respond
