"""Applications behind bridges: one of microasgi, and some that speak ASGI themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from anyio import from_thread
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection as database
from django.urls import get_script_prefix, reverse
from django.utils.translation import get_language

from microasgi import BackgroundTask, HTTPException, MicroASGI, PlainTextResponse, Request, Response, StreamingResponse
from microasgi.django.surroundings import DjangoMiddleware
from tests.django.project.notes.models import Note

events: list[str] = []
"""What happened, for tests to look at."""


async def lifespan() -> AsyncIterator[dict[str, Any]]:
    """Say so."""
    events.append("started")
    yield {"shelf": "full"}
    events.append("stopped")


app = MicroASGI(lifespan=lifespan)


@app.get("/")
async def root(request: Request) -> Any:
    """Answer at the path of the bridge itself."""
    return {"at": request.scope["root_path"]}


@app.get("/items/{item:int}", name="item")
async def item(request: Request) -> Any:
    """Answer below it, with a parameter."""
    return dict(request.path_params)


@app.get("/scope")
async def scope_of(request: Request) -> Any:
    """Tell what the scope says."""
    scope = request.scope
    return {
        "path": scope["path"],
        "root": scope["root_path"],
        "query": scope["query_string"].decode(),
        "scheme": scope["scheme"],
        "method": scope["method"],
        "client": list(scope["client"]),
        "server": list(scope["server"]),
        "headers": sorted([name.decode(), value.decode()] for name, value in scope["headers"]),
        "state": dict(scope.get("state", {})),
        "extensions": sorted(scope.get("extensions", {})),
        "params": scope.get("path_params", {}),
        "django": scope["django.request"].path if "django.request" in scope else None,
        "url": str(request.url_for("item", item=3)),
    }


@app.get("/prefix")
async def prefix(request: Request) -> Any:
    """Tell what Django's own functions say, in async code and in a thread."""

    def look() -> list[str]:
        return [get_script_prefix(), reverse("admin:index"), get_language() or ""]

    return {"here": look(), "sensitive": await sync_to_async(look)()}


@app.get("/prefix-in-def")
def prefix_in_def(request: Request) -> Any:
    """The same in a sync endpoint."""
    return [get_script_prefix(), reverse("admin:index"), get_language() or ""]


@app.get("/me")
async def me(request: Request) -> Any:
    """Name the user."""
    return {"user": (await request.user()).get_username()}


@app.get("/me-in-def")
def me_in_def(request: Request) -> Any:
    """Name the user in a sync endpoint."""
    return {"user": request.user.get_username()}


@app.post("/visit")
async def visit(request: Request) -> Any:
    """Write the session."""
    await request.session.aset("visits", await request.session.aget("visits", 0) + 1)
    return {"visits": await request.session.aget("visits")}


@app.route("/echo", methods=["POST", "PUT"])
async def echo(request: Request) -> Any:
    """Send the body back."""
    return Response(await request.body(), media_type=request.headers.get("content-type", "text/plain"))


@app.post("/form")
async def form(request: Request) -> Any:
    """Tell what the form has."""
    async with request.form() as data:
        found = []
        for name, value in data.multi_items():
            if isinstance(value, str):
                found.append([name, value])
            else:
                content = await value.read()
                found.append([name, value.filename, value.content_type, len(content), content[:10].decode("latin-1")])
        return found


@app.post("/parts")
async def parts(request: Request) -> Any:
    """Tell in how many parts the body came, and how large it was."""
    sizes = [len(chunk) async for chunk in request.stream()]
    return {"parts": len(sizes), "size": sum(sizes), "largest": max(sizes, default=0)}


@app.get("/cookies")
async def cookies() -> Any:
    """Set cookies of all kinds."""
    response = PlainTextResponse("biscuits")
    for text in COOKIES:
        response.raw_headers.append((b"set-cookie", text.encode()))
    return response


COOKIES = [
    "plain=1",
    'quoted="a b"; Path=/; HttpOnly',
    "full=2; Max-Age=60; Path=/x; Domain=example.org; Secure; SameSite=None; Partitioned; Priority=High",
    "full=3; Path=/y",
    "odd[name]=4; expires=Thu, 01 Jan 2037 00:00:00 GMT",
]


@app.get("/headers")
async def headers() -> Any:
    """Answer with headers that come twice, and a status of its own."""
    response = Response(b"x", 207, media_type="text/x-own")
    response.raw_headers += [(b"vary", b"Accept"), (b"Vary", b"Origin"), (b"link", b"</a>"), (b"link", b"</b>")]
    return response


@app.get("/bare")
async def bare() -> Any:
    """Answer without a content type."""
    return Response(status_code=204)


@app.get("/stream")
async def stream() -> Any:
    """Send three parts."""

    async def generate() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d;" % number
            await asyncio.sleep(0.01)

    return StreamingResponse(generate(), media_type="text/plain")


@app.get("/late")
async def late(request: Request) -> Any:
    """Change the session while streaming."""

    async def generate() -> AsyncIterator[bytes]:
        yield b"begun;"
        await asyncio.sleep(0.5)  # Django has saved the session and sends, on a busy machine too
        await request.session.aset("late", True)
        yield b"done"

    return StreamingResponse(generate())


@app.get("/rows")
async def rows() -> Any:
    """Stream what the database has, asking it when the view has long returned."""

    async def generate() -> AsyncIterator[bytes]:
        yield b"rows:"
        await asyncio.sleep(0.05)
        yield b"%d;" % await Note.objects.acount()
        yield b"%d" % await sync_to_async(Note.objects.count)()

    return StreamingResponse(generate())


@app.get("/silent")
async def silent() -> Any:
    """Begin a response, and say nothing for a long time."""

    async def generate() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(30)
            yield b"late"
        finally:
            events.append("silent closed")

    return StreamingResponse(generate())


@app.get("/endless")
async def endless() -> Any:
    """Send for ever."""

    async def generate() -> AsyncIterator[bytes]:
        number = 0
        try:
            while True:
                number += 1
                yield b"x" * 1024
        finally:
            await asyncio.sleep(0.01)  # a clean-up takes its time
            events.append(f"endless closed after {number}")

    return StreamingResponse(generate())


@app.get("/broken")
async def broken() -> Any:
    """Fail in the middle."""

    async def generate() -> AsyncIterator[bytes]:
        yield b"begun;"
        await asyncio.sleep(0.01)
        raise ZeroDivisionError("in the middle")

    return StreamingResponse(generate())


@app.get("/fail")
async def fail() -> Any:
    """Fail before anything."""
    raise ZeroDivisionError("in the endpoint")


@app.get("/fail-by-system")
async def fail_by_system() -> Any:
    """Fail with what could mean that the client has left."""
    raise FileNotFoundError("no such file")


@app.get("/expected")
async def expected(request: Request) -> Any:
    """Fail with what the application has a handler for."""
    raise LookupError("expected")


@app.exception_handler(LookupError)
async def found_nothing(request: Request, error: LookupError) -> Any:
    """Answer for such errors."""
    return PlainTextResponse("found nothing", 404)


@app.get("/unavailable")
async def unavailable() -> Any:
    """Refuse with a status of 503, which is no error of anybody."""
    raise HTTPException(503, "come later")


@app.get("/wait")
async def wait() -> Any:
    """Wait for somebody to leave."""
    try:
        await asyncio.sleep(30)
    finally:
        await asyncio.sleep(0.01)
        events.append("wait cleaned up")


@app.get("/later")
async def later() -> Any:
    """Do something after the response."""

    async def work() -> None:
        await asyncio.sleep(0.3)
        events.append("background done")

    return PlainTextResponse("now", background=BackgroundTask(work))


@app.get("/later-fails")
async def later_fails() -> Any:
    """Fail after the response."""

    async def work() -> None:
        raise ZeroDivisionError("in the background")

    return PlainTextResponse("now", background=BackgroundTask(work))


@app.get("/count")
async def count() -> Any:
    """Count the notes by the async ORM."""
    return {"count": await Note.objects.acount()}


@app.get("/count-in-def")
def count_in_def() -> Any:
    """Count the notes in a sync endpoint."""
    return {"count": Note.objects.count(), "in_transaction": database.in_atomic_block}


@app.get("/inside")
async def inside(request: Request) -> Any:
    """Tell what goes on in this process, and forget what happened."""
    happened = list(events)
    if "keep" not in request.query_params:
        events.clear()
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    return {"events": happened, "tasks": sorted(tasks)}


@app.get("/back-and-forth")
def back_and_forth() -> Any:
    """Call async code from a sync endpoint, which calls sync code."""

    async def number() -> int:
        return await Note.objects.acount()

    return {"count": async_to_sync(number)(), "anyio": from_thread.run(asyncio.sleep, 0, 7)}


@app.post("/write-and-fail")
def write_and_fail() -> Any:
    """Write, then fail."""
    Note.objects.create(text="kept")
    raise ZeroDivisionError("after the write")


async def starting(scope: Any, receive: Any, send: Any) -> None:
    """Speak the lifespan protocol, as other frameworks do, and answer with the state."""
    if scope["type"] == "lifespan":
        await receive()
        events.append("other started")
        scope["state"]["shelf"] = "other"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    return await send({"type": "http.response.body", "body": scope["state"]["shelf"].encode()})


async def refusing() -> AsyncIterator[None]:
    """Fail to start."""
    raise ZeroDivisionError("at start")
    yield


not_started = MicroASGI(lifespan=refusing)
both = MicroASGI(lifespan=lifespan)
both.get("/scope")(scope_of)
both.get("/items/{item:int}", name="item")(item)
surrounded = MicroASGI(middleware=[DjangoMiddleware])
surrounded.route("/echo", methods=["POST"])(echo)
surrounded.post("/visit")(visit)


async def silent_app(scope: Any, receive: Any, send: Any) -> None:
    """End without a response."""


async def page_then_raise(scope: Any, receive: Any, send: Any) -> None:
    """Send an error page, then raise the error again."""
    await send({"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"its own page"})
    raise ZeroDivisionError("after the page")


async def confused(scope: Any, receive: Any, send: Any) -> None:
    """Send what has no place."""
    kind = scope["path"].rsplit("/", 1)[-1]
    if kind == "trailers":
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.trailers", "headers": []})
    if kind == "status":
        await send({"type": "http.response.start", "status": 799, "headers": []})
        return await send({"type": "http.response.body", "body": b""})
    if kind == "cookie":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"set-cookie", b"a=\xff")]})
        return await send({"type": "http.response.body", "body": b""})
    return await send({"type": "http.response.body", "body": b"too early"})


async def receiver(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what it received, the disconnect after the response too."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % sum(len(one["body"]) for one in messages)})
    events.append((await receive())["type"])
