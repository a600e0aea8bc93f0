"""A request: its body for everyone who asks, forms and JSON out of it, and clean-up when it has been answered."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microasgi.exceptions import ClientDisconnect, HTTPException
from microasgi.forms import FormData, FormLimits, UploadFile
from microasgi.requests import Request
from microasgi.types import Message
from tests.strict_server import StrictServer, chunk, http_disconnect, http_scope

pytestmark = pytest.mark.anyio

JSON = [(b"content-type", b"application/json")]
URLENCODED = [(b"content-type", b"application/x-www-form-urlencoded")]
MULTIPART = [(b"content-type", b"multipart/form-data; boundary=xx")]


def request_of(*messages: Message, **keys: Any) -> tuple[Request, StrictServer]:
    server = StrictServer(*messages)
    return Request(http_scope("POST", **keys), server.receive, server.send), server


def upload(size: int = 5) -> bytes:
    return (
        b'--xx\r\ncontent-disposition: form-data; name="field"\r\n\r\nvalue\r\n'
        b'--xx\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        + b"x" * size
        + b"\r\n--xx--\r\n"
    )


class Holder:
    """A route, router or application that has limits."""

    def __init__(self, max_body_size: int | None = None, body_timeout: float | None = None) -> None:
        self.max_body_size, self.body_timeout = max_body_size, body_timeout


# The request itself.


def test_it_is_made_of_an_http_scope_only() -> None:
    with pytest.raises(ValueError, match="needs an http scope, this one is 'websocket'"):
        Request({"type": "websocket"})


def test_the_method_is_as_the_client_sent_it() -> None:
    assert Request(http_scope("PROPFIND")).method == "PROPFIND"


async def test_without_receive_its_body_cannot_be_read() -> None:
    with pytest.raises(RuntimeError, match="made without `receive`"):
        await Request(http_scope()).body()


async def test_without_send_it_sends_nothing() -> None:
    with pytest.raises(RuntimeError, match="made without `send`"):
        await Request(http_scope()).send_message({"type": "http.response.start"})


async def test_a_message_goes_to_the_server() -> None:
    request, server = request_of()
    await request.send_message({"type": "http.response.debug", "info": {}})
    assert server.kinds == ["http.response.debug"]


# The body.


async def test_the_body_is_read_once_and_returned_as_often_as_it_is_asked_for() -> None:
    request, server = request_of(chunk(b"a"), chunk(b"b", False))
    assert [await request.body(), await request.body()] == [b"ab", b"ab"]
    assert [part async for part in request.stream()] == [b"ab"]
    assert server.calls == 2


async def test_every_request_of_a_scope_and_receive_has_the_same_body() -> None:
    first, server = request_of(chunk(b"a"), chunk(b"b", False))
    second = Request(first.scope, server.receive)
    assert await first.body() is await second.body()
    assert await Request(first.scope, server.receive).body() == b"ab"


async def test_what_one_request_has_consumed_another_does_not_wait_for() -> None:
    first, server = request_of(chunk(b"a", False))
    assert [part async for part in first.stream()] == [b"a"]
    with pytest.raises(RuntimeError, match=r"consumed by stream\(\)"):
        await Request(first.scope, server.receive).body()


async def test_a_middleware_that_changes_the_body_is_heeded() -> None:
    outer, _ = request_of(chunk(b"abc", False))

    async def upper() -> Message:
        message = await outer.receive()
        return {**message, "body": message["body"].upper()}

    assert await outer.body() == b"abc"
    assert await Request(outer.scope, upper).body() == b"ABC"
    assert await outer.body() == b"abc"


async def test_an_application_behind_gets_the_body_from_request_receive() -> None:
    outer, _ = request_of(chunk(b"a"), chunk(b"b", False), http_disconnect)
    await outer.body()
    inner = Request({**outer.scope}, outer.receive)
    assert await inner.body() == b"ab"
    assert await inner.is_disconnected()
    assert outer.receive is outer.receive


async def test_each_application_behind_gets_the_body_from_a_receive_of_its_own() -> None:
    outer, _ = request_of(chunk(b"a", False))
    await outer.body()
    assert [await outer.replayer()() for _ in range(2)] == [chunk(b"a", False)] * 2


async def test_replay_is_what_the_application_behind_receives() -> None:
    outer, _ = request_of(chunk(b"a", False), http_disconnect)
    assert [await outer.replay(), await outer.replay()] == [chunk(b"a", False), http_disconnect]


@pytest.mark.parametrize(
    ("route", "router", "app", "limit"),
    [
        (None, None, None, 16 * 1024 * 1024),
        (Holder(3), Holder(4), Holder(5), 3),
        (Holder(), Holder(4), Holder(5), 4),
        (Holder(), Holder(), Holder(5), 5),
        (object(), None, object(), 16 * 1024 * 1024),
    ],
)
async def test_the_limit_is_that_of_the_route_else_the_router_s_or_the_application_s(
    route: object, router: object, app: object, limit: int
) -> None:
    keys = {"route": route, "router": router, "app": app}
    request, _ = request_of(chunk(b"x" * limit, False), **keys)
    assert len(await request.body()) == limit
    request, _ = request_of(chunk(b"x" * (limit + 1), False), **keys)
    with pytest.raises(HTTPException, match=f"413: the body is larger than {limit} bytes"):
        await request.body()


async def test_the_limit_of_the_request_itself_goes_first() -> None:
    request, _ = request_of(chunk(b"1234", False), route=Holder(2))
    request.max_body_size = 4
    assert await request.body() == b"1234"


async def test_a_route_holds_a_body_that_its_middleware_has_read_to_its_own_limit() -> None:
    request, _ = request_of(chunk(b"1234", False), app=Holder(10))
    await request.body()
    request.scope["route"] = Holder(3)
    with pytest.raises(HTTPException, match="413"):
        await request.body()


@pytest.mark.parametrize("length", [b"1", b"99999999999", b"-1", b"abc"])
async def test_the_limit_counts_what_arrives_whatever_content_length_says(length: bytes) -> None:
    headers = [(b"content-length", length)]
    request, _ = request_of(chunk(b"12345", False), headers=headers, app=Holder(5))
    assert await request.body() == b"12345"
    request, _ = request_of(chunk(b"123"), chunk(b"456"), headers=headers, app=Holder(5))
    with pytest.raises(HTTPException, match="413"):
        await request.body()


@pytest.mark.parametrize("holder", ["route", "app", "request"])
async def test_the_patience_with_a_silent_client_can_be_set(holder: str) -> None:
    request, _ = request_of(chunk(b"a"), **{holder: Holder(body_timeout=0.01)})
    if holder == "request":
        request.body_timeout = 0.01
    with pytest.raises(HTTPException, match="408"):
        await request.body()


async def test_a_client_that_leaves_in_the_middle_is_no_end_of_the_body() -> None:
    request, _ = request_of(chunk(b"a"), http_disconnect)
    with pytest.raises(ClientDisconnect):
        await request.body()
    assert await request.is_disconnected()
    assert await request.until_disconnect() == http_disconnect


# JSON.


@pytest.mark.parametrize("value", [None, 0, "é", [1, {"a": None}], {}])
async def test_json_gives_the_value(value: Any) -> None:
    request, _ = request_of(chunk(json.dumps(value).encode(), False), headers=JSON)
    assert [await request.json(), await request.json()] == [value, value]


async def test_json_is_parsed_once() -> None:
    request, _ = request_of(chunk(b"{}", False))
    assert await request.json() is await request.json()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b'{"a": 1,\n  "b": }', "line 2 column 8"),
        (b"", "line 1 column 1"),
        (b'"\xff"', "byte 1"),
        (b"[" * 100_000, "nested too deeply"),
        (b"NaN", "NaN"),
        (b"1" * 5000, "digit"),
    ],
)
async def test_bad_json_is_a_400_that_says_where(body: bytes, where: str) -> None:
    request, _ = request_of(chunk(body, False))
    with pytest.raises(HTTPException, match=where) as caught:
        await request.json()
    assert caught.value.status_code == 400


# Forms.


async def test_a_form_is_parsed_once_for_every_request_of_the_scope() -> None:
    first, server = request_of(chunk(b"a=1&b=2", False), headers=URLENCODED)
    form = await first.form()
    assert form.multi_items() == [("a", "1"), ("b", "2")]
    assert await first.form() is form
    assert await Request(first.scope, server.receive).form() is form


async def test_an_empty_form_is_parsed_once_too() -> None:
    request, _ = request_of(chunk(b"", False), headers=URLENCODED)
    assert await request.form() is await request.form()


async def test_a_form_can_be_parsed_out_of_a_body_that_was_read() -> None:
    request, _ = request_of(chunk(b"a=1", False), headers=URLENCODED)
    assert await request.body() == b"a=1"
    assert (await request.form())["a"] == "1"
    assert await request.body() == b"a=1"


async def test_a_request_without_a_form_has_an_empty_one() -> None:
    request, server = request_of(chunk(b"{}", False), headers=JSON)
    assert await request.form() == FormData()
    assert server.calls == 0


@pytest.mark.parametrize(
    ("limits", "body", "text"),
    [
        ({"max_fields": 1}, b"a=1&b=2", "more than 1 field"),
        ({"max_part_size": 3}, b"a=1234", "larger than 3 bytes"),
    ],
)
async def test_the_limits_of_a_form_are_arguments(limits: dict[str, int], body: bytes, text: str) -> None:
    request, _ = request_of(chunk(body, False), headers=URLENCODED)
    with pytest.raises(HTTPException, match=text) as caught:
        await request.form(**limits)
    assert caught.value.status_code == 413


async def test_the_number_of_files_is_limited() -> None:
    request, _ = request_of(chunk(upload(), False), headers=MULTIPART)
    with pytest.raises(HTTPException, match="413"):
        await request.form(max_files=0)


async def test_a_larger_part_makes_room_for_itself_in_memory() -> None:
    request, _ = request_of(chunk(b"a=" + b"x" * 3_000_000, False), headers=URLENCODED)
    form = await request.form(max_part_size=4_000_000)
    assert len(str(form["a"])) == 3_000_000


async def test_a_form_above_the_body_s_limit_is_refused() -> None:
    request, _ = request_of(chunk(upload(100), False), headers=MULTIPART, app=Holder(50))
    with pytest.raises(HTTPException, match="413"):
        await request.form()


async def test_a_form_as_a_context_closes_its_files() -> None:
    request, _ = request_of(chunk(upload(), False), headers=MULTIPART)
    async with request.form() as form:
        file = form["file"]
        assert isinstance(file, UploadFile)
        assert await file.read() == b"xxxxx"
    assert file.file.closed


async def test_the_files_of_a_form_are_closed_with_the_request() -> None:
    request, _ = request_of(chunk(upload(), False), headers=MULTIPART)
    file = (await request.form())["file"]
    assert isinstance(file, UploadFile)
    await request.close()
    assert file.file.closed
    await request.close()


async def test_a_form_without_files_leaves_nothing_to_close() -> None:
    request, _ = request_of(chunk(b"a=1", False), headers=URLENCODED)
    await request.form()
    assert request.closing is None


async def test_files_on_disk_are_deleted_though_the_request_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[Any] = []
    make = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: files.append(make()) or files[-1])
    request, _ = request_of(chunk(upload(2_000_000), False), headers=MULTIPART)
    await request.form()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await request.close()
    assert [file.closed for file in files] == [True]


async def test_parts_come_one_by_one_while_the_form_arrives() -> None:
    whole = upload()
    request, _ = request_of(chunk(whole[:100]), chunk(whole[100:], False), headers=MULTIPART)
    found = [(part.name, part.filename, await part.read()) async for part in request.parts()]
    assert found == [("field", None, b"value"), ("file", "a.txt", b"xxxxx")]


async def test_parts_have_limits() -> None:
    request, _ = request_of(chunk(upload(), False), headers=MULTIPART)
    with pytest.raises(HTTPException, match="413"):
        [part async for part in request.parts(FormLimits(max_files=0))]


async def test_parts_are_of_multipart_forms_only() -> None:
    request, _ = request_of(chunk(b"a=1", False), headers=URLENCODED)
    with pytest.raises(HTTPException, match="415"):
        request.parts()


# Clean-up.


async def test_clean_ups_run_from_the_last_to_the_first_whatever_they_raise() -> None:
    request, _ = request_of()
    ran: list[int] = []

    def clean_up(number: int) -> Any:
        async def run() -> None:
            ran.append(number)
            if number == 2:
                raise ValueError("of number 2")

        return run

    for number in (1, 2, 3):
        request.on_close(clean_up(number))
    with pytest.raises(ValueError, match="of number 2"):
        await request.close()
    assert ran == [3, 2, 1]
    await request.close()
    assert ran == [3, 2, 1]


async def test_closing_a_request_with_nothing_to_clean_up_does_nothing() -> None:
    request, server = request_of()
    await request.close()
    assert server.calls == 0


# Extensions.


@pytest.mark.parametrize("extensions", [{}, None, {"http.response.push": {}}])
async def test_early_hints_are_not_sent_to_a_server_that_does_not_offer_them(extensions: Any) -> None:
    request, server = request_of(extensions=extensions)
    await request.send_early_hints("</a.css>; rel=preload")
    assert server.sent == []


async def test_early_hints_are_sent_where_they_are_offered() -> None:
    request, server = request_of(extensions={"http.response.early_hint": {}})
    await request.send_early_hints("</a.css>; rel=preload", "</b.js>; rel=preload")
    links = [b"</a.css>; rel=preload", b"</b.js>; rel=preload"]
    assert server.sent == [{"type": "http.response.early_hint", "links": links}]


async def test_early_hints_cannot_split_a_header() -> None:
    request, _ = request_of(extensions={"http.response.early_hint": {}})
    with pytest.raises(ValueError, match="control character"):
        await request.send_early_hints("</a>\r\nset-cookie: a=b")


# Whatever comes.

MESSAGES = st.one_of(
    st.just(http_disconnect),
    st.fixed_dictionaries(
        {"type": st.just("http.request")},
        optional={"body": st.binary(max_size=8), "more_body": st.booleans(), "x": st.none()},
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["http.request", "lifespan.startup"])}, optional={"body": st.text()}
    ),
    st.just({}),
)
CALLS = st.lists(st.sampled_from(["body", "json", "form", "stream", "is_disconnected", "receive"]), max_size=6)
HEADERS = st.lists(st.sampled_from([*JSON, *URLENCODED, *MULTIPART, (b"content-type", b"\xff;;=")]), max_size=2)


@given(messages=st.lists(MESSAGES, max_size=6), calls=CALLS, headers=HEADERS)
async def test_whatever_the_server_sends_only_the_documented_errors_come_out(
    messages: list[Message], calls: list[str], headers: list[tuple[bytes, bytes]]
) -> None:
    request, _ = request_of(*messages, http_disconnect, headers=headers, app=Holder(20, 5.0))
    errors: list[Exception] = []
    for call in calls:
        try:
            if call == "stream":
                assert all(type(part) is bytes for part in [part async for part in request.stream()])
            else:
                await getattr(request, call)()
        except (HTTPException, ClientDisconnect, RuntimeError) as error:
            errors.append(error)
    for error in errors:
        known = "cannot be read any more" in str(error) or "no message of an http scope" in str(error)
        assert known or not isinstance(error, RuntimeError)
        assert getattr(error, "status_code", 400) in {400, 413, 415}


@given(parts=st.lists(st.binary(max_size=5), max_size=6), asked=st.lists(st.integers(0, 6), max_size=3))
async def test_however_it_is_cut_and_asked_for_the_body_is_the_same(parts: list[bytes], asked: list[int]) -> None:
    request, _ = request_of(*map(chunk, parts), chunk(b"", False), http_disconnect)
    for _ in asked:
        await request.is_disconnected()
    assert await request.body() == b"".join(parts)
