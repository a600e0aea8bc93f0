"""Pages: parameters of a list that comes in parts, and the `Link` header to the other parts (RFC 8288).

The law of this file: a link keeps the path and all other parameters of the request, and stays on its host. A cursor is
the client's text: what is in it has been checked before anybody sees it.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias, TypeVar

from microasgi.connection import HTTPConnection, QueryParams
from microasgi.exceptions import HTTPException
from microasgi.serialization import decode_json, encode_json
from microasgi.typed.faults import Fault, ValidationError
from microasgi.typed.markers import Query
from microasgi.urls import quote_path

__all__ = [
    "CursorPage",
    "HeaderNote",
    "OffsetPage",
    "Paginated",
    "decode_cursor",
    "encode_cursor",
    "link_header",
    "paginated",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeaderNote:
    """What the document says of a header that is returned, in `Annotated[dict[str, str], HeaderNote(...)]`."""

    name: str
    description: str


_LINK: Final = HeaderNote("link", "The pages around this one, by rel: next, prev, first, last (RFC 8288).")
Paginated: TypeAlias = tuple[list[T], int, Annotated[dict[str, str], _LINK]]
"""What a handler that returns `paginated(...)` is annotated with: `-> Paginated[Item]`."""

_LARGEST_OFFSET: Final = 2**53 - 1
_LARGEST: Final = 2**63 - 1  # what databases take
_LONGEST_CURSOR: Final = 2048
_LONGEST_VALUE: Final = 4096


@dataclass
class OffsetPage:
    """Parameters of a page by its place: `page: Annotated[OffsetPage, Query()]`. Other limits: subclass it."""

    limit: Annotated[int, Query(ge=1, le=100, description="How many there are on a page.")] = 20
    offset: Annotated[int, Query(ge=0, le=_LARGEST_OFFSET, description="How many there are before it.")] = 0


@dataclass
class CursorPage:
    """Parameters of a page by what the last one ended with: `page: Annotated[CursorPage, Query()]`.

    It costs the same however far it is from the beginning, and nothing is skipped when rows come and go.
    """

    limit: Annotated[int, Query(ge=1, le=100, description="How many there are on a page.")] = 20
    cursor: Annotated[str | None, Query(max_length=_LONGEST_CURSOR, description="From the link to this page.")] = None

    def after(self, *kinds: type) -> tuple[Any, ...] | None:
        """Return what the page before ended with, None for the first page; see `decode_cursor`."""
        return None if self.cursor is None else decode_cursor(self.cursor, *kinds)


def encode_cursor(*values: Any) -> str:
    """Return an opaque text for JSON values, which anybody can read and make up: it is neither signed nor secret."""
    return urlsafe_b64encode(encode_json(values)).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type, name: str = "cursor") -> tuple[Any, ...]:
    """Return the values of a cursor, one of each of these kinds: str, int, float, bool or NoneType.

    ValidationError (422) for anything else, and for numbers and texts that no database takes: integers of more than
    64 bits, NUL, lone surrogates.
    """
    values = _read_cursor(cursor)
    given: list[Any] | None = [type(value) for value in values] if values.__class__ is list else None
    if given != [*kinds] or not all(map(_is_storable, values)):
        raise ValidationError([Fault("query", name, "is no cursor of this list: take it from a link to a page")])
    return tuple(values)


def _read_cursor(cursor: str) -> Any:
    if len(cursor) > _LONGEST_CURSOR or not cursor.isascii():
        return None
    try:
        return decode_json(b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (ValueError, HTTPException):
        return None


def _is_storable(value: Any) -> bool:
    if isinstance(value, int):
        return -_LARGEST <= value <= _LARGEST
    return not isinstance(value, str) or not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)


def link_header(connection: HTTPConnection[Any], **relations: Mapping[str, Any] | None) -> str:
    """Return the value of a `Link` header: each relation with what its query has instead of the request's.

    `link_header(request, next={"offset": 40}, first={"offset": None})`: None leaves a parameter out, and a relation
    that is None. So are the relations from that on with which the value would be longer than 4 KiB.
    """
    # A path that begins with two slashes would name another host (RFC 3986 section 4.2).
    path = quote_path(connection.scope["path"] or "/")
    path = f"/.{path}" if path.startswith("//") else path
    given = connection.query_params.multi_items()
    value = ""
    for relation, changes in relations.items():
        if changes is None:
            continue
        link = f'<{path}{_query(given, changes)}>; rel="{relation}"'
        if len(value) + len(link) > _LONGEST_VALUE:  # a proxy would refuse the whole answer
            break
        value = f"{value}, {link}" if value else link
    return value


def _query(given: Sequence[tuple[str, str]], changes: Mapping[str, Any]) -> str:
    kept = [pair for pair in given if pair[0] not in changes]
    new = [(name, str(value)) for name, value in changes.items() if value is not None]
    query = str(QueryParams([*kept, *new]))
    return f"?{query}" if query else ""


def paginated(
    connection: HTTPConnection[Any],
    page: OffsetPage | CursorPage,
    items: Sequence[T],
    *,
    total: int | None = None,
    cursor: Any = None,
) -> Paginated[T]:
    """Return one page as a handler returns it: items, 200, and a `Link` header to the pages around it.

    Without a `total`, ask the database for `page.limit + 1` items: the last one is cut off, and tells that there is a
    next page. For a CursorPage, `cursor(item)` is what the next page begins after: a value, or a tuple of several.
    """
    if isinstance(page, CursorPage):
        links = _cursor_links(page, items, cursor)
    else:
        links = _offset_links(page, len(items), total)
    value = link_header(connection, **links)
    return list(items[: page.limit]), 200, {"link": value} if value else {}


def _cursor_links(page: CursorPage, items: Sequence[Any], cursor: Any) -> dict[str, Mapping[str, Any] | None]:
    if not callable(cursor):
        raise TypeError("paginated(..., cursor=): a function is needed, as in cursor=lambda item: item.id")
    first = {"cursor": None}
    if len(items) <= page.limit:
        return {"first": first}  # there is no way back but to the beginning
    last = cursor(items[page.limit - 1])
    following = encode_cursor(*last) if isinstance(last, tuple) else encode_cursor(last)
    return {"next": {"cursor": following}, "first": first}


def _offset_links(page: OffsetPage, found: int, total: int | None) -> dict[str, Mapping[str, Any] | None]:
    limit, offset = page.limit, page.offset
    there_is_more = found > limit if total is None else offset + limit < total
    last = None if total is None else max(0, (total - 1) // limit * limit)
    return {
        "next": {"limit": limit, "offset": offset + limit} if there_is_more else None,
        "prev": {"limit": limit, "offset": max(0, offset - limit)} if offset > 0 else None,
        "first": {"limit": limit, "offset": 0},
        "last": None if last is None else {"limit": limit, "offset": last},
    }
