"""CompressionMiddleware and GZipMiddleware: what is compressed, what is left alone, and what the headers say of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microasgi import CallNext, HTTPException, MicroASGI, Middleware, Request, Response, StreamingResponse
from microasgi.exceptions import ConfigurationError
from microasgi.middleware import DEFAULT_EXCLUDED_CONTENT_TYPES, CompressionMiddleware, GZipMiddleware
from microasgi.testing import Exchange, RawResponse, TestClient, http_scope, lifespan_scope, request, websocket_scope
from microasgi.types import ASGIApp, Message, RawHeaders, Receive, Scope, Send
from tests.middleware.decoders import decode, decoder

pytestmark = pytest.mark.anyio

TEXT = b"It was a dark and stormy night. " * 100
CODINGS = ("zstd", "br", "gzip")


def answering(
    body: bytes | Iterable[bytes] = TEXT, status: int = 200, media_type: str | None = "text/plain", **headers: str
) -> ASGIApp:
    """Return an application that sends this body, in one message with its length, or in chunks without."""
    pairs: RawHeaders = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if media_type is not None:
        pairs.append((b"content-type", media_type.encode()))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        whole = isinstance(body, bytes)
        length = [(b"content-length", b"%d" % len(body))] if isinstance(body, bytes) and status != 304 else []
        await send({"type": "http.response.start", "status": status, "headers": [*pairs, *length]})
        chunks = [body] if isinstance(body, bytes) else list(body)
        shown = [] if scope["method"] == "HEAD" or status in (204, 304) else chunks
        for chunk in shown:
            await send({"type": "http.response.body", "body": chunk, "more_body": not whole})
        if not shown or not whole:
            await send({"type": "http.response.body"})

    return app


async def get(app: ASGIApp, accept: str | None = "gzip", method: str = "GET", **options: Any) -> RawResponse:
    headers = {} if accept is None else {"accept-encoding": accept}
    return await request(CompressionMiddleware(app, **options), method, "/", headers=headers)


def is_untouched(response: RawResponse, body: bytes = TEXT) -> bool:
    length = response.header(b"content-length")
    return (
        response.header(b"content-encoding") is None
        and response.body == body
        and (length is None or int(length) == len(body))
    )


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_body_comes_in_the_coding_that_the_client_takes(coding: str) -> None:
    response = await get(answering(), coding)
    assert response.header(b"content-encoding") == coding.encode()
    assert response.header(b"content-length") == b"%d" % len(response.body)
    assert decode(coding, response.body) == TEXT
    assert len(response.body) < len(TEXT) / 10


async def test_of_all_that_a_browser_takes_the_server_likes_zstd_best() -> None:
    assert (await get(answering(), "gzip, deflate, br, zstd")).header(b"content-encoding") == b"zstd"


async def test_the_order_of_encodings_is_the_server_s() -> None:
    response = await get(answering(), "gzip, deflate, br, zstd", encodings=["br", "gzip"])
    assert response.header(b"content-encoding") == b"br"


async def test_several_headers_are_read_as_one() -> None:
    app = CompressionMiddleware(answering())
    response = await request(app, headers=[(b"accept-encoding", b"br;q=0.5"), (b"accept-encoding", b"gzip")])
    assert response.header(b"content-encoding") == b"gzip"


async def test_more_headers_than_are_remembered_are_all_answered() -> None:
    app = CompressionMiddleware(answering())
    for number in range(300):
        response = await request(app, headers={"accept-encoding": f"x{number}, gzip"})
        assert response.header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize("accept", [None, "", "identity", "deflate", "gzip;q=0", "*;q=0"])
async def test_who_takes_nothing_of_it_gets_the_body_as_it_is_and_caches_learn_why(accept: str | None) -> None:
    response = await get(answering(), accept)
    assert is_untouched(response)
    assert response.header(b"vary") == b"accept-encoding"


async def test_vary_keeps_what_it_has() -> None:
    assert (await get(answering(vary="Cookie"))).header(b"vary") == b"Cookie, accept-encoding"
    assert (await get(answering(vary="accept-Encoding"))).header(b"vary") == b"accept-Encoding"
    assert (await get(answering(vary="*"))).header(b"vary") == b"*"


@pytest.mark.parametrize("accept, etag", [("gzip", b'W/"v1"'), ("identity", b'"v1"')])
async def test_an_entity_tag_is_weak_where_the_bytes_are_others(accept: str, etag: bytes) -> None:
    assert (await get(answering(etag='"v1"'), accept)).header(b"etag") == etag


async def test_a_weak_entity_tag_stays() -> None:
    assert (await get(answering(etag='W/"v1"'))).header(b"etag") == b'W/"v1"'


async def test_ranges_of_what_is_compressed_are_not_offered() -> None:
    assert (await get(answering(accept_ranges="bytes"))).header(b"accept-ranges") is None
    assert (await get(answering(accept_ranges="bytes"), "identity")).header(b"accept-ranges") == b"bytes"


@pytest.mark.parametrize(
    "held, etag",
    [('W/"v1"', b'W/"v1"'), ('"v0", W/"v1"', b'W/"v1"'), ('"v1"', b'"v1"'), ("*", b'"v1"'), (None, b'"v1"')],
)
async def test_a_304_has_the_tag_of_the_body_that_the_client_holds(held: str | None, etag: bytes) -> None:
    headers = {"accept-encoding": "gzip"} | ({"if-none-match": held} if held else {})
    response = await request(CompressionMiddleware(answering(b"", 304, None, etag='"v1"')), headers=headers)
    assert (response.header(b"etag"), response.header(b"vary")) == (etag, b"accept-encoding")
    assert response.header(b"content-encoding") is None


async def test_head_has_the_headers_of_get_without_a_length() -> None:
    response = await get(answering(etag='"v1"'), method="HEAD")
    assert response.body == b""
    assert response.header(b"content-encoding") == b"gzip"
    assert response.header(b"content-length") is None
    assert (response.header(b"etag"), response.header(b"vary")) == (b'W/"v1"', b"accept-encoding")


async def test_head_of_what_is_left_alone_keeps_its_length() -> None:
    response = await get(answering(b"short"), method="HEAD")
    assert response.header(b"content-length") == b"5"


@pytest.mark.parametrize("size, coding", [(499, None), (500, b"gzip")])
async def test_below_the_minimum_size_nothing_is_done(size: int, coding: bytes | None) -> None:
    response = await get(answering(b"a" * size))
    assert response.header(b"content-encoding") == coding
    assert (response.header(b"vary") is None) == (coding is None)


async def test_a_small_body_without_a_length_is_left_alone_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"short"})

    assert is_untouched(await get(app), b"short")


async def test_what_does_not_become_smaller_is_sent_as_it_is() -> None:
    body = b"".join(sha256(bytes([number])).digest() for number in range(20))
    response = await get(answering(body))
    assert is_untouched(response, body)
    assert response.header(b"vary") == b"accept-encoding"


async def test_who_refuses_what_is_not_encoded_gets_even_the_smallest_encoded() -> None:
    response = await get(answering(b"short", media_type="image/png"), "gzip, identity;q=0")
    assert response.header(b"content-encoding") == b"gzip"
    assert decode("gzip", response.body) == b"short"


@pytest.mark.parametrize(
    "media_type",
    [
        "image/png",
        "IMAGE/JPEG; quality=9",
        "video/mp4",
        "audio/ogg",
        "application/zip",
        "font/woff2",
        "application/grpc+proto",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "multipart/byteranges; boundary=x",
        "application/octet-stream",
        "text/event-stream",
        None,
    ],
)
async def test_types_that_do_not_compress_are_left_alone(media_type: str | None) -> None:
    response = await get(answering(media_type=media_type))
    assert is_untouched(response)
    assert response.header(b"vary") is None


@pytest.mark.parametrize(
    "media_type",
    ["text/html; charset=utf-8", "application/json", "application/problem+json", "image/svg+xml", "application/wasm"],
)
async def test_types_that_do_are_compressed(media_type: str) -> None:
    assert (await get(answering(media_type=media_type))).header(b"content-encoding") == b"gzip"


async def test_the_types_left_alone_can_be_named() -> None:
    options = {"exclude_content_types": ["Text/*; charset=utf-8"]}
    assert is_untouched(await get(answering(), **options))
    assert (await get(answering(media_type="image/png"), **options)).header(b"content-encoding") == b"gzip"


async def test_more_types_than_are_remembered_are_all_judged() -> None:
    app: ASGIApp = CompressionMiddleware(lambda scope, *rest: answering(media_type=scope["path"][1:])(scope, *rest))
    for number in range(300):
        response = await request(app, path=f"/text/x{number}", headers={"accept-encoding": "gzip"})
        assert response.header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize(
    "headers",
    [
        {"content_encoding": "br"},
        {"content_range": "bytes 0-9/100"},
        {"repr_digest": "sha-256=:AAAA:"},
        {"cache_control": "public, No-Transform"},
        {"set_cookie": "session=secret"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_what_its_headers_protect_is_left_alone(headers: dict[str, str]) -> None:
    response = await get(answering(**headers), "gzip, identity;q=0")
    assert response.body == TEXT
    assert response.header(b"content-length") == b"%d" % len(TEXT)
    assert response.header(b"vary") is None


async def test_header_names_in_capitals_count_as_well() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"Content-Type", b"text/plain"), (b"Content-Encoding", b"br")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": TEXT})

    scope = http_scope(headers={"accept-encoding": "gzip"})
    async with Exchange(CompressionMiddleware(app), scope, lint=False) as exchange:
        assert [message.get("body") async for message in exchange] == [None, TEXT]


async def test_a_response_that_sets_a_cookie_is_compressed_where_that_is_asked_for() -> None:
    response = await get(answering(set_cookie="seen=yes", cache_control="private"), compress_set_cookie=True)
    assert response.header(b"content-encoding") == b"gzip"


@pytest.mark.parametrize("status", [204, 206])
async def test_statuses_without_a_whole_body_are_left_alone(status: int) -> None:
    body = b"" if status == 204 else TEXT
    response = await get(answering(body, status) if status == 206 else bodiless)
    assert is_untouched(response, body)
    assert response.header(b"vary") is None


async def bodiless(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


async def test_errors_are_compressed_like_all_else() -> None:
    app = MicroASGI(middleware=[CompressionMiddleware])

    @app.get("/")
    async def broken() -> None:
        raise HTTPException(422, "wrong " * 200)

    response = await request(app, headers={"accept-encoding": "gzip"})
    assert (response.status, response.header(b"content-encoding")) == (422, b"gzip")


@pytest.mark.parametrize("coding", CODINGS)
async def test_each_chunk_of_a_stream_arrives_before_the_next_one_is_made(coding: str) -> None:
    read, seen = decoder(coding), anyio.Event()

    async def events() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"event %d\n" % number
            await seen.wait()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(events(), media_type="text/plain")(scope, receive, send)

    scope = http_scope(headers={"accept-encoding": coding})
    async with Exchange(CompressionMiddleware(app), scope) as exchange:
        start = await exchange.receive_output()
        assert (b"content-encoding", coding.encode()) in start["headers"]
        assert read((await exchange.receive_output())["body"]) == b"event 0\n"
        seen.set()
        rest = b"".join([read(message["body"]) async for message in exchange])
    assert rest == b"event 1\nevent 2\n"


async def test_a_stream_that_says_its_length_loses_it() -> None:
    response = await get(answering([TEXT, TEXT], content_length=str(2 * len(TEXT))))
    assert response.header(b"content-length") is None
    assert decode("gzip", response.body) == TEXT * 2


async def test_a_stream_that_says_it_is_short_is_left_alone() -> None:
    assert is_untouched(await get(answering([b"ab", b"c"], content_length="3")), b"abc")


@settings(max_examples=15, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=400) | st.just(b"word " * 300), max_size=6),
    coding=st.sampled_from(CODINGS),
    threshold=st.sampled_from([1, 1000]),
)
async def test_any_chunks_are_decoded_to_what_they_were(chunks: list[bytes], coding: str, threshold: int) -> None:
    response = await get(answering(chunks), coding, thread_minimum_size=threshold, minimum_size=0)
    encoding = response.header(b"content-encoding")
    body = decode(coding, response.body) if encoding else response.body
    assert body == b"".join(chunks)


async def test_large_pieces_are_compressed_in_worker_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    import zlib

    threads: list[bool] = []
    compress = zlib.compress

    def watched(*args: Any) -> bytes:
        threads.append(threading.current_thread() is threading.main_thread())
        return compress(*args)

    monkeypatch.setattr(zlib, "compress", watched)
    await get(answering(b"a" * 65_535))
    await get(answering(b"a" * 65_536))
    assert threads == [True, False]


async def test_a_broken_stream_is_not_completed() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answering()(scope, receive, cut(send))
        raise RuntimeError("the disk is gone")

    def cut(send: Send) -> Send:
        async def sending(message: Message) -> None:
            await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)

        return sending

    scope = http_scope(headers={"accept-encoding": "gzip"})
    exchange = Exchange(CompressionMiddleware(app), scope)
    with pytest.raises(RuntimeError, match="the disk is gone"):
        async with exchange:
            assert [message.get("more_body") async for message in exchange] == [None, True]


async def test_an_error_between_start_and_body_can_still_be_answered() -> None:
    app = MicroASGI(middleware=[CompressionMiddleware])

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        raise HTTPException(503)

    app.mount("/", failing)
    response = await request(app, headers={"accept-encoding": "gzip"})
    assert (response.status, response.body) == (503, b"Service Unavailable")


def offering(*extensions: str, accept: str = "gzip") -> Scope:
    return http_scope(
        headers={"accept-encoding": accept}, extensions={f"http.response.{one}": {} for one in extensions}
    )


def sending_file(path: Path, media_type: str, size: int) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert "http.response.pathsend" in scope["extensions"]
        headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % size)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.pathsend", "path": str(path)})

    return app


async def converse(app: ASGIApp, scope: Scope) -> list[Message]:
    async with Exchange(CompressionMiddleware(app), scope) as exchange:
        return [message async for message in exchange]


async def test_a_text_file_that_the_server_was_to_send_is_compressed(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(TEXT * 200)
    start, *chunks = await converse(sending_file(path, "text/plain", 200 * len(TEXT)), offering("pathsend"))
    assert (b"content-encoding", b"gzip") in start["headers"]
    assert [chunk["more_body"] for chunk in chunks] == [True] * (len(chunks) - 1) + [False]
    assert decode("gzip", b"".join(chunk["body"] for chunk in chunks)) == TEXT * 200


async def test_a_picture_that_the_server_is_to_send_is_the_server_s(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(TEXT)
    _, message = await converse(sending_file(path, "image/png", len(TEXT)), offering("pathsend"))
    assert message == {"type": "http.response.pathsend", "path": str(path)}


async def test_a_file_that_is_gone_fails_before_anything_was_sent(tmp_path: Path) -> None:
    exchange = Exchange(CompressionMiddleware(sending_file(tmp_path / "gone", "text/plain", 999)), offering("pathsend"))
    with pytest.raises(FileNotFoundError):
        async with exchange:
            assert [message async for message in exchange] == []


async def test_a_file_after_a_body_is_an_error(tmp_path: Path) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": TEXT, "more_body": True})
        await send({"type": "http.response.pathsend", "path": str(tmp_path)})

    with pytest.raises(RuntimeError, match="one of the two"):
        async with Exchange(CompressionMiddleware(app), offering("pathsend")) as exchange:
            assert len([message async for message in exchange]) == 2


async def test_zero_copy_among_the_chunks_of_a_body_is_not_offered_inside() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert list(scope["extensions"]) == ["http.response.pathsend"]
        await answering()(scope, receive, send)

    assert len(await converse(app, offering("zerocopysend", "pathsend"))) == 2


async def test_other_messages_go_through_as_they_are() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/plain"), (b"trailer", b"x-sum")]
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": True})
        await send({"type": "http.response.body", "body": TEXT})
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})

    scope = offering("trailers", "early_hint")
    scope["headers"].append((b"te", b"trailers"))
    hint, start, body, trailers = await converse(app, scope)
    assert hint["links"] == [b"</a.css>; rel=preload"]
    assert b"content-length" not in dict(start["headers"])  # what has trailers goes out in chunks
    assert decode("gzip", body["body"]) == TEXT
    assert trailers["headers"] == [(b"x-sum", b"1")]


async def test_the_messages_of_the_application_are_not_changed() -> None:
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
    body: Message = {"type": "http.response.body", "body": TEXT}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await send(body)

    for _ in range(2):
        assert decode("gzip", (await get(app)).body) == TEXT
    assert (start["headers"], body["body"]) == ([(b"content-type", b"text/plain")], TEXT)


async def test_lifespan_and_websockets_go_through() -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    for scope in (lifespan_scope(), websocket_scope()):
        await CompressionMiddleware(app)(scope, receive_nothing, send_nothing)
    assert seen == ["lifespan", "websocket"]


async def receive_nothing() -> Message:
    raise AssertionError("nothing is to be received")


async def send_nothing(message: Message) -> None:
    raise AssertionError("nothing is to be sent")


def test_function_middleware_works_on_both_sides() -> None:
    async def outside(request: Request, call_next: CallNext) -> Response:
        response = await call_next(request)
        response.headers["x-coding"] = response.headers.get("content-encoding", "none")
        return response

    async def inside(request: Request, call_next: CallNext) -> Response:
        response = await call_next(request)
        response.body = response.body.upper()
        return response

    app = MicroASGI(middleware=[outside, CompressionMiddleware, inside])

    @app.get("/")
    async def home() -> str:
        return TEXT.decode()

    response = TestClient(app).get("/", headers={"accept-encoding": "br"})
    assert (response.headers["x-coding"], response.content) == ("br", TEXT.upper())


def test_the_exclusions_have_to_be_a_list() -> None:
    with pytest.raises(ConfigurationError, match=r"exclude_content_types=\['image/\*'\]"):
        CompressionMiddleware(answering(), exclude_content_types="image/*")


def test_event_streams_can_be_taken_off_the_exclusions() -> None:
    assert "text/event-stream" in DEFAULT_EXCLUDED_CONTENT_TYPES


@pytest.mark.parametrize("accept, coding", [("gzip, br, zstd", b"gzip"), ("br", None)])
async def test_gzip_middleware_knows_gzip_alone(accept: str, coding: bytes | None) -> None:
    app = MicroASGI(middleware=[Middleware(GZipMiddleware, minimum_size=100, compresslevel=5)])
    app.mount("/", answering())
    response = await request(app, headers={"accept-encoding": accept})
    assert response.header(b"content-encoding") == coding
