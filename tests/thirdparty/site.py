"""A small site with something of everything, and one ASGI middleware at a place of its own around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from microasgi import (
    BackgroundTask,
    CallNext,
    HTTPException,
    MicroASGI,
    Middleware,
    Mount,
    PlainTextResponse,
    Request,
    Response,
    Route,
    Router,
    StreamingResponse,
    WebSocket,
    WebSocketRoute,
)
from microasgi.types import ASGIApp, Receive, Scope, Send

__all__ = ["AROUND_EVERYTHING", "LARGE", "PLACES", "Site", "build"]

LARGE = "All work and no play. " * 500
# Where the middleware stands; the first ones see requests that no route answers, too.
AROUND_EVERYTHING = ("add_middleware", "list", "between functions", "outside")
PLACES = (*AROUND_EVERYTHING, "mount", "router", "included", "route")


class Site:
    """The handlers, and what they have done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def home(self, request: Request) -> str:
        return "welcome"

    async def large(self, request: Request) -> str:
        return LARGE

    async def echo(self, request: Request) -> Response:
        shown = request.headers.get("x-show")
        return PlainTextResponse(request.headers[shown] if shown else await request.body(), 201)

    async def stream(self, request: Request) -> StreamingResponse:
        return StreamingResponse(self._chunks(), media_type="text/plain")

    async def _chunks(self) -> AsyncIterator[str]:
        try:
            for number in range(5):
                yield f"{number} " * 300
        finally:
            self.done.append("stream closed")

    async def broken(self, request: Request) -> StreamingResponse:
        async def chunks() -> AsyncIterator[str]:
            yield "half " * 300
            raise RuntimeError("the stream broke")

        return StreamingResponse(chunks(), media_type="text/plain")

    async def refused(self, request: Request) -> None:
        raise HTTPException(418, "short and stout")

    async def error(self, request: Request) -> None:
        raise ZeroDivisionError("the handler failed")

    async def task(self, request: Request) -> Response:
        return PlainTextResponse("started", background=BackgroundTask(self._finish, "task"))

    async def failing_task(self, request: Request) -> Response:
        return PlainTextResponse("started", background=BackgroundTask(self._fail))

    async def _finish(self, name: str) -> None:
        self.done.append(name)

    async def _fail(self) -> None:
        raise LookupError("the task failed")

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(f"you said {text}")

    async def socket_error(self, socket: WebSocket) -> None:
        await socket.accept()
        raise ZeroDivisionError("the socket's handler failed")

    async def foreign(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A plain ASGI application, mounted."""
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 203, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": LARGE.encode()})

    def routes(self, middleware: list[Middleware]) -> list[Any]:
        """Return the routes, each with this middleware."""
        handlers = (self.home, self.large, self.stream, self.broken, self.refused, self.error, self.task)
        return [
            *(Route(f"/{one.__name__}", one, middleware=middleware) for one in (*handlers, self.failing_task)),
            Route("/echo", self.echo, methods=["POST"], middleware=middleware),
            Route("/items/{id:int}", self.home, middleware=middleware),
            WebSocketRoute("/socket", self.socket, middleware=middleware),
            WebSocketRoute("/socket_error", self.socket_error, middleware=middleware),
            Mount("/foreign", self.foreign, middleware=middleware),
        ]


async def passing(request: Request, call_next: CallNext) -> Response:
    response = await call_next(request)
    response.headers.append("x-passed", "function")
    return response


def build(place: str, middleware: Middleware) -> tuple[ASGIApp, Site]:
    """Return the application with the middleware at one of PLACES, and its handlers."""
    site = Site()
    routes = site.routes([middleware] if place == "route" else [])
    match place:
        case "add_middleware":
            app = MicroASGI(routes=routes)
            app.add_middleware(middleware.cls, *middleware.args, **middleware.kwargs)
        case "list":
            app = MicroASGI(routes=routes, middleware=[middleware])
        case "between functions":
            app = MicroASGI(routes=routes, middleware=[passing, middleware, passing])
        case "outside":
            return middleware.cls(MicroASGI(routes=routes), *middleware.args, **middleware.kwargs), site
        case "mount":
            app = MicroASGI(routes=[Mount("/", routes=routes, middleware=[middleware])])
        case "router":
            app = MicroASGI(routes=[Mount("/", Router(routes, middleware=[middleware]))])
        case "included":
            app = MicroASGI()
            app.include(Router(routes), middleware=[middleware])
        case _:
            app = MicroASGI(routes=routes)
    return app, site
