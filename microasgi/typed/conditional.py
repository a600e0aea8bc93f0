"""Conditional requests (RFC 9110 section 13): answers that are sent only if they are news, changes only if nobody else
has made one.

An entity tag here is the hash of the bytes that a GET answers with. It is strong: other bytes, another tag. A header
that is no list of tags never lets a change through.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Annotated, Any, Final, TypeAlias

from microasgi.connection import HTTPConnection
from microasgi.endpoints import as_response
from microasgi.exceptions import HTTPException
from microasgi.headers import find_header
from microasgi.requests import Request
from microasgi.responses import Response
from microasgi.typed.markers import Header
from microasgi.typed.results import result_of

__all__ = ["IF_MATCH", "IF_NONE_MATCH", "Preconditions", "Respond", "etag_of", "is_known", "read_tags", "with_etag"]

Respond: TypeAlias = Callable[[Request[Any], Sequence[Any]], Awaitable[Response]]
"""Calls a handler with the values of its parameters, and makes its result a response."""

_TAG: Final = r'(?:W/)?+"[\x21\x23-\x7e\x80-\xff]*+"'
_BLANKS: Final = r"[ \t]*+"
_is_tag = re.compile(_TAG).fullmatch
_is_list = re.compile(rf"(?:,{_BLANKS})*+{_TAG}{_BLANKS}(?:,{_BLANKS}(?:{_TAG}{_BLANKS})?+)*+").fullmatch
_tags_in = re.compile(_TAG).findall

IF_MATCH: Final = Header("if-match", description="ETags: the change is made to one of these states only, * for any.")
IF_NONE_MATCH: Final = Header("if-none-match", description="ETags of what must not be there; * for anything.")

# What describes a body, which a 304 has not (RFC 9110 section 15.4.5).
_OF_A_BODY: Final = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range", b"last-modified"}
)


def etag_of(value: Any, annotation: Any = None) -> str:
    """Return the entity tag that a GET with `etag=True` gives this value.

    Bytes are a body. Another value is encoded as a handler's result is that is annotated with its class, or with
    `annotation`; a route with a `json=` of its own needs the bytes.
    """
    body = value if isinstance(value, bytes) else _encode(value, annotation)
    return f'"{blake2b(body, digest_size=16).hexdigest()}"'


def _encode(value: Any, annotation: Any) -> bytes:
    encode = result_of(type(value) if annotation is None else annotation, None, "Preconditions").encode
    return as_response(value).body if encode is None else encode(value)


def read_tags(lines: Sequence[str]) -> list[str] | None:
    """Return the tags of an `If-Match` or `If-None-Match`; ["*"] for any; None if it is neither. Linear."""
    value = ", ".join(lines).strip(" \t")
    if value == "*":
        return ["*"]
    return _tags_in(value) if _is_list(value) else None


def _names(tags: Sequence[str], etag: str, *, strong: bool) -> bool:
    """Tell whether a list names this tag (RFC 9110 section 8.8.3.2)."""
    if strong:
        return not etag.startswith("W/") and etag in tags
    return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in tags}


def with_etag(respond: Respond) -> Respond:
    """Give answers of 200 to GET and HEAD an `ETag`; 304 to clients that know it, 412 where `If-Match` does not.

    A tag that the handler has set stays. Streams and files, which send themselves, go through.
    """

    async def conditional(request: Request[Any], values: Sequence[Any]) -> Response:
        response = await respond(request, values)
        if response.status_code != 200 or response.sends_itself or request.method not in {"GET", "HEAD"}:
            return response
        return _judged(request, response.as_returned())

    return conditional


def _judged(request: Request[Any], response: Response) -> Response:
    found = find_header(response.raw_headers, b"etag")
    if found is None:
        etag = etag_of(response.body)
        response.raw_headers.append((b"etag", etag.encode()))
    else:
        etag = found.decode("latin-1")
    sent = request.scope["headers"]
    if find_header(sent, b"if-match") is not None:
        tags = read_tags(request.headers.getlist("if-match")) or []
        if tags != ["*"] and not _names(tags, etag, strong=True):
            raise HTTPException(412, "this is not what If-Match names", {"etag": etag})
    if find_header(sent, b"if-none-match") is not None and is_known(request, etag):
        return _not_modified(response)
    return response


def is_known(connection: HTTPConnection[Any], etag: str) -> bool:
    """Tell whether `If-None-Match` names this tag, or any (RFC 9110 section 13.1.2)."""
    tags = read_tags(connection.headers.getlist("if-none-match")) or []
    return tags == ["*"] or _names(tags, etag, strong=False)


def _not_modified(response: Response) -> Response:
    known = response.with_status(304)
    known.raw_headers = [pair for pair in known.raw_headers if pair[0] not in _OF_A_BODY]
    return known


class Preconditions:
    """What a request wants to be true before it changes something: its `If-Match` and `If-None-Match`.

    A handler gets it by `preconditions: Annotated[Preconditions, Depends()]` and calls `check` with what is there.
    """

    __slots__ = ("_match", "_none_match")

    def __init__(
        self,
        connection: HTTPConnection[Any],
        if_match: Annotated[str | None, IF_MATCH] = None,
        if_none_match: Annotated[str | None, IF_NONE_MATCH] = None,
    ) -> None:
        # The two parameters are for the documentation: a list may stand in several lines, and they have one.
        self._match = _read(connection, "if-match")
        self._none_match = _read(connection, "if-none-match")

    def __bool__(self) -> bool:
        """Tell whether the request has any."""
        return self._match is not None or self._none_match is not None

    def check(self, current: Any, annotation: Any = None, *, required: bool = False) -> None:
        """Raise HTTPException 412 unless the request's preconditions hold for what is there now.

        `current` is None (there is nothing), an entity tag as text, or what `etag_of` takes. With `required`, a
        request without preconditions is refused with 428 (RFC 6585 section 3). Check under the lock, or in the
        transaction, that the change is made in: else two requests may both pass.
        """
        if not self:
            if required:
                raise HTTPException(428, 'send If-Match with the ETag that you know, or If-None-Match: * for "new"')
            return
        etag = None if current is None else _etag(current, annotation)
        if not self._holds(etag):
            raise HTTPException(412, headers=None if etag is None else {"etag": etag})

    def _holds(self, etag: str | None) -> bool:
        if etag is None:
            return self._match is None
        if self._match not in (None, ["*"]) and not _names(self._match or (), etag, strong=True):
            return False
        if self._none_match is None:
            return True
        return self._none_match != ["*"] and not _names(self._none_match, etag, strong=False)


def _etag(current: Any, annotation: Any) -> str:
    is_tag = isinstance(current, str) and annotation is None and _is_tag(current)
    return str(current) if is_tag else etag_of(current, annotation)


def _read(connection: HTTPConnection[Any], name: str) -> list[str] | None:
    lines = connection.headers.getlist(name)
    if not lines:
        return None
    tags = read_tags(lines)
    if tags is None:
        raise HTTPException(400, f'{name} is a list of entity tags, as in "a1", or *')
    return tags
