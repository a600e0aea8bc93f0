"""The list of http exchanges: what every server must show a client of a microasgi application.

What is seen here is what the framework promises on a server that keeps to the specification; where a real one cannot,
`differences` says what is seen instead, and why.
"""

from __future__ import annotations

from typing import Any

from tests.conformance.script import Answer, Ask, Await, Continue, Exchange, Leave, Part, Raw, Recorded, Step

__all__ = ["BREAKING", "HTTP"]

TEXT = "text/plain; charset=utf-8"
WHOLE: dict[str, Any] = {"status": 200, "end": "complete"}


def get(target: str, *headers: tuple[str, str], **more: Any) -> Ask:
    return Ask(target=target, headers=headers, **more)


def post(target: str, body: bytes, content_type: str = "text/plain", **more: Any) -> Ask:
    return Ask(method="POST", target=target, body=body, headers=(("content-type", content_type),), **more)


def one(name: str, *steps: Step, **seen: Any) -> Exchange:
    """Return an exchange of the steps; after a request alone, its answer is read. `wire_only` is no fact."""
    wire_only = seen.pop("wire_only", "")
    script = (*steps, Answer()) if len(steps) == 1 and isinstance(steps[0], Ask) else steps
    return Exchange(name, script, {_fact(key): seen[key] for key in seen}, wire_only=wire_only)


def _fact(key: str) -> str:
    """Return a fact's name as written in a call: `1__content_type` is `1.content-type`."""
    name = key.replace("__", ".")
    return name if "json." in name else name.replace("_", "-")


def multipart(*lines: str) -> Ask:
    return post("/form", "\r\n".join(lines).encode(), "multipart/form-data; boundary=edge")


FIELD = ("--edge", 'content-disposition: form-data; name="a"', "")
FILE = ("--edge", 'content-disposition: form-data; name="f"; filename="f.txt"', "content-type: text/plain", "")

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

BODIES = [
    one(
        "chunked body",
        Ask(method="POST", target="/echo", chunks=(b"one ", b"two ", b"three")),
        **WHOLE,
        body=b"one two three",
    ),
    one("chunked body, streamed", Ask(method="POST", target="/streamed-up", chunks=(b"x" * 999,) * 9), json__size=8991),
    one("body not read", post("/unread", b"x" * 1000), **WHOLE, body=b"not read"),
    one(
        "body not read, then get on the same connection",
        post("/unread", b"x" * 1000),
        Answer("1."),
        get("/plain"),
        Answer("2."),
        **{"1__body": b"not read", "2__body": b"plain"},
    ),
    one(
        "expect 100-continue",
        Ask(method="POST", target="/echo", body=b"", promised=4, headers=(("expect", "100-continue"),)),
        Continue(),
        Raw(b"body"),
        Answer(),
        **WHOLE,
        interim=100,
        body=b"body",
        wire_only="interim responses are the server's",
    ),
    one(
        "upload cut in the middle",
        post("/echo", b"half", promised=1000),
        Leave(),
        Recorded(),
        recorded=["ClientDisconnect"],
    ),
    one(
        "chunked upload cut in the middle",
        Raw(b"POST /echo HTTP/1.1\r\nhost: x\r\nx-exchange: TOKEN\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf"),
        Leave(),
        Recorded(),
        recorded=["ClientDisconnect"],
        wire_only="without a server there is no framing",
    ),
    one("body that does not come", post("/impatient", b"half", promised=1000), status=408, connection="close"),
    one("body at the limit", post("/limited", b"x" * 64), **WHOLE, json__size=64),
    one("body above the limit", post("/limited", b"x" * 65), status=413, end="complete", x_stamp="middleware"),
    one(
        "chunked body above the limit",
        Ask(method="POST", target="/limited", chunks=(b"x" * 40, b"x" * 40)),
        status=413,
        end="complete",
    ),
    one(
        "content-length below the body",
        Raw(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\nconnection: close\r\n\r\nfour and more"),
        Answer(),
        **WHOLE,
        body=b"four",
        wire_only="without a server there is no framing",
    ),
    one(
        "two content-lengths",
        Raw(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfour!"),
        Answer(),
        status=400,
        wire_only="a rule for servers (RFC 9112 6.3)",
    ),
    one("json", post("/json", b'{"a":[1,2]}', "application/json"), **WHOLE, json__got={"a": [1, 2]}),
    one("malformed json", post("/json", b'{"a":', "application/json"), status=400),
    one("json that is no utf-8", post("/json", b'"\xff"', "application/json"), status=400),
    one("json nested too deep", post("/json", b"[" * 100_000, "application/json"), status=400),
    one("empty json", post("/json", b"", "application/json"), status=400),
    one(
        "form",
        post("/form", b"a=1&b=x+y&c=%C3%A9", "application/x-www-form-urlencoded"),
        **WHOLE,
        body='{"a":"1","b":"x y","c":"é"}'.encode(),
    ),
    one("multipart", multipart(*FIELD, "1", *FILE, "text", "--edge--", ""), **WHOLE, body=b'{"a":"1","f":"text"}'),
    one("malformed multipart", multipart("--edge", "no header at all", "1", "--edge--", ""), status=400),
    one("truncated multipart", multipart(*FIELD, "1", *FILE, "the end is miss"), status=400),
    one("multipart without a boundary", post("/form", b"x", "multipart/form-data"), status=400),
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

HTTP = [*PLAIN, *TARGETS, *BODIES, *RESPONSES]
