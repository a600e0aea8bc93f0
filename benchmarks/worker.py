"""One target in one process: builds its applications, checks its answers, runs batches when told to.

Law: nothing but requests is inside the clock. Scopes and clients are made before it starts, garbage is
collected before it and kept out of it. Speaks JSON lines with `run.py` over its own standard streams.
"""

import asyncio
import gc
import importlib
import itertools
import json
import logging
import os
import sys
import warnings
from time import perf_counter_ns, process_time_ns
from typing import Any

from cases import CASES, LARGE_TABLES, SPREAD, Case, problems
from clients import Client, SocketClient, request_headers, request_messages

CHUNK = 256
clock = process_time_ns if "--cpu" in sys.argv else perf_counter_ns


def make_scope(
    case: Case, raw_path: bytes, headers: list[tuple[bytes, bytes]], state: dict[str, Any]
) -> dict[str, Any]:
    """A fresh scope with the keys and the types uvicorn gives; the path is a new string, as a server's is."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 54321),
        "scheme": "http",
        "root_path": "",
        "headers": headers.copy(),
        "state": state.copy(),
        "method": case.method,
        "path": raw_path.decode(),
        "raw_path": raw_path,
        "query_string": case.query,
    }
    if case.kind != "http":
        del scope["method"]
        scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
        scope["asgi"]["spec_version"] = "2.4"
        scope["extensions"] = {"websocket.http.response": {}}
    return scope


class Lifespan:
    """The start and the end of one application, tolerant of those that have none."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.outgoing: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def start(self) -> None:
        self.task = asyncio.create_task(self.converse())
        if (message := await self.exchange("startup"))["type"].endswith("failed"):
            raise RuntimeError(message.get("message", "startup failed"))

    async def stop(self) -> None:
        await self.exchange("shutdown")
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=5)

    async def exchange(self, moment: str) -> dict[str, str]:
        await self.incoming.put({"type": f"lifespan.{moment}"})
        reply = asyncio.create_task(self.outgoing.get())
        await asyncio.wait({reply, self.task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        return reply.result() if reply.done() else {"type": "unsupported"}

    async def converse(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self.app(scope, self.incoming.get, self.outgoing.put)
        except Exception:
            logging.getLogger("benchmarks").debug("no lifespan", exc_info=True)


class Session:
    """One application under one case, with the number of requests that make a batch."""

    def __init__(self, case: Case, app: Any, client: type[Client] = Client) -> None:
        self.case, self.app, self.client, self.lifespan = case, app, client, Lifespan(app)
        self.headers, self.messages = request_headers(case), request_messages(case)
        self.paths = itertools.cycle(f"{case.path}{number}".encode() for number in range(SPREAD))
        self.count = 1

    def scope(self, raw_path: bytes) -> dict[str, Any]:
        return make_scope(self.case, raw_path, self.headers, self.lifespan.state)

    def request(self, *, spread: bool = True) -> tuple[Any, Any, Any]:
        client = self.client(self.messages)
        raw_path = next(self.paths) if spread and self.case.spread else self.case.path.encode()
        return self.scope(raw_path), client.receive, client.send

    def socket(self, messages: int = 0) -> tuple[Any, Any, Any]:
        client = SocketClient(messages)
        return self.scope(self.case.path.encode()), client.receive, client.send

    async def check(self) -> list[str]:
        sent: list[dict[str, Any]] = []
        scope, receive, take = self.request(spread=False) if self.case.kind == "http" else self.socket(3)

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)
            await take(message)

        await self.app(scope, receive, send)
        if self.case.kind == "http":
            return problems(self.case, sent)
        echoes = [message.get("text") for message in sent if message["type"] == "websocket.send"]
        right = sent and sent[0]["type"] == "websocket.accept" and echoes == ["hello"] * 3
        return [] if right else [f"websocket said {sent[:5]}"]

    async def batch(self) -> float:
        """Play one batch and give the mean time of a request in microseconds."""
        gc.collect()
        gc.disable()
        try:
            if self.case.kind == "echo":
                return await self.play([self.socket(self.count)]) / self.count / 1000
            left, spent = self.count, 0
            while left:
                size = min(left, CHUNK)
                make = self.request if self.case.kind == "http" else self.socket
                spent += await self.play([make() for _ in range(size)])
                left -= size
            return spent / self.count / 1000
        finally:
            gc.enable()

    async def play(self, prepared: list[tuple[Any, Any, Any]]) -> int:
        app = self.app
        start = clock()
        if self.case.kind == "connect":  # a socket lives in a task of its own on every server
            await asyncio.gather(*[app(*talk) for talk in prepared])
        else:
            for scope, receive, send in prepared:
                await app(scope, receive, send)
        await asyncio.sleep(0)  # tasks the application left behind belong to its requests
        return clock() - start

    async def calibrate(self, milliseconds: float) -> None:
        """Find the number of requests that fill a batch; this is the warm-up too."""
        while True:
            mean = await self.batch()
            wanted = max(1, round(milliseconds * 1000 / mean))
            if wanted <= self.count * 2:
                self.count = wanted
                return
            self.count = min(wanted, self.count * 16)


def load(target: str) -> Any:
    """Import the target's module; `ModuleNotFoundError` when its framework is missing."""
    return importlib.import_module(f"targets.{target}")


def build(target: str, case: Case) -> Any:
    """Build the target's application for a case; `LookupError` with the reason when it has none."""
    module = load(target)
    if case.only and target not in case.only:
        raise LookupError(f"only {', '.join(LARGE_TABLES)}")
    reason = getattr(module, "SKIP", {}).get(case.build)
    if reason or not hasattr(module, case.build):
        raise LookupError(reason or "not offered")
    return getattr(module, case.build)(*case.arguments)


async def prepare(target: str, case: Case, milliseconds: float) -> tuple[Session | None, dict[str, Any]]:
    """Build, start, check and calibrate; the reply says why there is no session when there is none."""
    try:
        session = Session(case, build(target, case), getattr(load(target), "CLIENT", Client))
    except LookupError as error:
        return None, {"skip": str(error.args[0])}
    except ImportError as error:
        return None, {"skip": f"not installed ({error})"}
    try:
        await session.lifespan.start()
        wrong = await asyncio.wait_for(session.check(), 20)
        if wrong:
            return None, {"wrong": "; ".join(wrong)}
        gc.collect()
        gc.freeze()
        await session.calibrate(milliseconds)
    except Exception as error:
        return None, {"wrong": f"{type(error).__name__}: {error}"}
    return session, {"count": session.count}


async def serve(target: str, replies: Any) -> None:
    """Answer the orders of `run.py` until it closes the stream; between them the loop rests."""
    session: Session | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "prepare":
            if session:
                await session.lifespan.stop()
                session = None
                gc.unfreeze()
            session, reply = await prepare(target, CASES[order["case"]], order["milliseconds"])
        else:
            reply = {"us": await session.batch()} if session else {"wrong": "nothing prepared"}
        print(json.dumps(reply), file=replies, flush=True)


def main() -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not look like a reply
    warnings.simplefilter("ignore")
    try:
        fresh = getattr(load(sys.argv[1]), "FRESH_PROCESS", False)
        print(json.dumps({"ready": True, "fresh": fresh}), file=replies, flush=True)
    except ImportError as error:
        print(json.dumps({"skip": f"not installed ({error})"}), file=replies, flush=True)
        return
    asyncio.run(serve(sys.argv[1], replies))


if __name__ == "__main__":
    main()
