"""Results: the return annotation of a handler, and how its values become the body of the answer.

The law of this file: nothing is validated again; what the annotation does not name is not shown.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Union, get_args, get_origin

from microasgi.responses import Response
from microasgi.serialization import decode_json, encode_json
from microasgi.typed import msgspecmodels, pydanticmodels
from microasgi.typed.projections import Cut, is_leaf_model, projection
from microasgi.typed.shapes import Shape, pydantic_part, shape_of, unwrapped

__all__ = ["Result", "result_of"]

Encode = Callable[[Any], bytes]

_STREAMS: Final[frozenset[Any]] = frozenset(
    {collections.abc.AsyncIterator, collections.abc.AsyncGenerator, collections.abc.AsyncIterable}
    | {collections.abc.Iterator, collections.abc.Generator}
)
_CORE: Final[frozenset[Any]] = frozenset({inspect.Parameter.empty, None, types.NoneType, Any, object, str, bytes})
_BARE: Final[frozenset[Any]] = frozenset({dict, list, tuple})


@dataclass(slots=True)
class Result:
    """What a handler returns. `annotation` is that of the content: without status, headers and Response classes.

    `encode` makes JSON of one value (of one item and the line's end, for a stream); None: the core's rules answer.
    """

    annotation: Any
    encode: Encode | None
    stream: bool = False
    media_type: str | None = None


def result_of(annotation: Any, json: Callable[[Any], bytes | str] | None, where: str) -> Result:
    """Return how values of a return annotation are answered; `json` writes plain data in place of the engine.

    NaN and the infinities become null where msgspec or pydantic write; without them it is a ValueError.
    """
    content = _content(annotation)
    origin = get_origin(unwrapped(content)[0])
    if origin in _STREAMS:
        return _stream(get_args(unwrapped(content)[0])[0], json, where)
    if _is_cores(content):
        return Result(content, None if json is None or content in {str, bytes} else _custom(json))
    return Result(content, _encoder(content, json, where), media_type="application/json")


def _stream(item: Any, json: Callable[[Any], bytes | str] | None, where: str) -> Result:
    if item in _CORE:
        return Result(item, None)
    encode = _encoder(item, json, where)
    return Result(item, lambda value: encode(value) + b"\n", stream=True, media_type="application/jsonl")


def _content(annotation: Any) -> Any:
    """Return the annotation of the content: of (content, status, headers) the first, of unions no Response."""
    inner = unwrapped(annotation)[0]
    args = get_args(inner)
    if get_origin(inner) is tuple and len(args) in {2, 3} and _is_status(args[1]):
        return _content(args[0])
    if get_origin(inner) not in {Union, types.UnionType}:
        return annotation
    members = [_content(arg) for arg in args if not _is_response(arg)]
    return Union[tuple(members)] if members else Response  # noqa: UP007  (made of a list)


def _is_status(annotation: Any) -> bool:
    inner = unwrapped(annotation)[0]
    if get_origin(inner) is Literal:
        return all(isinstance(value, int) for value in get_args(inner))
    return isinstance(inner, type) and issubclass(inner, int) and inner is not bool


def _is_response(annotation: Any) -> bool:
    inner = unwrapped(annotation)[0]
    origin = get_origin(inner) or inner
    return isinstance(origin, type) and issubclass(origin, Response)


def _is_cores(annotation: Any) -> bool:
    """Tell whether the core answers such values as well as anything here would."""
    inner = unwrapped(annotation)[0]
    if get_origin(inner) in {Union, types.UnionType}:
        return all(_is_cores(arg) for arg in get_args(inner))
    try:
        return inner in _CORE or inner in _BARE or _is_response(inner)
    except TypeError:  # Literal[[]] and the like cannot be looked up
        return False


def _encoder(annotation: Any, json: Callable[[Any], bytes | str] | None, where: str) -> Encode:
    shape = shape_of(annotation, where)
    if pydantic_part(shape) is not None:
        if json is None:
            return pydanticmodels.json_encoder(annotation, _pydantic_model(shape), where)
        return _custom(json, pydanticmodels.plain(annotation, _pydantic_model(shape), where))
    cut = projection(shape, where)
    if json is not None:
        plain = msgspecmodels.plain if msgspecmodels.is_installed() else _plain
        return _custom(json, plain if cut is None else lambda value: plain(cut(value)))
    dumps = msgspecmodels.json_encoder() if msgspecmodels.is_installed() else encode_json
    if cut is None:
        return _guarded(dumps)
    leaves = [part for part in (shape, *shape.parts) if is_leaf_model(part)]
    if shape.kind in {"model", "union"} and leaves:
        return _leaf(dumps, cut, leaves[0].type)
    return _walked(dumps, cut)


def _pydantic_model(shape: Shape) -> Any:
    """Return the one pydantic class of the values, or of the items of a list, or None."""
    if shape.kind == "union":
        members = [member for member in shape.parts if member.type is not types.NoneType]
        return _pydantic_model(members[0]) if len(members) == 1 else None
    if shape.kind == "items" and shape.type is list:
        shape = shape.parts[0]
    return shape.type if shape.model == "pydantic" else None


def _plain(value: Any) -> Any:
    return decode_json(encode_json(value))


def _custom(json: Callable[[Any], bytes | str], plain: Cut | None = None) -> Encode:
    def encode(value: Any) -> bytes:
        data = json(value if plain is None else plain(value))
        return data.encode() if isinstance(data, str) else data

    return encode


# msgspec fails where the core has an answer: lone surrogates are escaped, what holds itself is a ValueError.
_UNWRITTEN: Final = (UnicodeEncodeError, RecursionError)


def _guarded(dumps: Encode) -> Encode:
    def encode(value: Any) -> bytes:
        try:
            return dumps(value)
        except _UNWRITTEN:
            return encode_json(value)

    return encode


def _leaf(dumps: Encode, cut: Cut, cls: Any) -> Encode:
    def encode(value: Any) -> bytes:
        try:
            return dumps(value if value.__class__ is cls else cut(value))
        except _UNWRITTEN:
            return encode_json(cut(value))

    return encode


def _walked(dumps: Encode, cut: Cut) -> Encode:
    def encode(value: Any) -> bytes:
        try:
            shown = cut(value)
        except RecursionError:
            raise ValueError(f"the {type(value).__name__} holds itself, or is nested too deeply for JSON") from None
        try:
            return dumps(shown)
        except _UNWRITTEN:
            return encode_json(shown)

    return encode
