"""Conditional requests: entity tags of answers, and preconditions of changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi import HTTPException, JSONResponse, MicroASGI, Request, Response, StreamingResponse
from microasgi.testing import RawResponse, TestClient, request
from microasgi.typed import Depends
from microasgi.typed.conditional import Preconditions, Respond, etag_of, read_tags, with_etag

pytestmark = pytest.mark.anyio

ITEM = {"name": "tea", "price": 3}
TAG = etag_of(b'{"name":"tea","price":3}')


def app_of(respond: Respond) -> MicroASGI:
    app = MicroASGI()

    async def handle(request: Request) -> Response:
        return await respond(request, ())

    app.add_route("/", handle, methods=["GET", "PUT"])
    return app


def answering(response: Response) -> MicroASGI:
    async def respond(request: Request[Any], values: Sequence[Any]) -> Response:
        return response

    return app_of(with_etag(respond))


async def ask(app: MicroASGI, method: str = "GET", **headers: str) -> RawResponse:
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await request(app, method, "/", headers=pairs)


async def test_an_answer_has_a_strong_tag_of_its_bytes() -> None:
    app = answering(JSONResponse(ITEM))
    answer = await ask(app)
    assert answer.status == 200
    assert answer.header(b"etag") == TAG.encode()
    assert (await ask(app, "HEAD")).header(b"etag") == TAG.encode()
    assert etag_of(b"other") != TAG


@pytest.mark.parametrize("known", [TAG, f"W/{TAG}", f'"other", {TAG}', f'"a,b" ,, {TAG},', "*"])
async def test_who_knows_the_tag_gets_304(known: str) -> None:
    answer = await ask(answering(JSONResponse(ITEM)), if_none_match=known)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.header(b"etag") == TAG.encode()


@pytest.mark.parametrize("known", ['"other"', TAG.strip('"'), f"{TAG} {TAG}", "", f"x{TAG}", f"w/{TAG}"])
async def test_who_knows_it_not_or_says_it_wrong_gets_the_body(known: str) -> None:
    answer = await ask(answering(JSONResponse(ITEM)), if_none_match=known)
    assert (answer.status, answer.body) == (200, b'{"name":"tea","price":3}')


async def test_several_lines_are_one_list() -> None:
    pairs = [("if-none-match", '"other"'), ("if-none-match", TAG)]
    assert (await request(answering(JSONResponse(ITEM)), headers=pairs)).status == 304


async def test_a_304_has_the_headers_of_the_200_but_those_of_its_body() -> None:
    headers = {"cache-control": "max-age=9", "vary": "accept", "content-location": "/x", "content-language": "en"}
    response = JSONResponse(ITEM, headers={**headers, "link": "</2>; rel=next"})
    response.set_cookie("a", "1")
    answer = await ask(answering(response), if_none_match=TAG)
    names = {name for name, _ in answer.headers}
    assert names == {b"cache-control", b"vary", b"content-location", b"etag", b"link", b"set-cookie"}


async def test_if_match_on_a_get_that_does_not_hold_is_412() -> None:
    app = answering(JSONResponse(ITEM))
    assert (await ask(app, if_match=TAG)).status == 200
    assert (await ask(app, if_match="*")).status == 200
    for other in ('"other"', f"W/{TAG}", "garbage"):
        answer = await ask(app, if_match=other)
        assert (answer.status, answer.header(b"etag")) == (412, TAG.encode())


async def test_a_tag_of_the_handler_stays() -> None:
    app = answering(JSONResponse(ITEM, headers={"etag": 'W/"7"'}))
    assert (await ask(app)).header(b"etag") == b'W/"7"'
    assert (await ask(app, if_none_match='"7"')).status == 304
    assert (await ask(app, if_match='W/"7"')).status == 412


async def test_only_whole_answers_to_reads_get_a_tag() -> None:
    assert (await ask(answering(JSONResponse(ITEM)), "PUT", if_none_match="*")).header(b"etag") is None
    assert (await ask(answering(JSONResponse(ITEM, 404)), if_none_match="*")).status == 404
    assert (await ask(answering(StreamingResponse([b"x"])), if_none_match="*")).status == 200


async def test_a_constant_response_is_not_written_to() -> None:
    constant = JSONResponse(ITEM)
    app = answering(constant)
    await ask(app)
    await ask(app, if_none_match=TAG)
    assert "etag" not in constant.headers
    assert (await ask(app)).headers.count((b"etag", TAG.encode())) == 1


@dataclass
class Tea:
    name: str
    harvested: datetime
    price: Decimal


class Black(Tea):
    secret = "grade"


def shop() -> MicroASGI:
    """Make an application with one tea, which is changed only by those who know it."""
    app = MicroASGI()
    teas: dict[int, Tea] = {1: Black("Assam", datetime(2024, 1, 1, tzinfo=UTC), Decimal("3.50"))}

    @app.get("/{number}", etag=True)
    async def read(number: int) -> Tea:
        return teas[number]

    @app.put("/{number}")
    async def change(number: int, tea: Tea, preconditions: Annotated[Preconditions, Depends()]) -> Tea:
        preconditions.check(teas.get(number), Tea, required=True)
        teas[number] = tea
        return tea

    @app.get("/", etag=True)
    async def names(response: Response) -> list[str]:
        return [tea.name for tea in teas.values()]

    @app.delete("/")
    async def clear(preconditions: Annotated[Preconditions, Depends()]) -> None:
        preconditions.check([tea.name for tea in teas.values()], list[str])
        teas.clear()

    return app


def test_only_who_knows_what_is_there_changes_it() -> None:
    green = {"name": "Sencha", "harvested": "2024-05-01T00:00:00Z", "price": "4.20"}
    with TestClient(shop()) as client:
        known = client.get("/1").headers["etag"]
        assert client.put("/1", json=green).status_code == 428
        assert client.put("/1", json=green, headers={"if-match": known}).status_code == 200
        late = client.put("/1", json=green, headers={"if-match": known})
        assert (late.status_code, late.headers["etag"]) == (412, client.get("/1").headers["etag"])
        assert client.put("/2", json=green, headers={"if-none-match": "*"}).status_code == 200
        assert client.put("/2", json=green, headers={"if-none-match": "*"}).status_code == 412
        assert client.put("/2", json=green, headers={"if-match": "x"}).status_code == 400
        assert client.delete("/", headers={"if-match": known}).status_code == 412
        assert client.delete("/", headers={"if-match": client.get("/").headers["etag"]}).status_code == 204


def preconditions(**headers: str) -> Preconditions:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Preconditions(Request({"type": "http", "headers": raw}))


def status_of(checked: Preconditions, current: Any, **options: Any) -> int:
    try:
        checked.check(current, **options)
    except HTTPException as error:
        return error.status_code
    return 200


BODY = b'{"name":"tea","price":3}'


@pytest.mark.parametrize(
    ("headers", "current", "status"),
    [
        ({}, BODY, 200),
        ({}, None, 200),
        ({"if_match": TAG}, BODY, 200),
        ({"if_match": TAG}, TAG, 200),
        ({"if_match": f'"other", {TAG}'}, BODY, 200),
        ({"if_match": "*"}, BODY, 200),
        ({"if_match": '"other"'}, BODY, 412),
        ({"if_match": f"W/{TAG}"}, BODY, 412),
        ({"if_match": 'W/"1"'}, 'W/"1"', 412),
        ({"if_match": TAG}, None, 412),
        ({"if_match": "*"}, None, 412),
        ({"if_none_match": "*"}, None, 200),
        ({"if_none_match": TAG}, None, 200),
        ({"if_none_match": "*"}, BODY, 412),
        ({"if_none_match": TAG}, BODY, 412),
        ({"if_none_match": f"W/{TAG}"}, BODY, 412),
        ({"if_none_match": '"other"'}, BODY, 200),
        ({"if_match": TAG, "if_none_match": TAG}, BODY, 412),
        ({"if_match": TAG, "if_none_match": '"other"'}, BODY, 200),
    ],
)
def test_preconditions_follow_rfc_9110(headers: dict[str, str], current: Any, status: int) -> None:
    assert status_of(preconditions(**headers), current) == status


def test_required_preconditions_that_are_missing_are_428() -> None:
    assert status_of(preconditions(), BODY, required=True) == 428
    assert status_of(preconditions(if_match=TAG), BODY, required=True) == 200
    assert not preconditions()
    assert preconditions(if_none_match="*")


@pytest.mark.parametrize("name", ["if_match", "if_none_match"])
@pytest.mark.parametrize("value", ["", "garbage", '"open', f"{TAG} {TAG}", "*, *", f"*, {TAG}"])
def test_preconditions_that_cannot_be_read_are_400_and_never_ignored(name: str, value: str) -> None:
    with pytest.raises(HTTPException) as caught:
        preconditions(**{name: value})
    assert caught.value.status_code == 400


def test_a_refusal_says_what_the_tag_is_now() -> None:
    with pytest.raises(HTTPException) as caught:
        preconditions(if_match='"old"').check(BODY)
    assert caught.value.headers == {"etag": TAG}


tags = st.builds(
    lambda weak, text: f'{weak}"{text}"',
    st.sampled_from(["", "W/"]),
    st.text(st.characters(min_codepoint=0x23, max_codepoint=0x7E)),
)


@given(st.lists(tags, min_size=1), st.sampled_from([",", ", ", " ,\t", ",,"]))
def test_every_list_of_tags_is_read(given_tags: list[str], separator: str) -> None:
    assert read_tags([separator.join(given_tags)]) == given_tags
    assert read_tags(given_tags) == given_tags


@given(st.text(st.sampled_from('W/",* \tab')))
def test_no_other_text_makes_it_raise(text: str) -> None:
    found = read_tags([text])
    assert found is None or found == ["*"] or all(tag.endswith('"') for tag in found)


@pytest.mark.parametrize("part", ['"a",', '"', "W/", ", ", '"a" ', 'W/"'])
def test_long_lists_are_read_at_once(part: str) -> None:
    for lines in ([part * 100_000], [part * 100_000 + "!"], ["!" + part * 100_000]):
        read_tags(lines)  # were it quadratic, this would take minutes
