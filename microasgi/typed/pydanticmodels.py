"""pydantic's models, from JSON and to it. The one module that imports pydantic, in the function that needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final

from microasgi.exceptions import ConfigurationError, InvalidJSON, MissingPackage
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.faults import Faulty
from microasgi.typed.pointers import pointer

__all__ = ["json_converter", "json_decoder", "json_encoder", "json_schemas", "plain", "text_converter"]

# A body may have a million faults; nobody reads them, and their list would cost more than the body.
_MOST_FAULTS: Final = 100
_BOM: Final = b"\xef\xbb\xbf"
_N, _I = b"NI"

_DATES: Final = ("date_type", "date_parsing", "date_from_datetime_parsing")
_DATETIMES: Final = ("datetime_type", "datetime_parsing", "datetime_from_date_parsing")
_REASONS: Final = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "string_type": "has to be a string",
    "int_type": "has to be an integer",
    "int_parsing": "has to be an integer",
    "int_from_float": "has to be an integer",
    "int_parsing_size": "is too large a number",
    "float_type": "has to be a number",
    "float_parsing": "has to be a number",
    "finite_number": "has to be a finite number",
    "bool_type": "has to be true or false",
    "bool_parsing": "has to be true or false",
    "none_required": "has to be null",
    "list_type": "has to be an array",
    "tuple_type": "has to be an array",
    "set_type": "has to be an array",
    "frozen_set_type": "has to be an array",
    "dict_type": "has to be an object",
    "model_type": "has to be an object",
    "model_attributes_type": "has to be an object",
    "dataclass_type": "has to be an object",
    "greater_than": "has to be more than {gt}",
    "greater_than_equal": "has to be at least {ge}",
    "less_than": "has to be less than {lt}",
    "less_than_equal": "has to be at most {le}",
    "multiple_of": "has to be a multiple of {multiple_of}",
    "string_pattern_mismatch": "has to match the pattern {pattern}",
    "literal_error": "has to be one of {expected}",
    "enum": "has to be one of {expected}",
    "uuid_type": "has to be a UUID",
    "uuid_parsing": "has to be a UUID",
    "decimal_type": "has to be a decimal number",
    "decimal_parsing": "has to be a decimal number",
    **dict.fromkeys(_DATES, "has to be a date such as 2026-01-31"),
    **dict.fromkeys(_DATETIMES, "has to be a date and time such as 2026-01-31T12:30:00Z"),
    **dict.fromkeys(("time_type", "time_parsing"), "has to be a time such as 12:30:00"),
    **dict.fromkeys(("time_delta_type", "time_delta_parsing"), "has to be a duration such as P1DT2H30M"),
}


def _pydantic(purpose: str) -> ModuleType:
    try:
        import pydantic
    except ImportError:
        raise MissingPackage("pydantic", "pydantic", purpose) from None
    return pydantic


def _adapter(annotation: Any, where: str) -> Any:
    pydantic = _pydantic(f"to read {annotation!r} ({where})")
    try:
        adapter = pydantic.TypeAdapter(annotation)
        if hasattr(adapter, "rebuild"):  # since 2.10
            adapter.rebuild(raise_errors=True)
    except (pydantic.errors.PydanticUserError, NameError, TypeError) as error:
        text = str(error).partition("\n\nFor further information")[0]
        raise ConfigurationError(f"{where}: pydantic cannot read this type: {text}") from error
    return adapter


def json_decoder(annotation: Any, where: str, *, numbers: bool = True) -> Callable[[bytes], Any]:
    """Return the function that reads JSON strictly; it raises InvalidJSON, or Faulty with all faults.

    `numbers`: the type has places that take any number.
    """
    validate = _adapter(annotation, where).validator.validate_json
    misfit = _pydantic("").ValidationError

    def read(data: bytes) -> Any:
        try:
            value = validate(data, strict=True)
        except misfit as error:
            plain_value = decode_json(data)  # says line and column where the text is broken
            if data.startswith(_BOM):
                return read(data[3:])
            raise _fault(error, plain_value) from None
        # Its parser takes NaN and Infinity, which are no JSON (RFC 8259 section 6). Single bytes are found at once.
        if numbers and (_N in data or _I in data) and (b"NaN" in data or b"Infinity" in data):
            decode_json(data)
        return value

    return read


def _fault(error: Any, value: Any) -> Exception:
    """Return the Faulty of a ValidationError; `value` is what was to be read, as plain data."""
    count = error.error_count()
    if count > _MOST_FAULTS:
        return Faulty(f"has {count} faults")
    parts: dict[tuple[str, str], None] = {}
    for fault in error.errors(include_url=False, include_input=False):
        if fault["type"] == "json_invalid":
            text = str(fault["ctx"]["error"])
            deep = text.startswith("recursion limit exceeded")
            return InvalidJSON(f"invalid JSON: {'nested too deeply' if deep else text}")
        parts[pointer(_path(fault["loc"], value)), _reason(fault)] = None
    return Faulty(*parts)


def _reason(fault: Mapping[str, Any]) -> str:
    kind = fault["type"]
    context = fault.get("ctx", {})
    if kind in _REASONS:
        return _REASONS[kind].format_map(context)
    if kind in {"value_error", "assertion_error"}:
        return str(context["error"])
    if "min_length" in context or "max_length" in context:
        return _length_reason(kind, context)
    message = str(fault["msg"])
    return message.replace("Input should", "has to", 1) if message.startswith("Input should") else message


def _length_reason(kind: str, context: Mapping[str, Any]) -> str:
    how = "at least" if "min_length" in context else "at most"
    limit = context.get("min_length", context.get("max_length"))
    unit = "character" if kind.startswith("string") else "byte" if kind.startswith("bytes") else "item"
    return f"has to have {how} {limit} {unit}{'' if limit == 1 else 's'}"


def _path(location: Iterable[Any], value: Any) -> list[Any]:
    """Return the steps that lead into the value: a location also names members of unions and validators."""
    steps: list[Any] = []
    *leading, last = [*location] or [None]
    for name in leading:
        if not _leads_on(name, value):
            continue
        steps.append(name)
        value = value[name]
    if _leads_on(last, value) or (isinstance(value, dict) and last is not None) or isinstance(last, int):
        steps.append(last)
    return steps


def _leads_on(name: Any, value: Any) -> bool:
    if isinstance(value, dict):
        return name in value
    return isinstance(value, list) and isinstance(name, int) and 0 <= name < len(value)  # pyright: ignore[reportUnknownArgumentType]


def json_converter(annotation: Any, where: str) -> Callable[[Any], Any]:
    """Return the function that makes the value out of decoded JSON as strictly; it raises Faulty."""
    validate = _adapter(annotation, where).validator.validate_json
    misfit = _pydantic("").ValidationError

    def read(value: Any) -> Any:
        try:
            # What pydantic takes strictly from JSON (dates, UUIDs) it refuses from Python values.
            return validate(encode_json(value), strict=True)
        except misfit as error:
            raise _fault(error, value) from None

    return read


def text_converter(model: Any, where: str) -> Callable[[dict[str, Any]], Any]:
    """Return the function that makes a model out of texts, lists of texts and files, leniently; it raises Faulty."""
    validate = _adapter(model, where).validator.validate_python
    misfit = _pydantic("").ValidationError

    def build(values: dict[str, Any]) -> Any:
        try:
            return validate(values)
        except misfit as error:
            raise _fault(error, values) from None

    return build


def json_encoder(annotation: Any, model: Any, where: str) -> Callable[[Any], bytes]:
    """Return the encoder of values of this annotation; what is more than the annotation is left out.

    `model` is the pydantic class of the values, or of the items of a list; None: neither.
    """
    adapter = _adapter(annotation, where)
    encode = adapter.serializer.to_json
    is_own = _owner(model)

    def write(value: Any) -> bytes:
        if is_own(value):
            data: bytes = encode(value, by_alias=True, warnings=False)
            return data
        return bytes(encode(_cut(adapter, value, where), by_alias=True, warnings=False))

    def write_any(value: Any) -> bytes:
        try:
            data: bytes = encode(value, by_alias=True, warnings="error")
        except ValueError:  # another type inside than the annotation says: it would be written whole
            return bytes(encode(_cut(adapter, value, where), by_alias=True, warnings=False))
        return data

    # To be told of other types costs more than to write a small model.
    return write_any if model is None else write


def plain(annotation: Any, model: Any, where: str) -> Callable[[Any], Any]:
    """Return what makes dicts, lists, strings, numbers, booleans and None of values of this annotation."""
    write = json_encoder(annotation, model, where)
    return lambda value: decode_json(write(value))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _owner(model: Any) -> Callable[[Any], bool]:
    """Return what tells whether pydantic shows a value right: of a stranger, it shows the attributes it happens on."""

    def is_own(value: Any) -> bool:
        if value.__class__ is model or value is None or isinstance(value, model):
            return True
        return _is_list(value) and ({*map(type, value)} == {model} or all(isinstance(item, model) for item in value))

    return is_own


def _cut(adapter: Any, value: Any, where: str) -> Any:
    try:
        return adapter.validator.validate_python(value, from_attributes=True)
    except _pydantic("").ValidationError as error:
        raise TypeError(f"{where}: the answer is not what the annotation says: {error}") from error


def json_schemas(annotations: Sequence[Any], ref: str, *, serialization: bool) -> tuple[list[Any], dict[str, Any]]:
    """Return the JSON Schema of each annotation and the components by name, of what is written or of what is read."""
    pydantic = _pydantic("to describe its models")
    from pydantic.json_schema import GenerateJsonSchema

    class Plain(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False  # a title that is the name again

    mode = "serialization" if serialization else "validation"
    inputs = [(index, mode, _adapter(annotation, "the document")) for index, annotation in enumerate(annotations)]
    template = ref.replace("{name}", "{model}")
    try:
        schemas, shared = pydantic.TypeAdapter.json_schemas(inputs, ref_template=template, schema_generator=Plain)
    except pydantic.errors.PydanticUserError as error:
        text = str(error).partition("\n\nFor further information")[0]
        raise ConfigurationError(f"pydantic has no JSON Schema of this type: {text}") from error
    return [dict(schemas[index, mode]) for index in range(len(inputs))], dict(shared.get("$defs", {}))
