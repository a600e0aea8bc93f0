"""JSON, as bytes and back (RFC 8259): the standard library's C codec without the layers around it.

`json.dumps` and `json.loads` spend most of their time on arguments; the codec's C core is called directly here, and
the public functions are the way out for odd input and for interpreters without that core.
"""

from __future__ import annotations

import json
import json.encoder
from collections.abc import Mapping, Set
from typing import Any, Final, cast

from microasgi.exceptions import InvalidJSON

__all__ = ["decode_json", "encode_json"]

# By name, for these need not be imported where nobody uses them.
_TEXT_TYPES: Final = {"uuid.UUID", "decimal.Decimal", "ipaddress._IPAddressBase", "microasgi.urls.URL"}


def _plain(value: Any) -> Any:
    """Return what JSON can hold in place of a value that it cannot."""
    kind = cast(Any, type(value))
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if hasattr(kind, "__struct_fields__"):  # msgspec
        names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        return {encoded: getattr(value, name) for encoded, name in names}
    if hasattr(kind, "model_dump"):  # pydantic
        return value.model_dump(mode="json")
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    if hasattr(kind, "isoformat"):
        return value.isoformat()
    if hasattr(kind, "__members__"):  # an enum
        return value.value
    if issubclass(kind, Mapping):
        return dict(value)
    if issubclass(kind, Set):
        return list(value)
    if hasattr(kind, "__fspath__"):
        return value.__fspath__()
    if any(f"{base.__module__}.{base.__qualname__}" in _TEXT_TYPES for base in kind.__mro__):
        return str(value)
    raise TypeError(f"a {kind.__name__} does not become JSON by itself: {value!r:.80}. Return plain data instead.")


def _general(value: Any, *, ascii_only: bool = False) -> str:
    return json.dumps(value, default=_plain, separators=(",", ":"), allow_nan=False, ensure_ascii=ascii_only)


_make: Any = getattr(json.encoder, "c_make_encoder", None)
_write: Any = getattr(json.encoder, "encode_basestring", None)
# No memory of containers on the way down (the first argument): a value that holds itself ends in RecursionError.
_encode: Any = _make and _make(None, _plain, _write, None, ":", ",", False, False, False)


def encode_json(value: Any) -> bytes:
    """Return the shortest JSON text of a value, as UTF-8.

    Dataclasses, msgspec and attrs and pydantic models, dates, UUIDs, Decimals, enums, paths, mappings and sets become
    plain data. ValueError for NaN and the infinities, which JSON lacks, and for a value that holds itself; TypeError
    for anything else that cannot be JSON.
    """
    try:
        text = "".join(_encode(value, 0)) if _encode else _general(value)
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate: escape it, UTF-8 has no form for it
        return _general(value, ascii_only=True).encode()
    except RecursionError:
        raise ValueError(f"the {type(value).__name__} holds itself, or is nested too deeply for JSON") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:  # what is read has to be writable again
        raise ValueError(f"{text:.20} is too large a number")
    return value


_decoder: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse_constant)
_scan: Any = cast(Any, _decoder).scan_once


def decode_json(data: bytes) -> Any:
    """Return the value of a JSON text in UTF-8; InvalidJSON (400) that says where it is broken."""
    try:
        text = data.decode()
        try:
            value, end = _scan(text, 0)
            if end == len(text) or not text[end:].strip(" \t\r\n"):
                return value
        except StopIteration:
            pass
        return _decoder.decode(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        detail = f"invalid JSON: {error.msg} at line {error.lineno} column {error.colno}"
    except UnicodeDecodeError as error:
        detail = f"invalid JSON: not UTF-8 at byte {error.start}"
    except RecursionError:
        detail = "invalid JSON: nested too deeply"
    except ValueError as error:
        detail = f"invalid JSON: {str(error).partition(';')[0]}"
    raise InvalidJSON(detail) from None
