"""Negotiation: the media type that a client gets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import MicroASGI, PlainTextResponse, Request, Response
from microasgi.exceptions import ConfigurationError
from microasgi.testing import RawResponse, request
from microasgi.typed.negotiated import choose, with_renderers
from microasgi.typed.results import Result, result_of

pytestmark = pytest.mark.anyio

JSON, CSV, HTML = "application/json", "text/csv", "text/html"
OFFERS = [JSON, CSV, HTML]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        (" , ", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("Text/CSV", CSV),
        ("text/*", CSV),
        ("text/html, text/csv", CSV),  # equally liked: the first offer
        ("text/html, text/csv;q=0.9", HTML),
        ("text/html;q=0.5, */*;q=0.1", HTML),
        ("*/*, application/json;q=0.1", CSV),  # the most specific range decides
        ("text/*;q=0.5, text/csv;q=0, application/json;q=0.4", HTML),
        ("text/*, text/csv;q=0", HTML),
        ("application/xml", None),
        ("application/json;q=0", None),
        ("*/*;q=0", None),
        ("application/json;q=2", None),
        ("application/json; charset=utf-8", JSON),
        ("application/json;profile=x", None),
        ('application/xml;a="x,text/csv", text/html', HTML),
        ("application/json;q=0.5;ext=1, text/csv;q=0.4", CSV),
        ("garbage", None),
        ("text", None),
        ("/", None),
        ("*/csv", None),
    ],
)
def test_the_best_liked_offer_is_chosen(accept: str | None, chosen: str | None) -> None:
    assert choose(accept, OFFERS) == chosen


def test_parameters_of_an_offer_are_named_by_the_most_specific_range() -> None:
    offers = ["text/html;level=1", "text/html"]
    assert choose("text/html;level=1;q=0.3, text/html;q=0.7", offers) == "text/html"
    assert choose("text/html;level=1, text/html;q=0.7", offers) == "text/html;level=1"


@given(st.text(st.characters(max_codepoint=255)))
def test_no_header_makes_it_raise(accept: str) -> None:
    assert choose(accept, OFFERS) in [*OFFERS, None]


@given(st.permutations([("text/csv", "0.9"), ("text/html", "0.3"), ("application/json", "0.5"), ("*/*", "0.1")]))
def test_the_order_of_ranges_says_nothing(ranges: list[tuple[str, str]]) -> None:
    assert choose(", ".join(f"{name};q={weight}" for name, weight in ranges), OFFERS) == CSV


@pytest.mark.parametrize("part", ["text/csv,", '"', '",', "a;q=", ";", "*/*;", '\\"', "text/csv;q=0.5;"])
def test_long_headers_are_read_at_once(part: str) -> None:
    choose(part * 20_000, OFFERS)  # were it quadratic, this would take minutes


def to_csv(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{row['name']}\r\n" for row in rows)


class Teas:
    """An application that answers with a list of teas."""

    def __init__(self, renderers: Any, result: Any = None, **options: Any) -> None:
        self.asked = 0
        self.result: Any = [{"name": "Assam"}] if result is None else result
        respond = with_renderers(
            self.start, result_of(list[dict[str, str]], None, "here"), {"renderers": renderers, **options}, self, "here"
        )
        self.app = MicroASGI()

        async def handle(request: Request) -> Response:
            return await respond(request, (1,))

        self.app.add_route("/", handle)

    async def start(self, number: int) -> Any:
        self.asked += number
        return self.result

    async def get(self, *accept: str) -> RawResponse:
        return await request(self.app, headers=[("accept", value) for value in accept])


async def test_the_result_comes_in_the_media_type_that_is_liked_best() -> None:
    teas = Teas({CSV: to_csv})
    for accept in ("text/csv", "application/json;q=0.5, text/csv"):
        answer = await teas.get(accept)
        assert (answer.header(b"content-type"), answer.body) == (b"text/csv; charset=utf-8", b"Assam\r\n")
        assert answer.header(b"vary") == b"accept"


async def test_json_is_offered_first_unless_it_is_named() -> None:
    for answer in (await Teas({CSV: to_csv}).get(), await Teas({CSV: to_csv}).get("*/*")):
        assert (answer.header(b"content-type"), answer.body) == (b"application/json", b'[{"name":"Assam"}]')
        assert answer.header(b"vary") == b"accept"
    own = Teas({CSV: to_csv, JSON: lambda value: json.dumps(value, indent=1).encode()})
    assert (await own.get()).header(b"content-type") == b"text/csv; charset=utf-8"
    assert (await own.get("application/json")).body == b'[\n {\n  "name": "Assam"\n }\n]'


async def test_several_accept_lines_are_one() -> None:
    assert (await Teas({CSV: to_csv}).get("application/json;q=0.1", "text/csv")).body == b"Assam\r\n"


async def test_what_nobody_offers_is_406_before_the_handler_is_called() -> None:
    teas = Teas({CSV: to_csv})
    answer = await teas.get("image/png")
    assert (answer.status, answer.body) == (406, b"this comes as application/json, text/csv")
    assert (answer.header(b"vary"), teas.asked) == (b"accept", 0)


async def test_status_and_headers_are_those_of_the_route_and_the_handler() -> None:
    answer = await Teas({CSV: to_csv}, status=203, headers={"x-tea": "1"}).get("text/csv")
    assert (answer.status, answer.header(b"x-tea")) == (203, b"1")
    rows = [{"name": "Assam"}]
    answer = await Teas({CSV: to_csv}, (rows, 202, {"vary": "cookie"})).get("text/csv")
    assert (answer.status, answer.header(b"vary"), answer.body) == (202, b"cookie, accept", b"Assam\r\n")


async def test_a_response_of_the_handler_goes_out_as_it_is() -> None:
    constant = PlainTextResponse("tea")
    answer = await Teas({CSV: to_csv}, constant).get("text/csv")
    assert (answer.body, answer.header(b"vary")) == (b"tea", b"accept")
    assert "vary" not in constant.headers


@pytest.mark.parametrize(
    ("renderers", "lesson"),
    [
        ({"csv": to_csv}, "text/csv"),
        ({"text/*": to_csv}, "text/csv"),
        ({"": to_csv}, "text/csv"),
        ({"text/csv": "csv"}, "called with the result"),
    ],
)
def test_wrong_renderers_are_refused_at_set_up(renderers: Any, lesson: str) -> None:
    with pytest.raises(ConfigurationError, match=lesson):
        Teas(renderers)


def test_a_stream_has_no_renderers() -> None:
    stream = Result(int, lambda value: b"", stream=True)
    handler: Callable[..., Any] = Teas({CSV: to_csv}).start
    with pytest.raises(ConfigurationError, match="stream"):
        with_renderers(handler, stream, {"renderers": {CSV: to_csv}}, handler, "here")
