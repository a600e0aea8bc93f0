"""What work grows by when hostile input grows fourfold: the shapes, and how the work is counted.

Work is counted in bytecode instructions, never in seconds. `python -m tests.growth` prints the seconds as well, for
what goes on inside of functions written in C.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from types import FrameType
from typing import Any

from microasgi.cookies import parse_cookies
from microasgi.exceptions import ConfigurationError, HTTPException
from microasgi.files.codings import wanted_codings
from microasgi.files.conditions import Validators, conditions_of, decide
from microasgi.files.locations import segments_of
from microasgi.forms import FormLimits, parse_form
from microasgi.headers import Headers, find_header, parse_options
from microasgi.middleware.acceptencoding import choose_coding
from microasgi.middleware.authority import read_authority
from microasgi.middleware.cors import CORSMiddleware
from microasgi.middleware.proxyheaders import ProxyHeadersMiddleware
from microasgi.multipart import parse_disposition
from microasgi.negotiation import prefers_json
from microasgi.paths import Template
from microasgi.serialization import decode_json
from microasgi.table import Table
from microasgi.testing import http_scope
from microasgi.types import ASGIApp, Message
from microasgi.urls import URL, parse_query

__all__ = ["SHAPES", "count_instructions", "growth"]

Work = Callable[[int], Callable[[], object]]
LIMITS = FormLimits(max_field_size=1 << 30, max_form_memory=1 << 30, max_part_header_bytes=1 << 30)
HEAD = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n'
NOW = Validators(b'"now"', 1_700_000_000)


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


async def pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def form(content_type: str, body: Callable[[int], bytes], size: int = 1 << 20) -> Work:
    def work(count: int) -> Callable[[], object]:
        data = body(count)
        return lambda: asyncio.run(parse_form(content_type, pieces(data, size), LIMITS))

    return work


def multipart(body: Callable[[int], bytes], size: int = 1 << 20) -> Work:
    return form("multipart/form-data; boundary=B", body, size)


def call(function: Callable[[Any], object], given: Callable[[int], Any]) -> Work:
    """Call a function with what is made for a size."""

    def work(count: int) -> Callable[[], object]:
        value = given(count)
        return lambda: function(value)

    return work


async def ignore(message: Message) -> None:
    pass


async def nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def headers(app: ASGIApp, given: Callable[[int], list[tuple[bytes, bytes]]], method: str = "GET") -> Work:
    """Send a request with these headers through an application that never waits."""

    def work(count: int) -> Callable[[], object]:
        scope = http_scope(method, "/", headers=given(count), client=("127.0.0.1", 1))
        return lambda: step(app({**scope}, nothing, ignore))  # type: ignore[arg-type]

    return work


def lines(name: bytes, value: bytes) -> Callable[[int], list[tuple[bytes, bytes]]]:
    return lambda count: [(name, value)] * count


def line(name: bytes, piece: bytes) -> Callable[[int], list[tuple[bytes, bytes]]]:
    return lambda count: [(name, piece * count)]


def if_headers(pairs: list[tuple[bytes, bytes]]) -> object:
    return decide("GET", conditions_of(pairs), NOW, 10_000)


TEMPLATES = ("/a/{x}/b", "/{y}-{z}/c", "/files/{rest:path}", "/n/{n:int}/{m:float}", "/{a}/{b}/{c}.{d}")


def paths(piece: str, start: str = "/") -> Work:
    table = Table((Template(text), text) for text in TEMPLATES)
    return call(table.find, lambda count: start + piece * count)


SHAPES: dict[str, Work] = {
    # headers
    "headers, read": call(lambda raw: Headers(raw=raw).get("x-last"), lines(b"x-a", b"1")),
    "headers, as a dictionary": call(
        lambda raw: dict(Headers(raw=raw)), lambda n: [(b"x-%d" % i, b"1") for i in range(n)]
    ),
    "headers, one name": call(lambda raw: Headers(raw=raw).getlist("x-a"), lines(b"x-a", b"1")),
    "headers, found": call(lambda raw: find_header(raw, b"x-b"), lines(b"x-a", b"1")),
    # options
    **{
        f"options, {piece!r}": call(parse_options, lambda n, piece=piece: "text/html" + piece * n)
        for piece in (";", "; ", ";a=", ';a="', '"', '\\"', ";a=b", " ", "=")
    },
    **{
        f"disposition, {piece!r}": call(parse_disposition, lambda n, piece=piece: b'form-data; name="' + piece * n)
        for piece in (b'"', b"\\", b'\\"', b";", b";a=b", b"; ", b"%22", b'";a="')
    },
    # cookies and queries
    **{
        f"cookies, {piece!r}": call(parse_cookies, lambda n, piece=piece: piece * n)
        for piece in ("a=b; ", ";", "a", "=", '"', 'a="', "a=b;", " ", "; ", "a=\\")
    },
    **{
        f"query, {piece!r}": call(lambda text: parse_query(text, 1 << 30, 1 << 30), lambda n, piece=piece: piece * n)
        for piece in ("a=b&", "&", "=", "%41", "%", "+", "%e9", "a&", ";")
    },
    **{
        f"url, {piece!r}": call(URL, lambda n, piece=piece: "http://" + piece * n)
        for piece in ("a.", "@", ":", "/", "[", "%")
    },
    # content negotiation
    **{
        f"accept, {piece!r}": call(prefers_json, lambda n, piece=piece: piece * n + b"application/json")
        for piece in (b"a/b,", b",", b";", b"a/b;q=0.1,", b" ", b'"', b"*/*;q=", b"application/json,", b"text/html;a;")
    },
    **{
        f"accept-encoding, {piece!r}": call(
            lambda value: choose_coding(value, ["zstd", "br", "gzip"]), lambda n, piece=piece: piece * n
        )
        for piece in (b"gzip,", b",", b";", b"gzip;q=", b"a;q=0.5,", b" ", b"*", b"q=1;")
    },
    **{
        f"accept-encoding of a file, {piece!r}": call(wanted_codings, lambda n, piece=piece: piece * n)
        for piece in (b"gzip,", b",", b";", b"gzip;q=", b"a;q=0.5,", b" ", b"*", b"q=1;")
    },
    # ranges and cache headers
    **{
        f"range, {piece!r}": call(if_headers, lambda n, piece=piece: [(b"range", b"bytes=" + piece * n)])
        for piece in (b"0-0,", b"-1,", b"-", b",", b" ", b"9", b"0-,", b"5-4,")
    },
    **{
        f"if-none-match, {piece!r}": call(if_headers, lambda n, piece=piece: [(b"if-none-match", piece * n)])
        for piece in (b'"a", ', b'"', b"W/", b'W/"', b'"a" b', b",", b'"a,', b"*")
    },
    "if-match": call(if_headers, line(b"if-match", b'"a", ')),
    "if-modified-since": call(if_headers, line(b"if-modified-since", b"Mon, ")),
    "if-range": call(if_headers, line(b"if-range", b'"a", ')),
    "if-none-match, lines": call(if_headers, lines(b"if-none-match", b'"a"')),
    # paths
    **{f"path, {piece!r}": paths(piece) for piece in ("a/", "a-", "/", "-", "..", "%", "9", "a")},
    **{f"path to the end, {piece!r}": paths(piece, "/files/") for piece in ("a/", "/", "a", "..")},
    "path of a file": call(lambda path: segments_of(path, frozenset()), lambda n: "a/" * n),
    # forms
    "form, fields": form("application/x-www-form-urlencoded", lambda n: b"a=b&" * min(n, 900) + b"%41" * n),
    "form, signs": form("application/x-www-form-urlencoded", lambda n: b"a=" + b"&" * n),
    "multipart, line ends": multipart(lambda n: HEAD + b"\r\n" * n + b"\r\n--B--"),
    "multipart, false boundaries": multipart(lambda n: HEAD + b"\r\n--Bx" * n + b"\r\n--B--"),
    "multipart, false boundaries in pieces": multipart(lambda n: HEAD + b"\r\n--B\r" * n + b"\r\n--B--", 7),
    "multipart, a header's name": multipart(lambda n: b"--B\r\n" + b"x" * n),
    "multipart, a header's value": multipart(lambda n: b"--B\r\nx:" + b"y " * n),
    "multipart, what comes before": multipart(lambda n: b"\r\n" * n + HEAD + b"\r\n--B--"),
    "multipart, what comes after": multipart(lambda n: HEAD + b"\r\n--B--" + b"x\r\n" * n),
    # json
    "json, nested": call(decode_json, lambda n: b"[" * n),
    "json, digits": call(decode_json, lambda n: b"9" * n),
    "json, escapes": call(decode_json, lambda n: b'"' + b"\\u0041" * n + b'"'),
    # middleware
    **{
        f"host, {piece!r}": call(read_authority, lambda n, piece=piece: piece * n)
        for piece in (b"a.", b":", b"[", b".", b"a", b"-", b"1")
    },
    "cors, headers asked for": headers(
        CORSMiddleware(answer, allow_origins=["https://a.example"], allow_headers=["x-a"]),
        lambda n: [
            (b"origin", b"https://a.example"),
            (b"access-control-request-method", b"GET"),
            (b"access-control-request-headers", b"x-a," * n),
        ],
        "OPTIONS",
    ),
    "cors, origin": headers(
        CORSMiddleware(answer, allow_origin_regex=r"https://.*\.example"), line(b"origin", b"https://a")
    ),
    "proxies, all trusted": headers(ProxyHeadersMiddleware(answer, "*"), line(b"x-forwarded-for", b"10.0.0.1, ")),
    "proxies, lines": headers(ProxyHeadersMiddleware(answer, "*"), lines(b"x-forwarded-for", b"10.0.0.1")),
    "proxies, forwarded": headers(
        ProxyHeadersMiddleware(answer, "*", forwarded=True), line(b"forwarded", b"for=10.0.0.1;proto=https, ")
    ),
    "proxies, pairs": headers(ProxyHeadersMiddleware(answer, "*", forwarded=True), line(b"forwarded", b"for=1;")),
    "proxies, prefix": headers(ProxyHeadersMiddleware(answer, "*", prefix=True), line(b"x-forwarded-prefix", b"/a")),
}


def count_instructions(work: Callable[[], object]) -> int:
    """Return how many bytecode instructions it takes; 4xx errors are results."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except (HTTPException, ConfigurationError, ValueError):
        pass
    finally:
        sys.settrace(before)
    return count


def growth(shape: Work, size: int) -> float:
    """Return cost(4n)/cost(n), in instructions."""
    count_instructions(shape(size))  # caches are filled
    return count_instructions(shape(4 * size)) / count_instructions(shape(size))


def _seconds(work: Callable[[], object]) -> float:
    times: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        try:
            work()
        except (HTTPException, ConfigurationError, ValueError):
            pass
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Print the growth of all shapes, in instructions and in seconds."""
    for name, shape in SHAPES.items():
        short, long = _seconds(shape(20_000)), _seconds(shape(80_000))
        print(f"{name:45} {growth(shape, 500):5.2f} {long / short:6.2f}  {long * 1000:9.2f} ms")


if __name__ == "__main__":
    main()
