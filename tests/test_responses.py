"""A response is legal whatever went into it: what every server accepts leaves it, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.background import BackgroundTask
from microasgi.exceptions import ConfigurationError
from microasgi.headers import MutableHeaders
from microasgi.responses import (
    PLAIN_RESULTS,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    content_length,
    forbids_body,
)
from microasgi.testing import lint
from microasgi.types import Message, RawHeaders
from tests.strict_server import StrictServer, http_scope, websocket_scope

pytestmark = pytest.mark.anyio

BODYLESS = [100, 101, 103, 199, 204, 304]


async def sent(response: Response, method: str = "GET") -> list[Message]:
    """The messages of a response, each of which the lint has seen."""
    server = StrictServer()
    await lint(response, strict=True)(http_scope(method), server.receive, server.send)
    return server.sent


def names(raw: RawHeaders) -> list[bytes]:
    return [name for name, _ in raw]


# What is sent.


async def test_it_is_one_start_and_one_body() -> None:
    assert await sent(PlainTextResponse("Hello", headers={"X-A": "b"})) == [
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"x-a", b"b"), (b"content-length", b"5"), (b"content-type", b"text/plain; charset=utf-8")],
        },
        {"type": "http.response.body", "body": b"Hello"},
    ]


@pytest.mark.parametrize("content", ["é", b"\xc3\xa9", bytearray(b"\xc3\xa9"), memoryview(b"\xc3\xa9")])
async def test_text_and_all_kinds_of_bytes_become_exactly_bytes(content: Any) -> None:
    _, body = await sent(Response(content))
    assert body["body"] == b"\xc3\xa9"
    assert type(body["body"]) is bytes


async def test_no_content_is_an_empty_body_of_no_type() -> None:
    start, body = await sent(Response())
    assert start["headers"] == [(b"content-length", b"0")]
    assert body["body"] == b""


@pytest.mark.parametrize("content", [1, {"a": 1}, [b"a"], object()])
def test_what_is_neither_text_nor_bytes_is_refused(content: Any) -> None:
    with pytest.raises(TypeError, match="a body is text or bytes"):
        Response(content)


def test_text_that_utf_8_cannot_hold_does_not_reach_the_server() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        PlainTextResponse("\ud800")


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 100_000])
async def test_the_length_is_exact(size: int) -> None:
    start, body = await sent(PlainTextResponse("x" * size))
    assert (b"content-length", str(size).encode()) in start["headers"]
    assert len(body["body"]) == size
    assert content_length(size) == (b"content-length", str(size).encode())


async def test_head_gets_the_headers_of_get_and_no_body() -> None:
    response = PlainTextResponse("Hello")
    (start, body), (head, nothing) = await sent(response), await sent(response, "HEAD")
    assert start == head
    assert (body["body"], nothing["body"]) == (b"Hello", b"")


@pytest.mark.parametrize("status", BODYLESS)
@pytest.mark.parametrize("kind", [PlainTextResponse, JSONResponse])
async def test_a_status_without_content_has_no_body_no_length_and_no_type(status: int, kind: type[Response]) -> None:
    start, body = await sent(kind("text", status, {"content-length": "4"} if status != 304 else None))
    assert start["headers"] == []
    assert body["body"] == b""
    assert forbids_body(status)


async def test_304_may_say_how_long_the_content_would_be() -> None:
    start, _ = await sent(Response(status_code=304, headers={"content-length": "42", "etag": '"a"'}))
    assert start["headers"] == [(b"content-length", b"42"), (b"etag", b'"a"')]


@pytest.mark.parametrize("status", [200, 201, 205, 301, 404, 599])
def test_other_statuses_have_a_body(status: int) -> None:
    assert not forbids_body(status)
    assert Response(b"x", status).body == b"x"


async def test_it_can_be_sent_again_and_the_sendings_share_nothing() -> None:
    response = PlainTextResponse("Hello")
    first, second = await sent(response), await sent(response)
    assert first == second
    first[0]["headers"].append((b"x-added", b"later"))
    assert (b"x-added", b"later") not in response.raw_headers + second[0]["headers"]


def test_responses_share_nothing() -> None:
    first, second = PlainTextResponse("a"), PlainTextResponse("a")
    first.headers["x-a"] = "b"
    assert "x-a" not in second.headers


# Status.


@pytest.mark.parametrize("status", [0, 99, 600, 1000, -200])
def test_a_status_that_is_none_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match="100 to 599"):
        Response("x", status)


@pytest.mark.parametrize("kind", [PlainTextResponse, Response])
async def test_a_status_of_the_standard_library_is_sent_as_a_number(kind: type[Response]) -> None:
    start, _ = await sent(kind("", HTTPStatus.CREATED))
    assert start["status"] == 201
    assert type(start["status"]) is int


# Headers.


@pytest.mark.parametrize("value", ["a\r\nset-cookie: b=c", "a\nb", "a\0b", "a\rb"])
def test_a_value_that_would_split_the_headers_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        Response(headers={"x-a": value})
    with pytest.raises(ValueError, match="control character"):
        Response().headers["x-a"] = value
    with pytest.raises(ValueError, match="control character"):
        Response("", media_type=value)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Response(headers={name: "b"})


def test_transfer_encoding_is_left_to_the_server() -> None:
    with pytest.raises(ValueError, match="transfer-encoding is the server's"):
        Response(headers={"Transfer-Encoding": "chunked"})


def test_a_type_that_is_given_as_a_header_is_kept() -> None:
    response = HTMLResponse("<p>", headers={"Content-Type": "application/xhtml+xml"})
    assert response.headers.getlist("content-type") == ["application/xhtml+xml"]


@pytest.mark.parametrize(
    ("media_type", "sent_as"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/plain; charset=UTF-8", "text/plain; charset=UTF-8"),
        ("text/plain; Charset=latin-1", "text/plain; Charset=latin-1"),
        ("application/xml", "application/xml"),
    ],
)
def test_text_types_name_their_charset(media_type: str, sent_as: str) -> None:
    for _ in range(2):
        assert Response("", media_type=media_type).headers["content-type"] == sent_as


@pytest.mark.parametrize("length", ["4", "6", "x", "-5", "5 ", "+5", ""])
@pytest.mark.parametrize("body", ["Hello"])
def test_a_length_that_is_not_the_body_s_is_refused(length: str, body: str) -> None:
    if length.strip() == "5":
        assert Response(body, headers={"content-length": length}).headers["content-length"] == "5"
        return
    with pytest.raises(ValueError, match="content-length is"):
        Response(body, headers={"content-length": length})


async def test_without_a_body_the_length_may_be_that_of_another_answer() -> None:
    start, _ = await sent(Response(headers={"content-length": "1234"}), "HEAD")
    assert start["headers"] == [(b"content-length", b"1234")]


def test_headers_of_a_mapping_with_several_values_are_all_kept() -> None:
    given_headers = MutableHeaders(raw=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
    assert Response(headers=given_headers).headers.getlist("set-cookie") == ["a=1", "b=2"]


def test_headers_are_changed_in_place() -> None:
    response = Response("x")
    response.headers["x-a"] = "b"
    assert response.headers is response.headers
    assert (b"x-a", b"b") in response.raw_headers


def test_headers_follow_a_new_raw_list() -> None:
    response = Response("x")
    response.headers["x-a"] = "b"
    response.raw_headers = [(b"x-c", b"d")]
    assert dict(response.headers) == {"x-c": "d"}


def test_types_are_remembered_up_to_a_limit() -> None:
    for number in range(600):
        assert Response("", media_type=f"text/x{number}").headers["content-type"] == f"text/x{number}; charset=utf-8"
    assert PlainTextResponse("a").headers["content-type"] == "text/plain; charset=utf-8"


# The body.


async def test_a_new_body_has_its_own_length() -> None:
    response = PlainTextResponse("Hello")
    response.body = b"Hello, world!"
    start, body = await sent(response)
    assert response.headers.getlist("content-length") == ["13"]
    assert names(start["headers"]).count(b"content-length") == 1
    assert body["body"] == b"Hello, world!"


async def test_a_new_body_is_bytes_whatever_it_was() -> None:
    response = JSONResponse({})
    response.body = "é"  # type: ignore[assignment]
    _, body = await sent(response)
    assert body["body"] == "é".encode()
    with pytest.raises(TypeError):
        response.body = 5  # type: ignore[assignment]


async def test_a_status_without_content_takes_no_new_body() -> None:
    response = PlainTextResponse("Hello")
    response.status_code = 204
    response.body = b"no"
    start, body = await sent(response)
    assert b"content-length" not in names(start["headers"])
    assert body["body"] == b""


# Kinds.


def test_a_value_becomes_short_json_in_utf_8() -> None:
    response = JSONResponse({"a": ["é", None, 1.5]})
    assert response.body == '{"a":["é",null,1.5]}'.encode()
    assert response.headers["content-type"] == "application/json"


def test_what_json_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSONResponse(float("nan"))


def test_a_class_can_render_in_its_own_way() -> None:
    class CSV(Response):
        media_type = "text/csv"

        def render(self, content: Any) -> bytes:
            return "\n".join(",".join(row) for row in content).encode(self.charset)

    response = CSV([["a", "b"], ["c", "d"]])
    assert response.body == b"a,b\nc,d"
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert not CSV.sends_itself


def test_a_class_in_another_charset_is_refused_when_it_is_made() -> None:
    with pytest.raises(ConfigurationError, match="text goes out in UTF-8; latin-1 has to come as bytes"):

        class Latin(PlainTextResponse):
            charset = "latin-1"


def test_a_class_that_sends_itself_is_known() -> None:
    class Own(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...

    assert Own.sends_itself
    assert not PlainTextResponse.sends_itself


def test_plain_results_are_what_the_responses_would_be() -> None:
    values: dict[type, tuple[Any, Response]] = {
        str: ("é", PlainTextResponse("é")),
        dict: ({"a": 1}, JSONResponse({"a": 1})),
        list: ([1], JSONResponse([1])),
    }
    assert values.keys() == PLAIN_RESULTS.keys()
    for kind, (value, response) in values.items():
        render, content_type = PLAIN_RESULTS[kind]
        assert render(value) == response.body
        assert content_type in response.raw_headers


# Redirects.


async def test_a_redirect_keeps_the_method_and_has_no_body() -> None:
    start, body = await sent(RedirectResponse("/there?a=1#b"))
    assert (start["status"], body["body"]) == (307, b"")
    assert start["headers"] == [(b"content-length", b"0"), (b"location", b"/there?a=1#b")]


def test_a_redirect_takes_a_status_and_headers() -> None:
    response = RedirectResponse("/", 303, {"x-a": "b"})
    assert (response.status_code, response.headers["x-a"]) == (303, "b")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("/é b", "/%C3%A9%20b"),
        ("/a%20b", "/a%20b"),
        ("/\r\nset-cookie: a=b", "/%0D%0Aset-cookie:%20a=b"),
        ("/\\evil.example", "/%5Cevil.example"),
        ("\t//evil.example", "%09//evil.example"),
        ("https://[::1]:8000/a;b?c=d&e=!$'()*+,@~#f", "https://[::1]:8000/a;b?c=d&e=!$'()*+,@~#f"),
        ("/\0", "/%00"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
    ],
)
def test_a_location_is_percent_encoded(url: str, location: str) -> None:
    assert RedirectResponse(url).headers["location"] == location


def test_a_location_that_utf_8_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        RedirectResponse("/\ud800")


# Cookies.


def test_cookies_are_set_beside_each_other() -> None:
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", 60, path="/b", domain="example.org", secure=True, httponly=True, samesite="strict")
    assert response.headers.getlist("set-cookie") == [
        "a=1; Path=/; SameSite=lax",
        "b=2; Domain=example.org; HttpOnly; Max-Age=60; Path=/b; SameSite=strict; Secure",
    ]


def test_a_cookie_can_expire() -> None:
    response = Response()
    response.set_cookie("a", "1", expires=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), path=None, samesite=None)
    assert response.headers["set-cookie"] == "a=1; expires=Wed, 02 Jan 2030 03:04:05 GMT"


def test_a_cookie_is_forgotten_where_it_was_set() -> None:
    response = Response()
    response.delete_cookie("a", "/b", "example.org", True, True, "none", True)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("a=")
    for part in ("Max-Age=0", "Path=/b", "Domain=example.org", "Secure", "HttpOnly", "SameSite=none", "Partitioned"):
        assert part in cookie


@pytest.mark.parametrize(("name", "value"), [("a b", "c"), ("a", "b\r\nc"), ("a", "b\0"), ("", "a"), ("__Host-a", "b")])
def test_a_cookie_that_browsers_refuse_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cookie"):
        Response().set_cookie(name, value)


# Afterwards.


async def test_background_runs_when_the_response_has_been_sent() -> None:
    server = StrictServer()
    seen: list[int] = []
    response = Response("x", background=BackgroundTask(lambda: seen.append(len(server.sent))))
    await response(http_scope(), server.receive, server.send)
    assert seen == [2]


async def test_an_error_of_the_server_is_let_through() -> None:
    server = StrictServer()
    server.send_fails_after = 1
    with pytest.raises(ConnectionResetError):
        await Response("x")(http_scope(), server.receive, server.send)


# To a handshake.


async def test_to_a_handshake_it_is_a_denial() -> None:
    server = StrictServer({"type": "websocket.connect"})
    scope = websocket_scope(extensions={"websocket.http.response": {}})
    await PlainTextResponse("no", 401)(scope, server.receive, server.send)
    headers = [(b"content-length", b"2"), (b"content-type", b"text/plain; charset=utf-8")]
    assert server.sent == [
        {"type": "websocket.http.response.start", "status": 401, "headers": headers},
        {"type": "websocket.http.response.body", "body": b"no"},
    ]


@pytest.mark.parametrize("extensions", [None, {}])
async def test_where_the_server_takes_no_denial_it_is_a_plain_403(extensions: Any) -> None:
    server = StrictServer({"type": "websocket.connect"})
    await PlainTextResponse("no")(websocket_scope(extensions=extensions), server.receive, server.send)
    assert server.sent == [{"type": "websocket.close"}]


# Whatever goes in.

TEXT = st.text(max_size=8)


@given(
    content=st.none() | TEXT | st.binary(max_size=8),
    status=st.integers(90, 610),
    headers=st.dictionaries(st.sampled_from(["x-a", "Content-Type", "content-length", "é", "transfer-encoding"]), TEXT),
    media_type=st.none() | TEXT,
    cookie=st.tuples(TEXT, TEXT),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
async def test_whatever_goes_in_only_legal_messages_come_out_or_a_value_error(
    content: Any, status: int, headers: dict[str, str], media_type: str | None, cookie: tuple[str, str], method: str
) -> None:
    try:
        response = Response(content, status, headers, media_type)
        response.set_cookie(*cookie)
    except ValueError:
        return
    if not response.body and method != "HEAD" and int(response.headers.get("content-length", "0")):
        return  # it says the length of another answer, which only HEAD and 304 may
    await sent(response, method)
