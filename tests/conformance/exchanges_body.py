"""The list of exchanges in which the client sends a body: whole, cut, too large, or not what it says."""

from __future__ import annotations

from tests.conformance.script import WHOLE, Answer, Ask, Continue, Leave, Raw, Recorded, get, one, post

__all__ = ["BODIES"]


def multipart(*lines: str) -> Ask:
    return post("/form", "\r\n".join(lines).encode(), "multipart/form-data; boundary=edge")


FIELD = ("--edge", 'content-disposition: form-data; name="a"', "")
FILE = ("--edge", 'content-disposition: form-data; name="f"; filename="f.txt"', "content-type: text/plain", "")

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
        "the handler asks for the client before the body comes",
        Ask(method="POST", target="/asking", body=b"", promised=4, headers=(("expect", "100-continue"),)),
        Continue(),
        Raw(b"body"),
        Answer(),
        **WHOLE,
        body=b"body",
        wire_only="interim responses are the server's",
    ),
    one(
        "the handler asks for the client while the body comes",
        Ask(method="POST", target="/asking", chunks=(b"one ", b"two ", b"three")),
        **WHOLE,
        body=b"one two three",
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
