"""What is measured: one `Case` per row of the table, with the request, the right answer and the goal.

Law: a case says nothing about any framework. A target builds an application for `case.build`; the same
request is played to every target and the answer must satisfy `problems()` before a clock is started.
"""

import json
import os
import random
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

TEXT = "text/plain"
JSON = "application/json"
HELLO = "Hello, World!"
DOCUMENT = [
    {"id": i, "name": f"product {i}", "price": i * 1.25, "active": i % 3 == 0, "tags": ["red", "large", f"t{i}"]}
    for i in range(1090)
]
ORDER = {"customer": "Ada Lovelace", "lines": [{"sku": "A-1", "count": 2}, {"sku": "B-7", "count": 1}], "paid": True}
ITEM = {"name": "teapot", "price": 2.5, "quantity": 4, "tags": ["kitchen", "tea"]}
FORM = (
    b"name=Ada+Lovelace&email=ada%40example.org&street=12+St+James%27s+Square&city=London&zip=SW1Y"
    b"&country=GB&phone=%2B44+20+7946+0000&newsletter=on&language=en&comment=caf%C3%A9+please"
)
USERS = {"5f4dcc3b5aa765d6": "ada"}
AGENT = b"Mozilla/5.0 (X11; Linux x86_64)"
SESSION = "8f14e45fceea167a5a36dedd4bea2543"
COOKIES = b"session=" + SESSION.encode() + b"; theme=dark; lang=en-GB; consent=yes"
CHUNK = "x" * 63 + "\n"
CHUNKS = 100
BOUNDARY = b"----benchmark7MA4YWxkTrZu0gW"
UPLOAD_SIZE = 50 * 1024 * 1024
PIECE = 64 * 1024
FILE_SIZES = {"small.txt": 1024, "large.txt": 10 * 1024 * 1024}
SPREAD = 4096


@dataclass(frozen=True)
class Item:
    """The dataclass of the case `json_dataclass`."""

    name: str
    price: float
    quantity: int
    tags: list[str]


def item_from(data: Any) -> Item:
    """Check `data` and build an `Item`, as an application does by hand where the framework does not."""
    if not isinstance(data, dict) or data.keys() != {"name", "price", "quantity", "tags"}:
        raise ValueError("an item has name, price, quantity and tags")
    name, price, quantity, tags = data["name"], data["price"], data["quantity"], data["tags"]
    right = isinstance(name, str) and isinstance(price, float | int) and type(quantity) is int
    if not right or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("an item has a field of the wrong type")
    return Item(name, float(price), quantity, tags)


@dataclass(frozen=True)
class Product:
    """The body of the case `typed_put`."""

    name: str
    price: float
    quantity: int
    tags: list[str]
    sold_out: bool = False


@dataclass(frozen=True)
class Saved:
    """The answer of the case `typed_put`: each value that the handler was given."""

    item_id: int
    limit: int
    q: str | None
    agent: str
    session: str
    user: str
    item: Product


@dataclass(frozen=True)
class Page:
    """The answer of the case `typed_get`."""

    item_id: int
    page: int


def product_from(data: Any) -> Product:
    """Check `data` and build a `Product`, as an application does by hand where the framework does not."""
    if not isinstance(data, dict) or type(data.setdefault("sold_out", False)) is not bool:
        raise ValueError("a product is an object, and sold_out true or false")
    item = item_from({name: value for name, value in data.items() if name != "sold_out"})
    return Product(item.name, item.price, item.quantity, item.tags, data["sold_out"])


async def stream_text() -> AsyncIterator[str]:
    """The body of the case `stream`, as text."""
    for _ in range(CHUNKS):
        yield CHUNK


async def stream_bytes() -> AsyncIterator[bytes]:
    """The body of the case `stream`, as bytes."""
    chunk = CHUNK.encode()
    for _ in range(CHUNKS):
        yield chunk


def static_template(number: int) -> str:
    return f"/area{number}/list"


def parameter_template(number: int) -> str:
    return f"/area{number}/{{id}}"


def upload_answer(title: str, size: int, tail: bytes) -> str:
    """The text an upload handler answers: the text field, the file's size and its last four bytes."""
    return f"{title} {size} {tail[-4:].hex()}"


@cache
def upload_body() -> bytes:
    """A multipart document: a text field `title` and a file of 50 MiB, without its last newline."""
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="title"\r\n\r\nholiday\r\n'
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="holiday.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n"
    ) % (BOUNDARY, BOUNDARY)
    block = random.Random(7).randbytes(1024 * 1024)
    return head + block * (UPLOAD_SIZE // len(block)) + b"\r\n--%b--\r\n" % BOUNDARY


def file_text(name: str) -> str:
    """The content of a static file."""
    line = "The quick brown fox jumps over the lazy dog, again and again.\n"
    size = FILE_SIZES[name]
    return (line * (size // len(line) + 1))[:size]


@cache
def files_directory() -> str:
    """The directory of the static files, written once into the system's place for temporary files."""
    directory = os.path.join(tempfile.gettempdir(), "microasgi-benchmark-files")
    os.makedirs(directory, exist_ok=True)
    for name, size in FILE_SIZES.items():
        path = os.path.join(directory, name)
        if not os.path.exists(path) or os.path.getsize(path) != size:
            with open(f"{path}.{os.getpid()}", "w", encoding="ascii") as file:
                file.write(file_text(name))
            os.replace(f"{path}.{os.getpid()}", path)  # several targets may come here at once
    return directory


def upload_tail() -> bytes:
    return upload_body()[: -len(BOUNDARY) - 8][-4:]


@dataclass(frozen=True)
class Case:
    """One row: the request, what a right answer is, and the ratio to the raw callable we want to stay under.

    With `spread` every request of a batch has another path, `path` and a number: some routers keep answers by path,
    and the same path again and again would measure that cache.
    """

    name: str
    title: str
    build: str
    goal: float | None = None
    arguments: tuple[int, ...] = ()
    kind: str = "http"
    method: str = "GET"
    path: str = "/"
    spread: bool = False
    query: bytes = b""
    content_type: bytes | None = None
    body: bytes = b""
    cookie: bytes | None = None
    token: bytes | None = None
    upload: bool = False
    status: int = 200
    answer: Any = None
    answer_type: str | None = None
    answer_header: tuple[bytes, bytes] | None = None
    rounds: int = 1000
    only: tuple[str, ...] = ()


def typed_cases() -> Iterator[Case]:
    product = ITEM | {"sold_out": False}
    yield Case(
        "typed_get", "typed: int path parameter + int query → model", "typed_get", path="/items/42", spread=True,
        query=b"page=2", answer={"item_id": 42, "page": 2}, answer_type=JSON,
    )  # fmt: skip
    values = {"item_id": 42, "limit": 5, "q": "green tea", "agent": AGENT.decode(), "session": SESSION, "user": "ada"}
    yield Case(
        "typed_put", "typed: path, 2 queries, header, cookie, dependency, body → model", "typed_put", method="PUT",
        path="/items/42", spread=True, query=b"limit=5&q=green+tea", cookie=COOKIES, token=b"5f4dcc3b5aa765d6",
        content_type=b"application/json", body=json.dumps(product).encode(), answer=values | {"item": product},
        answer_type=JSON,
    )  # fmt: skip


SCALES = (10, 400, 2000, 10_000)
LARGE_TABLES = ("raw", "microasgi", "starlette", "falcon", "blacksheep")


def route_cases() -> Iterator[Case]:
    for count in SCALES:
        only = LARGE_TABLES if count > 2000 else ()
        last, goal = count - 1, None if count < 400 else 1.6
        yield Case(
            f"static_{count}", f"last of {count:,} routes, static", "static_routes", goal, (count,),
            path=static_template(last), answer=f"list {last}", answer_type=TEXT, only=only,
        )  # fmt: skip
        yield Case(
            f"parameter_{count}", f"last of {count:,} routes, parameter", "parameter_routes", goal, (count,),
            path=f"/area{last}/b42", spread=True, answer="b42", answer_type=TEXT, only=only,
        )  # fmt: skip


def all_cases() -> Iterator[Case]:
    hello = {"answer": HELLO, "answer_type": TEXT}
    order, item = json.dumps(ORDER).encode(), json.dumps(ITEM).encode()
    yield Case("plaintext", "plaintext", "plaintext", 2.2, **hello)
    yield Case(
        "path_query", "int path parameter + query → json", "path_query", 1.25, path="/items/42", spread=True,
        query=b"page=2&q=red+shoes", answer={"id": 42, "page": 2, "q": "red shoes"}, answer_type=JSON,
    )  # fmt: skip
    yield Case(
        "json_echo", "json echo", "json_echo", 1.25, method="POST", content_type=b"application/json", body=order,
        answer=ORDER, answer_type=JSON,
    )  # fmt: skip
    yield Case(
        "json_dataclass", "json into a dataclass", "json_dataclass", 1.4, method="POST",
        content_type=b"application/json", body=item, answer={"name": "teapot", "total": 10.0}, answer_type=JSON,
    )  # fmt: skip
    yield from typed_cases()
    yield Case(
        "form", "urlencoded form, 10 fields", "form", 1.5, method="POST",
        content_type=b"application/x-www-form-urlencoded", body=FORM, answer="10 Ada Lovelace café please",
        answer_type=TEXT,
    )  # fmt: skip
    yield Case("cookie", "cookie", "cookie", 1.4, cookie=COOKIES, answer="dark", answer_type=TEXT)
    yield Case(
        "exception", "exception → handler", "exception", 1.5, status=409, answer="conflict: order 7", answer_type=TEXT
    )
    yield Case("not_found", "404", "site", 2.3, path="/nowhere", spread=True, status=404)
    yield Case("method_not_allowed", "405", "site", 1.9, method="DELETE", path="/items/42", status=405)
    yield from route_cases()
    yield Case("middlewares", "five pass-through middlewares", "middlewares", 2.0, **hello)
    yield Case(
        "pair", "one before/after function middleware", "pair", 2.0, **hello, answer_header=(b"x-pair", b"after")
    )
    yield Case("stream", "100 chunks streamed", "stream", 1.4, answer=CHUNK * CHUNKS, answer_type=TEXT)
    yield Case("json_large", "100 kB json out", "json_large", None, answer=DOCUMENT, answer_type=JSON)
    for name, title, goal in (("small.txt", "1 KiB", 0.8), ("large.txt", "10 MiB", 2.2)):
        yield Case(
            f"file_{name.partition('.')[0]}", f"static file, {title}", "files", goal, path=f"/static/{name}",
            answer=file_text(name), answer_type=TEXT,
        )  # fmt: skip
    upload = {"method": "POST", "upload": True, "answer_type": TEXT, "rounds": 7}
    upload["content_type"] = b"multipart/form-data; boundary=" + BOUNDARY
    yield Case("upload", "multipart 50 MB → file object", "upload", 2.0, **upload)
    yield Case("upload_parts", "multipart 50 MB, part by part", "upload_parts", 1.2, **upload)
    yield Case("websocket_echo", "websocket echo, a message", "websocket", 1.6, kind="echo", path="/ws")
    yield Case("websocket_connect", "websocket connect + close", "websocket", 1.8, kind="connect", path="/ws")


CASES = {case.name: case for case in all_cases()}


def problems(case: Case, sent: list[dict[str, Any]]) -> list[str]:
    """What is wrong with an http answer; an empty list when nothing is."""
    if not sent or sent[0]["type"] != "http.response.start":
        return [f"no response: {[message['type'] for message in sent]}"]
    headers = {bytes(name).lower(): bytes(value) for name, value in sent[0].get("headers", ())}
    body = b"".join(message.get("body", b"") for message in sent[1:])
    found = []
    if sent[0]["status"] != case.status:
        found.append(f"status {sent[0]['status']}, not {case.status}: {body[:200]!r}")
    if len(sent) < 2 or sent[-1].get("more_body"):
        found.append("the body has no end")
    if case.answer_type and not headers.get(b"content-type", b"").decode().startswith(case.answer_type):
        found.append(f"content-type {headers.get(b'content-type')!r}, not {case.answer_type}")
    if case.answer_header and headers.get(case.answer_header[0]) != case.answer_header[1]:
        found.append(f"no header {case.answer_header}")
    if b"content-length" in headers and int(headers[b"content-length"]) != len(body):
        found.append(f"content-length {headers[b'content-length']!r} for {len(body)} bytes")
    answer = upload_answer("holiday", UPLOAD_SIZE, upload_tail()) if case.upload else case.answer
    if answer is not None and not same(case, body, answer):
        found.append(f"body {body[:200]!r}")
    return found


def same(case: Case, body: bytes, answer: Any) -> bool:
    if case.answer_type != JSON:
        return body == answer.encode()
    try:
        return json.loads(body) == answer
    except ValueError:
        return False
