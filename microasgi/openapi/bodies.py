"""Bodies: what a handler reads of the request's body, as a Request Body Object (OpenAPI 3.1 section 4.8.13).

The law of this file: one media type, the one that clients should send. Multipart is for files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from microasgi.openapi.components import JSONSchema, Schemas
from microasgi.openapi.inventory import Subject
from microasgi.openapi.parameters import examples_of, is_repeated, is_shown, schema_for
from microasgi.typed.operation import Operation
from microasgi.typed.parameters import Parameter

__all__ = ["describe_body"]

# `format` is what pages show a file chooser for, `contentMediaType` what JSON Schema says of it.
_FILE: Final = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}


def describe_body(subject: Subject, schemas: Schemas) -> dict[str, Any] | None:
    """Return the request body of an operation, None where it reads none."""
    binding = subject.binding
    if binding is None:
        return None
    if binding.form:
        return _form(binding.form, subject, schemas)
    return _json(binding, subject, schemas) if binding.body else None


def _json(binding: Operation, subject: Subject, schemas: Schemas) -> dict[str, Any]:
    if binding.embeds:
        content = {"schema": _object(binding.body, [schema_for(one, subject, schemas) for one in binding.body])}
        return _body("application/json", content, binding.body)
    sole = binding.body[0]
    if sole.annotation is bytes:
        return _body("application/octet-stream", {"schema": {}}, binding.body)
    content = {"schema": schema_for(sole, subject, schemas), **examples_of(sole)}
    body = _body("application/json", content, binding.body)
    return {"description": sole.marker.description, **body} if sole.marker.description else body


def _form(fields: Sequence[Parameter], subject: Subject, schemas: Schemas) -> dict[str, Any]:
    shown = [field for field in fields if is_shown(field)]
    has_files = any(field.place == "file" for field in shown)
    found = [_file_schema(field) if field.place == "file" else schema_for(field, subject, schemas) for field in shown]
    media_type = "multipart/form-data" if has_files else "application/x-www-form-urlencoded"
    return _body(media_type, {"schema": _object(shown, found)}, fields)


def _body(media_type: str, content: dict[str, Any], parts: Sequence[Parameter]) -> dict[str, Any]:
    required = {"required": True} if any(part.required for part in parts) else {}
    return {"content": {media_type: content}, **required}


def _object(fields: Sequence[Parameter], schemas: Sequence[JSONSchema]) -> JSONSchema:
    """Return the schema of an object with these members."""
    properties = {field.alias: _member(field, schema) for field, schema in zip(fields, schemas, strict=True)}
    required = [field.alias for field in fields if field.required]
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _member(field: Parameter, schema: JSONSchema) -> JSONSchema:
    """Add to the schema of a member what other parameters say beside theirs; it may be filled in later."""
    if field.marker.description:
        schema["description"] = field.marker.description
    if field.marker.deprecated:
        schema["deprecated"] = True
    return schema


def _file_schema(field: Parameter) -> JSONSchema:
    if not is_repeated(field.annotation):
        return {**_FILE, **field.constraints.as_schema()}
    least = {"minItems": 1} if field.required else {}
    return {"type": "array", "items": {**_FILE}, **least, **field.constraints.as_schema("Items")}
