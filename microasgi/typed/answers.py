"""Answers: from what a typed handler returned to its response, as its route and its return annotation say."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, cast

from microasgi.concurrency import iterate_in_threadpool
from microasgi.endpoints import as_response
from microasgi.responses import Response
from microasgi.streaming import StreamingResponse
from microasgi.typed.results import Result

__all__ = ["Finish", "finisher"]

_TEXTS: Final = (str, bytes)
Finish: TypeAlias = Callable[[Any], Any]


def finisher(result: Result, options: Mapping[str, Any], handler: Any, *, always: bool = False) -> Finish | None:
    """Return what makes the response of a result; None where the core's own rules do, unless `always`."""
    status: int | None = options.get("status")
    headers: Mapping[str, str] | None = options.get("headers") or None
    if result.stream and result.encode is not None:
        return partial(_stream, result, 200 if status is None else status, headers)
    if result.encode is None and status is None and headers is None and not always:
        return None
    return _whole(result, status, headers, handler)


def _whole(result: Result, status: int | None, headers: Mapping[str, str] | None, handler: Any) -> Finish:
    encode, media_type = result.encode, result.media_type or "application/json"
    usual = 200 if status is None else status
    empty = 204 if status is None else status
    kind = result.annotation if isinstance(result.annotation, type) else None

    def finish(value: Any) -> Response:
        if encode is not None and value.__class__ is kind:  # as it nearly always is
            return Response(encode(value), usual, headers, media_type)
        if isinstance(value, Response):
            return value
        if value is None:
            return Response(None, empty, headers)
        if value.__class__ is tuple and len(value) in {2, 3} and isinstance(value[1], int):
            value, own_status, *more = value
            return make(value, own_status, {**(headers or {}), **more[0]} if more else headers)
        return make(value, usual, headers)

    def make(value: Any, code: int, given: Mapping[str, str] | None) -> Response:
        # A text is a text, whatever else the annotation allows.
        if encode is not None and value is not None and not (value.__class__ in _TEXTS or isinstance(value, Response)):
            return Response(encode(value), code, given, media_type)
        response = as_response(value, handler)
        return response if code == response.status_code and given is None else response.with_status(code, given)

    return finish


def _stream(result: Result, status: int, headers: Mapping[str, str] | None, value: Any) -> Response:
    if isinstance(value, Response):
        return value
    items = cast("AsyncIterator[Any]", value if isinstance(value, AsyncIterable) else iterate_in_threadpool(value))
    return StreamingResponse(_encoded(items, cast(Any, result.encode)), status, headers, result.media_type)


async def _encoded(items: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> AsyncIterator[bytes]:
    try:
        async for item in items:
            yield encode(item)
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
