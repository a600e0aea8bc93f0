"""The http routes of the application under test: targets, bodies, responses, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio

from microasgi import (
    BackgroundTask,
    ClientDisconnect,
    HTTPException,
    PlainTextResponse,
    Request,
    Response,
    Router,
    StreamingResponse,
)
from tests.conformance.records import DeliberateError, record

__all__ = ["router"]

BODY_LIMIT = 64

router = Router()


def describe(request: Request) -> dict[str, Any]:
    """Return what the application sees of a request's target."""
    return {
        "method": request.method,
        "path": request.scope["path"],
        "root_path": request.scope["root_path"],
        "url": str(request.url),
        "base_url": str(request.base_url),
        "query": request.query_params.multi_items(),
        "params": {name: str(value) for name, value in request.path_params.items()},
        "http_version": request.scope["http_version"],
        "back": str(request.url_path_for("where", rest="x")),
    }


@router.get("/")
async def root() -> str:
    return "root"


@router.get("/plain")
async def plain() -> str:
    return "plain"


@router.get("/in-a-thread")
def in_a_thread() -> str:
    return "thread"


@router.route("/where/{rest:path}", methods=["GET", "POST"], name="where")
async def where(request: Request) -> dict[str, Any]:
    return describe(request)


@router.get("/segment/{name}")
async def segment(request: Request) -> dict[str, Any]:
    return describe(request)


@router.get("/cookies")
async def cookies(request: Request) -> dict[str, str]:
    return request.cookies


@router.get("/headers")
async def headers(request: Request) -> dict[str, Any]:
    return {"count": len(request.headers.getlist("x-many")), "hosts": request.headers.getlist("host")}


@router.get("/slashed/")
async def slashed() -> str:
    return "slashed"


@router.get("/queried")
async def queried(request: Request) -> dict[str, int]:
    return {"keys": len(request.query_params.multi_items())}


@router.post("/echo")
async def echo(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        record(request, "ClientDisconnect")
        raise


@router.post("/streamed-up")
async def streamed_up(request: Request) -> dict[str, int]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return {"size": size}


@router.route("/limited", methods=["POST"], max_body_size=BODY_LIMIT)
async def limited(request: Request) -> dict[str, int]:
    return {"size": len(await request.body())}


@router.post("/impatient", body_timeout=0.2)
async def impatient(request: Request) -> bytes:
    return await request.body()


@router.post("/unread")
async def unread() -> str:
    return "not read"


@router.post("/json")
async def json(request: Request) -> Any:
    return {"got": await request.json()}


@router.post("/form")
async def form(request: Request) -> dict[str, str]:
    async with request.form() as data:
        return {
            name: value if isinstance(value, str) else (await value.read()).decode()
            for name, value in data.multi_items()
        }


@router.get("/no-content")
async def no_content() -> None:
    return None


@router.get("/not-modified")
async def not_modified() -> Response:
    return Response(b"dropped", 304, {"etag": '"1"'})


@router.get("/json")
async def json_text() -> dict[str, str]:
    return {"text": "žluťoučký 🐎"}


@router.get("/two-cookies")
async def two_cookies() -> Response:
    response = PlainTextResponse("cookies")
    response.set_cookie("one", "1")
    response.set_cookie("two", "2", httponly=True)
    return response


@router.get("/background")
async def background(request: Request) -> Response:
    async def task() -> None:
        await request.app.state.records.until_asked(request)
        record(request, "background ran")

    return PlainTextResponse("sent", background=BackgroundTask(task))


@router.get("/stream")
async def stream(request: Request) -> AsyncIterator[str]:
    try:
        for number in range(5):
            yield f"part {number}\n"
    finally:
        record(request, "cleaned up")


@router.get("/endless")
async def endless(request: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        record(request, "started")
        try:
            while True:
                yield b"more\n"
                await anyio.sleep(0.02)
        finally:
            record(request, "cleaned up")

    return StreamingResponse(chunks())


@router.get("/watching")
async def watching(request: Request) -> str:
    record(request, "started")
    while not await request.is_disconnected():  # noqa: ASYNC110 - asking is what is tried here
        await anyio.sleep(0.01)
    record(request, "saw the client leave")
    return "to nobody"


@router.post("/asking")
async def asking(request: Request) -> bytes:
    for _ in range(10):
        await request.is_disconnected()
        await anyio.sleep(0.01)
    return await request.body()


@router.get("/waiting")
async def waiting(request: Request) -> AsyncIterator[str]:
    try:
        yield "the only part"
        await anyio.sleep_forever()
    finally:
        record(request, "cleaned up")


@router.get("/fail")
async def fail(request: Request) -> None:
    raise DeliberateError(request.headers.get("x-exchange", ""))


@router.get("/fail-in-stream")
async def fail_in_stream(request: Request) -> AsyncIterator[str]:
    yield "the first part"
    raise DeliberateError(request.headers.get("x-exchange", ""))


@router.get("/teapot")
async def teapot() -> None:
    raise HTTPException(418, "short and stout", {"x-pot": "yes"})
