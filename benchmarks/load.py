"""What compression costs beside the bare library call, and what a layer costs that has nothing to do.

    python benchmarks/load.py

Everything runs in this process, without a server. Rounds of the two sides take turns, a slow moment falls on both;
ratios and differences are medians of the rounds, times the least.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brotli
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))

from microasgi.middleware import (
    AuthenticationBackend,
    AuthenticationMiddleware,
    CompressionMiddleware,
    ConcurrencyLimitMiddleware,
    GZipMiddleware,
    RateLimitMiddleware,
    TimeoutMiddleware,
)
from microasgi.types import ASGIApp, Message, Receive, Scope, Send

ROUNDS = 15
BROWSER = b"gzip, deflate, br, zstd"
BARE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: zlib.compress(data, 6, 31),
    "br": lambda data: brotli.compress(data, quality=4),
    "zstd": lambda data: zstandard.ZstdCompressor(level=3).compress(data),
}


def make_text(size: int) -> bytes:
    """Return words at random, always the same."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(3000)]
    return " ".join(chance.choices(words, k=size // 4)).encode()[:size]


def answering(body: bytes, media_type: bytes = b"text/plain") -> ASGIApp:
    """Return an application that sends this body."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(message: Message) -> None: ...


async def time_requests(app: ASGIApp, accept: bytes, number: int) -> float:
    """Return the microseconds of a request."""
    names = (b"host", b"user-agent", b"accept", b"connection")
    began = time.perf_counter()
    for _ in range(number):
        headers = [*((name, b"x") for name in names), (b"accept-encoding", accept)]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": ("192.0.2.1", 1)}
        await app(scope, receive, send)
    return (time.perf_counter() - began) / number * 1e6


async def compare_compression() -> None:
    print("| bytes | coding | us | bare call, us | ratio | MB/s |\n|---|---|---|---|---|---|")
    for size in (2_000, 20_000, 60_000, 1_000_000):
        body = make_text(size)
        for coding, bare in BARE.items():
            app, number = CompressionMiddleware(answering(body)), max(2, 20_000 // (size // 20 + 50))
            pairs = []
            for _ in range(ROUNDS):
                began = time.perf_counter()
                for _ in range(number):
                    bare(body)
                alone = (time.perf_counter() - began) / number * 1e6
                pairs.append((await time_requests(app, coding.encode(), number), alone))
            ours, alone = (min(column) for column in zip(*pairs, strict=True))
            ratio = statistics.median(one / other for one, other in pairs)
            print(f"| {size} | {coding} | {ours:.1f} | {alone:.1f} | {ratio:.2f} | {size / ours:.0f} |")


class Nobody(AuthenticationBackend):
    async def authenticate(self, conn: Any) -> None:
        return None


def layers() -> dict[str, Callable[[ASGIApp], ASGIApp]]:
    """Return each layer by name; Starlette's where it is installed."""
    found: dict[str, Callable[[ASGIApp], ASGIApp]] = {
        "CompressionMiddleware": CompressionMiddleware,
        "GZipMiddleware": GZipMiddleware,
        "TimeoutMiddleware": lambda app: TimeoutMiddleware(app, 10),
        "ConcurrencyLimitMiddleware": lambda app: ConcurrencyLimitMiddleware(app, 100),
        "RateLimitMiddleware": lambda app: RateLimitMiddleware(app, "1000000000/minute"),
        "AuthenticationMiddleware": lambda app: AuthenticationMiddleware(app, Nobody()),
    }
    try:
        from starlette.middleware.gzip import GZipMiddleware as StarletteGZip
    except ImportError:
        return found
    return {**found, "Starlette's GZipMiddleware": StarletteGZip}


async def compare_layers() -> None:
    cases = {
        "small body": (answering(b"a" * 100), BROWSER),
        "picture": (answering(b"a" * 5000, b"image/png"), BROWSER),
        "client takes nothing": (answering(b"a" * 5000), b"identity"),
    }
    print(f"\n| layer, us more for a request | {' | '.join(cases)} |\n|---|{'---|' * len(cases)}")
    for name, layer in layers().items():
        row = []
        for app, accept in cases.values():
            wrapped = layer(app)
            rounds = [
                (await time_requests(wrapped, accept, 2000)) - await time_requests(app, accept, 2000)
                for _ in range(ROUNDS)
            ]
            row.append(f"{statistics.median(rounds):.2f}")
        print(f"| {name} | {' | '.join(row)} |")


async def main() -> None:
    await compare_compression()
    await compare_layers()


if __name__ == "__main__":
    asyncio.run(main())
