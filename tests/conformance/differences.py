"""Where a server shows something else, and why: data, kept true by the tests, which fail when a difference is gone.

`DIFFERENCES[server][exchange]` holds the facts that are seen instead, and the reason. `UNFIXED[exchange]` says on
which players the framework itself does not keep its promise yet, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["DIFFERENCES", "IN_PROCESS", "UNFIXED", "Difference", "expected_of", "unfixed_reason"]

Difference: TypeAlias = tuple[Mapping[str, Any], str]
IN_PROCESS = "in process"

_LEFT = "handler left"
_NO_DENIAL = "offers no websocket.http.response, so that 403 is all a handshake can be refused with"
_WHOLE_URL = "leaves the whole URL in `path`"
_ROOT_TWICE = "puts the root path in front of every path, also where the proxy has left it"
_HOST_OPTIONAL = "does not insist on a Host header"
_NO_REASON = "does not tell the application the reason of a close"
_NO_SIGHT = "gives up quietly on what is sent after the client has left"
_PRIVATE_CODES = "takes close codes of 1000 and 3000 to 4999 alone, so that 3000 is added to others; sends no reason"
_HARMED = "leaves the connection open when the application raises, and then closes no other: nothing is raised"
_EXIT_BY_SIGNAL = "ends itself by the signal once it has shut down"

_UVICORN: dict[str, Difference] = {
    "http/1.1 without a host": ({"status": 200}, _HOST_OPTIONAL),
    "ws: the connection is cut": ({"recorded": ["disconnect 1005", _LEFT]}, "says 1005 for a cut as well"),
    "root path kept by the proxy": ({"status": 404}, _ROOT_TWICE),
    "mounted app, root path kept": ({"status": 404}, _ROOT_TWICE),
    "root path alone": ({"status": 404}, _ROOT_TWICE),
    "start-up fails": ({"exit": 3}, "has an exit status of its own for a failed start"),
    "SIGTERM with an idle connection": ({"exit": -15}, _EXIT_BY_SIGNAL),
}

DIFFERENCES: dict[str, dict[str, Difference]] = {
    "uvicorn": {
        **_UVICORN,
        "empty path": ({"status": 400}, "refuses a URL without a path (httptools)"),
        "lower-case method": ({"status": 400}, "refuses methods in lower case (httptools)"),
    },
    "uvicorn-h11": {
        **{name: _UVICORN[name] for name in _UVICORN if name != "http/1.1 without a host"},
        "absolute-form target": ({"status": 404}, _WHOLE_URL),
        "empty path": ({"status": 404}, _WHOLE_URL),
    },
    "hypercorn": {
        "absolute-form target": ({"status": 404}, _WHOLE_URL),
        "empty path": ({"status": 404}, _WHOLE_URL),
        "lower-case method": ({"status": 200}, "turns methods into upper case"),
        "query above 64 KiB": ({"status": 431}, "refuses a request line and headers above 16 KiB"),
        "content-length below the body": ({"status": 400}, "refuses bytes after the last request"),
        "ws: the client closes with code and reason": (
            {"recorded": ["disconnect 1006", _LEFT]},
            "says 1006, however the client has closed",
        ),
        "ws: the client closes without code": (
            {"recorded": ["disconnect 1006", _LEFT]},
            "says 1006, however the client has closed",
        ),
        "ws: a waiting handler sees the client leave": (
            {"recorded": ["WebSocketDisconnect 1006"]},
            "says 1006, however the client has closed",
        ),
        "start-up fails": ({"exit": 0}, "ends with 0, though it has not started"),
    },
    "granian": {
        "http/1.1 without a host": ({"status": 200}, _HOST_OPTIONAL),
        "http/1.0 without a host": ({"json.http_version": "1"}, "writes the version as 1"),
        "query above 64 KiB": ({"status": 414}, "refuses a target above 64 KiB"),
        "too many headers": ({"status": 431}, "takes at most 100 headers"),
        "ws: the client closes with code and reason": ({"recorded": ["disconnect 4002", _LEFT]}, _NO_REASON),
        "ws: a waiting handler sees the client leave": ({"recorded": ["WebSocketDisconnect 4002"]}, _NO_REASON),
        "ws: the connection is cut": ({"recorded": ["disconnect 1005", _LEFT]}, "says 1005 for a cut as well"),
        "ws: headers of the accept": ({"x-accepted": None}, "drops headers of the accept"),
    },
    "daphne": {
        "http/1.1 without a host": ({"status": 200}, _HOST_OPTIONAL),
        "absolute-form target": ({"status": 404}, _WHOLE_URL),
        "empty path": ({"status": 404}, _WHOLE_URL),
        "query above 64 KiB": ({"status": None, "end": "silence"}, "hangs up on a request line above 16 KiB"),
        "too many headers": ({"status": 400}, "takes at most 500 headers"),
        "upload cut in the middle": ({"recorded": []}, "reads the whole body before it calls the application"),
        "chunked upload cut in the middle": ({"recorded": []}, "reads the whole body before it calls the application"),
        "body that does not come": (
            {"status": None, "end": "open"},
            "reads the whole body before it calls the application",
        ),
        "error in a stream": ({"end": "open", "log": "clean"}, _HARMED),
        "a broken stream, then a socket that raises": ({"close": "4011"}, _PRIVATE_CODES),
        "ws: empty text": ({"frames": ["end"], "close": "open"}, "drops empty messages"),
        "ws: empty bytes": ({"frames": ["end"], "close": "open"}, "drops empty messages"),
        "ws: the handler raises": ({"close": "4011", "log": "clean"}, _PRIVATE_CODES),
        "ws: bytes where text is due": ({"close": "4003"}, _PRIVATE_CODES),
        "ws: no json": ({"close": "4007"}, _PRIVATE_CODES),
        "ws: message above the limit": ({"close": "4009"}, _PRIVATE_CODES),
        "ws: the handler closes": ({"close": "4001"}, "sends no reason"),
        "ws: the client closes with code and reason": ({"recorded": ["disconnect 4002", _LEFT]}, _NO_REASON),
        "ws: the client closes without code": ({"recorded": ["disconnect None", _LEFT]}, "gives None as the code"),
        "ws: a waiting handler sees the client leave": ({"recorded": ["WebSocketDisconnect 4002"]}, _NO_REASON),
        "ws: unknown path": ({"handshake": 403}, _NO_DENIAL),
        "ws: path of an http route": ({"handshake": 403}, _NO_DENIAL),
        "ws: http exception before accept": ({"handshake": 403}, _NO_DENIAL),
        "ws: headers of the accept": ({"x-accepted": None}, "drops headers of the accept"),
        "start-up fails": (
            {"exit": None, "served": 503, "told": False},
            "knows no lifespan: the application is started by its first request",
        ),
    },
}


UNFIXED: dict[str, tuple[tuple[str, ...], str]] = {
    "two hosts": (
        (IN_PROCESS, "uvicorn", "granian", "daphne"),
        "neither is believed, but a refusal would cost every request",
    ),
}


def expected_of(player: str, name: str, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a player has to see; a difference in the status stands for all of them."""
    instead, _ = DIFFERENCES.get(player, {}).get(name, ({}, ""))
    kept = {} if "status" in instead or "handshake" in instead else seen
    return {**kept, **instead}


def unfixed_reason(player: str, name: str) -> str:
    """Return why the framework fails here, or an empty text."""
    players, reason = UNFIXED.get(name, ((), ""))
    return reason if player in players else ""
