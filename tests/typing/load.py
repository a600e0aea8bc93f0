"""Users, rights and the middleware for load, as somebody writes them."""

from __future__ import annotations

from typing import Any, assert_type

from microasgi import HTTPConnection, HTTPEndpoint, MicroASGI, Middleware, PlainTextResponse, Request, WebSocket
from microasgi.middleware import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    AuthenticationMiddleware,
    BaseUser,
    CompressionMiddleware,
    ConcurrencyLimitMiddleware,
    GZipMiddleware,
    MemoryRates,
    RateLimitMiddleware,
    SimpleUser,
    TimeoutMiddleware,
    client_network,
    local_path,
    requires,
)


class ByHeader(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        name = conn.headers.get("x-name")
        if name == "":
            raise AuthenticationError("a name is not empty")
        return None if name is None else (AuthCredentials(["authenticated"]), SimpleUser(name))


def on_error(conn: HTTPConnection, error: AuthenticationError) -> PlainTextResponse:
    return PlainTextResponse(str(error), 401)


async def by_user(connection: HTTPConnection) -> str | None:
    return connection.user.identity or client_network(connection)


app = MicroASGI(
    middleware=[
        CompressionMiddleware,
        Middleware(CompressionMiddleware, minimum_size=1000, encodings=["br", "gzip"]),
        Middleware(GZipMiddleware, compresslevel=5),
        Middleware(AuthenticationMiddleware, backend=ByHeader(), on_error=on_error),
        Middleware(RateLimitMiddleware, "10/second; 1000/hour", key=by_user, store=MemoryRates(max_keys=1000)),
        Middleware(ConcurrencyLimitMiddleware, limit=100, queue=10),
        Middleware(TimeoutMiddleware, seconds=10),
    ]
)
compressed = CompressionMiddleware(app)
limited = RateLimitMiddleware(app, key=lambda connection: connection.headers.get("x-key"))


@app.get("/")
@requires("authenticated", redirect="login")
async def home(request: Request) -> str:
    return local_path(request.query_params.get("next"), "/home")


@app.get("/blocking")
@requires(["authenticated", "admin"], status_code=404)
def blocking(request: Request) -> dict[str, int]:
    return {}


@app.websocket("/ws")
@requires("authenticated")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


@requires("admin")
class Admin(HTTPEndpoint):
    @requires("authenticated")
    async def get(self, request: Request) -> str:
        return ""


async def kept(request: Request[Any]) -> None:
    assert_type(await home(request), str)
    assert_type(blocking(request), dict[str, int])
