"""Parameters: one value of a request by its name on the wire, read from its place and converted.

The law of this file: how a value is read is settled at registration; a reader takes the connection (or the form), and
answers with the value or with a Faulty.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final, TypeAlias, cast
from uuid import UUID

from microasgi.cookies import cookie_finder, cookie_text
from microasgi.exceptions import ConfigurationError
from microasgi.headers import find_header
from microasgi.typed.constraints import Constraints, checker
from microasgi.typed.faults import Faulty
from microasgi.typed.markers import Header, Marker
from microasgi.typed.signature import EMPTY, Given
from microasgi.typed.texts import TextType

__all__ = ["CONVERTED", "Parameter", "Read", "Texts", "absent", "form_texts", "reader", "texts_of"]

Read: TypeAlias = Callable[[Any], Any]
"""From the connection (or the form) to a value; raises a ValueError, Faulty among them."""
Texts: TypeAlias = Callable[[Any], "list[str]"]

# What the convertors of the routing table make of the path's text.
CONVERTED: Final[dict[str, type]] = {"int": int, "float": float, "uuid": UUID}


class Parameter:
    """What is known of a parameter: for its reader, and for the documentation."""

    __slots__ = ("alias", "annotation", "constraints", "default", "marker", "name", "place", "required", "text")

    def __init__(
        self, given: Given, marker: Marker, text: TextType | None, *, required: bool | None = None, place: str = ""
    ) -> None:
        self.name = given.name
        self.annotation = given.hint.annotation
        self.constraints: Constraints = given.hint.constraints
        self.marker = marker
        self.place = place or marker.place
        self.default = given.default
        self.required = given.default is EMPTY if required is None else required
        self.text = text
        self.alias = marker.alias if marker.alias is not None else _wire_name(given.name, marker)

    def __repr__(self) -> str:
        return f"Parameter({self.alias!r}, {self.place})"


def _wire_name(name: str, marker: Marker) -> str:
    if isinstance(marker, Header):
        return name.replace("_", "-") if marker.convert_underscores else name
    return name


def absent(parameter: Parameter) -> Callable[[], Any]:
    """Return what answers for a parameter that the request does not have: its default, a new one each time."""
    default = parameter.default
    if parameter.required:
        return _refuse_absence
    if deepcopy(default) is default:  # it cannot be changed
        return lambda: default
    return lambda: deepcopy(default)


def _refuse_absence() -> Any:
    raise Faulty("is missing")


def texts_of(parameter: Parameter, *, many: bool) -> Texts:
    """Return the function that gets all texts of a parameter from the connection, in order; a path has one only."""
    alias, place = parameter.alias, parameter.place
    if place == "query":
        return lambda connection: connection.query_params.getlist(alias)
    if place == "header":
        return _header_texts(alias.lower(), many=many)
    if place == "form":
        return form_texts(alias)
    return lambda connection: [text] if (text := connection.cookies.get(alias)) is not None else []


def _header_texts(name: str, *, many: bool) -> Texts:
    def lines(connection: Any) -> list[str]:
        return cast("list[str]", connection.headers.getlist(name))

    def items(connection: Any) -> list[str]:  # RFC 9110 section 5.3: lines of one name are one list
        return [item for line in lines(connection) for text in line.split(",") if (item := text.strip(" \t"))]

    return items if many else lines


def form_texts(alias: str) -> Texts:
    """Return the function that gets all texts of a field from a form; a file in its place is a fault."""

    def texts(form: Any) -> list[str]:
        values = form.getlist(alias)
        if not all(isinstance(value, str) for value in values):
            raise Faulty("has to be a text, not a file")
        return cast("list[str]", values)

    return texts


def reader(parameter: Parameter, converted_by: str | None = None) -> Read:
    """Return the function that gets the parameter's value from the connection.

    `converted_by` is the convertor that the routing table has used on it already, if it makes more than text of it.
    """
    text = cast(TextType, parameter.text)
    if parameter.place == "path":
        return _path_reader(parameter, converted_by)
    if text.container is not None:
        return _list_reader(texts_of(parameter, many=True), text, absent(parameter))
    return _one_reader(_one_text(parameter), text.read, absent(parameter))


def _one_text(parameter: Parameter) -> Callable[[Any], str | None]:
    """Return the function that gets the one text that counts of a parameter, or None."""
    alias = parameter.alias
    if parameter.place == "query":
        return lambda connection: connection.query_params.get(alias)
    if parameter.place == "cookie":
        find = cookie_finder(alias)
        return lambda connection: find(cookie_text(connection.scope["headers"]))
    if parameter.place == "form":
        return _form_text(alias)
    name = alias.lower().encode("latin-1")

    def from_headers(connection: Any) -> str | None:
        value = find_header(connection.scope["headers"], name)
        return None if value is None else value.decode("latin-1")

    return from_headers


def _form_text(alias: str) -> Callable[[Any], str | None]:
    def text(form: Any) -> str | None:
        value = form.get(alias)
        if value is None or isinstance(value, str):
            return value
        raise Faulty("has to be a text, not a file")

    return text


def _one_reader(find: Callable[[Any], str | None], convert: Callable[[str], Any], missing: Callable[[], Any]) -> Read:
    def read(source: Any) -> Any:
        text = find(source)
        return missing() if text is None else convert(text)

    def read_text(source: Any) -> Any:
        text = find(source)
        return missing() if text is None else text

    return read_text if convert is str else read


def _list_reader(find: Texts, text: TextType, missing: Callable[[], Any]) -> Read:
    convert = text.convert

    def read(source: Any) -> Any:
        texts = find(source)
        return convert(texts) if texts else missing()

    return read


def _path_reader(parameter: Parameter, converted_by: str | None) -> Read:
    alias = parameter.alias
    if converted_by is not None:
        check = _check_of_converted(parameter, converted_by)
        if check is None:
            return lambda connection: connection.scope["path_params"][alias]

        def read_converted(connection: Any) -> Any:
            value = connection.scope["path_params"][alias]
            check(value)
            return value

        return read_converted
    convert = cast(TextType, parameter.text).read
    if convert is str:
        return lambda connection: connection.scope["path_params"][alias]
    return lambda connection: convert(connection.scope["path_params"][alias])


def _check_of_converted(parameter: Parameter, kind: str) -> Callable[[Any], None] | None:
    wanted: Any = parameter.annotation
    while hasattr(wanted, "__supertype__"):  # a NewType
        wanted = wanted.__supertype__
    made = CONVERTED.get(kind)
    if made is not None and wanted not in {made, Any, EMPTY}:
        raise ConfigurationError(
            f"the path's {{{parameter.alias}:{kind}}} gives {made.__name__}, and {parameter.name} wants "
            f"{getattr(wanted, '__name__', wanted)}: write `{parameter.name}: {made.__name__}`, or "
            f"{{{parameter.alias}}} in the path"
        )
    return checker(cast("type[Any]", wanted), parameter.constraints, "the path") if parameter.constraints else None
