"""msgspec's models: dataclasses, typed dicts, named tuples, Structs and attrs classes, from JSON and to it.

The one module that imports msgspec, in the function that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeAlias

from microasgi.exceptions import ConfigurationError, InvalidJSON, MissingPackage
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.faults import Faulty
from microasgi.typed.pointers import UNKNOWN_CHOICE, locate

__all__ = [
    "is_installed",
    "is_unset",
    "json_converter",
    "json_decoder",
    "json_encoder",
    "plain",
    "struct_fields",
    "struct_layout",
]

Choices: TypeAlias = Callable[[str], str]

_BOM = b"\xef\xbb\xbf"


def _msgspec(purpose: str) -> ModuleType:
    try:
        import msgspec
    except ImportError:
        raise MissingPackage("msgspec", "typed", purpose) from None
    return msgspec


def is_installed() -> bool:
    """Tell whether msgspec can be imported."""
    try:
        _msgspec("")
    except MissingPackage:
        return False
    return True


def struct_fields(cls: Any) -> Iterator[tuple[str, str, bool, Any, Any]]:
    """Yield name, name in JSON, whether it is required, default and factory (or None), of each field of a Struct."""
    msgspec = _msgspec("to read a Struct")
    for field in msgspec.structs.fields(cls):
        factory = None if field.default_factory is msgspec.NODEFAULT else field.default_factory
        yield field.name, field.encode_name, field.required, field.default, factory


def struct_layout(cls: Any) -> tuple[tuple[str, Any] | None, bool]:
    """Return the tag of a Struct, as name and value, and whether it is an array in JSON."""
    config = cls.__struct_config__
    return (None if config.tag is None else (config.tag_field, config.tag)), config.array_like


def is_unset(value: Any) -> bool:
    """Tell whether it is msgspec's UNSET, which is left out of JSON."""
    return type(value).__name__ == "UnsetType"


def json_decoder(annotation: Any, choices: Choices, where: str) -> Callable[[bytes], Any]:
    """Return the function that reads JSON strictly; it raises InvalidJSON, or Faulty with the first fault.

    `choices` says which values may be at a pointer; msgspec does not.
    """
    msgspec = _msgspec(f"to read {_name(annotation)} ({where})")
    try:
        decode = msgspec.json.Decoder(annotation).decode
    except (TypeError, ValueError, NameError, RecursionError) as error:
        raise ConfigurationError(f"{where}: msgspec cannot read this type: {error}") from error
    broken = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except broken as error:
            decode_json(data)  # says line and column where the text is broken, even behind the first fault
            if data.startswith(_BOM):
                return read(data[3:])
            if isinstance(error, msgspec.ValidationError):
                raise _fault(error, choices) from None
            raise InvalidJSON(f"invalid JSON: {_short(error)}") from None

    return read


def _short(error: Exception) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).removeprefix("JSON is malformed: ")


def _fault(error: Exception, choices: Choices) -> Exception:
    """Return the Faulty of a ValidationError, or the model's own mistake that msgspec has hidden in it."""
    cause = error.__cause__
    if isinstance(cause, TypeError):
        return cause
    place, reason = locate(str(error), None if cause is None else str(cause))
    return Faulty((place, (choices(place) or reason) if reason == UNKNOWN_CHOICE else reason))


def json_converter(annotation: Any, choices: Choices, where: str) -> Callable[[Any], Any]:
    """Return the function that makes the value out of decoded JSON as strictly; it raises Faulty."""
    msgspec = _msgspec(f"to read {_name(annotation)} ({where})")
    json_decoder(annotation, choices, where)
    convert = msgspec.convert

    def read(value: Any) -> Any:
        try:
            return convert(value, annotation, str_keys=True)
        except msgspec.ValidationError as error:
            raise _fault(error, choices) from None
        except RecursionError:
            raise Faulty("is nested too deeply") from None

    return read


def json_encoder() -> Callable[[Any], bytes]:
    """Return msgspec's encoder of any value; what it does not know becomes JSON by the core's rules."""
    msgspec = _msgspec("to write JSON")
    raw = msgspec.Raw

    def other(value: Any) -> Any:
        return raw(encode_json(value))

    encode: Callable[[Any], bytes] = msgspec.json.Encoder(enc_hook=other).encode
    return encode


def plain(value: Any) -> Any:
    """Return the value as dicts, lists, strings, numbers, booleans and None."""
    return _msgspec("to write JSON").to_builtins(value, str_keys=True, enc_hook=_plain)


def _plain(value: Any) -> Any:
    return decode_json(encode_json(value))


def _name(annotation: Any) -> str:
    return getattr(annotation, "__name__", None) or str(annotation)
