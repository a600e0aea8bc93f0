"""What both applications are asked, in this order, and where their answers differ on purpose.

An answer is a dictionary of what is compared: for a request `status`, `body` and the named headers, for a websocket
what was received, and how it ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["EXCHANGES", "Ask", "Differs", "Talk"]

Answer = dict[str, Any]


@dataclass(frozen=True)
class Differs:
    """The reason why the answers are not the same, and the parts of each that are not."""

    reason: str
    starlette: Answer
    microasgi: Answer


@dataclass(frozen=True)
class Ask:
    """One request; `headers` names the response headers that are compared besides status and body."""

    method: str
    url: str
    headers: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    differs: Differs | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.url}"


@dataclass(frozen=True)
class Talk:
    """One websocket; `script` holds a method of the test session and its arguments for each step."""

    url: str
    script: tuple[tuple[Any, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)
    differs: Differs | None = None

    def __str__(self) -> str:
        return f"WS {self.url}"


def ask(method: str, url: str, *headers: str, differs: Differs | None = None, **options: Any) -> Ask:
    return Ask(method, url, ("content-type", *headers), options, differs)


def talk(url: str, *script: tuple[Any, ...], differs: Differs | None = None, **options: Any) -> Talk:
    return Talk(url, script, options, differs)


PNG = b"\x89PNG" + bytes(range(256)) * 8
FILES = [("photo", ("a b.png", PNG, "image/png")), ("more", ("t.txt", b"text", "text/plain"))]
CLOSED = {"end": ("closed", 1000, "")}

EXCHANGES: list[Ask | Talk] = [
    # Pages, headers, the URL and its parts
    ask("GET", "/", "content-length", "x-outer", "x-inner"),
    ask("HEAD", "/", "content-length"),
    ask("GET", "/plain", "x-kind", "content-length"),
    ask("PUT", "/plain", "allow"),
    ask("GET", "/inspect/x?a=1&a=2&b=%C3%A9+e&empty="),
    ask("PUT", "/inspect/x", headers={"User-Agent": "drill/1", "Cookie": 'a=1; b="two words"'}),
    ask("DELETE", "/inspect/x", "allow"),
    ask("GET", "https://shop.example.org:8443/inspect/x"),
    # Convertors, and the way back to URLs
    ask("GET", "/calendar/2031-12-31"),
    ask("GET", "/calendar/yesterday"),
    ask("GET", "/convert/12/0.25/a/b%20c"),
    ask("GET", "/convert/twelve/0.25/a"),
    ask("GET", "/token/00000000-0000-0000-0000-000000000007"),
    ask("GET", "/files/"),
    ask("GET", "/files/a/b.txt"),
    ask("GET", "/between/2020-05-x.html"),
    ask("GET", "/paths"),
    # Class endpoints
    ask("GET", "/tools", "x-total"),
    ask("GET", "/tools?q=lad", "x-total"),
    ask("POST", "/tools", "location", json={"name": "saw", "price": 3}),
    ask("POST", "/tools", "x-field", json={"price": 3}),
    ask("GET", "/tools/3"),
    ask("HEAD", "/tools/3", "content-length"),
    ask("PATCH", "/tools/3", json={"price": 3.5}),
    ask("DELETE", "/tools/3"),
    ask("GET", "/tools/3"),
    ask("PUT", "/tools/1", "allow"),
    # Exception handlers by status, by class, for a subclass, of the mounted application
    ask("GET", "/nowhere"),
    ask("GET", "/lend/drill"),
    ask("GET", "/lend/saw"),
    ask("GET", "/teapot", "x-spout"),
    ask("GET", "/fail"),
    ask("GET", "/api/lend/drill"),
    ask("GET", "/api/fail"),
    # Forms, cookies, redirects, uploads, bodies
    ask("POST", "/join", "location", data={"name": "Ada", "topic": ["wood", "steel"]}, follow_redirects=False),
    ask("POST", "/join", data={"name": "Bo", "topic": ["wood"]}),
    ask("GET", "/me"),
    ask("GET", "/leave", "location", follow_redirects=False),
    ask("GET", "/leave"),
    ask("POST", "/tools/1/photo", data={"caption": "größer"}, files=FILES),
    ask("GET", "/tools/1/photo", "content-length"),
    ask("GET", "/tools/2/photo"),
    ask("PUT", "/weigh", content=b"x" * 100_000),
    ask("POST", "/weigh", content=b""),
    ask("POST", "/twice", json={"a": [1, None, "é"]}),
    # Streams, background tasks, threads, raw ASGI, response classes of one's own
    ask("GET", "/export.csv", "content-disposition"),
    ask("GET", "/countdown"),
    ask("POST", "/remind"),
    ask("GET", "/reminded"),
    ask("GET", "/reminded"),
    ask("GET", "/thread"),
    ask("GET", "/greet/ada"),
    ask("POST", "/greet/ada"),
    ask("GET", "/repeat"),
    ask("GET", "/table", "x-rows", "x-route", "x-inner"),
    ask("GET", "/raw/deep/er"),
    ask("GET", "/plain", "x-outer", headers={"X-Maintenance": "on"}),
    # Mounts and hosts
    ask("GET", "/admin/report/2030", "www-authenticate"),
    ask("GET", "/admin/report/2030", headers={"X-Key": "k3y"}),
    ask("GET", "/admin/nothing", headers={"X-Key": "k3y"}),
    ask("GET", "/api/"),
    ask("GET", "http://members.example.org/ada"),
    ask("GET", "http://members.example.org/ada/x"),
    ask("GET", "/tools/?q=drill"),
    # Websockets
    talk("/ws/echo", ("send_text", "a"), ("receive_text",), ("send_text", "ü"), ("receive_text",)),
    talk(
        "/ws/rooms/7?key=k",
        ("receive_json",),
        ("send_json", {"n": 1}),
        ("receive_json", "binary"),
        ("send_bytes", b"\x00\x01"),
        ("receive_bytes",),
        ("receive_text",),
        subprotocols=["tools.v1", "tools.v2"],
    ),
    talk("/ws/guarded"),
    talk("/ws/guarded?token=abc", ("send_text", "hi")),
    talk("/ws/guarded?token=abc", ("close", 4002)),
    talk("/ws/refuse"),
    talk("/ws/count", ("send_json", {"add": 2}), ("receive_json",), ("send_json", {"add": 3}), ("receive_json",)),
    # On purpose not the same
    ask(
        "GET",
        "/inspect/caf%C3%A9",
        differs=Differs(
            "request.url is percent-encoded, so that a path can never turn into a query",
            {"body.path": "/inspect/café", "body.url": "http://testserver/inspect/café"},
            {"body.path": "/inspect/caf%C3%A9", "body.url": "http://testserver/inspect/caf%C3%A9"},
        ),
    ),
    ask(
        "GET",
        "/me",
        headers={"Cookie": "member=first; member=second; stray"},
        differs=Differs(
            "of two cookies with one name the first counts: browsers send the most specific path first",
            {"body.member": "second"},
            {"body.member": "first"},
        ),
    ),
    ask(
        "GET",
        "/shadow/exact",
        differs=Differs("the most specific route wins, not the first", {"body": "shadow of exact"}, {"body": "exact"}),
    ),
    ask(
        "GET",
        "http://north.branches.example.org/",
        differs=Differs(
            "a host is more specific than any path; there it has to be listed before them",
            {"content-type": ["text/html; charset=utf-8"], "body": ...},
            {"content-type": ["application/json"], "body": {"branch": "north", "path": "/"}},
        ),
    ),
    ask(
        "PUT",
        "/tools/1/photo",
        "allow",
        differs=Differs(
            "405 names the methods of all routes with that path", {"allow": ["POST"]}, {"allow": ["GET, HEAD, POST"]}
        ),
    ),
    ask(
        "OPTIONS",
        "/plain",
        "allow",
        differs=Differs(
            "OPTIONS is answered with the methods",
            {"status": 405, "body": "Method Not Allowed", "content-type": ["text/plain; charset=utf-8"]},
            {"status": 204, "body": "", "content-type": []},
        ),
    ),
    ask(
        "GET",
        "/api",
        "location",
        follow_redirects=False,
        differs=Differs(
            "a mount answers its path without the slash too",
            {"status": 307, "location": ["http://testserver/api/"], "body": "", "content-type": []},
            {
                "status": 200,
                "location": [],
                "body": {"root": "/api", "app": True},
                "content-type": ["application/json"],
            },
        ),
    ),
    ask(
        "GET",
        "/tools/?q=drill",
        "location",
        follow_redirects=False,
        differs=Differs(
            "slash redirects carry no host",
            {"location": ["http://testserver/tools?q=drill"]},
            {"location": ["/tools?q=drill"]},
        ),
    ),
    ask(
        "POST",
        "/tools/",
        "location",
        json={},
        follow_redirects=False,
        differs=Differs(
            "only GET and HEAD are redirected",
            {"status": 307, "location": ["http://testserver/tools"], "body": "", "content-type": []},
            {"status": 404, "location": [], "body": ..., "content-type": ["application/json"]},
        ),
    ),
    ask(
        "GET",
        "/fail",
        "x-outer",
        "x-inner",
        differs=Differs(
            "an unhandled error crosses the middleware as a response",
            {"x-outer": [], "x-inner": []},
            {"x-outer": ["1"], "x-inner": ["yes"]},
        ),
    ),
    ask(
        "GET",
        "/teapot",
        headers={"Accept": "application/json"},
        differs=Differs(
            "a client that prefers JSON gets problem details (RFC 9457)",
            {"content-type": ["text/plain; charset=utf-8"], "body": "short and stout"},
            {
                "content-type": ["application/problem+json"],
                "body": {"type": "about:blank", "title": "I'm a Teapot", "status": 418, "detail": "short and stout"},
            },
        ),
    ),
    ask(
        "POST",
        "/tools",
        content=b'{"name":',
        differs=Differs(
            "bad JSON is the client's mistake",
            {"status": 500, "body": "sorry: JSONDecodeError"},
            {"status": 400, "body": "invalid JSON: Expecting value at line 1 column 9"},
        ),
    ),
    ask(
        "GET",
        "/trust?value=a%0d%0aX-Evil:%20b",
        "x-said",
        differs=Differs(
            "line ends in a header's value raise",
            {"status": 200, "x-said": ["a\r\nX-Evil: b"], "body": "ok"},
            {"status": 500, "x-said": [], "body": "sorry: ValueError"},
        ),
    ),
    ask(
        "PUT",
        "/weigh",
        content=bytes(16 * 1024 * 1024 + 1),
        differs=Differs(
            "a body has at most 16 MiB unless more is allowed",
            {"status": 200, "body": "16777217 bytes"},
            {"status": 413, "body": "the body is larger than 16777216 bytes"},
        ),
    ),
    ask(
        "POST",
        "/tools/1/photo",
        files=FILES * 2,
        differs=Differs(
            "what is too large or too many is a 413",
            {"status": 400, "body": "Too many files. Maximum number of files is 3."},
            {"status": 413, "body": "The form has more than 3 files."},
        ),
    ),
    ask(
        "GET",
        "/plain",
        "vary",
        differs=Differs(
            "the same name is not added to Vary twice", {"vary": ["X-Stamp, X-Stamp"]}, {"vary": ["X-Stamp"]}
        ),
    ),
    talk(
        "/ws/nowhere",
        differs=Differs("an unknown path is a 404 also for websockets", CLOSED, {"end": ("denied", 404, "Not Found")}),
    ),
    talk(
        "/ws/rooms/seven",
        differs=Differs("an unknown path is a 404 also for websockets", CLOSED, {"end": ("denied", 404, "Not Found")}),
    ),
    talk(
        "/ws/echo",
        headers={"Origin": "https://evil.example"},
        differs=Differs(
            "handshakes of other sites are refused",
            {"end": ("left",)},
            {"end": ("denied", 403, "a page of another origin may not open this websocket"), "accepted": None},
        ),
    ),
    talk(
        "/ws/echo",
        ("send_text", "x" * (1024 * 1024 + 1)),
        ("receive",),
        differs=Differs(
            "a message has at most 1 MiB unless more is allowed",
            {"received": ...},
            {"received": [{"type": "websocket.close", "code": 1009, "reason": "messages have at most 1048576 bytes"}]},
        ),
    ),
    talk(
        "/ws/broken",
        ("receive_text",),
        ("receive",),
        differs=Differs(
            "an error in a handler closes with 1011; there the exception goes to the server",
            {"end": ("RuntimeError", "the line is down"), "accepted": None, "received": []},
            {"received": ["so far so good", {"type": "websocket.close", "code": 1011, "reason": ""}]},
        ),
    ),
]
