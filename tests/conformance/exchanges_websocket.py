"""The list of websocket exchanges, and of the few that are played under a root path."""

from __future__ import annotations

from typing import Any

from tests.conformance.script import HOST, WHOLE, Close, Exchange, Frame, Leave, Open, Recorded, Say, get, one

__all__ = ["ROOT_PATH", "WEBSOCKET"]

LEFT = "handler left"


def refused(name: str, opening: Open, status: int, **seen: Any) -> Exchange:
    """Return an exchange whose handshake is answered with an HTTP status."""
    return one(name, opening, Frame(), handshake=status, **seen)


MESSAGES = [
    one("ws: text", Open("/ws/echo"), Say("héllo 🐎"), Frame(), handshake=101, frames=["héllo 🐎"]),
    one("ws: bytes", Open("/ws/echo"), Say(b"\x00\xff"), Frame(), frames=[b"\x00\xff"]),
    one("ws: empty text", Open("/ws/echo"), Say(""), Say("end"), Frame(), Frame(), frames=["", "end"]),
    one("ws: empty bytes", Open("/ws/echo"), Say(b""), Say("end"), Frame(), Frame(), frames=[b"", "end"]),
    one("ws: 60,000 bytes", Open("/ws/echo"), Say("x" * 60_000), Frame(), frames=["x" * 60_000]),
    one("ws: json", Open("/ws/json"), Say('{"a": [1]}'), Frame(), frames=['{"a":[1]}']),
    one(
        "ws: state and url",
        Open("/ws/state?a=1"),
        Frame(),
        frames=['{"answer":42,"path":"/ws/state","url":"ws://conformance.test/ws/state?a=1"}'],
    ),
]

ENDS = [
    one("ws: the handler returns", Open("/ws/returns"), Frame(), Frame(), frames=["bye"], close="1000"),
    one("ws: the handler closes", Open("/ws/closes"), Frame(), frames=[], close="4001 enough"),
    one(
        "ws: the handler raises",
        Open("/ws/fails"),
        Frame(),
        Frame(),
        Recorded(),
        frames=["soon"],
        close="1011",
        recorded=["log: DeliberateError in websocket '/ws/fails'"],
    ),
    one("ws: bytes where text is due", Open("/ws/text"), Say(b"x"), Frame(), frames=[], close="1003 text expected"),
    one("ws: no json", Open("/ws/json"), Say("{"), Frame(), frames=[], close="1007 not JSON"),
    one("ws: message at the limit", Open("/ws/text"), Say("x" * 64), Frame(), frames=["x" * 64]),
    one(
        "ws: message above the limit",
        Open("/ws/text"),
        Say("x" * 65),
        Frame(),
        frames=[],
        close="1009 messages have at most 64 bytes",
    ),
    one(
        "ws: the client closes with code and reason",
        Open("/ws/echo"),
        Close(4002, "bye"),
        Recorded(),
        recorded=["disconnect 4002 bye", LEFT],
    ),
    one(
        "ws: the client closes without code",
        Open("/ws/echo"),
        Close(),
        Recorded(),
        recorded=["disconnect 1005", LEFT],
    ),
    one("ws: the connection is cut", Open("/ws/echo"), Leave(), Recorded(), recorded=["disconnect 1006", LEFT]),
    one(
        "ws: a waiting handler sees the client leave",
        Open("/ws/leaving"),
        Close(4002, "bye"),
        Recorded(),
        recorded=["WebSocketDisconnect 4002 bye"],
    ),
    one(
        "ws: a handler that only sends sees the client leave",
        Open("/ws/sender"),
        Frame(),
        Leave(),
        Recorded(),
        recorded=[LEFT],
    ),
]

HANDSHAKES = [
    refused("ws: unknown path", Open("/ws/nothing"), 404, body=b"Not Found"),
    refused("ws: path of an http route", Open("/plain"), 404),
    refused("ws: http exception before accept", Open("/ws/teapot"), 418, body=b"short and stout"),
    refused("ws: close before accept", Open("/ws/closes-unaccepted"), 403),
    refused("ws: the handler returns before accept", Open("/ws/returns-unaccepted"), 403),
    one(
        "ws: the handler raises before accept",
        Open("/ws/fails-unaccepted"),
        Recorded(),
        handshake=403,
        body=b"",
        recorded=["log: DeliberateError in websocket '/ws/fails-unaccepted'"],
    ),
    refused("ws: from another origin", Open("/ws/echo", (("origin", "http://evil.test"),)), 403),
    refused("ws: from an opaque origin", Open("/ws/echo", (("origin", "null"),)), 403),
    refused("ws: from another port", Open("/ws/echo", (("origin", f"http://{HOST}:8080"),)), 403),
    one("ws: from the same origin", Open("/ws/echo", (("origin", f"http://{HOST}"),)), handshake=101),
    one(
        "ws: subprotocol",
        Open("/ws/subprotocol", subprotocols=("first", "second")),
        Frame(),
        handshake=101,
        sec_websocket_protocol="second",
        frames=["offered: first second"],
    ),
    one(
        "ws: no subprotocol",
        Open("/ws/subprotocol"),
        Frame(),
        handshake=101,
        sec_websocket_protocol=None,
        frames=["offered: "],
    ),
    one("ws: headers of the accept", Open("/ws/accept-headers"), handshake=101, x_accepted="yes"),
    one("ws: http request to a websocket's path", get("/ws/echo"), status=404),
]

WEBSOCKET = [*MESSAGES, *ENDS, *HANDSHAKES]

SEEN: dict[str, Any] = {
    "json__path": "/pre/where/x",
    "json__root_path": "/pre",
    "json__params": {"rest": "x"},
    "json__url": "http://conformance.test/pre/where/x",
    "json__base_url": "http://conformance.test/pre/",
    "json__back": "/pre/where/x",
}
MOUNTED: dict[str, Any] = {
    "json__path": "/pre/mounted/info",
    "json__root_path": "/pre/mounted",
    "json__url": "http://conformance.test/pre/mounted/info",
}

# Played on servers that were started with the root path /pre: what a proxy at /pre sends on.
ROOT_PATH = [
    one("root path stripped by the proxy", get("/where/x"), **WHOLE, **SEEN),
    one("root path kept by the proxy", get("/pre/where/x"), **WHOLE, **SEEN),
    one("mounted app, root path stripped", get("/mounted/info"), **WHOLE, **MOUNTED),
    one("mounted app, root path kept", get("/pre/mounted/info"), **WHOLE, **MOUNTED),
    one("root path with a slash redirect", get("/slashed"), status=307, location="/pre/slashed/"),
    one("root path in middleware", get("/where/x"), x_url="http://conformance.test/pre/where/x"),
    one("root path alone", get("/pre"), **WHOLE, body=b"root"),
    one(
        "ws: root path stripped by the proxy",
        Open("/ws/state"),
        Frame(),
        frames=['{"answer":42,"path":"/pre/ws/state","url":"ws://conformance.test/pre/ws/state"}'],
    ),
]
