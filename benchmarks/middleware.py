"""What the middleware for hosts, origins, proxies, headers and ids costs, beside others' of the same name.

    python -m benchmarks.middleware [rounds]

In process, around a bare ASGI application, without a server: microseconds of processor time for each request, the
fastest of all rounds less the application's own.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any, NamedTuple

from asgi_correlation_id import CorrelationIdMiddleware
from starlette.middleware import cors as starlette_cors
from starlette.middleware import httpsredirect as starlette_https
from starlette.middleware import trustedhost as starlette_host
from uvicorn.middleware import proxy_headers as uvicorn_proxy

from microasgi.middleware import (
    CORSMiddleware,
    HTTPSRedirectMiddleware,
    ProxyHeadersMiddleware,
    RequestIDMiddleware,
    SecurityHeadersMiddleware,
    TrustedHostMiddleware,
)

__all__ = ["main"]

REQUESTS = 1500
SHOP = "https://shop.example"
BROWSER = [
    (b"host", b"example.com"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64)"),
    (b"accept", b"text/html,application/json"),
    (b"accept-encoding", b"gzip, br"),
    (b"accept-language", b"en"),
    (b"connection", b"keep-alive"),
    (b"cookie", b"session=abcdef"),
]
FROM_SHOP = [*BROWSER, (b"origin", SHOP.encode())]
PROXIED = [*BROWSER, (b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"https")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"2"), (b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def receive() -> Any: ...


async def send(message: Any) -> None: ...


class Case(NamedTuple):
    """One kind of request: ours, another's if there is one, and the request's headers."""

    name: str
    ours: Any
    other: Any
    headers: list[tuple[bytes, bytes]]
    scheme: str = "http"


CASES = [
    Case(
        "CORS, no Origin",
        CORSMiddleware(app, [SHOP]),
        starlette_cors.CORSMiddleware(app, [SHOP]),
        BROWSER,
    ),
    Case(
        "CORS, allowed by name",
        CORSMiddleware(app, [SHOP], allow_credentials=True),
        starlette_cors.CORSMiddleware(app, [SHOP], allow_credentials=True),
        FROM_SHOP,
    ),
    Case("CORS, *", CORSMiddleware(app, ["*"]), starlette_cors.CORSMiddleware(app, ["*"]), FROM_SHOP),
    Case(
        "TrustedHost, by name",
        TrustedHostMiddleware(app, ["example.com"]),
        starlette_host.TrustedHostMiddleware(app, ["example.com"]),
        BROWSER,
    ),
    Case(
        "TrustedHost, wildcard",
        TrustedHostMiddleware(app, ["*.com"]),
        starlette_host.TrustedHostMiddleware(app, ["*.com"]),
        BROWSER,
    ),
    Case(
        "HTTPSRedirect, https",
        HTTPSRedirectMiddleware(app),
        starlette_https.HTTPSRedirectMiddleware(app),
        BROWSER,
        "https",
    ),
    Case(
        "ProxyHeaders, For and Proto",
        ProxyHeadersMiddleware(app),
        uvicorn_proxy.ProxyHeadersMiddleware(app),
        PROXIED,
    ),
    Case("ProxyHeaders, nothing told", ProxyHeadersMiddleware(app), uvicorn_proxy.ProxyHeadersMiddleware(app), BROWSER),
    Case("SecurityHeaders", SecurityHeadersMiddleware(app), None, BROWSER),
    Case(
        "SecurityHeaders, nonce",
        SecurityHeadersMiddleware(app, content_security_policy={"script-src": "{nonce}"}),
        None,
        BROWSER,
    ),
    Case("RequestID", RequestIDMiddleware(app), CorrelationIdMiddleware(app), BROWSER),
]


async def cost(called: Any, case: Case) -> float:
    """Return the microseconds that a request takes."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": case.scheme,
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": case.headers,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    started = time.process_time()
    for _ in range(REQUESTS):
        await called({**scope}, receive, send)
    return (time.process_time() - started) / REQUESTS * 1e6


async def measure(rounds: int) -> None:
    best: dict[tuple[str, str], float] = {}
    for _ in range(rounds):
        for case in CASES:
            for who, called in (("bare", app), ("ours", case.ours), ("other", case.other)):
                if called is not None:
                    key = (case.name, who)
                    best[key] = min(best.get(key, 1e9), await cost(called, case))
    for case in CASES:
        bare = best[case.name, "bare"]
        row = f"{case.name:28} {best[case.name, 'ours'] - bare:6.2f} us"
        if case.other is not None:
            row += f"   {case.other.__module__.partition('.')[0]} {best[case.name, 'other'] - bare:6.2f} us"
        print(row)


def main() -> None:
    gc.disable()
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 15))


if __name__ == "__main__":
    main()
