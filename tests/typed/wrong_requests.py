"""Requests that are wrong, each in one way: what they are, and what the two applications of the comparison answer.

`python -m tests.typed.wrong_requests` writes the table into docs/wrong-requests.md.
Law: the two applications take the same parameters of the same types, and both are asked with the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from microasgi.testing import request
from microasgi.types import ASGIApp

PAGE = Path(__file__).parents[2] / "docs" / "wrong-requests.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
FULL = 300  # characters of an answer that the table shows
JSON = {"content-type": "application/json"}
UUID = "6f1c1f6e-2f52-4f0e-9d4e-6f9f4d0b7a11"
ITEM = b'{"name": "bolt", "price": "0.20", "size": {"width": 2, "height": 9}}'


@dataclass(frozen=True)
class Wrong:
    """One wrong request, the status that it has to be answered with, and the faults: (in, name or pointer)."""

    title: str
    target: str
    status: int
    faults: tuple[tuple[str, str], ...] = ()
    method: str = "GET"
    headers: dict[str, str] | None = None
    body: bytes | Callable[[], bytes] = b""

    @property
    def shown(self) -> str:
        """The request's line, as the table shows it."""
        return f"{self.method} {self.target if len(self.target) < 70 else f'{self.target[:60]}…'}"


def query(title: str, text: str, *names: str) -> Wrong:
    return Wrong(title, f"/items/1?{text}", 422, tuple(("query", name) for name in names))


def visit(title: str, target: str, place: str, name: str, **headers: str) -> Wrong:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Wrong(title, target, 422, ((place, name),), headers=given)


def post(title: str, body: bytes | Callable[[], bytes], status: int, *pointers: str, kind: str | None = "") -> Wrong:
    headers = {} if kind is None else {"content-type": kind or "application/json"}
    return Wrong(title, "/items", status, tuple(("body", pointer) for pointer in pointers), "POST", headers, body)


def multipart(*parts: tuple[str, str | None, bytes], end: bytes = b"--limit--\r\n") -> bytes:
    """Write a form: parts of a name, a file's name or none, and content."""
    written = b""
    for name, filename, content in parts:
        file = f'; filename="{filename}"' if filename else ""
        head = f'--limit\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        written += head.encode() + content + b"\r\n"
    return written + end


def upload(title: str, body: bytes, status: int, *faults: tuple[str, str], kind: str = "; boundary=limit") -> Wrong:
    headers = {"content-type": kind if "/" in kind else f"multipart/form-data{kind}"}
    return Wrong(title, "/upload", status, faults, "POST", headers, body)


def item(**changes: Any) -> bytes:
    """Write the JSON of a good item, but for these members."""
    return json.dumps(json.loads(ITEM) | changes).encode()


WRONG = (
    Wrong("a path parameter that is no integer", "/items/abc", 422, (("path", "item_id"),)),
    Wrong("a path parameter below its bound", "/items/0", 422, (("path", "item_id"),)),
    Wrong("a path parameter of 5,000 digits", f"/items/{'9' * 5000}", 422, (("path", "item_id"),)),
    Wrong("a path with a broken percent escape", "/items/%zz", 422, (("path", "item_id"),)),
    Wrong("a path with a NUL", "/items/1%00", 404),
    Wrong("an unknown path", "/nowhere", 404),
    Wrong("a method that the path does not have", "/visits", 405, method="DELETE"),
    query("a query parameter that is no integer", "limit=ten", "limit"),
    query("a fraction for an integer", "limit=2.5", "limit"),
    query("an integer with an underscore", "limit=1_0", "limit"),
    query("an integer in Arabic digits", "limit=%D9%A1", "limit"),
    query("an integer above its bound", "limit=1000", "limit"),
    query("an empty integer", "limit=", "limit"),
    query("a broken percent escape", "limit=%zz", "limit"),
    Wrong("a parameter twice that is one: the last counts", "/items/1?limit=1&limit=2", 200),
    query("a text above its length", "q=teapot", "q"),
    query("no member of the enum", "colour=green", "colour"),
    query("a day that does not exist", "day=2023-02-29", "day"),
    query("a moment for a day", "day=1700000000", "day"),
    query("no UUID", f"key={UUID[:-1]}", "key"),
    query("a Decimal that is no number", "price=NaN", "price"),
    query("one bad element in a list", "tags=1&tags=x", "tags"),
    query("four faults at once", "limit=0&colour=green&day=today&key=1", "limit", "colour", "day", "key"),
    visit("a missing query parameter", "/visits", "query", "q", x_count="1", cookie="visits=1"),
    visit("a missing header", "/visits?q=a", "header", "x-count", cookie="visits=1"),
    visit("a header that is no integer", "/visits?q=a", "header", "x-count", x_count="one", cookie="visits=1"),
    visit("a missing cookie", "/visits?q=a", "cookie", "visits", x_count="1"),
    visit("a cookie that is no integer", "/visits?q=a", "cookie", "visits", x_count="1", cookie="visits=1.0"),
    post("broken JSON", b'{"name": "bolt",\n "price": }', 400),
    post("JSON cut off", ITEM[:-3], 400),
    post("an empty body", b"", 422, "#"),
    post("two documents", ITEM + b" {}", 400),
    post("a body that is not UTF-8", ITEM.replace(b"bolt", b"b\xf6lt"), 400),
    post("JSON without a content type", ITEM, 415, kind=None),
    post("JSON as text/plain", ITEM, 415, kind="text/plain"),
    post("JSON in an unknown charset", ITEM, 415, kind="application/json; charset=utf-17"),
    post("NaN in JSON", ITEM.replace(b'"0.20"', b"NaN"), 400),
    post("an integer of 5,000 digits", ITEM.replace(b": 9", b": " + b"9" * 5000), 400),
    post("200,000 brackets", b"[" * 100_000 + b"]" * 100_000, 400),
    post("200,000 brackets in a member", ITEM.replace(b'"bolt"', b"[" * 100_000 + b"]" * 100_000), 400),
    post("a text with half a surrogate pair", ITEM.replace(b"bolt", b"\\ud800"), 400),
    post("a list for an object", b"[]", 422, "#"),
    post("null for an object", b"null", 422, "#"),
    post("null for a member", item(name=None), 422, "#/name"),
    post("a member left out", b'{"name": "bolt", "price": "1"}', 422, "#/size"),
    post("a text for a nested integer", item(size={"width": "2", "height": 9}), 422, "#/size/width"),
    post("a number for a text", item(name=5), 422, "#/name"),
    post("true for an integer", item(size={"width": True, "height": 9}), 422, "#/size/width"),
    post("a bad element of a list", item(tags=["a", 1]), 422, "#/tags/1"),
    Wrong(
        "an unknown member, refused by the model", "/sealed", 422, (("body", "#/b"),), "POST", JSON, b'{"a": 1, "b": 2}'
    ),
    post("17 MiB", lambda: item(name="x" * 17 * 1024 * 1024), 413),
    upload("a form without its file", multipart(("title", None, b"a")), 422, ("form", "file")),
    upload("a form without its text", multipart(("file", "a.txt", b"a")), 422, ("form", "title")),
    upload("a text for a file", multipart(("title", None, b"a"), ("file", None, b"a")), 422, ("form", "file")),
    upload("a file for a text", multipart(("title", "a.txt", b"a"), ("file", "a", b"a")), 422, ("form", "title")),
    upload("a form cut off", multipart(("title", None, b"a"), ("file", "a.txt", b"a"), end=b""), 400),
    upload("a form without a boundary", multipart(("title", None, b"a")), 400, kind=";"),
    upload("101 files", multipart(("title", None, b"a"), *[("file", "a", b"a")] * 101), 413),
    upload("JSON for a form", b'{"title": "a"}', 415, kind="application/json"),
)


@dataclass(frozen=True)
class Answer:
    """What came: the status, the body, and the media type; status 500 also where the application raised."""

    status: int
    body: bytes
    media_type: str

    @property
    def cell(self) -> str:
        """The answer as a cell of the table: the status and the beginning of the body.

        Of problem documents without what each of that status has: `type`, `title` and `status`.
        """
        text = self.body.decode("utf-8", "replace")
        if self.media_type == "application/problem+json":
            members = json.loads(self.body)
            text = json.dumps({key: value for key, value in members.items() if key not in {"type", "title", "status"}})
        text = re.sub(r"\s+", " ", text).replace("|", "\\|")
        return f"**{self.status}** `{text if len(text) <= FULL else f'{text[:FULL]}…'}`"


async def ask(app: ASGIApp, wrong: Wrong) -> Answer:
    """Send it as a client does that wants JSON, and give the answer."""
    body = wrong.body if isinstance(wrong.body, bytes) else wrong.body()
    headers = {"host": "testserver", "accept": "application/json", **(wrong.headers or {})}
    if wrong.method == "POST":
        headers["content-length"] = str(len(body))
    answer = await request(
        app, wrong.method, wrong.target, headers=headers, body=body, lint=False, raise_errors=False, timeout=60
    )
    media_type = (answer.header(b"content-type") or b"").decode().partition(";")[0]
    return Answer(answer.status or 500, answer.body, media_type)


def row(number: int, wrong: Wrong, ours: Answer, theirs: Answer) -> str:
    """Write one line of the table."""
    return f"| {number} | {wrong.title}: `{wrong.shown}` | {ours.cell} | {theirs.cell} |"


def rows(page: str) -> list[list[str]]:
    """Read the cells of the page's table."""
    table = page.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


async def write_page() -> None:
    from tests.typed.wrong_fastapi import make_app as make_theirs
    from tests.typed.wrong_microasgi import make_app as make_ours

    ours, theirs = make_ours(), make_theirs()
    lines = ["| | request | microasgi | FastAPI |", "|---|---|---|---|"]
    for number, wrong in enumerate(WRONG, start=1):
        lines.append(row(number, wrong, await ask(ours, wrong), await ask(theirs, wrong)))
    head, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table = "\n".join(lines)
    PAGE.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    anyio.run(write_page)
