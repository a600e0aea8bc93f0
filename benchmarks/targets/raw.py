"""The measure of all others: plain ASGI callables that do the same work by hand with the standard library."""

import json
import os
from collections.abc import Callable
from email.utils import formatdate
from mimetypes import guess_type
from typing import Any
from urllib.parse import parse_qsl

from cases import (
    DOCUMENT,
    HELLO,
    USERS,
    Page,
    Saved,
    files_directory,
    item_from,
    parameter_template,
    product_from,
    static_template,
    stream_bytes,
    upload_answer,
)
from targets.raw_multipart import MIB, Upload, find_header, multipart

TEXT = (b"content-type", b"text/plain; charset=utf-8")
JSON = (b"content-type", b"application/json")
encode_json = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make an encoder for each call


async def answer(send: Any, status: int, body: bytes, kind: tuple[bytes, bytes] = TEXT) -> None:
    headers = [kind, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_json(send: Any, value: Any) -> None:
    await answer(send, 200, encode_json(value).encode(), JSON)


async def read_body(receive: Any) -> bytes:
    message = await receive()
    if not message.get("more_body"):
        return message["body"]
    pieces = [message["body"]]
    while message.get("more_body"):
        message = await receive()
        pieces.append(message["body"])
    return b"".join(pieces)


def dispatch(routes: dict[str, dict[str, Any]], fallback: Callable[[Any], Any] | None = None) -> Any:
    """Path, then method; `fallback` finds the handlers of a path that is not a fixed one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        methods = routes.get(scope["path"]) or (fallback and fallback(scope))
        if methods is None:
            await answer(send, 404, b"Not Found")
            return
        handler = methods.get(scope["method"])
        if handler is None:
            allow = (b"allow", ", ".join(methods).encode())
            headers = [TEXT, allow, (b"content-length", b"18")]
            await send({"type": "http.response.start", "status": 405, "headers": headers})
            await send({"type": "http.response.body", "body": b"Method Not Allowed"})
            return
        await handler(scope, receive, send)

    return app


async def hello(scope: Any, receive: Any, send: Any) -> None:
    body = HELLO.encode()
    headers = [TEXT, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def plaintext() -> Any:
    return dispatch({"/": {"GET": hello}})


def site() -> Any:
    methods = {"GET": hello}

    def find(scope: Any) -> Any:
        head, _, tail = scope["path"].rpartition("/")
        return methods if head == "/items" and tail.isdecimal() else None

    return dispatch({"/": methods, "/items": {"GET": hello, "POST": hello}}, find)


def item_routes(method: str, handler: Any) -> Any:
    """Routes `/items/{item_id}`, whose number the handler finds in the scope."""
    methods = {method: handler}

    def find(scope: Any) -> Any:
        head, _, tail = scope["path"].rpartition("/")
        if head != "/items" or not tail.isdecimal():
            return None
        scope["path_params"] = {"id": int(tail)}
        return methods

    return dispatch({}, find)


def read_cookies(scope: Any) -> dict[str, str]:
    cookies = {}
    for pair in find_header(scope, b"cookie").decode("latin-1").split(";"):
        name, _, value = pair.partition("=")
        cookies[name.strip()] = value.strip().strip('"')
    return cookies


def path_query() -> Any:
    async def item(scope: Any, receive: Any, send: Any) -> None:
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        page = query.get("page", "1")
        if not page.isdecimal():
            await answer(send, 400, b"page is a number")
            return
        await answer_json(send, {"id": scope["path_params"]["id"], "page": int(page), "q": query.get("q", "")})

    return item_routes("GET", item)


def json_echo() -> Any:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        try:
            value = json.loads(await read_body(receive))
        except ValueError:
            await answer(send, 400, b"the body is not JSON")
            return
        await answer_json(send, value)

    return dispatch({"/": {"POST": echo}})


def json_dataclass() -> Any:
    async def total(scope: Any, receive: Any, send: Any) -> None:
        try:
            item = item_from(json.loads(await read_body(receive)))
        except ValueError as error:
            await answer(send, 400, str(error).encode())
            return
        await answer_json(send, {"name": item.name, "total": item.price * item.quantity})

    return dispatch({"/": {"POST": total}})


async def current_user(scope: Any) -> str | None:
    return USERS.get(find_header(scope, b"x-token").decode("latin-1"))


def typed_get() -> Any:
    async def item(scope: Any, receive: Any, send: Any) -> None:
        page = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True)).get("page", "1")
        if not page.isdecimal():
            await answer(send, 422, b"page is a number")
            return
        await answer_json(send, vars(Page(scope["path_params"]["id"], int(page))))

    return item_routes("GET", item)


def typed_put() -> Any:
    async def save(scope: Any, receive: Any, send: Any) -> None:
        user = await current_user(scope)
        if user is None:
            await answer(send, 401, b"who are you?")
            return
        query = dict(parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        limit = query.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= 100:
            await answer(send, 422, b"limit is a number from 1 to 100")
            return
        try:
            product = product_from(json.loads(await read_body(receive)))
        except ValueError as error:
            await answer(send, 422, str(error).encode())
            return
        agent, session = find_header(scope, b"user-agent").decode("latin-1"), read_cookies(scope).get("session", "")
        saved = Saved(scope["path_params"]["id"], int(limit), query.get("q"), agent, session, user, product)
        await answer_json(send, {**vars(saved), "item": vars(product)})

    return item_routes("PUT", save)


def form() -> Any:
    async def submit(scope: Any, receive: Any, send: Any) -> None:
        fields = dict(parse_qsl((await read_body(receive)).decode(), keep_blank_values=True))
        await answer(send, 200, f"{len(fields)} {fields['name']} {fields['comment']}".encode())

    return dispatch({"/": {"POST": submit}})


def cookie() -> Any:
    async def theme(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 200, read_cookies(scope).get("theme", "none").encode())

    return dispatch({"/": {"GET": theme}})


def exception() -> Any:
    class Conflict(Exception):
        pass

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        raise Conflict("order 7")

    inner = dispatch({"/": {"GET": fail}})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await inner(scope, receive, send)
        except Conflict as error:
            await answer(send, 409, f"conflict: {error}".encode())

    return app


def static_routes(count: int) -> Any:
    def make(number: int) -> Any:
        async def handler(scope: Any, receive: Any, send: Any) -> None:
            await answer(send, 200, f"list {number}".encode())

        return handler

    return dispatch({static_template(number): {"GET": make(number)} for number in range(count)})


def parameter_routes(count: int) -> Any:
    async def show(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 200, scope["path_params"]["id"].encode())

    heads = {parameter_template(number).rpartition("/")[0]: {"GET": show} for number in range(count)}

    def find(scope: Any) -> Any:
        head, _, tail = scope["path"].rpartition("/")
        methods = heads.get(head)
        if methods is None or not tail:
            return None
        scope["path_params"] = {"id": tail}
        return methods

    return dispatch({}, find)


def middlewares() -> Any:
    def layer(app: Any) -> Any:
        async def through(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)

        return through

    app = plaintext()
    for _ in range(5):
        app = layer(app)
    return app


def pair() -> Any:
    inner = plaintext()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def add_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-pair", b"after"))
            await send(message)

        await inner(scope, receive, add_header)

    return app


def stream() -> Any:
    async def chunks(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [TEXT]})
        async for chunk in stream_bytes():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return dispatch({"/": {"GET": chunks}})


def json_large() -> Any:
    async def document(scope: Any, receive: Any, send: Any) -> None:
        await answer_json(send, DOCUMENT)

    return dispatch({"/": {"GET": document}})


def upload() -> Any:
    async def save(scope: Any, receive: Any, send: Any) -> None:
        title, target = "", Upload()
        async for name, piece in multipart(scope, receive):
            if name == "file":
                await target.write(piece)
            else:
                title += piece.decode()
        await target.flush()
        target.file.seek(0)
        size, tail = 0, b""
        while piece := await target.read(MIB):
            size, tail = size + len(piece), piece
        target.file.close()
        await answer(send, 200, upload_answer(title, size, tail).encode())

    return dispatch({"/": {"POST": save}})


def upload_parts() -> Any:
    async def count(scope: Any, receive: Any, send: Any) -> None:
        title, size, tail = "", 0, b""
        async for name, piece in multipart(scope, receive):
            if name == "file":
                size, tail = size + len(piece), (tail + piece)[-4:] if len(piece) < 4 else piece[-4:]
            else:
                title += piece.decode()
        await answer(send, 200, upload_answer(title, size, tail).encode())

    return dispatch({"/": {"POST": count}})


def files() -> Any:
    """Reads on the event loop: the least work, and nobody else is served meanwhile."""
    directory, size = files_directory(), 256 * 1024

    async def app(scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].removeprefix("/static/")
        try:
            file = open(os.path.join(directory, name), "rb", buffering=0)  # noqa: ASYNC230, SIM115
        except OSError:
            await answer(send, 404, b"Not Found")
            return
        with file:
            status = os.fstat(file.fileno())
            headers = [
                (b"content-type", (guess_type(name)[0] or "application/octet-stream").encode()),
                (b"content-length", b"%d" % status.st_size),
                (b"last-modified", formatdate(status.st_mtime, usegmt=True).encode()),
                (b"etag", b'"%x-%x"' % (status.st_mtime_ns, status.st_size)),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            left = status.st_size
            while left:
                piece = file.read(min(left, size))
                left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": bool(left)})

    return app


def websocket() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/ws" or (await receive())["type"] != "websocket.connect":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    return app
