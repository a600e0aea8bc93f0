"""The list of http exchanges: what every server must show a client of a microasgi application. Bodies have their own.

What is seen here is what the framework promises on a server that keeps to the specification; where a real one cannot,
`differences` says what is seen instead, and why.
"""

from __future__ import annotations

from tests.conformance.script import WHOLE, Answer, Ask, Await, Leave, Part, Recorded, get, one, post

__all__ = ["BREAKING", "HTTP"]

TEXT = "text/plain; charset=utf-8"


PLAIN = [
    one("get", get("/plain"), **WHOLE, body=b"plain", content_type=TEXT, content_length="5", x_stamp="middleware"),
    one("get of a blocking handler", get("/in-a-thread"), **WHOLE, body=b"thread"),
    one(
        "head, then get on the same connection",
        Ask(method="HEAD", target="/plain"),
        Answer("1."),
        get("/plain"),
        Answer("2."),
        **{"1__status": 200, "1__body": b"", "1__content_length": "5", "1__content_type": TEXT, "2__body": b"plain"},
    ),
    one("head of a stream", Ask(method="HEAD", target="/stream"), **WHOLE, body=b"", content_type=TEXT),
    one("post", post("/echo", b"a body"), **WHOLE, body=b"a body", content_type="application/octet-stream"),
    one("post without a body", post("/echo", b""), **WHOLE, body=b""),
    one(
        "two pipelined requests",
        get("/plain"),
        get("/where/second"),
        Answer("1."),
        Answer("2."),
        **{"1__body": b"plain", "1__end": "complete", "2__status": 200, "2__json__path": "/where/second"},
    ),
    one(
        "http/1.0 without a host",
        get("/where/x", version="1.0", bare=True),
        **WHOLE,
        json__path="/where/x",
        json__http_version="1.0",
    ),
    one("http/1.1 without a host", get("/where/x", bare=True), status=400, wire_only="a server's rule (RFC 9112 3.2)"),
    one("two hosts", get("/where/x", ("host", "evil.test")), status=400),
    one("no content", get("/no-content"), status=204, body=b"", content_length=None, x_stamp="middleware"),
    one(
        "no content, then get on the same connection",
        get("/no-content"),
        Answer("1."),
        get("/plain"),
        Answer("2."),
        **{"1__status": 204, "2__body": b"plain"},
    ),
    one("not modified", get("/not-modified"), status=304, body=b"", etag='"1"', end="complete"),
    one(
        "json beyond ascii",
        get("/json"),
        **WHOLE,
        body='{"text":"žluťoučký 🐎"}'.encode(),
        content_type="application/json",
        content_length="29",
    ),
    one(
        "two cookies are set",
        get("/two-cookies"),
        **WHOLE,
        set_cookie="one=1; Path=/; SameSite=lax | two=2; HttpOnly; Path=/; SameSite=lax",
    ),
    one("two cookie headers", get("/cookies", ("cookie", "a=1"), ("cookie", "b=2")), body=b'{"a":"1","b":"2"}'),
    one(
        "bad cookies",
        get("/cookies", ("cookie", '=nameless; a; ;;; b="unclosed; c=1; c=2; d=\xe9')),
        **WHOLE,
        json__c="1",
    ),
    one(
        "background task",
        get("/background"),
        Answer(),
        Recorded(),
        **WHOLE,
        body=b"sent",
        recorded=["background ran"],
    ),
    one(
        "lifespan and state",
        get("/life"),
        **WHOLE,
        json__starts=1,
        json__requests_before_start=0,
        json__answer=42,
        json__starlette="started",
    ),
    one(
        "mounted starlette",
        get("/mounted/info"),
        **WHOLE,
        json__state="started",
        json__root_path="/mounted",
        json__path="/mounted/info",
        json__url="http://conformance.test/mounted/info",
        x_stamp="middleware",
    ),
    one("unknown path in the mounted starlette", get("/mounted/nothing"), status=404, x_stamp="middleware"),
]

TARGETS = [
    one(
        "target",
        get("/where/a%20b/c?x=1&y=a+b&y=%C3%A9"),
        **WHOLE,
        json__path="/where/a b/c",
        json__url="http://conformance.test/where/a%20b/c?x=1&y=a+b&y=%C3%A9",
        json__base_url="http://conformance.test/",
        json__query=[["x", "1"], ["y", "a b"], ["y", "é"]],
        json__params={"rest": "a b/c"},
        json__back="/where/x",
    ),
    one("encoded slash", get("/where/a%2Fb"), **WHOLE, json__path="/where/a/b"),
    one("encoded slash in a segment", get("/segment/a%2Fb"), status=404, body=b"Not Found"),
    one("invalid utf-8 in the path", get("/segment/a%ffb"), **WHOLE, json__params={"name": "a\ufffdb"}),
    one("invalid utf-8 in the query", get("/where/x?q=%ff"), **WHOLE, json__query=[["q", "\ufffd"]]),
    one("encoded question mark", get("/where/a%3Fb?c"), **WHOLE, json__url="http://conformance.test/where/a%3Fb?c"),
    one(
        "octets above 127 in the target",
        get("/segment/\xe9"),
        status=400,
        wire_only="a server refuses it or decodes it (RFC 9112 3.2)",
    ),
    one(
        "absolute-form target",
        get("http://conformance.test/where/x"),
        **WHOLE,
        json__path="/where/x",
        wire_only="a server takes the path out of it (RFC 9112 3.2.2)",
    ),
    one("empty path", get("http://conformance.test"), **WHOLE, body=b"root", wire_only="a server gives `/` or nothing"),
    one("dot segments", get("/where/../plain"), status=404),
    one("two slashes in front", get("//evil.test/where"), status=404, location=None),
    one("lower-case method", Ask(method="get", target="/plain"), status=405, allow="GET, HEAD"),
    one("method without a route", Ask(method="PROPFIND", target="/plain"), status=405, allow="GET, HEAD"),
    one("unknown path", get("/nothing"), status=404, body=b"Not Found", content_type=TEXT, x_stamp="middleware"),
    one(
        "unknown path, json preferred",
        get("/nothing", ("accept", "application/json")),
        status=404,
        content_type="application/problem+json",
        json__status=404,
        json__title="Not Found",
    ),
    one("wrong method", post("/plain", b"x"), status=405, allow="GET, HEAD", x_stamp="middleware"),
    one("options", Ask(method="OPTIONS", target="/where/x"), status=204, body=b"", allow="GET, HEAD, POST"),
    one("slash redirect", get("/slashed?a=1"), status=307, location="/slashed/?a=1", x_stamp="middleware"),
    one("no slash redirect of a post", post("/slashed", b"x"), status=404),
    one("queries up to the limit", get("/queried?" + "&".join("a" * 1000)), **WHOLE, json__keys=1000),
    one("too many queries", get("/queried?" + "&".join("a" * 1001)), status=400),
    one("query above 64 KiB", get("/queried?a=" + "b" * 65536), status=400),
    one("too many headers", get("/headers", *[("x-many", "1")] * 2000), **WHOLE, json__count=2000),
]

RESPONSES = [
    one(
        "stream",
        get("/stream"),
        Answer(),
        Recorded(),
        **WHOLE,
        body=b"part 0\npart 1\npart 2\npart 3\npart 4\n",
        content_length=None,
        recorded=["cleaned up"],
    ),
    one(
        "stream, then get on the same connection",
        get("/stream"),
        Answer("1."),
        get("/plain"),
        Answer("2."),
        **{"1__end": "complete", "2__body": b"plain"},
    ),
    one(
        "stream that the client leaves",
        get("/endless"),
        Part(20),
        Leave(),
        Recorded(),
        status=200,
        recorded=["started", "cleaned up"],
    ),
    one(
        "waiting stream that the client leaves",
        get("/waiting"),
        Part(10),
        Leave(),
        Recorded(),
        status=200,
        recorded=["cleaned up"],
    ),
    one(
        "handler that asks whether the client has left",
        get("/watching"),
        Await("started"),
        Leave(),
        Recorded(),
        recorded=["started", "saw the client leave"],
    ),
    one("http exception", get("/teapot"), status=418, body=b"short and stout", x_pot="yes", x_stamp="middleware"),
    one(
        "error before the start",
        get("/fail"),
        Answer(),
        Recorded(),
        status=500,
        body=b"Internal Server Error",
        x_stamp="middleware",
        end="complete",
        recorded=["log: DeliberateError in GET '/fail'"],
    ),
    one("error in a stream, asked by head", Ask(method="HEAD", target="/fail-in-stream"), status=200, body=b""),
]

# Played last: daphne does not survive it, see `lives`.
BREAKING = [
    one(
        "error in a stream",
        get("/fail-in-stream"),
        Answer(),
        Recorded(),
        status=200,
        body=b"the first part",
        end="cut",
        log="DeliberateError",
        recorded=["log: DeliberateError in GET '/fail-in-stream'"],
    ),
]

HTTP = [*PLAIN, *TARGETS, *RESPONSES]
