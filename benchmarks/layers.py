"""What a layer of middleware costs: functions and ASGI classes, 0 to 10 of them, and a session.

Law: every stack is called in turn in every round, on scopes made before the clock starts, and its answer is checked
before anything is timed. A cell is the least batch mean, in microseconds.
"""

import argparse
import asyncio
import gc
import json
from collections.abc import Callable
from time import perf_counter_ns, process_time_ns
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware as StarletteLayer
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware as StarletteSessions
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from microasgi import MicroASGI, Middleware, Request
from microasgi.middleware import SessionMiddleware

LAYERS = (0, 1, 5, 10)
BATCH = 500
KEY = "a key that is long enough and used for nothing else"


class Through:
    """An ASGI class that does nothing: what the protocol itself costs."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class Header(Through):
    """An ASGI class that adds a header to the response."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def adding(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-layer", b"1"))
            await send(message)

        await self.app(scope, receive, adding)


async def function(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def function_header(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    response.raw_headers.append((b"x-layer", b"1"))
    return response


async def raw(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5"), (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def raw_stack(layer: Any, count: int) -> Any:
    app: Any = raw
    for _ in range(count):
        app = layer(app)
    return app


def microasgi_stack(layer: Any, count: int) -> Any:
    app = MicroASGI(middleware=[layer] * count)

    @app.get("/")
    async def hello(request: Request) -> str:
        return "hello"

    return app


def starlette_stack(layer: Any, count: int, **options: Any) -> Any:
    async def hello(request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", hello)], middleware=[StarletteLayer(layer, **options)] * count)


def base(layer: Any, count: int) -> Any:
    return starlette_stack(BaseHTTPMiddleware, count, dispatch=layer)


STACKS: dict[str, Callable[[int], Any]] = {
    "raw callable, ASGI class": lambda count: raw_stack(Through, count),
    "raw callable, ASGI class that adds a header": lambda count: raw_stack(Header, count),
    "microasgi, function": lambda count: microasgi_stack(function, count),
    "microasgi, function that adds a header": lambda count: microasgi_stack(function_header, count),
    "microasgi, ASGI class": lambda count: microasgi_stack(Through, count),
    "microasgi, ASGI class that adds a header": lambda count: microasgi_stack(Header, count),
    "starlette, ASGI class": lambda count: starlette_stack(Through, count),
    "starlette, ASGI class that adds a header": lambda count: starlette_stack(Header, count),
    "starlette, BaseHTTPMiddleware": lambda count: base(function, count),
    "starlette, BaseHTTPMiddleware that adds a header": lambda count: base(function_header, count),
}


def visit(use: str) -> Callable[[Any], None]:
    """Return what a handler does with its session."""
    if use == "write":
        return lambda session: session.update(count=session["count"] + 1)
    if use == "read":
        return lambda session: session["user"]
    return lambda session: None


def microasgi_session(use: str, layers: list[Any]) -> Any:
    app, act = MicroASGI(middleware=layers), visit(use)

    @app.get("/")
    async def hello(request: Request) -> str:
        if layers:
            act(request.session)
        return "hello"

    @app.get("/login")
    async def login(request: Request) -> str:
        request.session.update(user="Ada", count=1)
        return "hello"

    return app


def starlette_session(use: str, layers: list[Any]) -> Any:
    act = visit(use)

    async def hello(request: Any) -> PlainTextResponse:
        if layers:
            act(request.session)
        return PlainTextResponse("hello")

    async def login(request: Any) -> PlainTextResponse:
        request.session.update(user="Ada", count=1)
        return PlainTextResponse("hello")

    return Starlette(routes=[Route("/", hello), Route("/login", login)], middleware=layers)


SESSIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "microasgi": (microasgi_session, Middleware(SessionMiddleware, secret_key=KEY)),
    "starlette": (starlette_session, StarletteLayer(StarletteSessions, secret_key=KEY)),
}


def make_scope(path: str = "/", cookie: bytes | None = None) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 54321),
        "scheme": "http",
        "root_path": "",
        "headers": [*headers, *([(b"cookie", cookie)] if cookie else [])],
        "state": {},
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
    }


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Any) -> None:
    pass


async def ask(app: Any, scope: Any) -> tuple[dict[bytes, bytes], bytes]:
    messages: list[Any] = []

    async def keep(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, keep)
    return dict(messages[0]["headers"]), b"".join(message.get("body", b"") for message in messages[1:])


class Life:
    """The lifespan of one application, as a server holds it."""

    def __init__(self, app: Any) -> None:
        self.started, self.over = asyncio.Event(), asyncio.Event()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.task = asyncio.create_task(app(scope, self.receive, self.send))

    async def receive(self) -> dict[str, Any]:
        if not self.started.is_set():
            return {"type": "lifespan.startup"}
        await self.over.wait()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Any) -> None:
        assert message["type"].endswith(".complete"), message
        self.started.set()

    async def end(self) -> None:
        self.over.set()
        await self.task


async def check(app: Any, cookie: bytes | None) -> None:
    _, body = await ask(app, make_scope(cookie=cookie))
    assert body == b"hello", body


async def batch(app: Any, cookie: bytes | None, clock: Callable[[], int]) -> float:
    """Return the mean of one batch in microseconds."""
    scopes = [make_scope(cookie=cookie) for _ in range(BATCH)]
    gc.collect()
    gc.disable()
    started = clock()
    for scope in scopes:
        await app(scope, receive, send)
    taken = clock() - started
    gc.enable()
    return taken / BATCH / 1000


async def measure(apps: dict[Any, tuple[Any, bytes | None]], rounds: int, clock: Callable[[], int]) -> dict[Any, float]:
    lives = [Life(app) for (name, _), (app, _) in apps.items() if not name.startswith("raw")]
    for life in lives:
        await life.started.wait()
    for app, cookie in apps.values():
        await check(app, cookie)
        await batch(app, cookie, clock)
    best = dict.fromkeys(apps, float("inf"))
    for _ in range(rounds):
        for name, (app, cookie) in apps.items():
            best[name] = min(best[name], await batch(app, cookie, clock))
    for life in lives:
        await life.end()
    return best


async def session_apps() -> dict[Any, tuple[Any, bytes | None]]:
    apps: dict[Any, tuple[Any, bytes | None]] = {}
    for name, (make, layer) in SESSIONS.items():
        headers, _ = await ask(make("", [layer]), make_scope("/login"))
        cookie = headers[b"set-cookie"].partition(b";")[0]
        apps[name, "none"] = (make("", []), cookie)
        for use in ("untouched", "read", "write"):
            apps[name, use] = (make(use, [layer]), cookie)
    return apps


def print_layers(best: dict[Any, float]) -> None:
    print("| middleware | none | 1 | 5 | 10 | the first | each further one | to microasgi's function |")
    print("|---" * 8 + "|")
    functions = {False: "microasgi, function", True: "microasgi, function that adds a header"}

    def further(name: str) -> float:
        return (best[name, 10] - best[name, 1]) / 9

    for name in STACKS:
        ratio = further(name) / further(functions[name.endswith("header")])
        cells = " | ".join(f"{best[name, count]:.2f}" for count in LAYERS)
        first = best[name, 1] - best[name, 0]
        print(f"| {name} | {cells} | {first:.2f} | {further(name):.2f} | {ratio:.1f} |")


def print_sessions(best: dict[Any, float]) -> None:
    print("\n| session | without | untouched | read | written |\n|---|---|---|---|---|")
    for name in SESSIONS:
        uses = [best[name, use] for use in ("none", "untouched", "read", "write")]
        print(f"| {name} | " + " | ".join(f"{one:.1f}" for one in uses) + " |")
    ratios = [best["starlette", use] / best["microasgi", use] for use in ("none", "untouched", "read", "write")]
    print("| starlette / microasgi | " + " | ".join(f"{ratio:.1f}" for ratio in ratios) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cpu", action="store_true", help="count processor time in place of time on the wall")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    options = parser.parse_args()
    clock = process_time_ns if options.cpu else perf_counter_ns
    stacks = {(name, count): (make(count), None) for name, make in STACKS.items() for count in LAYERS}
    layers = asyncio.run(measure(stacks, options.rounds, clock))

    async def sessions() -> dict[Any, float]:
        return await measure(await session_apps(), options.rounds, clock)

    visits = asyncio.run(sessions())
    if options.json:
        print(json.dumps({" ".join(map(str, key)): value for key, value in {**layers, **visits}.items()}))
        return
    print_layers(layers)
    print_sessions(visits)


if __name__ == "__main__":
    main()
