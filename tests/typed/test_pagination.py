"""Pages: their parameters, the links between them, and cursors."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Annotated, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import MicroASGI, Request
from microasgi.testing import TestClient
from microasgi.typed import Query, ValidationError
from microasgi.typed.pagination import (
    CursorPage,
    OffsetPage,
    Paginated,
    decode_cursor,
    encode_cursor,
    link_header,
    paginated,
)


@dataclass
class Tea:
    number: int
    name: str


@dataclass
class SmallPage(OffsetPage):
    limit: Annotated[int, Query(ge=1, le=3)] = 2


TEAS = [Tea(number, f"tea {number}") for number in range(1, 8)]
app = MicroASGI()


@app.get("/teas")
async def by_offset(request: Request, page: Annotated[OffsetPage, Query()]) -> Paginated[Tea]:
    return paginated(request, page, TEAS[page.offset : page.offset + page.limit + 1])


@app.get("/counted")
async def counted(request: Request, page: Annotated[SmallPage, Query()]) -> Paginated[Tea]:
    return paginated(request, page, TEAS[page.offset : page.offset + page.limit], total=len(TEAS))


@app.get("/after")
async def by_cursor(request: Request, page: Annotated[CursorPage, Query()]) -> Paginated[Tea]:
    (last,) = page.after(int) or (0,)
    found = [tea for tea in TEAS if tea.number > last]
    return paginated(request, page, found[: page.limit + 1], cursor=lambda tea: tea.number)


def numbers(response: httpx.Response) -> list[int]:
    return [tea["number"] for tea in response.json()]


def target(response: httpx.Response, relation: str) -> str:
    return str(response.links[relation]["url"])


@pytest.mark.parametrize("path", ["/teas?limit=3", "/after?limit=3", "/counted?limit=3"])
def test_following_next_gives_everything_once(path: str) -> None:
    with TestClient(app) as client:
        found, response = [], client.get(path)
        found += numbers(response)
        while "next" in response.links:
            response = client.get(target(response, "next"))
            assert response.status_code == 200
            found += numbers(response)
    assert found == [1, 2, 3, 4, 5, 6, 7]


def test_pages_know_their_neighbours() -> None:
    with TestClient(app) as client:
        response = client.get("/counted?offset=2")
        assert numbers(response) == [3, 4]
        assert {name: target(response, name) for name in response.links if name} == {
            "next": "/counted?limit=2&offset=4",
            "prev": "/counted?limit=2&offset=0",
            "first": "/counted?limit=2&offset=0",
            "last": "/counted?limit=2&offset=6",
        }
        assert set(client.get("/counted").links) == {"next", "first", "last"}
        assert set(client.get("/counted?offset=6").links) == {"prev", "first", "last"}
        assert set(client.get("/teas").links) == {"first"}
        assert target(client.get("/counted?offset=1"), "prev") == "/counted?limit=2&offset=0"
        after = client.get("/after?limit=2")
        assert target(client.get(target(after, "next")), "first") == "/after?limit=2"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "offset=-1", "offset=9007199254740992", "offset=" + "9" * 50]
)
def test_odd_pages_are_422(query: str) -> None:
    with TestClient(app) as client:
        assert client.get(f"/teas?{query}").status_code == 422


def test_a_subclass_has_other_limits() -> None:
    with TestClient(app) as client:
        assert client.get("/counted?limit=3").status_code == 200
        assert client.get("/counted?limit=4").status_code == 422


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!!!",
        "a",
        "é",
        "x" * 3000,
        encode_cursor(),
        encode_cursor("1"),
        encode_cursor(1, 2),
        encode_cursor(True),
        encode_cursor(1.5),
        encode_cursor(None),
        encode_cursor(2**70),
        base64.urlsafe_b64encode(b"1").decode(),
        base64.urlsafe_b64encode(b"[" * 1500).decode(),
        base64.urlsafe_b64encode(b"\xff").decode(),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_422(cursor: str) -> None:
    with TestClient(app) as client:
        response = client.get("/after", params={"cursor": cursor})
    assert response.status_code == 422
    assert [error["name"] for error in response.json()["errors"]] == ["cursor"]


def test_texts_that_no_database_takes_are_no_cursor() -> None:
    for text in ("a\0b", "\ud800"):
        with pytest.raises(ValidationError):
            decode_cursor(encode_cursor(text), str)
    assert CursorPage().after(int) is None


values = st.one_of(
    st.integers(-(2**63) + 1, 2**63 - 1),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)


@given(st.lists(values, max_size=4))
def test_what_a_cursor_was_made_of_comes_back(given_values: list[Any]) -> None:
    cursor = encode_cursor(*given_values)
    assert cursor.replace("-", "").replace("_", "").isalnum() or not cursor
    if len(cursor) <= 2048:
        assert decode_cursor(cursor, *map(type, given_values)) == tuple(given_values)


@given(st.text())
def test_no_cursor_makes_it_raise_anything_else(cursor: str) -> None:
    with pytest.raises(ValidationError):
        decode_cursor(cursor, str, int, bool)


def connection(path: str, query: str = "") -> Request:
    return Request({"type": "http", "path": path, "query_string": query.encode(), "headers": []})


def test_a_link_keeps_the_path_and_the_other_parameters() -> None:
    request = connection("/käse, <b>/x", "q=a%26b%3E&tag=1&offset=3&tag=2")
    assert link_header(request, next={"offset": 6}, prev=None, first={"offset": None}) == (
        '</k%C3%A4se,%20%3Cb%3E/x?q=a%26b%3E&tag=1&tag=2&offset=6>; rel="next", '
        '</k%C3%A4se,%20%3Cb%3E/x?q=a%26b%3E&tag=1&tag=2>; rel="first"'
    )
    assert link_header(connection("/x"), first={"offset": None}) == '</x>; rel="first"'
    assert link_header(connection("/x")) == ""


def test_a_link_never_names_another_host() -> None:
    assert link_header(connection("//evil.example/x"), next={}).startswith("</.//evil.example/x>")


def test_long_queries_cost_links_and_no_answer() -> None:
    query = "q=" + "x" * 1500
    assert link_header(connection("/", query), next={"a": 1}, prev={"a": 2}, last={"a": 3}).count("rel=") == 2
    assert link_header(connection("/", "q=" + "x" * 5000), next={"a": 1}) == ""
    with TestClient(app) as client:
        response = client.get("/teas", params={"q": "x" * 5000})
        assert (response.status_code, response.headers.get("link")) == (200, None)


@given(st.text(), st.text(st.characters(max_codepoint=127)), st.text())
def test_every_link_is_a_legal_header(path: str, query: str, value: str) -> None:
    header = link_header(connection(f"/{path}", query), next={"after": value})
    assert header.isascii()
    assert header.isprintable()
    assert header == "" or (header.count("<") == header.count(">") == 1 and header.endswith('>; rel="next"'))


def test_a_page_by_cursor_needs_to_know_what_comes_after() -> None:
    with pytest.raises(TypeError, match="cursor=lambda"):
        paginated(connection("/"), CursorPage(), TEAS)


def test_a_cursor_may_have_several_values() -> None:
    page = CursorPage(limit=1)
    _, _, headers = paginated(connection("/"), page, TEAS[:2], cursor=lambda tea: (tea.name, tea.number))
    cursor = headers["link"].partition("cursor=")[2].partition(">")[0]
    assert CursorPage(cursor=cursor).after(str, int) == ("tea 1", 1)
