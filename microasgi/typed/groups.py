"""Groups: a model whose fields are parameters of one place, as in `Annotated[Filters, Query()]`."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import Enum
from typing import Any, Final, get_args, get_origin

from microasgi.exceptions import ConfigurationError
from microasgi.forms import UploadFile
from microasgi.typed.faults import Fault, Faulty, parts_of
from microasgi.typed.fields import NO_DEFAULT
from microasgi.typed.files import file_reader, is_file_type
from microasgi.typed.markers import Marker
from microasgi.typed.models import ModelField, TextModel
from microasgi.typed.parameters import Parameter, Read, form_texts, reader, texts_of
from microasgi.typed.signature import EMPTY, Given, Hint, read_hint
from microasgi.typed.texts import text_type

__all__ = ["Group"]


class _Absence(Enum):
    ABSENT = "absent"


_ABSENT: Final = _Absence.ABSENT
_MOST: Final = 20  # unknown names that are told
_MANY: Final = (list, set, frozenset, tuple)


class Group:
    """The fields of a model as parameters; `read` returns the model, `blame` says whose an error is."""

    def __init__(self, given: Given, marker: Marker, model: TextModel, where: str) -> None:
        self._name, self._place, self._where = given.name, marker.place, where
        self._build = model.build
        self._required = {field.name for field in model.fields if field.required and not model.raw}
        self.parameters: list[Parameter] = []
        self._fields: list[tuple[str, Read]] = []
        for field in model.fields:
            parameter, read = self._field(field, type(marker), raw=model.raw)
            self.parameters.append(parameter)
            self._fields.append((field.name, read))
        self._closed = model.closed and marker.place in {"query", "form"}
        self.known: set[str] = set()
        """Names that a model which forbids others lets pass: its own, and those of the parameters beside it."""
        self._aliases = {name: one.alias for (name, _), one in zip(self._fields, self.parameters, strict=True)}

    def _field(self, field: ModelField, kind: type[Marker], *, raw: bool) -> tuple[Parameter, Read]:
        hint = Hint(field.annotation) if raw else read_hint(field.annotation, self._where, field.name)
        marker = copy(hint.marker) if isinstance(hint.marker, Marker) else kind(field.alias)
        if marker.alias is None:
            marker.alias = field.alias
        given = Given(field.name, Hint(hint.annotation, marker, hint.constraints), EMPTY, by_keyword=True)
        default = EMPTY if field.default is NO_DEFAULT else field.default
        if is_file_type(hint.annotation):
            parameter = Parameter(given, marker, None, required=field.required, place="file")
            return parameter, _or_absent(file_reader(parameter, self._where), field.alias)
        if raw:
            parameter = Parameter(given, marker, None, required=field.required, place=self._place)
            parameter.default = default
            return parameter, self._raw_reader(parameter, many=_is_many(hint.annotation))
        text = text_type(hint.annotation, hint.constraints, self._where)
        if text is None:
            raise ConfigurationError(
                f"{self._where}: the field {field.name!r} of {self._name} is a {hint.annotation}, which no text of a "
                f"{self._place} can become: use scalars and lists of them, or read the model from the body with Body()"
            )
        parameter = Parameter(given, marker, text, required=False, place=self._place)
        parameter.default = _ABSENT
        read = reader(parameter)
        parameter.default = default  # for the document: the model applies it
        parameter.required = field.required
        return parameter, read

    def _raw_reader(self, parameter: Parameter, *, many: bool) -> Read:
        texts = form_texts(parameter.alias) if self._place == "form" else texts_of(parameter, many=many)

        def read(source: Any) -> Any:
            found = texts(source)
            if not found:
                return _ABSENT
            return found if many else found[-1]

        return read

    def read(self, source: Any) -> Any:
        """Return the model for a connection, or a form; Faulty with pointers that begin with a field's name."""
        values: dict[str, Any] = {}
        parts: list[tuple[str, str]] = []
        unknown = self._unknown(source) if self._closed else []
        for name, read in self._fields:
            try:
                value = read(source)
            except ValueError as error:
                parts += [(f"/{name}{pointer}", reason) for pointer, reason in parts_of(error)]
                continue
            if value is not _ABSENT:
                values[name] = value
            elif name in self._required:
                parts.append((f"/{name}", "is missing"))
        if parts:
            raise Faulty(*unknown, *parts)
        try:
            model = self._build(values)
        except Faulty as error:
            raise Faulty(*unknown, *error.parts) from None
        if unknown:
            raise Faulty(*unknown)
        return model

    def _unknown(self, source: Any) -> list[tuple[str, str]]:
        names = source.query_params if self._place == "query" else source.names
        return [(f"/{name}", "is not known") for name in names if name not in self.known][:_MOST]

    def blame(self, error: ValueError) -> list[Fault]:
        """Return the faults that an error of `read` stands for."""
        return [self._fault(pointer, reason) for pointer, reason in parts_of(error)]

    def _fault(self, pointer: str, reason: str) -> Fault:
        name, slash, rest = pointer.removeprefix("/").partition("/")
        return Fault(self._place, self._aliases.get(name, name or self._name), reason, slash + rest)


def _or_absent(read: Callable[[Any], Any], alias: str) -> Read:
    def find(form: Any) -> Any:
        return read(form) if any(isinstance(value, UploadFile) for value in form.getlist(alias)) else _ABSENT

    return find


def _is_many(annotation: Any) -> bool:
    origin = get_origin(annotation) or annotation
    if isinstance(origin, type) and issubclass(origin, _MANY):
        return True
    return any(_is_many(one) for one in get_args(annotation)) if origin not in _MANY else False
