"""Bodies: the steps that read a request's body, as JSON or as a form, before what needs it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from microasgi.exceptions import HTTPException, MissingPackage
from microasgi.headers import find_header
from microasgi.multipart import require_parser
from microasgi.requests import Request
from microasgi.typed.faults import Fault, Faulty, parts_of
from microasgi.typed.files import ReadForm, wants_bytes
from microasgi.typed.markers import Body
from microasgi.typed.models import json_converter, json_decoder
from microasgi.typed.parameters import Parameter, Read, absent
from microasgi.typed.strictjson import decode_strictly

__all__ = ["FAULTY", "BodyStep", "FormStep", "Slots"]

Slots: TypeAlias = list[Any]
"""What one request has so far: the connection, the clean-ups of dependencies, then what each step made."""
FAULTY: Final = object()
"""In a slot: the request did not have what its step needs, which is among the faults already."""

_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
_UTF_8: Final = ("utf-8", "utf8", "us-ascii")


def require_json(connection: Any) -> None:
    """Refuse a body that is not labelled as JSON with 415: a page of another site can send all other types unasked."""
    value = find_header(connection.scope["headers"], b"content-type")
    if value == b"application/json":
        return
    media_type, _, parameters = (value or b"").decode("latin-1").lower().partition(";")
    media_type = media_type.strip()
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise HTTPException(415, "the body has to be JSON, labelled with content-type: application/json")
    name, _, charset = parameters.partition("=")
    if name.strip() == "charset" and charset.partition(";")[0].strip(' "') not in _UTF_8:
        raise HTTPException(415, "JSON has to be in UTF-8 (RFC 8259 section 8.1)")


class BodyStep:
    """Read the body as JSON; of several parameters, each is a member of the object that it has to be."""

    def __init__(self, slot: int, where: str) -> None:
        self.slot = slot
        self._where = where
        self.parameters: list[Parameter] = []
        self.embeds = False
        """Whether the parameters are members of an object; known when it is settled."""
        self._decode: Callable[[bytes], Any] = decode_strictly
        self._labelled = True

    def settle(self) -> list[Read | None]:
        """Return how each parameter is read from the step's slot, now that all of them are known."""
        markers = [cast(Body, parameter.marker) for parameter in self.parameters]
        self.embeds = len(markers) > 1 or any(marker.embed for marker in markers)
        if self.embeds:
            return [_member(parameter, self._where) for parameter in self.parameters]
        parameter = self.parameters[0]
        if parameter.annotation is bytes:
            self._labelled, self._decode = False, bytes
        else:
            self._decode = json_decoder(parameter.annotation, parameter.constraints, self._where)
        self._missing = absent(parameter)
        return [None]

    async def run(self, slots: Slots, faults: list[Fault]) -> None:
        """Fill the slot."""
        request: Request[Any] = slots[0]
        body = await request.body()
        try:
            slots[self.slot] = self._value(request, body)
        except HTTPException:
            raise
        except ValueError as error:
            slots[self.slot] = FAULTY
            faults += [Fault("body", "", reason, pointer) for pointer, reason in parts_of(error)]

    def _value(self, request: Request[Any], body: bytes) -> Any:
        if not body:
            return self._without_body()
        if self._labelled:
            require_json(request)
        value = self._decode(body)
        if self.embeds and value.__class__ is not dict:
            raise Faulty("has to be an object")
        return value

    def _without_body(self) -> Any:
        if not (self.embeds or self.parameters[0].annotation is bytes):
            return self._missing()
        if not any(parameter.required for parameter in self.parameters):
            return dict[str, Any]()
        if self.embeds:
            raise Faulty("is missing")
        return self._decode(b"")


def _member(parameter: Parameter, where: str) -> Read:
    """Return the function that gets a parameter from the decoded object."""
    alias, missing = parameter.alias, absent(parameter)
    convert = json_converter(parameter.annotation, parameter.constraints, where)
    root = "/" + alias.replace("~", "~0").replace("/", "~1")  # RFC 6901 section 3

    def read(members: dict[str, Any]) -> Any:
        try:
            return convert(members[alias]) if alias in members else missing()
        except Faulty as error:
            raise Faulty(*((root + pointer, reason) for pointer, reason in error.parts)) from None

    return read


class FormStep:
    """Read the body as a form."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.parameters: list[Parameter] = []
        self._loaded: list[str] = []

    def settle(self) -> None:
        """Find out which files are wanted as bytes; MissingPackage where files could not be read."""
        files = [one for one in self.parameters if one.place == "file"]
        if files:
            require_parser()
        self._loaded = [one.alias for one in files if wants_bytes(one.annotation)]

    async def run(self, slots: Slots, faults: list[Fault]) -> None:
        """Fill the slot."""
        request = cast("Request[Any]", slots[0])
        value = find_header(request.scope["headers"], b"content-type")
        if value is not None and value.decode("latin-1").lower().partition(";")[0].strip() not in _FORMS:
            raise HTTPException(415, f"the body has to be a form: {' or '.join(_FORMS)}")
        try:
            form = ReadForm(await request.form())
        except MissingPackage:  # nobody here wants files, and so nobody has installed what reads them
            raise HTTPException(415, f"the body has to be a form of the type {_FORMS[0]}") from None
        for name in self._loaded:
            await form.load(name)
        slots[self.slot] = form
