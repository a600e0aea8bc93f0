"""The server: uvicorn, with the defaults of production. The one place that imports it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from microasgi.exceptions import MissingPackage

__all__ = ["ServerOptions", "require_server", "serve", "serve_sockets"]


class ServerOptions(TypedDict, total=False):
    """What uvicorn is told, in its own words."""

    host: str
    port: int
    uds: str | None
    root_path: str
    workers: int
    log_level: str
    access_log: bool
    proxy_headers: bool
    forwarded_allow_ips: str
    server_header: bool
    timeout_graceful_shutdown: int
    ssl_certfile: str | None
    ssl_keyfile: str | None
    factory: bool
    lifespan: Literal["off"]


def require_server() -> Any:
    """Return uvicorn; MissingPackage with the line that installs it."""
    try:
        import uvicorn
    except ImportError:
        raise MissingPackage("uvicorn", "cli", "to serve the application") from None
    return uvicorn


def serve(app: Any, options: ServerOptions) -> None:
    """Serve an application, or the name of one for several workers, until a signal ends it."""
    require_server().run(app, **options)


def serve_sockets(app: Any, sockets: Sequence[socket.socket], options: ServerOptions) -> bool:
    """Serve on sockets that are open already, in this process; tell whether the application started."""
    uvicorn = require_server()
    server = uvicorn.Server(uvicorn.Config(app, **options))
    try:
        server.run(sockets=list(sockets))
    except (KeyboardInterrupt, SystemExit):  # with which it may end where the start-up fails
        pass
    return bool(server.started)
