"""brotli-asgi: compressed answers, plain and streamed, wherever the middleware stands."""

from __future__ import annotations

import gzip

import pytest

from microasgi import Middleware
from microasgi.testing import TestClient, request
from tests.thirdparty.packages import require
from tests.thirdparty.site import AROUND_EVERYTHING, LARGE, PLACES, build

require("brotli_asgi", "brotli")

import brotli  # noqa: E402
from brotli_asgi import BrotliMiddleware  # noqa: E402

each_place = pytest.mark.parametrize("place", PLACES)
each_place_around_everything = pytest.mark.parametrize("place", AROUND_EVERYTHING)
BR = {"accept-encoding": "br"}
STREAMED = "".join(f"{number} " * 300 for number in range(5))


@pytest.mark.anyio
@each_place
async def test_a_large_answer_is_compressed_and_has_its_length(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "GET", "/large", headers=BR)
    assert answer.header(b"content-encoding") == b"br"
    assert answer.header(b"vary") == b"Accept-Encoding"
    assert answer.header(b"content-length") == str(len(answer.body)).encode()
    assert brotli.decompress(answer.body) == LARGE.encode()


@pytest.mark.anyio
@pytest.mark.parametrize("encoding", ["br", "gzip"])
@pytest.mark.parametrize("place", PLACES)
async def test_the_answer_of_a_mounted_application_is_compressed(place: str, encoding: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "GET", "/foreign", headers={"accept-encoding": encoding})
    assert answer.header(b"content-encoding") == encoding.encode()
    assert (brotli.decompress if encoding == "br" else gzip.decompress)(answer.body) == LARGE.encode()


@pytest.mark.anyio
@each_place
async def test_a_stream_is_compressed_chunk_by_chunk(place: str) -> None:
    app, site = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "GET", "/stream", headers=BR)
    bodies = [message["body"] for message in answer.messages if message["type"] == "http.response.body"]
    assert brotli.decompress(answer.body) == STREAMED.encode()
    assert brotli.Decompressor().process(bodies[0]) == b"0 " * 300
    assert answer.header(b"content-length") is None
    assert site.done == ["stream closed"]


@pytest.mark.anyio
@each_place
async def test_small_answers_and_other_clients_are_left_alone(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    small = await request(app, "GET", "/home", headers=BR)
    plain = await request(app, "GET", "/large", headers={"accept-encoding": "identity"})
    assert (small.body, plain.body) == (b"welcome", LARGE.encode())
    assert small.header(b"content-encoding") is plain.header(b"content-encoding") is None


@pytest.mark.anyio
@each_place
async def test_gzip_is_the_fallback(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "GET", "/large", headers={"accept-encoding": "gzip"})
    assert answer.header(b"content-encoding") == b"gzip"
    assert gzip.decompress(answer.body) == LARGE.encode()


@pytest.mark.anyio
@each_place
async def test_a_broken_stream_is_not_marked_complete(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "GET", "/broken", headers=BR, raise_errors=False)
    assert isinstance(answer.error, RuntimeError)
    assert answer.messages[-1]["more_body"] is True


@pytest.mark.anyio
@each_place
async def test_errors_pass_through_it(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware, minimum_size=1))
    failed = await request(app, "GET", "/error", headers=BR)
    refused = await request(app, "GET", "/refused", headers=BR)
    assert (failed.status, brotli.decompress(failed.body)) == (500, b"Internal Server Error")
    assert (refused.status, brotli.decompress(refused.body)) == (418, b"short and stout")


@pytest.mark.anyio
@each_place_around_everything
async def test_what_no_route_answers_is_compressed(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware, minimum_size=1))
    answer = await request(app, "GET", "/nowhere", headers=BR)
    assert (answer.status, brotli.decompress(answer.body)) == (404, b"Not Found")


@pytest.mark.anyio
@each_place
async def test_background_tasks_run_after_it(place: str) -> None:
    app, site = build(place, Middleware(BrotliMiddleware, minimum_size=1))
    answer = await request(app, "GET", "/task", headers=BR)
    assert brotli.decompress(answer.body) == b"started"
    assert site.done == ["task"]


@each_place
def test_sockets_pass_through_it(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    with TestClient(app) as client, client.websocket_connect("/socket", headers=BR) as socket:
        socket.send_text("tea")
        assert socket.receive_text() == "you said tea"


@pytest.mark.anyio
@each_place
async def test_an_answer_to_head_has_no_body(place: str) -> None:
    app, _ = build(place, Middleware(BrotliMiddleware))
    answer = await request(app, "HEAD", "/large", headers=BR)
    assert (answer.status, answer.body) == (200, b"")
