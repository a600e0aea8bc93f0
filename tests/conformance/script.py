"""The language in which exchanges are written: what a client does, step by step, and the facts it must see.

Every step can be played on a wire and, unless the exchange says otherwise, in process without a server.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "HOST",
    "WHOLE",
    "Answer",
    "Ask",
    "Await",
    "Close",
    "Continue",
    "Exchange",
    "Facts",
    "Frame",
    "Leave",
    "Open",
    "Part",
    "Raw",
    "Recorded",
    "Say",
    "Step",
    "get",
    "judge",
    "one",
    "post",
]

HOST = "conformance.test"

Facts: TypeAlias = dict[str, Any]
"""What was seen, by name.

`status`, `body`, `json.<key>` (of a JSON body) and every header in lower case (None: absent; several values are joined
by " | "); `interim`, an informational status before it; `end` of a response: "complete", "cut" (the connection ended
before the body did), "open" (neither came) or "silence" (no response came). Of a socket: `handshake` (status), its
headers as above, `frames`, and `close`: the server's code and reason, "eof" where the connection ended without a close
frame, "open" where nothing came. `recorded`: what the application has told about the exchange; `unexpected`: what the
framework has logged without being provoked. `log`: "clean", or the exception that the server has logged: after a
response has started, raising to the server is the only way to end it.
"""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Send a request. `promised` is a content-length that is not the body's; `bare` leaves out the Host header."""

    method: str = "GET"
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    chunks: tuple[bytes, ...] | None = None
    version: str = "1.1"
    promised: int | None = None
    bare: bool = False


@dataclass(frozen=True)
class Raw:
    """Send these bytes, which only a wire can. TOKEN in them stands for the exchange's name."""

    data: bytes


@dataclass(frozen=True)
class Continue:
    """Read an interim response, which only a server sends."""


@dataclass(frozen=True)
class Answer:
    """Read a response to its end; its facts are named with the prefix."""

    prefix: str = ""


@dataclass(frozen=True)
class Part:
    """Read a response until so many bytes of its body are there."""

    size: int


@dataclass(frozen=True)
class Leave:
    """Cut the TCP connection."""


@dataclass(frozen=True)
class Open:
    """Ask for a websocket and read the answer."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()


@dataclass(frozen=True)
class Say:
    """Send a message: text or bytes."""

    data: str | bytes


@dataclass(frozen=True)
class Frame:
    """Read a message into `frames`, or the end of the socket into `close`."""


@dataclass(frozen=True)
class Close:
    """Send a close frame, with a code and a reason or without both."""

    code: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Await:
    """Wait until the application has recorded this event."""

    event: str


@dataclass(frozen=True)
class Recorded:
    """Ask what the application recorded, until it is what it must be."""


Step: TypeAlias = Ask | Raw | Continue | Answer | Part | Leave | Open | Say | Frame | Close | Await | Recorded


@dataclass(frozen=True)
class Exchange:
    """One conversation: its name, its steps, and the facts that must be seen.

    `wire_only` says why it cannot be played without a server.
    """

    name: str
    steps: tuple[Step, ...]
    seen: Mapping[str, Any]
    wire_only: str = field(default="", kw_only=True)


WHOLE: dict[str, Any] = {"status": 200, "end": "complete"}


def get(target: str, *headers: tuple[str, str], **more: Any) -> Ask:
    """Return a request with GET."""
    return Ask(target=target, headers=headers, **more)


def post(target: str, body: bytes, content_type: str = "text/plain", **more: Any) -> Ask:
    """Return a request with POST."""
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


def judge(expected: Mapping[str, Any], facts: Facts) -> list[str]:
    """Return what differs, as lines to read; an empty list where everything is as expected."""
    found = {name: _look_up(facts, name) for name in expected}
    return [
        f"{name}: expected {value!r}, seen {found[name]!r:.500}"
        for name, value in expected.items()
        if found[name] != value
    ]


def _look_up(facts: Facts, name: str) -> Any:
    source, is_json, key = name.partition("json.")
    if not is_json:
        return facts.get(name)
    try:
        return json.loads(facts.get(f"{source}body", b"")).get(key)
    except ValueError:
        return f"no JSON: {facts.get(f'{source}body')!r}"
